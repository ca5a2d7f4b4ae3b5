"""Tables of subjects to tables of all of them."""

import numpy as np
import pandas as pd
from scipy import stats

from encoding.comparison import summarise_differences, summarise_regions

PLACE = {"atlas": "toy", "level": "region", "set": "", "hemi": "L"}


def scores_table(values, metric="r", feature="all"):
    """Make rows of `score_regions` from {(subject, region, model): value}."""
    rows = [
        {"subject": s, **PLACE, "region": region, "model": m, "feature": feature, "metric": metric, "value": value}
        for (s, region, m), value in values.items()
    ]
    return pd.DataFrame(rows)


def differences_table(by_region):
    rows = [
        {
            "subject": f"{s:02d}",
            **PLACE,
            "region": region,
            "model_a": "a",
            "model_b": "b",
            "metric": "r",
            "difference": d,
        }
        for region, values in by_region.items()
        for s, d in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_summary_of_scores():
    table = scores_table(
        {("01", "V1", "a"): 0.1, ("02", "V1", "a"): 0.3, ("03", "V1", "a"): np.nan, ("01", "V1", "b"): 0.5}
    )
    summary = summarise_regions(table)
    assert len(summary) == 2
    a, b = summary.iloc[0], summary.iloc[1]
    assert (a["model"], b["model"]) == ("a", "b")
    assert (a["n_subjects"], b["n_subjects"]) == (2, 1)
    np.testing.assert_allclose(
        a[["mean", "sd", "smallest", "largest"]].to_numpy(float), [0.2, np.std([0.1, 0.3], ddof=1), 0.1, 0.3]
    )
    assert np.isnan(b["sd"])


def test_metrics_and_features_are_kept_apart():
    parts = [
        scores_table({("01", "V1", "a"): 0.1}),
        scores_table({("01", "V1", "a"): 0.2}, metric="r2"),
        scores_table({("01", "V1", "a"): 0.3}, metric="split_r2", feature="motion"),
    ]
    assert summarise_regions(pd.concat(parts))["mean"].tolist() == [0.1, 0.2, 0.3]


def test_region_that_nobody_has_values_in():
    summary = summarise_regions(scores_table({("01", "V1", "a"): np.nan, ("02", "V1", "a"): np.nan}))
    assert summary["n_subjects"].tolist() == [0]
    assert summary[["mean", "sd", "smallest", "largest"]].isna().all(axis=None)


def test_interval_of_differences_equals_scipy():
    values = {"V1": [0.02, 0.05, -0.01, 0.04, 0.03], "V2": [0.3, 0.1, 0.2]}
    summary = summarise_differences(differences_table(values)).set_index("region")
    for region, differences in values.items():
        row = summary.loc[region]
        low, high = stats.t.interval(0.95, len(differences) - 1, np.mean(differences), stats.sem(differences))
        np.testing.assert_allclose(row[["low", "high"]].to_numpy(float), [low, high])
        np.testing.assert_allclose(
            row[["mean", "sd"]].to_numpy(float), [np.mean(differences), np.std(differences, ddof=1)]
        )
        test = stats.ttest_1samp(differences, 0)
        assert (row["low"] > 0 or row["high"] < 0) == (test.pvalue < 0.05)
    assert summary["subjects_a"].to_dict() == {"V1": 4, "V2": 3}


def test_two_subjects_have_no_interval():
    summary = summarise_differences(differences_table({"V1": [0.1, 0.2], "V2": [0.1, 0.2, np.nan], "V3": [0.1]}))
    assert summary["n_subjects"].tolist() == [2, 2, 1]
    assert summary[["low", "high"]].isna().all(axis=None)
    np.testing.assert_allclose(summary["mean"], [0.15, 0.15, 0.1])


def test_a_tie_counts_for_nobody():
    assert summarise_differences(differences_table({"V1": [0.0, 0.1, -0.1]}))["subjects_a"].tolist() == [1]
