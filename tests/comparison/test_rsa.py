"""Representational similarity of regions and searchlights: plain loops find the same, and planted truth is found."""

import dataclasses

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import rankdata

from encoding.comparison import Rsa, compare_similarity, searchlights
from encoding.core import AlignmentError, Atlas, ConfigError, DataError, FeatureSpace, Grid, Responses, Samples, Targets
from encoding.numerics.similarity import feature_similarity

SHAPE = (6, 5, 4)
ALL = [(None, np.ones(int(np.prod(SHAPE)), int))]


def space_of(name, values, samples):
    stimuli = list(dict.fromkeys(samples.stimulus.tolist()))
    return FeatureSpace(name, values, Samples.of_stimuli(stimuli), tuple(f"{name}{k}" for k in range(values.shape[1])))


def samples_of(n_runs, n_each, repeats=0):
    """Every run shows stimuli of its own; the last also shows the first stimuli of the first run again."""
    names = [f"s{k:03d}" for k in range(n_runs * n_each)]
    run = np.repeat([f"run-{k + 1}" for k in range(n_runs)], n_each).tolist()
    names, run = names + names[:repeats], run + [run[-1]] * repeats
    n = len(names)
    onset = np.arange(n) * 10.0
    return Samples(np.array(names), onset, np.full(n, 8.0), np.array(run), "stimulus")


def responses_of(values, samples, targets=None, subject="01"):
    targets = targets or voxels()
    return Responses(values, samples, targets, samples, np.zeros((len(samples), 0)), subject, "video", 2.0)


def voxels(affine=None, index=None, shape=SHAPE):
    index = np.arange(int(np.prod(shape))) if index is None else index
    grid = Grid(shape, np.diag([2.0, 2.0, 3.0, 1.0]) if affine is None else affine)
    return Targets("voxel", "T1w", index, np.full(len(index), "", dtype=str), grid)


