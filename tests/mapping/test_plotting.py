"""Figures of map files and of results: what is drawn is what the files hold, at sizes that can be read in print."""

import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

import encoding
from encoding.cli import main
from encoding.core import ConfigError, DataError, Grid, Targets
from encoding.core.axes import Targets as Axis
from encoding.drawing.scales import PALETTE
from encoding.io.images.formats import write_labels, write_map
from encoding.io.images.maps import read_maps
from encoding.mapping import Maps, Region, TargetTests, write_parcels
from encoding.mapping.composer import Composer
from encoding.mapping.map_sections import ceiling_maps, counts, pair_maps, prevalence_charts
from encoding.mapping.plotting import plot_files
from encoding.mapping.significance import shown_differences

SIZE = 2562
ENTITIES = {"sub": "01", "task": "video", "model": "mllm", "feature": "all", "stat": "r"}


def quiet(share):
    """Progress that nobody watches."""


@pytest.fixture
def vertices():
    index = np.concatenate([np.arange(SIZE)] * 2)
    sizes = {"CORTEX_LEFT": SIZE, "CORTEX_RIGHT": SIZE}
    return Axis("vertex", "fsaverage4", index, np.repeat(list(sizes), SIZE), n_vertices=sizes)


@pytest.fixture
def voxels():
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = -60, -90, -50
    shape = (20, 26, 20)
    n = int(np.prod(shape))
    return Targets("voxel", "MNI152NLin2009cAsym", np.arange(n), np.full(n, ""), Grid(shape, affine), density="6")


def panels_of(figure):
    return {str(axes.get_label()): axes for axes in figure.axes if axes.images and axes.get_label()}


# Reading


def test_maps_of_this_package_come_back(tmp_path, vertices, voxels):
    for targets in (vertices, voxels):
        values = np.linspace(-0.2, 0.7, len(targets)).astype(np.float32)
        values[3] = np.nan
        first = write_map(tmp_path / targets.kind, ENTITIES, values, targets, {"Units": "correlation coefficient"})[0]
        (found,) = read_maps([first])
        assert found.name == "sub-01 mllm: r"
        assert found.entities["model"] == "mllm"
        assert found.sidecar["Units"] == "correlation coefficient"
        assert found.targets.space == targets.space
        everywhere = np.full(len(targets), np.nan, dtype=np.float32)
        everywhere[found.targets.index if targets.kind == "voxel" else slice(None)] = found.values
        np.testing.assert_array_equal(everywhere, values)
        assert len(found.files) == (2 if targets.kind == "vertex" else 1)


def test_what_is_no_map_is_refused_with_the_kinds_that_are_drawn(tmp_path, capsys):
    (tmp_path / "x.json").write_text("{}")
    assert main(["plot", str(tmp_path / "x.json"), "-o", str(tmp_path / "x.png")]) == 1
    told = capsys.readouterr().err
    assert re.search(r"x\.json: is no map by its name\. Drawn are NIfTI .*GIFTI .*CIFTI", told)
    assert "damaged" not in told
    with pytest.raises(DataError, match=r"is a folder\. .*encoding figure draws a folder of results"):
        read_maps([tmp_path])


def test_labels_keep_their_names_and_colors(tmp_path, vertices, voxels):
    table = [(1, "a", PALETTE[0]), (2, "b", PALETTE[1])]
    for targets in (vertices, voxels):
        numbers = np.arange(len(targets)) % 3
        path = write_labels(tmp_path / targets.kind, ENTITIES, numbers, targets, table)[0]
        (found,) = read_maps([path])
        assert dict(found.colors) == {1: PALETTE[0], 2: PALETTE[1]}
        assert found.names[2] == "b"


def test_one_hemisphere_alone_is_half_a_map(tmp_path, vertices):
    left, right = write_map(tmp_path, ENTITIES, np.ones(len(vertices)), vertices)
    right.unlink()
    (found,) = read_maps([left])
    assert np.isfinite(found.values).tolist() == [True] * SIZE + [False] * SIZE


def test_files_of_others_are_read(tmp_path):
    data = np.zeros((5, 6, 4, 2), np.float32)
    data[1:4, 1:5, 1:3] = np.random.default_rng(0).normal(size=(3, 4, 2, 2))
    nib.save(nib.Nifti1Image(data, np.diag([3, 3, 3, 1])), tmp_path / "zmap.nii.gz")
    one, two = read_maps([tmp_path / "zmap.nii.gz"])
    assert (one.name, two.name) == ("zmap, map 1", "zmap, map 2")
    assert len(one.values) == 24
    array = nib.gifti.GiftiDataArray(np.ones(642, np.float32))
    nib.save(nib.GiftiImage(darrays=[array]), tmp_path / "thickness.gii")
    with pytest.raises(DataError, match="neither its header nor its name says which hemisphere"):
        read_maps([tmp_path / "thickness.gii"])
    (tmp_path / "broken.nii.gz").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.nii\.gz"):
        read_maps([tmp_path / "broken.nii.gz"])
    with pytest.raises(DataError, match="no such file"):
        read_maps([tmp_path / "gone.nii.gz"])


