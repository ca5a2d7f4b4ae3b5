"""From arrays to scores: what the pipeline finds, without files, datasets and folders."""

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nilearn.datasets import load_fsaverage
from nilearn.maskers import NiftiMasker
from nilearn.surface import SurfaceImage
from scipy import sparse
from sklearn import linear_model
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import encoding
from encoding.core import AlignmentError, DataError, SplitError

RUNS = np.repeat(np.arange(6), 40)


def planted(seed=0, n_targets=6):
    """Responses of the first half of the targets follow space "a", of the second half space "b"."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((240, 4)), rng.standard_normal((240, 3))
    half = n_targets // 2
    Y = np.hstack([a @ rng.standard_normal((4, half)), b @ rng.standard_normal((3, n_targets - half))])
    return {"a": a, "b": b}, Y + rng.standard_normal(Y.shape)


@pytest.fixture(scope="module")
def found():
    X, Y = planted()
    return encoding.cross_validate(X, Y, RUNS)


def test_each_space_wins_where_it_was_planted(found):
    frame = found.to_frame()
    assert frame.columns.tolist() == ["a", "b", "a+b"]
    assert (frame["a"][:3] > 0.5).all()
    assert (frame["b"][3:] > 0.5).all()
    assert (np.abs(frame["b"][:3]) < 0.25).all()
    assert found.scores("r2").values.shape == (3, 6)
    regions = found.regions(["V1"] * 3 + ["V2"] * 3)
    best = regions[regions["model"] != "a+b"].sort_values("value").groupby("region")["model"].last()
    assert best.to_dict() == {"V1": "a", "V2": "b"}


def test_scores_are_those_of_ridge_on_the_same_folds():
    X, Y = planted()
    one = encoding.cross_validate(X["a"], Y, RUNS, models=[encoding.Ridge(("X",), alphas=(5.0,))])
    scale = np.sqrt(4)
    for target in range(2):
        z = []
        for train, test in LeaveOneGroupOut().split(X["a"], Y, RUNS):
            model = make_pipeline(StandardScaler(), linear_model.Ridge(alpha=5.0 * scale**2))
            predicted = model.fit(X["a"][train], Y[train, target]).predict(X["a"][test])
            z.append(np.arctanh(np.corrcoef(predicted, Y[test, target])[0, 1]))
        assert one.scores().values[0, target] == pytest.approx(np.tanh(np.mean(z)), abs=1e-5)


@pytest.mark.parametrize("cv", [3, LeaveOneGroupOut(), GroupKFold(3), "leave_one_out"])
def test_folds_are_whole_runs(cv):
    X, Y = planted()
    made = encoding.cross_validate(X["a"], Y, RUNS, cv=cv, inner_cv=2)
    for fold in made.folds.folds:
        assert not set(RUNS[fold.train]) & set(RUNS[fold.test])
        assert all(not set(RUNS[fold.train][t]) & set(RUNS[fold.train][v]) for t, v in fold.inner)
    assert (made.to_frame()["X"][:3] > 0.5).all()


def test_what_would_leak_is_refused():
    X, Y = planted()
    halves = [(np.arange(0, 240, 2), np.arange(1, 240, 2))]
    with pytest.raises(SplitError, match="both trained on and tested"):
        encoding.cross_validate(X, Y, RUNS, cv=halves)
    stimuli = np.tile([f"s{k}" for k in range(40)], 6)
    with pytest.raises(SplitError, match="repeats"):
        encoding.cross_validate(X, Y, RUNS, stimuli=stimuli)
    with pytest.raises(DataError, match="stimuli are both trained on and tested"):
        encoding.cross_validate(X, Y, RUNS, stimuli=stimuli, cv=LeaveOneGroupOut())
    with pytest.raises(AlignmentError, match=r"Where rows are independent, give np\.arange\(240\)"):
        encoding.cross_validate(X, Y, None)
    with pytest.raises(AlignmentError, match=r"X\['a'\] has shape \(100, 4\)"):
        encoding.cross_validate({"a": X["a"][:100]}, Y, RUNS)


def test_frames_name_features_and_targets():
    X, Y = planted()
    features = pd.DataFrame(X["a"], columns=["joy", "fear", "awe", "calm"])
    targets = pd.DataFrame(Y, columns=[f"roi{k}" for k in range(6)])
    made = encoding.cross_validate({"a": features}, targets, RUNS, models=[encoding.Ridge(("a",), keep_weights="mean")])
    assert made.weights["a"].features == (("joy", "fear", "awe", "calm"),)
    assert made.to_frame().index.tolist() == list(targets.columns)


def test_results_outlive_their_files_and_are_kept_where_asked(tmp_path):
    X, Y = planted()
    made = encoding.cross_validate(X["a"], Y, RUNS, folder=tmp_path)
    stamp = (tmp_path / "model-X" / "object.json").stat().st_mtime_ns
    again = encoding.cross_validate(X["a"], Y, RUNS, folder=tmp_path)
    assert (tmp_path / "model-X" / "object.json").stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(made.scores().values, again.scores().values)
    temporary = encoding.cross_validate(X["a"], Y, RUNS)
    assert not isinstance(temporary.predictions[0].values, np.memmap)
    assert temporary.predictions[0].values.shape == (1, 240, 6)


def test_variance_is_divided_as_it_was_planted():
    rng = np.random.default_rng(0)
    a, b, shared = rng.standard_normal((3, 600, 2))
    runs = np.repeat(np.arange(6), 100)
    Y = np.stack([a[:, 0], b[:, 0], shared[:, 0]], axis=1) + 0.5 * rng.standard_normal((600, 3))
    parts = encoding.variance_partition(
        {"a": np.hstack([a, shared]), "b": np.hstack([b, shared])}, Y, runs, n_iter=20
    ).to_frame()
    np.testing.assert_allclose(parts.to_numpy(), np.diag([0.8, 0.8, 0.8]), atol=0.06)


def test_stimuli_that_recur_in_all_runs_are_exchanged():
    """Random features predict recurring stimuli, and are no more than chance by the test."""
    rng = np.random.default_rng(2)
    features, signal = rng.standard_normal((2, 30, 4))
    order = np.concatenate([rng.permutation(30) for _ in range(6)])
    Y = np.hstack([features, signal])[order] + rng.standard_normal((180, 8))
    spaces = {"planted": features[order], "random": rng.standard_normal((30, 4))[order]}
    settings = {"n_permutations": 200, "stimuli": [f"clip{k}" for k in order]}
    table = encoding.permutation_test(spaces, Y, np.repeat(np.arange(6), 30), **settings)
    passed = table[table["p_fwe"] < 0.05]
    assert set(zip(passed["space"], passed["target"], strict=True)) == {("planted", f"t{k}") for k in (1, 2, 3, 4)}


def test_what_a_design_does_not_allow_is_nan():
    rng = np.random.default_rng(0)
    table = encoding.permutation_test(rng.random((40, 2)), rng.random((40, 3)), np.repeat([1, 2], 20))
    assert table[["p", "p_fwe", "q"]].isna().all().all()
    assert table.attrs["notes"]


def test_permutation_test_finds_what_was_planted_and_nothing_else():
    X, Y = planted(1)
    table = encoding.permutation_test(X, Y, RUNS, n_permutations=200)
    passed = table[table["p_fwe"] < 0.05]
    assert set(zip(passed["space"], passed["target"], strict=True)) == {
        *(("a", f"t{k}") for k in (1, 2, 3)),
        *(("b", f"t{k}") for k in (4, 5, 6)),
    }
    claims = encoding.permutation_test(X, Y, RUNS, n_permutations=200, labels=["V1"] * 3 + ["V2"] * 3)
    chance = claims[(claims["claim"] == "chance") & (claims["region"] == "V2")].set_index("space")["verdict"]
    assert chance.to_dict() == {"a": "not above chance", "b": "above chance"}


def test_the_ceiling_is_what_the_true_signal_reaches():
    """Data of known reliability: 0.5 for one presentation, 5 / 6 for a mean of five, and none."""
    rng = np.random.default_rng(3)
    signal = rng.standard_normal((200, 40)) * (np.arange(40) < 30)
    Y = signal + rng.standard_normal((5, 200, 40))
    found = encoding.noise_ceiling(Y, n_averaged=5)
    assert found["reliability"][:30].mean() == pytest.approx(5 / 6, abs=0.01)
    assert ((found["low"] < 5 / 6) & (found["high"] > 5 / 6))[:30].sum() >= 26
    assert found["r"][30:].isna().all()
    reached = [np.corrcoef(signal[:, t], Y.mean(0)[:, t])[0, 1] for t in range(30)]
    assert found["r"][:30].mean() == pytest.approx(np.mean(reached), abs=0.01)
    order = rng.permutation(1000)
    rows = {"groups": np.repeat(range(5), 200)[order], "stimuli": np.tile(np.arange(200), 5)[order]}
    long = encoding.noise_ceiling(Y.reshape(1000, 40)[order], **rows, n_averaged=5)
    np.testing.assert_allclose(long, found, rtol=1e-4)
    assert long.attrs["n_stimuli"] == 200


def test_ceilings_without_repeats_are_refused():
    Y = np.random.default_rng(0).standard_normal((40, 2))
    with pytest.raises(DataError, match=r"no noise ceiling, because 0 stimuli were shown more than once; 10 are"):
        encoding.noise_ceiling(Y, np.repeat([1, 2], 20), [f"s{k // 2}" for k in range(40)])  # repeats within a run
    with pytest.raises(AlignmentError, match="stimuli is None, but the stimulus of each row"):
        encoding.noise_ceiling(Y, np.repeat([1, 2], 20))
    with pytest.raises(AlignmentError, match="leave out `groups` and `stimuli`"):
        encoding.noise_ceiling(Y[None], np.repeat([1, 2], 20))


def volume(n=5):
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    mask = np.zeros((n, n, n), np.uint8)
    mask[1:-1, 1:-1, 1:-1] = 1
    return nib.Nifti1Image(mask, affine)


def test_searchlights_lead_to_an_image():
    mask = volume(7)
    n = int(mask.get_fdata().sum())
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 6))
    Y = X @ rng.standard_normal((6, n)) + rng.standard_normal((30, n))
    Y[:, n // 2 :] = rng.standard_normal((30, n - n // 2))
    made = encoding.rsa({"mllm": X}, Y, radius_mm=4.0, targets=mask)
    image = made.scores.to_img("rsa", "mllm")
    data = image.get_fdata()
    assert image.shape == (7, 7, 7)
    assert np.isnan(data[0, 0, 0])
    assert np.nanmean(data[1:3]) > 0.2 > np.nanmean(data[5:6])
    regions = encoding.rsa(X, Y, labels=["on"] * (n // 2) + ["off"] * (n - n // 2)).table
    values = regions.set_index("region")["value"]
    assert values["on"] > 0.4
    assert values["off"] < 0.15


def test_images_are_those_of_the_masker():
    mask = volume()
    masker = NiftiMasker(mask).fit()
    X, Y = planted(n_targets=27)
    made = encoding.cross_validate(X["a"], Y, RUNS, targets=masker)
    scores = made.scores()
    ours = scores.to_img("X").get_fdata()
    theirs = masker.inverse_transform(scores.row("X")).get_fdata()
    np.testing.assert_allclose(np.nan_to_num(ours), theirs, rtol=1e-6)
    assert scores.to_img().shape == (5, 5, 5)
    assert encoding.cross_validate(X, Y, RUNS, targets=mask).scores().to_img().shape == (5, 5, 5, 3)


def test_surfaces_become_surface_images():
    mesh = load_fsaverage("fsaverage5")["pial"]
    where = SurfaceImage(mesh, {"left": np.zeros(10242), "right": np.ones(10242)})
    from encoding.workflow.array_data import as_targets

    targets = as_targets(where, 10242)
    assert set(targets.structure) == {"CORTEX_RIGHT"}
    scores = encoding.Scores("r", [("m", "all")], np.arange(10242.0)[None], targets, "01")
    image = scores.to_img("m")
    assert isinstance(image, SurfaceImage)
    np.testing.assert_array_equal(image.data.parts["right"], np.arange(10242))
    assert np.isnan(image.data.parts["left"]).all()
    with pytest.raises(AlignmentError, match="have no place in the brain"):
        encoding.Scores("r", [("m", "all")], [[1.0]], encoding.Targets.of_columns(["x"]), "01").to_img()


def test_grayordinates_become_cifti(tmp_path):
    from factories import brain_models

    from encoding.workflow.array_data import as_targets

    models = brain_models()
    one = nib.Cifti2Image(np.arange(float(len(models)))[None], header=(nib.cifti2.ScalarAxis(["x"]), models))
    nib.save(one, tmp_path / "x.dscalar.nii")
    targets = as_targets(tmp_path / "x.dscalar.nii", len(models))
    rows = np.stack([np.arange(float(len(models))), np.ones(len(models))])
    image = encoding.Scores("r", [("m", "all"), ("n", "all")], rows, targets, "01").to_img()
    np.testing.assert_array_equal(image.get_fdata(), rows)
    assert image.header.get_axis(1) == models


def test_a_map_of_an_own_image_is_drawn(tmp_path):
    image = volume()
    values = np.where(image.get_fdata() > 0, 0.3, 0)
    nib.save(nib.Nifti1Image(values, image.affine), tmp_path / "map.nii.gz")
    figure = encoding.draw_map(tmp_path / "map.nii.gz", label="r", title="Mine")
    figure.savefig(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 5000


def test_estimators_fit_into_scikit_learn():
    X, Y = planted()
    model = make_pipeline(StandardScaler(), encoding.RidgeCV(alphas=[1.0, 10.0, 100.0], cv=3, fit_intercept=True))
    scores = cross_val_score(model, X["a"], Y[:, 0], cv=LeaveOneGroupOut(), groups=RUNS)
    assert scores.shape == (6,)
    assert scores.mean() > 0.3


def test_the_page_about_arrays_runs(tmp_path, monkeypatch, capsys):
    page = Path(__file__).resolve().parents[1] / "docs" / "arrays.md"
    code = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(code) == 9
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in code:
        exec(block, names)
    frame = names["found"].to_frame()
    assert frame["mllm"][:4].mean() > 0.3
    table = names["table"]
    passed = table[table["p_fwe"] < 0.05]
    assert set(zip(passed["space"], passed["target"], strict=True)) <= {
        *(("mllm", f"t{k}") for k in range(1, 5)),
        *(("ratings", f"t{k}") for k in range(5, 9)),
    }
    assert len(passed) >= 6
    assert (tmp_path / "mllm.png").is_file()


@pytest.mark.parametrize("name", encoding.__all__)
def test_every_name_has_an_example_that_runs(name):
    thing = getattr(encoding, name)
    module = importlib.import_module(thing.__module__)
    tests = doctest.DocTestFinder(recurse=True).find(thing, name, module)
    assert any(test.examples for test in tests), f"encoding.{name} has no example"
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags)
    for test in tests:
        runner.run(test)
    assert runner.failures == 0


def test_names_complete_before_they_are_imported():
    code = (
        "import sys, encoding; names = dir(encoding); "
        "assert set(encoding.__all__) <= set(names), names; "
        "assert not {'sklearn', 'scipy', 'torch', 'nibabel', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# What numpy would read as something else


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: np.ma.masked_greater(a, 1.0), "is a masked array with [0-9]+ masked values"),
        (lambda a: a + 1j, "holds complex128, but real numbers were needed"),
        (lambda a: a.astype(str), "holds <U[0-9]+, but real numbers"),
        (lambda a: (a * 100).astype("datetime64[s]"), r"holds datetime64\[s\], but real numbers"),
        (lambda a: sparse.csr_matrix(a), r"is sparse \(csr_matrix\).*pass \.toarray\(\)"),
        (lambda a: np.full(a.shape, {}, dtype=object), "cannot be read as numbers"),
        (lambda a: a + 1e9, "cannot be held in float32"),
    ],
    ids=["masked", "complex", "text", "dates", "sparse", "objects", "offset"],
)
def test_arrays_that_numpy_would_change_without_a_word_are_refused(change, message):
    X, Y = planted()
    for given in ((change(X["a"]), Y), (X["a"], change(Y))):
        with pytest.raises(encoding.EncodingError, match=message):
            encoding.cross_validate(*given, groups=RUNS)


def test_a_masked_array_without_masked_values_is_read():
    X, Y = planted()
    plain = encoding.cross_validate(X["a"], Y, groups=RUNS).to_frame()
    masked = encoding.cross_validate(np.ma.masked_greater(X["a"], 1e9), Y.astype("f8"), groups=RUNS).to_frame()
    pd.testing.assert_frame_equal(plain, masked)
    assert len(repr(encoding.cross_validate(X["a"], Y, groups=RUNS))) < 200


def test_a_constant_in_the_targets_changes_no_coefficient():
    X, Y = planted()
    plain, moved = (encoding.RidgeCV(fit_intercept=True).fit(X["a"], Y + offset) for offset in (0.0, 1e8))
    np.testing.assert_allclose(plain.coef_, moved.coef_, atol=1e-5)
    np.testing.assert_allclose(moved.intercept_ - plain.intercept_, 1e8, rtol=1e-9)
