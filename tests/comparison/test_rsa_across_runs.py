"""Analyses of similarity by crossnobis distances: loops find the same, planted truth is found, the rest is refused."""

import re

import numpy as np
import pytest
from factories import write_config, write_study
from scipy.stats import rankdata

import encoding
from encoding.cli import main
from encoding.comparison import Inference, Rsa, chance_table, compare_similarity, infer_similarity
from encoding.core import Atlas, ConfigError, DataError, FeatureSpace, Grid, Responses, Samples, Targets
from encoding.mapping import read_result
from encoding.numerics.similarity import feature_similarity

SHAPE, N, N_RUNS = (6, 5, 4), 24, 3
N_TARGETS = int(np.prod(SHAPE))
GRID = Grid(SHAPE, np.diag([2.0, 2.0, 3.0, 1.0]))
TARGETS = Targets("voxel", "T1w", np.arange(N_TARGETS), np.full(N_TARGETS, "", dtype=str), GRID)
HALVES = np.repeat([1, 2], N_TARGETS // 2)
ATLAS = Atlas("halves", HALVES, TARGETS, [1, 2], ("left", "right"), ("L", "R"), ("", ""), ("#000000",) * 2)


@pytest.fixture(scope="module")
def data():
    """Stimuli in another order in every run, two more in the first alone; each space drives one half of the targets."""
    rng = np.random.default_rng(0)
    order = [rng.permutation(N) for _ in range(N_RUNS)]
    number = np.concatenate([order[0], [N, N + 1], *order[1:]])
    run = np.repeat([f"run-{k + 1}" for k in range(N_RUNS)], [N + 2, N, N])
    names = np.array([f"s{k:02d}" for k in number])
    samples = Samples(names, np.arange(len(names)) * 10.0, np.full(len(names), 8.0), run, "stimulus")
    stimuli = [f"s{k:02d}" for k in range(N + 2)]
    spaces = [
        FeatureSpace(name, rng.random((N + 2, 5)), Samples.of_stimuli(stimuli), tuple(f"{name}{k}" for k in range(5)))
        for name in "ab"
    ]
    mixing = np.eye(N_TARGETS) + 0.05 * rng.standard_normal((N_TARGETS, N_TARGETS))
    values = 3 * rng.standard_normal((len(names), N_TARGETS)) @ mixing
    for space, half in zip(spaces, (1, 2), strict=True):
        drive = (space.values - space.values.mean(0)) @ rng.standard_normal((5, N_TARGETS // 2))
        values[:, half == HALVES] += 2 * drive[number]
    return spaces, Responses(values, samples, TARGETS, samples, np.zeros((len(names), 0)), "01", "video", 2.0)


def by_pairs_of_runs(responses, columns, noise):
    """Minus the distance by its usual formula: the mean over ordered pairs of different runs; pairs of stimuli."""
    samples = responses.samples
    names = [f"s{k:02d}" for k in range(N)]
    runs = [
        np.array([responses.values[(samples.stimulus == name) & (samples.run == run)][0, columns] for name in names])
        for run in dict.fromkeys(samples.run)
    ]
    left = np.concatenate([one - np.mean(runs, axis=0) for one in runs])
    variance = (left**2).sum(0) / (N * (N_RUNS - 1)) if noise == "diagonal" else np.ones(len(columns))
    low = np.tril_indices(N, -1)
    found = np.zeros(len(low[0]))
    for a in range(N_RUNS):
        for b in range(N_RUNS):
            if a != b:
                found -= np.sum((runs[a][low[0]] - runs[a][low[1]]) / variance * (runs[b][low[0]] - runs[b][low[1]]), 1)
    return found


def wanted(spaces, responses, columns, settings):
    brain = by_pairs_of_runs(responses, columns, settings.noise)
    found = []
    for space in spaces:
        model = feature_similarity(space.values[:N], "correlation").rows(slice(None))[np.tril_indices(N, -1)]
        pair = (rankdata(brain), rankdata(model)) if settings.comparison == "spearman" else (brain, model)
        found.append(np.corrcoef(*pair)[0, 1])
    return found


@pytest.mark.parametrize("comparison", ["pearson", "spearman"])
@pytest.mark.parametrize("noise", ["none", "diagonal"])
def test_regions_and_searchlights_equal_a_loop_over_pairs_of_runs(data, tmp_path, noise, comparison):
    spaces, responses = data
    settings = Rsa("x", brain="crossnobis", noise=noise, comparison=comparison)
    found = compare_similarity(settings, spaces, responses, [(ATLAS, HALVES)], tmp_path / "regions")
    table = found.table.query("level == 'region'").pivot_table(index="region", columns="feature", values="value")
    for region, half in (("left", 1), ("right", 2)):
        want = wanted(spaces, responses, np.flatnonzero(half == HALVES), settings)
        np.testing.assert_allclose(table.loc[region, ["a", "b"]], want, atol=2e-6)
    settings = Rsa(
        "x", brain="crossnobis", noise=noise, comparison=comparison, regions="searchlight", radius_mm=4.0
    )  # fmt: skip
    lights = compare_similarity(settings, spaces, responses, [(ATLAS, HALVES)], tmp_path / "lights")
    ijk = np.stack(np.unravel_index(np.arange(N_TARGETS), SHAPE), axis=1) * [2.0, 2.0, 3.0]
    for centre in (0, 33, 62, 119):
        inside = np.flatnonzero(np.linalg.norm(ijk - ijk[centre], axis=1) <= 4.0 + 1e-6)
        got = lights.scores.values[:, centre]
        if len(inside) < settings.min_targets:
            assert np.isnan(got).all()
        else:
            np.testing.assert_allclose(got, wanted(spaces, responses, inside, settings), atol=5e-6)


def test_the_space_that_drives_a_region_is_found_and_what_was_shown_in_one_run_is_told(data, tmp_path):
    spaces, responses = data
    settings = Rsa("x", brain="crossnobis")
    found = compare_similarity(settings, spaces, responses, [(ATLAS, HALVES)], tmp_path / "x")
    table = found.table.query("level == 'region'").pivot_table(index="region", columns="feature", values="value")
    assert table.loc["left", "a"] > 0.3 > 2 * table.loc["left", "b"]
    assert table.loc["right", "b"] > 0.3 > 2 * table.loc["right", "a"]
    told = [one for one in found.exclusions if one.what == "stimuli"]
    assert [(one.n, one.reason) for one in told] == [
        (2, "rsa 'x': stimuli of a single run have no crossnobis distance")
    ]
    names = ("noise", "n_stimuli", "n_pairs", "n_repeated_presentations", "repeats")
    assert [found.facts[name] for name in names] == ["none", N, N * (N - 1) // 2, N * (N_RUNS - 1), None]


def test_spaces_are_tested_by_exchanging_stimuli(data, tmp_path):
    spaces, responses = data
    settings = Rsa("x", brain="crossnobis")
    tests = infer_similarity(
        settings, spaces, responses, [(ATLAS, HALVES)], tmp_path / "x", inference=Inference(200, seed=1)
    )  # fmt: skip
    p = chance_table(tests).query("level == 'region'").pivot_table(index="region", columns="space", values="p")
    assert p.loc["left", "a"] < 0.02
    assert p.loc["right", "b"] < 0.02
    assert min(p.loc["left", "b"], p.loc["right", "a"]) > 0.02


def test_chance_is_called_as_often_as_it_says(tmp_path):
    """Responses that repeat, and spaces that have nothing to do with them."""
    settings, n, n_targets = Rsa("x", brain="crossnobis", min_targets=5), 16, 12
    everything = [(None, np.ones(n_targets, int))]
    targets = Targets("voxel", "T1w", np.arange(n_targets), np.full(n_targets, "", dtype=str), GRID)
    names = [f"s{k:02d}" for k in range(n)]
    run = np.repeat(["run-1", "run-2"], n)
    samples = Samples(np.array(names * 2), np.arange(2 * n) * 10.0, np.full(2 * n, 8.0), run, "stimulus")
    p, inference = [], Inference(99)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = np.tile(rng.standard_normal((n, n_targets)), (2, 1)) + 2 * rng.standard_normal((2 * n, n_targets))
        responses = Responses(values, samples, targets, samples, np.zeros((2 * n, 0)), "01", "video", 2.0)
        space = FeatureSpace("a", rng.random((n, 4)), Samples.of_stimuli(names), tuple("abcd"))
        found = infer_similarity(settings, [space], responses, everything, tmp_path / str(seed), inference=inference)
        p.append(float(chance_table(found)["p"].iloc[0]))
    assert np.mean(np.array(p) <= 0.05) < 0.13  # `benchmarks/rsa.py --crossnobis` makes 500
    assert abs(np.mean(p) - 0.5) < 3.5 * np.sqrt(1 / 12 / 60)


def test_arrays_need_stimuli_of_several_groups(data):
    spaces, responses = data
    samples = responses.samples
    number = [int(name[1:]) for name in samples.stimulus]
    X, Y = {"a": spaces[0].values[number]}, responses.values[:, HALVES == 1]
    options = {"stimuli": samples.stimulus, "brain": "crossnobis"}
    found = encoding.rsa(X, Y, samples.run, noise="diagonal", **options)
    want = wanted(spaces[:1], responses, np.flatnonzero(HALVES == 1), Rsa("x", brain="crossnobis", noise="diagonal"))
    assert found.table["value"].iloc[0] == pytest.approx(want[0], abs=2e-6)
    with pytest.raises(DataError, match=r"must be shown in two runs or more, but of 26 stimuli shown to sub-.* 0 were"):
        encoding.rsa(X, Y, **options)


@pytest.mark.parametrize("noise", ["shrunk", "diagonal"])
def test_units_of_noise_need_stimuli_that_were_shown_equally_often(data, noise):
    spaces, responses = data
    samples = responses.samples
    number = np.array([int(name[1:]) for name in samples.stimulus])
    last = np.flatnonzero(samples.run == "run-3")
    features, values = spaces[0].values[number], responses.values[:, HALVES == 1]

    def compare(rows, runs, noise):
        options = {"stimuli": samples.stimulus[rows], "brain": "crossnobis", "noise": noise}
        return encoding.rsa({"a": features[rows]}, values[rows], runs, **options).table["value"].iloc[0]

    fewer = np.delete(np.arange(len(number)), last[:3])
    message = (
        rf'noise = "{noise}" needs .* equally often, but 24 .* have from 2 to 3 presentations\. .*Set noise = "none"'
    )
    with pytest.raises(DataError, match=message):
        compare(fewer, samples.run[fewer], noise)
    everything, moved = np.arange(len(number)), samples.run.copy()
    moved[last[:3]] = "run-2"  # as many presentations, two of them in one run
    with pytest.raises(DataError, match="have from 2 to 3 runs"):
        compare(everything, moved, noise)
    assert compare(everything, samples.run, noise) > 0.3  # two stimuli of a single run are left out, and do not count
    assert compare(fewer, samples.run[fewer], "none") > 0.3
    assert compare(everything, moved, "none") > 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repeats": "average"}, r"repeats = 'average': brain = \"crossnobis\" .* takes all of them. Remove repeats"),
        ({"same_run": True}, "same_run = true: .* different runs only, .* Remove same_run"),
        (
            {"brain": "euclidean", "noise": "none"},
            "noise = 'none' belongs to brain = \"crossnobis\", but .*'euclidean'",
        ),
        ({"noise": "full"}, "noise"),
    ],
)
def test_settings_without_meaning_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Rsa(**({"name": "x", "brain": "crossnobis"} | changes))


TABLE = '\n[[rsa]]\nname = "x"\nbrain = "crossnobis"\nsimilarity = "dot"\nmin_targets = 5\n'
PER_STIMULUS = (('task = "video"', 'task = "video"\nper = "stimulus"'), ("[align]\ndelays = [1, 2, 3]\n", ""))


def test_a_study_is_run_and_says_what_was_done(tmp_path, capsys):
    study = write_study(tmp_path / "bids")
    config = write_config(tmp_path, *PER_STIMULUS)
    text = re.sub(r"\[\[fit\]\].*?(?=\[map\])", "", config.read_text(), flags=re.DOTALL)
    config.write_text(text + TABLE)
    assert main(["check", str(config), str(study.root)]) == 0
    assert "brain crossnobis (noise none)" in capsys.readouterr().out
    out = tmp_path / "out"
    assert main(["run", str(study.root), str(out), "participant", "--config", str(config), "--device", "cpu"]) == 0
    result = read_result(out / "sub-01")
    assert np.isfinite(result.scores["rsa"].values).any()
    assert set(result.rsa_verdicts["rsa"]) <= {"x"}
    page = (out / "sub-01.html").read_text(encoding="utf-8")
    assert "minus crossnobis distance (cross-validated over runs, squared) in units of the responses" in page
    assert "(24 presentations). Products of presentations within a run take no part." in page


def test_stimuli_of_one_run_are_refused_before_anything_is_computed(tmp_path, capsys):
    study = write_study(tmp_path / "bids", recurring=False)
    config = write_config(tmp_path, *PER_STIMULUS)
    config.write_text(config.read_text() + TABLE)
    assert main(["check", str(config), str(study.root)]) == 1
    said = capsys.readouterr()
    assert "of 24 stimuli shown to sub-01 0 were; at least 3 are needed" in said.out + said.err


def test_unequal_presentations_are_refused_before_anything_is_computed(tmp_path, capsys):
    study = write_study(tmp_path / "bids")
    events = sorted(study.root.glob("sub-01/**/*_events.tsv"))[-1]
    events.write_text("\n".join(events.read_text(encoding="utf-8").splitlines()[:-1]) + "\n", encoding="utf-8")
    config = write_config(tmp_path, *PER_STIMULUS)
    text = config.read_text()
    config.write_text(text + TABLE)
    assert main(["check", str(config), str(study.root)]) == 0
    config.write_text(text + TABLE + 'noise = "shrunk"\n')
    capsys.readouterr()
    assert main(["check", str(config), str(study.root)]) == 1
    said = capsys.readouterr()
    assert "8 stimuli shown to sub-01 have from 2 to 3 presentations" in said.out + said.err
