"""Tests of spaces through the public functions: planted signals are found, designs that cannot tell say so."""

from dataclasses import replace

import numpy as np
import pytest

from encoding.comparison import (
    Inference,
    Presented,
    Rsa,
    SpaceTests,
    beyond_table,
    chance_table,
    compare_similarity,
    difference_table,
    fit_differences,
    fold_correlations,
    group_claims,
    group_verdicts,
    infer_similarity,
    infer_spaces,
    name_best,
    prevalence,
    sign_flip_p,
    unique_table,
    units_of,
    verdict_table,
)
from encoding.core import AlignmentError, Atlas, DataError, FeatureSpace, Responses, Samples, Targets
from encoding.numerics import permutation
from encoding.numerics.shared_variance import estimate
from encoding.numerics.significance import discovery_rates

FEW = Inference(n_permutations=99)
N_TARGETS = 24


def shown(n_runs, length, *, stimuli=None, clock="stimulus"):
    """Rows of runs; every stimulus once unless `stimuli` says which one each row shows."""
    n = n_runs * length
    names = np.array([f"s{k:04d}" for k in (np.arange(n) if stimuli is None else stimuli)])
    run = np.repeat([f"run-{r:02d}" for r in range(n_runs)], length)
    return Samples(names, np.tile(np.arange(length) * 8.0, n_runs), np.full(n, 8.0), run, clock)


def spaces_of(rng, samples, **dims):
    n = len(samples)
    return [
        FeatureSpace(name, rng.standard_normal((n, p)), samples, tuple(f"{name}{k}" for k in range(p)))
        for name, p in dims.items()
    ]


def answers(rng, samples, planted, *, subject="01", presentations=None):
    """Responses to which the first eight targets are linear in the planted space, the rest is noise."""
    Y = rng.standard_normal((len(samples), N_TARGETS))
    weights = rng.standard_normal((planted.shape[1], 8))
    Y[:, :8] += planted @ (weights / np.linalg.norm(weights, axis=0))
    targets = Targets.of_columns([f"t{k}" for k in range(N_TARGETS)])
    drift = np.zeros((len(samples), 0), np.float32)
    return Responses(Y, samples, targets, presentations or samples, drift, subject, "video", 2.0)


def regions():
    """All targets as one, and three regions of eight."""
    labels = np.repeat([1, 2, 3], 8)
    targets = Targets.of_columns([f"t{k}" for k in range(N_TARGETS)])
    atlas = Atlas("toy", labels, targets, np.array([1, 2, 3]), ("A", "B", "C"), ("L",) * 3, ("",) * 3, ("#000000",) * 3)
    return [(None, np.ones(N_TARGETS, int)), (atlas, labels)]


@pytest.fixture(scope="module")
def tests(tmp_path_factory):
    """Three participants who saw the same stimuli; "a" is planted in region A."""
    rng = np.random.default_rng(0)
    samples = shown(8, 30)
    spaces = spaces_of(rng, samples, a=10, b=24)
    folder = tmp_path_factory.mktemp("inference")
    return [
        infer_spaces(
            spaces, answers(rng, samples, spaces[0].values, subject=name), regions(), folder / name, settings=FEW
        )
        for name in ("01", "02", "03")
    ]


def at(table, region, **which):
    """The one row of a region."""
    chosen = table[table["region"] == region]
    for name, value in which.items():
        chosen = chosen[chosen[name] == value]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_the_planted_space_is_above_chance_where_it_is_planted(tests):
    table = chance_table(tests[0])
    row = at(table, "A", space="a")
    assert row["verdict"] == "above chance"
    assert row["value"] == pytest.approx(0.5, abs=0.15)
    assert row["p"] == row["p_fwe"] == 0.01
    others = table[~((table["space"] == "a") & table["region"].isin(["A", "all targets"]))]
    assert (others["verdict"] == "not above chance").all()
    assert (table["claim"] == "chance").all()


def test_it_is_named_there_and_no_other_is(tests):
    table = verdict_table(tests[0])
    row = at(table, "A")
    assert (row["best"], row["leading"], row["next"], row["verdict"]) == ("a", "a", "b", "best")
    assert 0 < row["low"] < row["lead"] < row["high"]
    for region in ("B", "C"):
        row = at(table, region)
        assert row["best"] == ""
        assert row["verdict"] == "no difference that these data can show"


