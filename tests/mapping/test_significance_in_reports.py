"""Thresholds and counts of significant targets, as reports show them."""

import pandas as pd

from encoding.mapping.selection import charts
from encoding.mapping.significance import critical_score, differences_tested, rates_of, significant_targets


def with_counts(make_result, subject, critical):
    counted = {
        "ratings": {"n": 3, "share": 0.5, "critical": critical},
        "mllm": {"n": 0, "share": 0.0, "critical": None},
    }
    settings = {"compare": {"level": 0.01}}
    return make_result(subject, [0.1, 0.5, 0.2, 0.4], [0.0] * 4, significant=counted, n_tested=[200], settings=settings)


def test_the_threshold_holds_for_every_model_and_participant(make_result):
    results = [with_counts(make_result, "01", 0.21), with_counts(make_result, "02", 0.35)]
    assert critical_score(results) == 0.35
    (table,) = significant_targets(results)
    assert table.frame["significant targets"].tolist() == [3, 0, 3, 0]
    assert "at most 0.01 (one-sided" in table.caption
    rates = rates_of(results[0], "ratings")
    assert rates[1] < 1e-6 < rates[0]


def test_nothing_is_said_where_nothing_was_asked(make_result):
    result = make_result("01", [0.1] * 4, [0.0] * 4)
    assert critical_score([result]) is None
    assert significant_targets([result]) == []
    assert rates_of(result, "ratings") is None
    assert differences_tested([], None) == []


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
