"""Masks of maps, counts of significant targets, and regions as reports show them."""

import json

import numpy as np
import pandas as pd
import pytest

from encoding.drawing.scales import TIE
from encoding.mapping import Maps, read_result
from encoding.mapping.results import TargetTests, named_winner
from encoding.mapping.selection import charts
from encoding.mapping.significance import (
    UNTESTED_TARGETS,
    differences_tested,
    fading_of,
    named_targets,
    rates_of,
    significant_targets,
)

MODELS = ["ratings", "mllm"]


def with_counts(make_result, subject, critical):
    counted = {
        "ratings": {"n": 3, "share": 0.5, "critical": critical},
        "mllm": {"n": 0, "share": 0.0, "critical": None},
    }
    settings = {"compare": {"level": 0.01}}
    return make_result(subject, [0.1, 0.5, 0.2, 0.4], [0.0] * 4, significant=counted, n_tested=[200], settings=settings)


def test_every_model_and_participant_has_its_own_mask(make_result):
    results = [with_counts(make_result, "01", 0.21), with_counts(make_result, "02", 0.35)]
    fading = fading_of(results, Maps(threshold="fdr"), MODELS)
    assert fading.of(results[0], "ratings").tolist() == [False, True, True, True]
    # A model without discoveries is faded throughout: there is no other line to fall back to.
    assert not fading.of(results[1], "mllm").any()
    assert fading.threshold is None
    assert fading.count(results[1], "mllm", np.zeros(4)) == "0 of 4 targets passed the test"
    assert "false discovery rate 0.01" in fading.sentence
    (table,) = significant_targets(results)
    assert table.frame["significant targets"].tolist() == [3, 0, 3, 0]
    assert "at most 0.01 (one-sided" in table.caption
    rates = rates_of(results[0], "ratings")
    assert rates[1] < 1e-6 < rates[0]


def test_a_threshold_of_the_settings_claims_nothing(make_result):
    result = with_counts(make_result, "01", 0.21)
    fading = fading_of([result], Maps(threshold=0.15), MODELS)
    assert (fading.threshold, fading.of(result, "ratings")) == (0.15, None)
    assert fading.sentence.startswith("Faded below 0.15, as set in [map] threshold; that is not a test.")
    assert fading.count(result, "ratings", np.array([0.1, 0.2])) == "1 of 2 targets above 0.15 (not a test)"


def test_nothing_is_said_where_nothing_was_asked(make_result):
    result = make_result("01", [0.1] * 4, [0.0] * 4)
    fading = fading_of([result], Maps(), MODELS)
    assert fading.sentence == UNTESTED_TARGETS
    assert fading.of(result, "ratings") is None
    assert fading.count(result, "ratings", np.zeros(4)) == "4 targets, not tested"
    assert significant_targets([result]) == []
    assert rates_of(result, "ratings") is None
    assert named_targets(result, MODELS) is None
    assert differences_tested([], None) == []


def target_tests(**changes):
    """Tests of two spaces in four targets: the second space is named in the first two, above chance in the first."""
    values = {
        "spaces": ("ratings", "mllm"),
        "u": np.array([[0.1, 0.1, 0.2, 0.0], [0.3, 0.3, 0.1, np.nan]]),
        "p_fwe": np.array([[0.5, 0.5, 0.01, np.nan], [0.01, 0.2, 0.5, np.nan]]),
        "q": np.array([[0.5, 0.5, 0.001, np.nan], [0.001, 0.2, 0.5, np.nan]]),
        "winner": np.array([1, 1, -1, -1]),
        "level": 0.05,
        "notes": {},
        "compared": ("ratings", "mllm"),
    }
    return TargetTests(**(values | changes))


@pytest.fixture
def tested(make_result):
    settings = {"compare": {"level": 0.01}}
    result = make_result("01", [0.5, 0.5, 0.1, 0.1], [0.1] * 4, settings=settings)
    tests = target_tests()
    folder = result.folder / "inference"
    folder.mkdir()
    arrays = {name: getattr(tests, name) for name in ("u", "p_fwe", "q", "winner")}
    np.savez(folder / "targets.npz", **arrays)
    told = {
        "spaces": list(tests.spaces),
        "settings": {"p_level": tests.level},
        "notes": {},
        "exchanged": "runs",
        "n_permutations": 1000,
    }
    (folder / "inference.json").write_text(json.dumps(told))
    return read_result(result.folder)


def test_a_target_is_coloured_where_the_space_is_ahead_and_above_chance(tested):
    assert named_winner(tested.tests).tolist() == [1, -1, -1, -1]
    named = named_targets(tested, MODELS)
    assert named.winner.tolist() == [1, -1, TIE, -1]  # above chance in the third, and no space ahead
    assert named_targets(tested, MODELS[::-1]).winner.tolist() == [0, -1, TIE, -1]
    np.testing.assert_allclose(named.lead, [0.2, 0.2, 0.1, 0.0], atol=1e-7)
    assert named.tested.tolist() == [True, True, True, False]


def test_maps_fade_what_did_not_pass_the_test_of_their_own_space(tested):
    fading = fading_of([tested], Maps(), MODELS)
    assert fading.of(tested, "mllm").tolist() == [True, False, False, False]
    assert fading.of(tested, "ratings").tolist() == [False, False, True, False]
    assert "by exchanging features of whole runs" in fading.sentence


def test_regions_as_released_take_the_place_of_the_corrected_ones():
    rows = pd.DataFrame(
        {
            "atlas": "hcp180",
            "level": "roi_set",
            "set": ["horikawa2020_cortical_as_released", "du2025_cortical_as_released"],
            "region": ["ACC", "ACC"],
            "subject": "01",
        }
    )
    (chart,) = charts(rows, "du2025_cortical")
    assert chart.rows["set"].tolist() == ["du2025_cortical_as_released"]