# Drawing files


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_the_command_draws_a_file(tmp_path, vertices, kind):
    path = write_map(tmp_path, ENTITIES, np.linspace(0, 0.5, len(vertices)), vertices)[0]
    figure = tmp_path / f"fig.{kind}"
    assert main(["plot", str(path), "-o", str(figure), "--dpi", "60", "--views", "lateral", "--title", "Mine"]) == 0
    head = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[kind]
    assert figure.read_bytes().startswith(head)
    if kind == "svg":
        assert ">Mine<" in figure.read_text()  # text stays text


def test_several_maps_have_one_scale(tmp_path, vertices):
    paths = [
        write_map(tmp_path, ENTITIES | {"model": name}, np.full(len(vertices), high), vertices)[0]
        for name, high in (("weak", 0.1), ("strong", 0.4))
    ]
    figure = encoding.plot_files(paths, dpi=50, views=["lateral"])
    pictures = [axes for axes in figure.axes if axes.get_label() == "left lateral"]
    bars = [axes for axes in figure.axes if axes.get_title() == "r"]
    assert (len(pictures), len(bars)) == (2, 1)
    assert bars[0].get_xlim() == (0.0, 0.4)
    weak, strong = (np.asarray(axes.images[0].get_array()).reshape(-1, 3).mean(axis=0) for axes in pictures)
    assert strong.mean() != pytest.approx(weak.mean(), abs=20)