@pytest.fixture(scope="module")
def data():
    """Two spaces; the first half of the targets (along i) follows the first space, the rest the second."""
    rng = np.random.default_rng(0)
    samples = samples_of(6, 8, repeats=3)
    spaces = [space_of(name, rng.random((48, 5)) * scale, samples) for name, scale in (("a", 1.5), ("b", 1.0))]
    number = np.array([int(name[1:]) for name in samples.stimulus])
    n_targets = int(np.prod(SHAPE))
    values = rng.standard_normal((len(samples), n_targets))
    for k, here in enumerate((slice(0, n_targets // 2), slice(n_targets // 2, None))):
        features = spaces[k].values - spaces[k].values.mean(0)
        weights = rng.standard_normal((5, n_targets // 2))
        values[:, here] += 3 * (features @ weights)[number]
    return samples, spaces, values


def run_settings(**changes):
    return Rsa(**({"name": "x", "regions": "searchlight", "radius_mm": 4.0, "repeats": "first"} | changes))


def slow(values, samples, spaces, settings, columns):
    """What a plain loop over pairs finds for one set of targets."""
    order = list(dict.fromkeys(samples.stimulus.tolist()))
    rows = [np.flatnonzero(samples.stimulus == name) for name in order]
    rows = [row[:1] for row in rows] if settings.repeats == "first" else rows
    patterns = np.array([values[row][:, columns].mean(0) for row in rows], dtype=np.float64)
    runs = [set(samples.run[row]) for row in rows]
    i, j = np.tril_indices(len(order), -1)
    keep = np.array([settings.same_run or not runs[a] & runs[b] for a, b in zip(i, j, strict=True)])
    i, j = i[keep], j[keep]
    if settings.brain == "correlation":
        brain = np.corrcoef(patterns)[i, j]
    else:
        brain = -np.array([pdist(patterns[[a, b]])[0] for a, b in zip(i, j, strict=True)])
    found = []
    for (_, kind), space in zip(settings.resolve([s.name for s in spaces]), spaces, strict=True):
        model = feature_similarity(space.values, kind).rows(slice(None))[i, j]
        pair = (rankdata(brain), rankdata(model)) if settings.comparison == "spearman" else (brain, model)
        found.append(np.corrcoef(*pair)[0, 1])
    return np.array(found)


# Against a slow loop


@pytest.mark.parametrize("brain", ["correlation", "euclidean"])
@pytest.mark.parametrize("comparison", ["pearson", "spearman"])
@pytest.mark.parametrize(("same_run", "repeats"), [(False, "first"), (False, "average"), (True, "average")])
def test_searchlights_equal_a_loop(data, tmp_path, brain, comparison, same_run, repeats):
    samples, spaces, values = data
    settings = run_settings(
        brain=brain, comparison=comparison, same_run=same_run, repeats=repeats,
        similarity={"a": "choice_probability"},
    )  # fmt: skip
    values = values.copy()
    values[:, 7] = np.nan
    responses = responses_of(values, samples)
    found = compare_similarity(settings, spaces, responses, ALL, tmp_path / "x")
    ijk = np.stack(np.unravel_index(np.arange(values.shape[1]), SHAPE), axis=1) * [2.0, 2.0, 3.0]
    some = np.random.default_rng(1).choice(values.shape[1], 12, replace=False)
    for centre in [0, 7, *some.tolist()]:
        inside = np.flatnonzero(np.linalg.norm(ijk - ijk[centre], axis=1) <= 4.0 + 1e-6)
        inside = inside[inside != 7]
        got = found.scores.values[:, centre]
        if centre == 7 or len(inside) < settings.min_targets:
            assert np.isnan(got).all()
        else:
            np.testing.assert_allclose(got, slow(values, samples, spaces, settings, inside), atol=2e-6)


@pytest.mark.parametrize("kind", ["dot", "cosine", "correlation", "choice_probability"])
@pytest.mark.parametrize("comparison", ["pearson", "spearman"])
def test_regions_equal_a_loop(data, tmp_path, kind, comparison):
    samples, spaces, values = data
    labels = np.repeat([1, 2], 60)
    targets = voxels()
    atlas = Atlas("halves", labels, targets, [1, 2], ("left", "right"), ("L", "R"), ("", ""), ("#000000",) * 2)
    settings = Rsa("x", similarity=kind, comparison=comparison, repeats="average")
    found = compare_similarity(
        settings, spaces, responses_of(values, samples), [*ALL, (atlas, labels)], tmp_path / "x"
    )  # fmt: skip
    table = found.table.pivot_table(index="region", columns="feature", values="value")
    for region, columns in (("all targets", slice(None)), ("left", slice(0, 60)), ("right", slice(60, None))):
        want = slow(values, samples, spaces, settings, columns)
        np.testing.assert_allclose(table.loc[region, ["a", "b"]], want, atol=2e-6)
    # The map shows the regions of the first atlas.
    np.testing.assert_allclose(found.scores.row("x", "a")[[0, 119]], table.loc[["left", "right"], "a"], rtol=1e-6)
    assert found.facts["atlas_of_map"] == "halves"
    row = found.differences.query("region == 'left'").iloc[0]
    assert (row["model_a"], row["model_b"], row["metric"]) == ("x/a", "x/b", "rsa")
    assert row["difference"] == pytest.approx(table.loc["left", "a"] - table.loc["left", "b"], abs=1e-6)


# Known truth


def test_the_space_that_makes_a_region_wins_there(data, tmp_path):
    samples, spaces, values = data
    found = compare_similarity(run_settings(), spaces, responses_of(values, samples), ALL, tmp_path / "x")
    a, b = (found.scores.row("x", name).reshape(SHAPE) for name in "ab")
    assert np.nanmin(a[0] - b[0]) > 0.2
    assert np.nanmin(b[-1] - a[-1]) > 0.2
    assert abs(np.nanmean(a[-1])) < 0.05


def test_effects_as_small_as_published_ones_are_found_and_nothing_where_nothing_is(tmp_path):
    rng = np.random.default_rng(3)
    samples = samples_of(15, 20)
    spaces = [space_of(name, rng.random((300, 8)), samples) for name in "abc"]
    values = rng.standard_normal((300, 120))
    features = spaces[1].values - spaces[1].values.mean(0)
    values[:, :60] += 0.2 * features @ rng.standard_normal((8, 60))
    labels = np.repeat([1, 2], 60)
    atlas = Atlas("halves", labels, voxels(), [1, 2], ("planted", "null"), ("", ""), ("", ""), ("#000000",) * 2)
    found = compare_similarity(Rsa("x"), spaces, responses_of(values, samples), [(atlas, labels)], tmp_path / "x")
    table = found.table.pivot_table(index="region", columns="feature", values="value")
    assert table.loc["planted"].idxmax() == "b"
    assert 0.01 < table.loc["planted", "b"] < 0.12
    # Independent pairs would give a standard deviation of 1 / sqrt(42,000); pairs that share a stimulus are not quite.
    assert table.loc["null"].abs().max() < 0.015
    assert table.loc["planted", ["a", "c"]].abs().max() < 0.015


@pytest.mark.parametrize("within_runs", [True, False])
def test_permuted_stimuli_give_nothing_on_average(data, tmp_path, within_runs):
    samples, spaces, values = data
    samples, values = samples[:48], values[:48]
    rng = np.random.default_rng(5)
    settings, labels = Rsa("x", spaces=("a",)), np.repeat([1, 0], 60)
    atlas = Atlas("half", labels, voxels(), [1], ("left",), ("",), ("",), ("#000000",))
    null = []
    for number in range(60):
        order = np.concatenate([8 * k + rng.permutation(8) for k in range(6)]) if within_runs else rng.permutation(48)
        responses = responses_of(values[order], samples)
        found = compare_similarity(settings, spaces, responses, [(atlas, labels)], tmp_path / str(number))
        null.append(found.table["value"].iloc[0])
    true = compare_similarity(settings, spaces, responses_of(values, samples), [(atlas, labels)], tmp_path / "true")
    assert abs(np.mean(null)) < 3 * np.std(null) / np.sqrt(len(null))
    assert true.table["value"].iloc[0] > np.max(null) + 0.1


def test_noise_of_runs_is_seen_only_if_runs_are_compared_with_themselves(tmp_path):
    # Every run has its own pattern, and its stimuli their own features: similar stimuli, similar responses, by design.
    rng = np.random.default_rng(7)
    samples = samples_of(16, 8)
    of_run = np.repeat(np.arange(16), 8)
    values = rng.standard_normal((128, 120)) + 2 * rng.standard_normal((16, 120))[of_run]
    spaces = [space_of("a", rng.random((128, 6)) + 2 * rng.random((16, 6))[of_run], samples)]
    inside, outside = (
        compare_similarity(
            Rsa("x", same_run=same), spaces, responses_of(values, samples), ALL, tmp_path / str(same)
        ).table["value"][0]
        for same in (True, False)
    )
    assert inside > 0.25
    assert abs(outside) < 0.1


# Geometry, chunks, resuming


def test_cubes_and_missing_neighbours(data, tmp_path):
    samples, spaces, values = data
    settings = run_settings(radius_mm=None, edge_voxels=3, min_targets=12)
    found = compare_similarity(settings, spaces, responses_of(values, samples), ALL, tmp_path / "x")
    a = found.scores.row("x", "a").reshape(SHAPE)
    grid = np.arange(120).reshape(SHAPE)
    want = slow(values, samples, spaces, settings, grid[1:4, 1:4, 0:2].ravel())[0]
    assert a[2, 2, 0] == pytest.approx(want, abs=2e-6)
    assert np.isnan(a[0, 0, 0])  # eight voxels
    assert np.isfinite(a[0, 1, 0])  # twelve
    assert found.exclusions[0].n == np.isnan(a).sum() == 8
    assert "fewer than 12" in found.exclusions[0].reason


def test_chunks_change_nothing_and_are_not_done_twice(data, tmp_path, monkeypatch):
    samples, spaces, values = data
    responses = responses_of(values, samples)
    whole = compare_similarity(run_settings(), spaces, responses, ALL, tmp_path / "whole").scores.values
    monkeypatch.setattr(searchlights, "CHUNK", 25)
    monkeypatch.setattr(searchlights, "PATTERN_BYTES", 4 * 48 * 60)
    done, chunk = [], searchlights._chunk

    def interrupted(*arguments):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return chunk(*arguments)

    monkeypatch.setattr(searchlights, "_chunk", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare_similarity(run_settings(), spaces, responses, ALL, tmp_path / "cut")
    done.clear()
    monkeypatch.setattr(searchlights, "_chunk", lambda *arguments: done.append(1) or chunk(*arguments))
    found = compare_similarity(run_settings(), spaces, responses, ALL, tmp_path / "cut").scores.values
    assert len(done) == 2
    np.testing.assert_allclose(found, whole, atol=1e-6)
    compare_similarity(run_settings(), spaces, responses, ALL, tmp_path / "cut")
    assert len(done) == 2
    changed = responses_of(values + np.eye(*values.shape), samples)
    compare_similarity(run_settings(), spaces, changed, ALL, tmp_path / "cut")
    assert len(done) == 7


def test_order_of_stimuli_and_of_features_tables_does_not_matter(data, tmp_path):
    samples, spaces, values = data
    first = compare_similarity(run_settings(), spaces, responses_of(values, samples), ALL, tmp_path / "a")
    order = np.random.default_rng(0).permutation(48)
    shuffled = [
        dataclasses.replace(space, values=space.values[order], samples=space.samples[order]) for space in spaces
    ]
    again = compare_similarity(run_settings(), shuffled, responses_of(values, samples), ALL, tmp_path / "b")
    np.testing.assert_array_equal(first.scores.values, again.scores.values)


def test_every_choice_is_told(data, tmp_path):
    samples, spaces, values = data
    settings = run_settings(similarity={"b": "dot"}, repeats="average")
    facts = compare_similarity(settings, spaces, responses_of(values, samples), ALL, tmp_path / "x").facts
    assert facts["similarity"] == {"a": "correlation", "b": "dot"}
    assert facts["n_stimuli"] == 48
    assert facts["n_repeated_presentations"] == 3
    # 6 runs of 8, and three stimuli that were shown again in the last run.
    assert facts["n_pairs_of_one_run_left_out"] == 6 * 28 + 3 * 8
    assert facts["n_pairs"] + facts["n_pairs_of_one_run_left_out"] == 48 * 47 // 2
    for key, value in (("brain", "correlation"), ("radius_mm", 4.0), ("same_run", False), ("repeats", "average")):
        assert facts[key] == value


# Errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"similarity": "euclid"}, r"similarity = 'euclid'"),
        ({"brain": "cosine"}, r"brain = 'cosine'"),
        ({"comparison": "kendall"}, r"comparison = 'kendall'. .*pearson"),
        ({"regions": "sphere"}, r"regions = 'sphere'"),
        ({"radius_mm": None}, "needs radius_mm .* but none is given"),
        ({"edge_voxels": 5}, "both are given"),
        ({"radius_mm": 0}, "radius_mm = 0: a number above 0"),
        ({"radius_mm": None, "edge_voxels": 4}, "edge_voxels = 4: an odd number"),
        ({"regions": "atlas"}, "radius_mm = 4.0 belongs to regions"),
        ({"repeats": "mean"}, "repeats = 'mean'"),
        ({"same_run": 0}, "same_run = 0: true or false"),
        ({"min_targets": 2}, "min_targets = 2: an integer of 3 or more"),
        ({"spaces": "a"}, "spaces = 'a': a list"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(ConfigError, match=message):
        run_settings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spaces": ("a", "c")}, r"spaces: no feature space 'c'"),
        ({"spaces": ("a",), "similarity": {"b": "dot"}}, r"similarity: no feature space 'b'"),
        ({"spaces": ("a", "a")}, "can be named once"),
    ],
)
def test_spaces_that_are_not_there(changes, message):
    with pytest.raises(ConfigError, match=message):
        run_settings(**changes).resolve(["a", "b"])


def test_volumes_in_time_are_refused(data, tmp_path):
    samples, spaces, values = data
    responses = responses_of(values, samples)
    times = Samples(samples.stimulus, samples.onset, samples.duration, samples.run, "tr")
    with pytest.raises(AlignmentError, match=r'one row per volume\. Set per = "stimulus"'):
        compare_similarity(run_settings(), spaces, dataclasses.replace(responses, samples=times), ALL, tmp_path)


def test_searchlights_off_a_volume_are_refused(data, tmp_path):
    samples, spaces, values = data
    vertices = Targets(
        "vertex", "fsaverage5", np.arange(120), np.full(120, "CORTEX_LEFT"), n_vertices={"CORTEX_LEFT": 120}
    )  # fmt: skip
    with pytest.raises(AlignmentError, match="searchlights need a volume"):
        compare_similarity(run_settings(), spaces, responses_of(values, samples, vertices), ALL, tmp_path / "x")
    found = compare_similarity(
        Rsa("x", repeats="first"), spaces, responses_of(values, samples, vertices), ALL, tmp_path / "y"
    )
    assert np.isfinite(found.table["value"]).all()


def test_repeats_must_be_declared(data, tmp_path):
    samples, spaces, values = data
    with pytest.raises(DataError, match=r"3 stimuli were shown .* more than once, the first is 's000'. Set repeats"):
        compare_similarity(run_settings(repeats=None), spaces, responses_of(values, samples), ALL, tmp_path / "x")


def test_stimuli_without_features_or_similarity_are_named(data, tmp_path):
    samples, spaces, values = data
    responses = responses_of(values, samples)
    fewer = FeatureSpace("a", spaces[0].values[1:], spaces[0].samples[1:], spaces[0].features)
    with pytest.raises(AlignmentError, match="1 stimuli shown to sub-01 have no features in 'a', the first is 's000'"):
        compare_similarity(run_settings(), [fewer, spaces[1]], responses, ALL, tmp_path / "x")
    flat = spaces[0].values.copy()
    flat[5] = 1.0
    flat = dataclasses.replace(spaces[0], values=flat)
    with pytest.raises(DataError, match=r"for 1 stimuli, the first is 's005', all 5 features are equal"):
        compare_similarity(run_settings(), [flat, spaces[1]], responses, ALL, tmp_path / "x")
    same = dataclasses.replace(spaces[0], values=np.ones_like(flat.values))
    with pytest.raises(DataError, match="all pairs of stimuli have the same dot"):
        compare_similarity(run_settings(similarity="dot"), [same, spaces[1]], responses, ALL, tmp_path / "x")


def test_one_run_has_no_pairs_across_runs(data, tmp_path):
    samples, spaces, values = data
    one = Samples(samples.stimulus, samples.onset, samples.duration, np.full(len(samples), "run-1"), "stimulus")
    with pytest.raises(DataError, match=r"0 pairs of stimuli .* Set same_run = true"):
        compare_similarity(run_settings(), spaces, responses_of(values, one), ALL, tmp_path / "x")


def test_aligned_features_are_refused(data, tmp_path):
    samples, spaces, values = data
    number = np.array([int(name[1:]) for name in samples.stimulus])
    aligned = FeatureSpace("a", spaces[0].values[number], samples, spaces[0].features)
    with pytest.raises(AlignmentError, match=r"one row per stimulus .* is needed"):
        compare_similarity(run_settings(), [aligned, spaces[1]], responses_of(values, samples), ALL, tmp_path / "x")