def test_differences_unique_and_shared_parts_agree(tests):
    one = tests[0]
    unique, difference = unique_table(one), difference_table(one)
    place = one.places.index(("toy", "region", "", "A", "L"))
    u = {name: estimate(one.kernel(name)[place]).value for name in ("a", "b", "all")}
    assert at(difference, "A")["value"] == pytest.approx(u["a"] - u["b"])
    assert at(unique, "A", claim="unique", space="a")["value"] == pytest.approx(u["all"] - u["b"])
    parts = [at(unique, "A", claim="unique", space=name)["value"] for name in "ab"]
    shared, joint = (at(unique, "A", claim=claim)["value"] for claim in ("shared", "joint"))
    assert sum(parts) + shared == pytest.approx(joint)
    assert at(unique, "A", claim="unique", space="a")["verdict"] == "above 0"


def test_targets_have_what_maps_need(tests):
    targets = tests[0].targets
    assert set(targets) == {"u", "u_se", "z", "p", "p_fwe", "q", "winner", "winner_p", "winner_q"}
    assert (targets["p_fwe"][0, :8] <= 0.05).sum() >= 6
    assert (targets["winner"][8:] == -1).sum() >= 15
    assert set(targets["winner"][:8]) <= {0.0, -1.0}
    assert np.all(targets["p_fwe"] >= targets["p"] - 1e-6)


def test_a_group_of_three_says_what_three_can_say(tests):
    table = group_claims(tests)
    row = at(table, "A", claim="difference")
    assert row["verdict"] == "ahead"
    assert (row["n_subjects"], row["n_ahead"], row["n_detected"]) == (3, 3, 3)
    assert (row["sign_flip_p"], row["sign_flip_floor"]) == (0.25, 0.25)
    assert row["prevalence"] == 1.0
    assert row["prevalence_low"] < 0.35
    assert row["note"].startswith("participants saw the same stimuli")
    verdicts = group_verdicts(tests)
    assert at(verdicts, "A")["best"] == "a"
    assert (verdicts[verdicts["region"].isin(["B", "C"])]["best"] == "").all()


def test_order_of_blocks_is_of_no_matter_to_a_group(tests):
    order = np.random.default_rng(1).permutation(8)
    facts = {**tests[1].facts, "blocks": [tests[1].facts["blocks"][k] for k in order]}
    moved = replace(tests[1], kernels=tests[1].kernels[..., order, :][..., order], facts=facts)
    first, again = group_claims(tests), group_claims([tests[0], moved, tests[2]])
    assert np.allclose(first["se"], again["se"])


def test_other_stimuli_are_told_apart(tests):
    def seen(*keys):
        """Test participants who saw some stimuli each, in blocks that do not match."""
        facts = [{"blocks": [number], "stimulus_keys": list(own)} for number, own in enumerate(keys)]
        return group_claims([replace(one, facts={**one.facts, **f}) for one, f in zip(tests, facts, strict=True)])

    others = seen("abc", "def", "ghi")
    assert (others["note"] == "participants saw different stimuli").all()
    reordered, partly = seen("abc", "cab", "bca"), seen("abcd", "abc", "bcd")  # one lacks the last run, one the first
    assert reordered["note"].str.startswith("participants saw the same stimuli in different runs").all()
    assert partly["note"].str.startswith("participants saw 2 of 4 stimuli in common (some lack runs").all()
    for cautious in (reordered, partly):
        assert cautious["note"].str.contains("cautious").all()
        assert (cautious["se"] >= others["se"] - 1e-12).all()
    old = [
        {k: v for k, v in one.facts.items() if k != "stimulus_keys"} | {"blocks": [n]} for n, one in enumerate(tests)
    ]
    told = group_claims([replace(one, facts=facts) for one, facts in zip(tests, old, strict=True)])["note"]
    assert told.str.contains("not in these results of an older version").all()


# Words go by the false discovery rate over all regions and pairs of the analysis