def test_labels_are_drawn_in_their_colors(tmp_path, voxels):
    numbers = np.zeros(len(voxels), dtype=int)
    numbers[(np.arange(len(voxels)) // 400) % 2 == 0] = 1
    path = write_labels(tmp_path, ENTITIES, numbers, voxels, [(1, "amygdala", PALETTE[1])])[0]
    figure = plot_files(path, dpi=50, slices=3, project=False)
    colors = np.concatenate([
        np.asarray(axes.images[-1].get_array())[..., :3].reshape(-1, 3)
        for label, axes in panels_of(figure).items() if label.startswith("axial")
    ])  # fmt: skip
    assert (np.abs(colors - to_rgb(PALETTE[1])).max(axis=1) < 1e-3).any()
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "amygdala" in texts


def test_differences_have_two_sides_and_accuracy_one(tmp_path, vertices):
    values = np.random.default_rng(0).normal(0, 0.1, len(vertices))
    difference = write_map(tmp_path, ENTITIES | {"model": "aminusb"}, values, vertices)[0]
    accuracy = write_map(tmp_path, ENTITIES, np.abs(values) - 0.02, vertices)[0]
    limits = {}
    for path in (difference, accuracy):
        figure = plot_files(path, dpi=50, views=["lateral"])
        limits[path.name] = next(axes.get_xlim() for axes in figure.axes if axes.get_title() == "r")
    assert limits[difference.name][0] == -limits[difference.name][1]
    assert limits[accuracy.name][0] == 0


def test_what_cannot_be_drawn_is_named(tmp_path, vertices):
    path = write_map(tmp_path, ENTITIES, np.ones(len(vertices)), vertices)[0]
    with pytest.raises(ConfigError, match=r"'meshes' is no key of \[map\]. Did you mean 'mesh'"):
        plot_files(path, meshes="fsaverage4")
    index = np.arange(100)
    odd = Axis(
        "vertex", "fsnative", index, np.repeat("CORTEX_LEFT", 100), n_vertices={"CORTEX_LEFT": 100, "CORTEX_RIGHT": 100}
    )
    strange = write_map(tmp_path / "odd", ENTITIES, np.ones(100), odd)[0]
    with pytest.raises(DataError, match=r"no installed package has a mesh of 100 vertices"):
        plot_files(strange)
    assert main(["plot", str(strange), "-o", str(tmp_path / "a.png")]) == 1


# The panel, and what is claimed in maps


def passed_of(n):
    u, q = np.full((2, n), 0.1), np.full((2, n), 0.5)
    q[:, : n // 2] = 0.001
    return TargetTests(
        ("ratings", "mllm"), u, q, q, np.where(np.arange(n) < n // 4, 1, -1), 0.05, {}, ("ratings", "mllm")
    )


def test_the_panel_shows_all_participants_on_one_scale(tmp_path, make_result, vertices, monkeypatch):
    rng = np.random.default_rng(0)
    n = len(vertices)
    for label in ("01", "02", "03"):
        make_result(label, *np.abs(rng.normal(0, 0.1, (2, n))), targets=vertices)
    monkeypatch.setattr("encoding.mapping.results.Result.tests", passed_of(n))
    output = tmp_path / "panel.pdf"
    figure = encoding.plot_results(tmp_path, output, dpi=60)
    assert output.read_bytes().startswith(b"%PDF")
    assert main(["figure", str(tmp_path / "nothing"), "-o", str(output)]) == 1
    labels = [str(axes.get_label()) for axes in figure.axes]
    # Mean and three participants of two models, three winners, mean and three participants of two spaces
    assert labels.count("left lateral") == 4 * 2 + 3 + 4
    assert figure.get_size_inches()[0] == pytest.approx(7.2)
    texts = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text().strip()]
    words = {text.get_text() for text in texts}
    assert {"sub-01", "sub-02", "sub-03", "mean\nn = 3", "ratings", "mllm", "tie", "space\nahead"} <= words
    assert min(text.get_size() for text in texts if text.get_visible()) >= 7
    with pytest.raises(DataError, match=r"has no model 'mlm'\. Did you mean 'mllm'"):
        encoding.plot_results(tmp_path, models=["mlm"])
    with pytest.raises(DataError, match="no finished participant here"):
        encoding.plot_results(tmp_path / "nothing")


@pytest.mark.parametrize("space", ["vertices", "voxels"])
def test_letters_of_maps_can_be_read_in_print(request, space):
    from encoding.drawing.scales import accuracy_scale
    from encoding.mapping import canvas_of, find_surfaces

    targets = request.getfixturevalue(space)
    values = np.random.default_rng(0).normal(0, 0.1, len(targets))
    settings = Maps(dpi=50)
    scale = accuracy_scale([values], "r", threshold=0.05)
    figure = canvas_of(targets, None, find_surfaces(settings, targets), settings).accuracy(values, scale, "t").figure
    assert figure.get_size_inches()[0] <= 7.25  # two columns of a journal: nothing is made smaller in print
    texts = [text for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text().strip()]
    assert min(text.get_size() for text in texts) >= 7


def claim(space, versus, region, value, q):
    return {
        "subject": "01", "atlas": "mine", "level": "region", "set": "", "region": region, "hemi": "L",
        "claim": "difference", "space": space, "versus": versus, "value": value, "q": q,
    }  # fmt: skip


def test_a_difference_is_unfaded_only_where_its_test_passed_and_the_map_agrees():
    regions = [Region("mine", "region", "", name, "L", np.arange(8) // 2 == k) for k, name in enumerate("abcd")]
    values = np.array([0.1, -0.1, 0.1, 0.1, -0.1, -0.1, 0.1, 0.1])
    claims = pd.DataFrame([
        claim("x", "y", "a", 0.2, 0.01),  # passes; one of two targets has the other sign
        claim("x", "y", "b", 0.2, 0.20),  # does not pass
        claim("y", "x", "c", 0.2, 0.01),  # passes, the other way round
        claim("x", "y", "d", np.nan, np.nan),  # was not tested
    ])  # fmt: skip
    shown = shown_differences(values, ("x", "y"), claims, regions, 0.05)
    assert shown.mask.tolist() == [True, False, False, False, True, True, False, False]
    assert (shown.n_passed, shown.n_tested) == (2, 3)
    assert shown_differences(values, ("x", "z"), claims, regions, 0.05) is None
    assert shown_differences(values, ("x", "y"), claims.head(0), regions, 0.05) is None
    assert shown_differences(values, ("x", "y"), claims, [], 0.05) is None


def test_noise_of_all_regions_is_faded():
    """Under the null, with q from p by Benjamini and Hochberg, hardly a map has an unfaded target."""
    from encoding.numerics.significance import discovery_rates

    rng = np.random.default_rng(0)
    regions = [Region("mine", "region", "", str(k), "L", np.arange(400) // 4 == k) for k in range(100)]
    unfaded = 0
    for _ in range(100):
        q = discovery_rates(rng.uniform(size=100))
        claims = pd.DataFrame([claim("x", "y", str(k), rng.normal(), q[k]) for k in range(100)])
        shown = shown_differences(rng.normal(size=400), ("x", "y"), claims, regions, 0.05)
        unfaded += shown.n_passed > 0
    assert unfaded <= 12  # 5 are expected at 0.05


def test_captions_of_differences_say_what_was_shown(tmp_path, make_result, vertices):
    n = len(vertices)
    result = make_result("01", np.full(n, 0.3), np.full(n, 0.1), targets=vertices)
    write_parcels(result.folder, [Region("mine", "region", "", "V1", "L", np.arange(n) < 50)])
    rows = pd.DataFrame([claim("ratings", "mllm", "V1", 0.2, 0.001)])
    object.__setattr__(result, "claims", rows)
    composer = Composer([result], Maps(dpi=50, views=("lateral",)), tmp_path / "figures", tmp_path, quiet)
    (block,) = [block for block in composer.differences().blocks if "ratings minus mllm" in block.caption]
    assert "1 of 1 regions" in block.caption
    assert "false discovery rate at most 0.05" in block.caption


def test_sections_on_two_spaces_ceilings_and_counts(tmp_path, make_result, vertices, monkeypatch):
    n = len(vertices)
    results = [make_result(f"0{k}", np.full(n, 0.3), np.full(n, 0.1), targets=vertices) for k in (1, 2)]
    settings = Maps(dpi=50, views=("lateral",))
    composer = Composer(results, settings, tmp_path / "figures", tmp_path, quiet)
    (pair,) = pair_maps(composer).blocks
    assert "Not tested: no winner is named here" in pair.caption
    assert ceiling_maps(composer) is None
    assert counts(composer) is None
    monkeypatch.setattr("encoding.mapping.results.Result.tests", passed_of(n))
    counted = counts(composer).blocks
    assert [f"all 2 in {n // 2} targets" in block.caption for block in counted] == [True, True]
    for result in results:
        over = result.scores["r"].values / 0.5
        scores = {name: type(result.scores["r"])(name, result.scores["r"].rows, over, vertices, result.subject)
                  for name in ("ceiling", "over_ceiling")}  # fmt: skip
        object.__setattr__(result, "scores", {**result.scores, **scores})
    blocks = ceiling_maps(composer).blocks
    assert len(blocks) == 2 * 3
    assert "not cut at 1" in blocks[1].caption


def test_prevalences_of_the_group_are_charted_with_their_limits(tmp_path, make_result, vertices):
    n = len(vertices)
    results = [make_result(f"0{k}", np.full(n, 0.3), np.full(n, 0.1), targets=vertices) for k in (1, 2)]
    settings = Maps(dpi=50, views=("lateral",))
    empty = Composer(results, settings, tmp_path / "figures", tmp_path, quiet)
    assert prevalence_charts(empty) == []
    place = empty.charts[0].rows[["atlas", "level", "set", "region", "hemi"]].iloc[0].to_dict()
    row = {**place, "claim": "above 0", "space": "mllm", "value": 0.03, "n_subjects": 2, "prevalence": 0.5}
    limits = {"prevalence_low": 0.125, "prevalence_high": 0.75}
    table = pd.DataFrame([{**row, **limits}, {**row, "claim": "difference", "prevalence": 1.0}])
    composer = Composer(results, settings, tmp_path / "figures", tmp_path, quiet, {"claims": table})
    (chart,) = prevalence_charts(composer)
    assert "bar = estimate, line = 95% interval" in chart.svg
    bars = [float(x) for x in re.findall(r'<rect [^>]*width="([0-9.]+)"[^>]*fill-opacity', chart.svg)]
    lines = [
        [float(x) for x in re.findall(r"([0-9.]+) [0-9.]+", path)] for path in re.findall(r'd="M([^"]+)"', chart.svg)
    ]
    (line,) = [xs for xs in lines if len(xs) == 2 and 0.8 < (xs[1] - xs[0]) / bars[0] < 1.6]
    assert (line[1] - line[0]) / bars[0] == pytest.approx((0.75 - 0.125) / 0.5, abs=0.01)
    assert "An estimate, not a test" in chart.caption


def test_what_has_no_test_says_so_where_it_is_shown(tmp_path, make_result, vertices):
    """Means over participants, and the division of variance, have no null: nothing may be read as a claim."""
    n = len(vertices)
    results = [make_result(f"0{k}", np.full(n, 0.3), np.full(n, 0.1), targets=vertices) for k in (1, 2)]
    for result in results:
        first = result.regions.iloc[:1].assign(model="mllm")
        parts = [
            first.assign(metric=metric, feature=feature, value=0.1)
            for metric, features in (("partition_r2", ("a", "b", "a+b")), ("split_r2", ("a", "b")))
            for feature in features
        ]
        object.__setattr__(result, "regions", pd.concat([result.regions, *parts], ignore_index=True))
    composer = Composer(results, Maps(dpi=50, views=("lateral",)), tmp_path / "figures", tmp_path, quiet)
    accuracy = [block.caption for block in composer.accuracy().blocks]
    means = [caption for caption in accuracy if "mean of participants" in caption]
    assert len(means) == 2
    assert all(caption.endswith("the mean was not tested.") for caption in means)
    assert all("targets, not tested" in caption for caption in accuracy if caption not in means)
    assert [block.caption.count("Not tested") for block in composer.partition().blocks] == [1]
    assert [block.caption.count("Not tested.") for block in composer.parts().blocks] == [1]
    differences = [block.caption for block in composer.differences().blocks]
    assert any("Differences of fits are not tested" in caption for caption in differences)
    assert any("Not tested: colours show size only." in caption for caption in differences)