def of_kernels(spread, leads, *, n_blocks=12, subject="01", seed=0):
    """Tests of spaces "a" and "b" whose U are the given ones, in as many regions; noise of a size in every product."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((len(leads), 2, n_blocks, n_blocks)) * spread
    kernels = 0.1 + (noise + noise.transpose(0, 1, 3, 2)) / 2
    kernels[:, 0] += np.asarray(leads)[:, None, None]
    places = tuple(("toy", "region", "", f"R{k}", "L") for k in range(len(leads)))
    facts = {"settings": {"p_level": 0.05}, "notes": {}, "blocks": list(range(n_blocks)), "stimulus_keys": list("xyz")}
    chance = {name: np.full((2, len(leads)), 0.2) for name in ("z", "p", "p_fwe", "q")}
    return SpaceTests(subject, ("a", "b"), ("a", "b"), places, np.ones(len(leads), int), {}, kernels, chance, facts)


def test_words_go_by_q_and_names_by_p_of_the_region():
    """Where one region of forty passes by itself, nothing is said of it; where all are like it, of all."""
    leads, alone, wrong = [0.0] * 40, [], []
    for seed in range(80):  # without any difference, regions with p at most .05 are common, with q at most .05 rare
        one = of_kernels(0.2, leads, seed=seed)
        table, verdicts = difference_table(one), verdict_table(one)
        assert (table["verdict"].isin(["ahead", "behind"]) == (table["q"] <= 0.05)).all()
        assert ((verdicts["verdict"] == "best") == (verdicts["p"] <= 0.05)).all()
        assert ((verdicts["best"] != "") == (verdicts["p"] <= 0.05)).all()
        assert (verdicts["q"] >= verdicts["p"]).all()
        wrong.append((verdicts["best"] != "").mean())
        alone.append(((table["p"] <= 0.05).any(), (table["q"] <= 0.05).any()))
        if seed >= 15:
            continue
        people = [of_kernels(0.2, leads, subject=f"{k}", seed=1000 * seed + k) for k in range(3)]
        group, named = group_claims(people), group_verdicts(people)
        words = {"above 0": {"above 0": True, "not above 0": False}}
        words["difference"] = {"ahead": True, "behind": True, "no difference that these data can show": False}
        for claim, of_claim in words.items():
            rows = group[group["claim"] == claim]
            assert (rows["verdict"].map(of_claim) == (rows["q"] <= 0.05)).all()
        assert ((named["best"] != "") == (named["p"] <= 0.05)).all()
        assert (group["estimand"] == "the spaces themselves, mean over people").all()
    by_p, by_q = np.mean(alone, axis=0)
    assert by_p > 0.25
    assert by_q < 0.1
    assert np.mean(wrong) < 0.06  # two equal spaces, in 3,200 regions
    strong = of_kernels(0.2, [0.3] * 20)
    assert (verdict_table(strong)["best"] == "a").all()
    assert (difference_table(strong)["verdict"] == "ahead").all()


def test_a_group_counts_the_names_of_each_table_and_detections_at_p():
    people = [of_kernels(0.2, [0.08] + [0.0] * 19, subject=f"{k}", seed=k) for k in range(5)]
    row = group_verdicts(people).iloc[0]
    own = [verdict_table(one).iloc[0] for one in people]
    assert row["n_named"] == sum(one["best"] == row["leading"] for one in own)
    detected = sum(one["leading"] == row["leading"] and one["p"] <= 0.05 for one in own)
    assert row["n_detected"] == detected == row["n_named"] > 0
    assert row["prevalence"] == pytest.approx(prevalence(detected, 5, level=0.025).value)


def test_the_rate_of_names_is_over_targets_with_a_space_above_chance(tests):
    one = tests[0]
    with_space = (one.targets["p_fwe"] <= 0.05).any(0)
    q = one.targets["winner_q"]
    assert np.array_equal(np.isfinite(q), with_space)
    assert np.allclose(q[with_space], discovery_rates(one.targets["winner_p"].astype(float))[with_space]) is False
    assert np.allclose(q[with_space], discovery_rates(one.targets["winner_p"][with_space].astype(float)), atol=1e-6)
    assert np.array_equal(one.targets["winner"] >= 0, one.targets["winner_p"] <= 0.05)


def test_a_refused_space_is_not_compared_and_hides_no_winner(tmp_path):
    rng = np.random.default_rng(11)
    samples = shown(8, 30)
    spaces = spaces_of(rng, samples, a=10, b=24)
    flat = FeatureSpace("flat", np.repeat(np.arange(8.0), 30)[:, None], samples, ("run",))
    responses = answers(rng, samples, spaces[0].values)
    both = infer_spaces(spaces, responses, regions(), tmp_path / "2", settings=FEW)
    three = infer_spaces([*spaces, flat], responses, regions(), tmp_path / "3", settings=FEW)
    assert three.facts["compared"] == ["a", "b"]
    assert "the features do not vary within runs" in three.notes["space flat"]
    assert np.array_equal(three.targets["winner"], both.targets["winner"])
    alone = infer_spaces([spaces[0], flat], responses, regions(), tmp_path / "1", settings=FEW)
    assert (alone.targets["winner"] == -1).all()  # the only one of its kind is no winner


def test_groups_must_agree(tests):
    with pytest.raises(DataError, match="1 participant; statements about a group need at least two"):
        group_claims(tests[:1])
    with pytest.raises(AlignmentError, match="tested for different spaces or regions"):
        group_verdicts([tests[0], replace(tests[1], spaces=("a", "c"))])


def test_an_interrupted_computation_goes_on(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    samples = shown(6, 20)
    spaces = spaces_of(rng, samples, a=5, b=6)
    responses = answers(rng, samples, spaces[0].values)
    monkeypatch.setattr("encoding.comparison.inference.SAVED_TARGETS", 8)
    whole = infer_spaces(spaces, responses, regions(), tmp_path / "whole", settings=FEW)
    calls = []
    known = permutation.UnitDraws.statistics

    def stop(self, Y):
        calls.append(len(calls))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return known(self, Y)

    monkeypatch.setattr(permutation.UnitDraws, "statistics", stop)
    with pytest.raises(KeyboardInterrupt):
        infer_spaces(spaces, responses, regions(), tmp_path / "part", settings=FEW)
    again = infer_spaces(spaces, responses, regions(), tmp_path / "part", settings=FEW)
    assert len(calls) == 4  # three chunks, of which one was interrupted
    for name, values in whole.targets.items():
        assert np.array_equal(values, again.targets[name], equal_nan=True), name
    assert np.array_equal(whole.kernels, again.kernels)
    assert infer_spaces(spaces, responses, regions(), tmp_path / "part", settings=FEW).facts == again.facts
    assert len(calls) == 4


def test_chunks_change_nothing(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    samples = shown(6, 20)
    spaces = spaces_of(rng, samples, a=5, b=6)
    responses = answers(rng, samples, spaces[0].values)
    whole = infer_spaces(spaces, responses, regions(), tmp_path / "whole", settings=FEW)
    monkeypatch.setattr("encoding.comparison.inference.SAVED_TARGETS", 7)
    parts = infer_spaces(spaces, responses, regions(), tmp_path / "parts", settings=FEW)
    for name, values in whole.targets.items():
        assert np.allclose(values, parts.targets[name], equal_nan=True, atol=1e-5), name
    for name, values in whole.chance.items():
        assert np.allclose(values, parts.chance[name], atol=1e-4), name


def test_random_features_of_recurring_stimuli_are_at_chance(tmp_path):
    """Runs would find the responses that stimuli evoke; stimuli are exchanged instead."""
    p = []
    for seed in range(12):
        rng = np.random.default_rng([4, seed])
        order = np.concatenate([rng.permutation(24) for _ in range(6)])
        samples = shown(6, 24, stimuli=order)
        described = FeatureSpace(
            "a", rng.standard_normal((24, 6)), Samples.of_stimuli([f"s{k:04d}" for k in range(24)]), tuple("abcdef")
        )
        space = FeatureSpace("a", described.values[order], samples, described.features)
        responses = answers(rng, samples, 3 * rng.standard_normal((24, 5))[order])
        found = infer_spaces(
            [space], responses, regions(), tmp_path / f"{seed}", settings=FEW, presented=Presented((described,))
        )
        assert found.facts["exchanged"] == "stimuli"
        assert "the same stimuli recur in all runs" in chance_table(found)["note"].iloc[0]
        p.append(found.targets["p"][0, :8])
    assert (np.array(p) <= 0.05).mean() < 0.2
    assert np.mean(p) == pytest.approx(0.5, abs=0.2)


def test_recurring_stimuli_without_their_features_are_refused(tmp_path):
    rng = np.random.default_rng(5)
    samples = shown(6, 12, stimuli=np.tile(np.arange(12), 6))
    spaces = spaces_of(rng, samples, a=3)
    found = infer_spaces(spaces, answers(rng, samples, spaces[0].values), regions(), tmp_path / "x", settings=FEW)
    table = chance_table(found)
    assert (table["verdict"] == "not tested").all()
    assert "has no features per stimulus to exchange" in table["note"].iloc[0]


def test_stimuli_that_recur_on_volumes_are_not_compared(tmp_path):
    rng = np.random.default_rng(6)
    presentations = shown(6, 12, stimuli=np.tile(np.arange(12), 6))
    samples = shown(6, 40, clock="tr")
    spaces = spaces_of(rng, samples, a=3, b=3)
    responses = answers(rng, samples, spaces[0].values, presentations=presentations)
    verdicts = verdict_table(infer_spaces(spaces, responses, regions(), tmp_path / "x", settings=FEW))
    assert (verdicts["verdict"] == "not tested").all()
    assert verdicts["note"].str.contains("one row per presentation is needed").all()


def test_three_runs_are_shifted_and_not_compared(tmp_path):
    rng = np.random.default_rng(7)
    samples = shown(3, 60)
    spaces = spaces_of(rng, samples, a=4, b=4)
    found = infer_spaces(spaces, answers(rng, samples, spaces[0].values), regions(), tmp_path / "x", settings=FEW)
    assert found.facts["exchanged"] == "runs and shifts"
    assert at(chance_table(found), "A", space="a")["p"] == 0.01
    assert "assumes stationary noise" in found.notes["chance"]
    row = at(verdict_table(found), "A")
    assert (row["best"], row["verdict"]) == ("", "not tested")
    assert "3 runs that differ, but at least 4" in row["note"]


def test_two_runs_are_refused_for_both(tmp_path):
    rng = np.random.default_rng(8)
    samples = shown(2, 60)
    spaces = spaces_of(rng, samples, a=4)
    found = infer_spaces(spaces, answers(rng, samples, spaces[0].values), regions(), tmp_path / "x", settings=FEW)
    row = at(chance_table(found), "A")
    assert row["verdict"] == "not tested"
    assert "2 runs, but at least 3 are needed" in row["note"]


def test_wide_spaces_are_cut_and_say_so(tmp_path):
    rng = np.random.default_rng(9)
    samples = shown(8, 20)
    spaces = spaces_of(rng, samples, a=10, wide=100)
    found = infer_spaces(spaces, answers(rng, samples, spaces[0].values), regions(), tmp_path / "x", settings=FEW)
    assert found.facts["ranks"]["wide"] == 38
    assert "first 38 principal components of its 100 dimensions" in at(difference_table(found), "A")["note"]
    assert not len(unique_table(found))
    assert "unique parts are not estimated" in found.notes["unique"]


def test_a_wide_space_never_loses_for_its_width(tmp_path):
    """Two spaces of equal information: components of the wide one hold a part of it only, so that neither is ahead."""
    rng = np.random.default_rng(10)
    samples = shown(12, 18)
    spaces = spaces_of(rng, samples, narrow=20, other=20, wide=150)
    parts = [space.values @ rng.standard_normal((space.n_features, 12)) for space in (spaces[0], spaces[2])]
    signal = sum(part / part.std(0) for part in parts)
    values = 0.45 * signal + 0.77 * rng.standard_normal((len(samples), 12))
    responses = answers(rng, samples, spaces[0].values)
    responses = replace(responses, values=values.astype(np.float32), targets=Targets.of_columns(
        [f"t{k}" for k in range(12)]))  # fmt: skip
    regions = [(None, np.ones(12, dtype=int))]
    found = infer_spaces(spaces, responses, regions, tmp_path / "x", settings=FEW)
    assert found.comparable == ("narrow", "other")
    verdicts = difference_table(found).set_index(["space", "versus"])
    assert (verdicts.loc[[("narrow", "wide"), ("other", "wide")], "verdict"] == "not tested").all()
    assert verdicts.loc[("narrow", "other"), "verdict"] == "ahead"
    row = verdict_table(found).iloc[0]
    assert row["best"] == "narrow"
    assert "wide: U is that of the first" in row["note"]
    assert "not compared with other spaces" in row["note"]
    assert set(found.targets["winner"]) <= {-1.0, 0.0, 1.0}
    alone = infer_spaces(spaces[1:], responses, regions, tmp_path / "y", settings=FEW)
    assert verdict_table(alone).iloc[0]["verdict"] == "not tested"
    of_group = group_verdicts([found, replace(found, subject="02")])
    assert "wide: U is that of the first" in of_group.iloc[0]["note"]
    assert of_group.iloc[0]["leading"] == "narrow"


def test_versions_of_unreliable_features(tmp_path):
    rng = np.random.default_rng(10)
    samples = shown(20, 60)
    (truth,) = spaces_of(rng, samples, a=8)
    versions = [
        FeatureSpace("a", truth.values + rng.standard_normal(truth.values.shape), samples, truth.features)
        for _ in range(2)
    ]
    responses = answers(rng, samples, truth.values)
    plain = infer_spaces(versions[:1], responses, regions(), tmp_path / "plain", settings=Inference(0))
    presented = Presented(versions={"a": versions[1]})
    both = infer_spaces(
        versions[:1], responses, regions(), tmp_path / "both", settings=Inference(0), presented=presented
    )
    values = [at(chance_table(found), "A")["value"] for found in (plain, both)]
    assert values[0] == pytest.approx(0.25, abs=0.04)
    assert values[1] == pytest.approx(0.5, abs=0.06)
    assert "reliability 0.5" in both.notes["space a"]
    unlike = Presented(versions={"a": FeatureSpace("a", rng.standard_normal((1200, 8)), samples, truth.features)})
    none = infer_spaces(versions[:1], responses, regions(), tmp_path / "none", settings=Inference(0), presented=unlike)
    assert "agree too little" in none.notes["space a"]
    assert np.isnan(at(chance_table(none), "A")["value"])


def test_exchanged_residuals_test_what_a_space_adds(tmp_path):
    rng = np.random.default_rng(11)
    samples = shown(8, 25)
    a, b = spaces_of(rng, samples, a=5, b=5)
    mixed = FeatureSpace("b", 0.9 * a.values + 0.3 * b.values, samples, b.features)
    settings = replace(FEW, unique_permutations=99)
    found = infer_spaces([a, mixed], answers(rng, samples, a.values), regions(), tmp_path / "x", settings=settings)
    table = unique_table(found)
    assert at(table, "A", space="a", claim="unique")["p_exchanged"] <= 0.02
    assert at(table, "B", space="a", claim="unique")["p_exchanged"] > 0.02
    assert found.targets["unique_p"].shape == (2, N_TARGETS)


def test_what_spaces_add_is_not_tested_beside_a_wide_one(tmp_path):
    rng = np.random.default_rng(16)
    samples = shown(8, 25)
    a, wide = spaces_of(rng, samples, a=5, wide=300)
    settings = replace(FEW, unique_permutations=99)
    found = infer_spaces([a, wide], answers(rng, samples, a.values), regions(), tmp_path / "x", settings=settings)
    assert "unique_p" not in found.targets
    assert "all have 305 features, more than half of 200 rows" in found.notes["exchanged residuals"]


def test_runs_that_share_a_stimulus_are_one_unit():
    stimuli = np.arange(80)
    stimuli[[15, 35]] = 5  # run 2 and run 4 show a stimulus of run 1 again
    rng = np.random.default_rng(12)
    samples = shown(8, 10, stimuli=stimuli)
    units = units_of(answers(rng, samples, rng.standard_normal((80, 2))))
    assert [len(unit) for unit in units.members] == [3, 1, 1, 1, 1, 1]
    assert not units.recurring
    rest = units_of(answers(rng, samples, rng.standard_normal((80, 2))), np.isin(np.arange(80), [15, 35], invert=True))
    assert len(rest.members) == 8
    assert len(rest.rows) == 78


def test_other_samples_are_refused(tmp_path):
    rng = np.random.default_rng(13)
    spaces = spaces_of(rng, shown(6, 10), a=3)
    responses = answers(rng, shown(6, 11), rng.standard_normal((66, 3)))
    with pytest.raises(AlignmentError, match="Call `align` first"):
        infer_spaces(spaces, responses, regions(), tmp_path / "x")
    with pytest.raises(DataError, match="no feature space to test"):
        infer_spaces([], responses, regions(), tmp_path / "x")


def test_noise_is_almost_never_named():
    rng = np.random.default_rng(14)
    kernels = rng.standard_normal((4, 2000, 8, 8))
    kernels = kernels + kernels.transpose(0, 1, 3, 2)
    kernels[..., np.arange(8), np.arange(8)] = 0
    winner, p = name_best(kernels, 0.05)
    assert (winner >= 0).mean() < 0.01
    assert np.array_equal(winner >= 0, p <= 0.05)
    kernels[2] += 2.0
    assert (name_best(kernels, 0.05)[0] == 2).mean() > 0.9


def test_differences_of_fits_have_the_variance_of_overlapping_folds(make_predictions):
    rng = np.random.default_rng(15)
    y = rng.standard_normal((60, N_TARGETS))
    fold = np.repeat(np.arange(6), 10)
    a, b = (
        make_predictions(name, y, (y * share + rng.standard_normal(y.shape))[None], fold=fold)
        for name, share in (("a", 2), ("b", 0))
    )
    table = fit_differences([a, b], regions(), pairs=[("a", "b")])
    row = at(table, "A")
    each = (fold_correlations(a) - fold_correlations(b))[:, :8].mean(1)
    assert row["value"] == pytest.approx(each.mean())
    assert row["se"] == pytest.approx(np.sqrt((1 / 6 + 1 / 5) * each.var(ddof=1)))
    assert row["verdict"] == "ahead"
    assert row["df"] == 5
    assert row["estimand"] == "these fits on new runs"
    assert np.isnan(row["p_fwe"])


@pytest.mark.parametrize(
    ("detected", "n", "value", "low", "high"),
    [(5, 5, 1.0, 0.45, 1.0), (0, 5, 0.0, 0.0, 0.50), (3, 5, 0.58, 0.10, 0.94)],
)
def test_prevalence_is_mapped_from_exact_limits(detected, n, value, low, high):
    found = prevalence(detected, n)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=0.01)


def test_prevalence_of_more_than_all_is_refused():
    with pytest.raises(DataError, match="6 of 5 participants"):
        prevalence(6, 5)


def test_signs_of_many_are_drawn():
    values = np.random.default_rng(0).standard_normal(25) + 0.5
    drawn = sign_flip_p(values)
    assert drawn == pytest.approx(sign_flip_p(values[::-1]), abs=0.01)
    assert 0.0001 <= drawn < 0.05
    assert sign_flip_p(np.ones(30)) == pytest.approx(1e-4)


def test_sign_flips_are_exact():
    assert sign_flip_p(np.array([1.0, -1.0, 1.0])) == 1.0
    assert sign_flip_p(np.ones(5)) == 2 / 32


def test_similarity_is_tested_by_exchanging_runs_of_stimuli(tmp_path):
    rng = np.random.default_rng(20)
    samples = shown(8, 12)
    names = Samples.of_stimuli(samples.stimulus)
    spaces = [FeatureSpace(s.name, s.values, names, s.features) for s in spaces_of(rng, samples, a=6, b=6)]
    responses = answers(rng, samples, 3 * spaces[0].values)
    settings = Rsa("patterns", min_targets=5)
    found = infer_similarity(settings, spaces, responses, regions(), tmp_path / "x", inference=FEW)
    table = chance_table(found)
    of_region = compare_similarity(settings, spaces, responses, regions(), tmp_path / "rsa").table
    for space in "ab":
        expected = at(of_region, "A", feature=space)["value"]
        assert at(table, "A", space=space)["value"] == pytest.approx(expected, abs=1e-4)
    assert at(table, "A", space="a")["verdict"] == "above chance"
    assert at(table, "B", space="a")["verdict"] == "not above chance"
    assert at(verdict_table(found), "A")["best"] == "a"
    assert (at(verdict_table(found), "B")["best"], at(verdict_table(found), "C")["best"]) == ("", "")
    again = infer_similarity(settings, spaces, responses, regions(), tmp_path / "x", inference=FEW)
    assert again.facts == found.facts
    ranked = infer_similarity(
        replace(settings, comparison="spearman"), spaces, responses, regions(), tmp_path / "ranks", inference=FEW
    )
    assert at(chance_table(ranked), "A", space="a")["p"] == 0.01
    with pytest.raises(DataError, match="searchlights are not tested"):
        infer_similarity(Rsa("s", regions="searchlight", radius_mm=3), spaces, responses, regions(), tmp_path / "s")


def test_similarity_needs_six_runs_against_chance_and_four_for_differences(tmp_path):
    rng = np.random.default_rng(21)
    samples = shown(3, 12)
    names = Samples.of_stimuli(samples.stimulus)
    spaces = [FeatureSpace(s.name, s.values, names, s.features) for s in spaces_of(rng, samples, a=6, b=6)]
    responses = answers(rng, samples, 3 * spaces[0].values)
    found = infer_similarity(Rsa("p", min_targets=5), spaces, responses, regions(), tmp_path / "x", inference=FEW)
    assert (chance_table(found)["verdict"] == "not tested").all()
    assert "six runs" in found.notes["chance"]
    assert "at least 4 are needed" in at(verdict_table(found), "A")["note"]


def test_what_a_space_holds_beyond_nuisance_is_told_from_what_it_shares_with_it(tmp_path):
    rng = np.random.default_rng(22)
    samples = shown(10, 40)
    low, own, other = spaces_of(rng, samples, low=4, own=5, other=5)
    # "copy" is the nuisance space again, and something that responses know nothing of
    copy = FeatureSpace("copy", np.hstack([low.values, other.values[:, :2]]), samples, tuple("abcdef"))
    planted = np.hstack([low.values, own.values])
    found = [
        infer_spaces(
            [own, copy],
            answers(rng, samples, planted, subject=name),
            regions(),
            tmp_path / name,
            settings=Inference(0),
            presented=Presented(nuisance=(low,)),
        )
        for name in ("01", "02", "03")
    ]
    table = beyond_table(found[0])
    assert found[0].spaces == ("own", "copy")
    assert at(table, "A", claim="beyond", space="own")["verdict"] == "above 0"
    assert at(table, "A", claim="beyond", space="own")["value"] == pytest.approx(0.5 * 5 / 9, abs=0.1)
    assert at(table, "A", claim="beyond", space="copy")["verdict"] == "not different from 0"
    assert at(table, "A", claim="nuisance")["value"] == pytest.approx(0.5 * 4 / 9, abs=0.1)
    assert at(chance_table(found[0]), "A", space="copy")["value"] > 0.1  # though alone it holds much
    group = group_claims(found)
    assert at(group, "A", claim="beyond", space="own")["verdict"] == "above 0"
    assert at(group, "A", claim="beyond", space="copy")["verdict"] == "not different from 0"


def test_nuisance_that_is_too_wide_is_refused_with_words(tmp_path):
    rng = np.random.default_rng(23)
    samples = shown(6, 10)
    own, low = spaces_of(rng, samples, own=4, low=40)
    found = infer_spaces(
        [own], answers(rng, samples, own.values), regions(), tmp_path / "x", settings=Inference(0),
        presented=Presented(nuisance=(low,)),
    )  # fmt: skip
    assert not len(beyond_table(found))
    assert "beyond nuisance spaces is not estimated: both have up to 44 dimensions" in found.notes["beyond"]


def test_an_atlas_more_changes_no_other_verdict():
    """Rates are over one division of the brain: regions of another atlas take no part."""
    one = of_kernels(0.2, [0.12] * 3 + [0.0] * 7)
    more = of_kernels(0.2, [0.0] * 200, seed=1)
    places = (*one.places, *(("other", "region", "", f"Q{k}", "L") for k in range(200)))
    chance = {name: np.concatenate([values, more.chance[name]], axis=1) for name, values in one.chance.items()}
    kernels = np.concatenate([one.kernels, more.kernels])
    both = replace(one, places=places, n_targets=np.ones(210, int), kernels=kernels, chance=chance)
    for table in (verdict_table, difference_table):
        alone, together = table(one), table(both)
        assert together["verdict"][: len(alone)].tolist() == alone["verdict"].tolist()
    people, others = ([of_kernels(0.2, [0.3] * 5, subject=str(k), seed=k) for k in range(3)] for _ in range(2))
    assert np.array_equal(group_claims(people)["q"], group_claims(others)["q"])
