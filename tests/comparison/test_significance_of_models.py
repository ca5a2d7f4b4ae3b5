"""Significant targets are counted, and differences tested over subjects as a textbook would."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.signal import lfilter

from encoding.comparison import (
    Comparison,
    check_differences,
    check_independence,
    count_discoveries,
    discoveries,
    evaluate,
    score_regions,
)
from encoding.core import ConfigError, DataError, FeatureSpace, Responses, Samples, Targets
from encoding.numerics.significance import noise_probability


def predictions(make_predictions, rng, n_rows=200, n_targets=40, n_real=10):
    y = rng.standard_normal((n_rows, n_targets))
    p = rng.standard_normal((1, n_rows, n_targets))
    p[0, :, :n_real] += y[:, :n_real]
    return make_predictions("model", y, p, fold=np.zeros(n_rows, int))


@pytest.mark.parametrize("metric", ["r", "pooled_r"])
def test_planted_targets_are_discovered(make_predictions, atlas, metric):
    made = predictions(make_predictions, np.random.default_rng(0))
    scores = evaluate([made], metric)
    rates = discoveries(scores, made.moments.n)
    assert (rates[0, :10] < 1e-4).all()
    counted = count_discoveries(scores, rates, 0.01)["model"]
    assert counted["n"] == 10
    assert counted["share"] == 0.25
    assert counted["critical"] == pytest.approx(float(scores.values[0, :10].min()))
    table = score_regions(scores, None, np.ones(40, int), significant=rates <= 0.01)
    assert table["n_significant"].tolist() == [10]
    assert "n_significant" not in score_regions(scores, None, np.ones(40, int))


def test_noise_is_seldom_discovered(make_predictions):
    rng = np.random.default_rng(3)
    found = [
        (discoveries(evaluate([made], "pooled_r"), made.moments.n) <= 0.1).any()
        for made in (predictions(make_predictions, rng, n_real=0) for _ in range(60))
    ]
    assert np.mean(found) < 0.25  # expected: at most a tenth


def test_nothing_discovered_has_no_critical_score(make_predictions):
    made = predictions(make_predictions, np.random.default_rng(4), n_real=0)
    scores = evaluate([made], "r")
    assert count_discoveries(scores, np.ones((1, 40)), 0.01)["model"] == {"n": 0, "share": 0.0, "critical": None}


def test_only_correlations_of_enough_samples_are_tested(make_predictions):
    made = predictions(make_predictions, np.random.default_rng(5))
    with pytest.raises(DataError, match=r"needs correlations .*not 'r2'"):
        discoveries(evaluate([made], "r2"), made.moments.n)
    with pytest.raises(DataError, match=r"has 3 held-out samples; .* needs 4"):
        discoveries(evaluate([made], "r"), np.array([3]))
    with pytest.raises(DataError, match=r"exact for one fixed test set, but there are 2 outer folds"):
        discoveries(evaluate([made], "r"), np.array([100, 100]))


def table_of(differences, pair=("a", "b"), set_name="rois"):
    rows = [
        {"subject": f"{s}", "atlas": "x", "level": "roi_set", "set": set_name, "region": region, "hemi": "",
         "model_a": pair[0], "model_b": pair[1], "metric": "r", "difference": value}
        for region, values in differences.items() for s, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_paired_t_over_subjects_with_rates_over_regions():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.1, 0.03, (2, 6, 5))
    a[:2] += 0.1
    regions = {f"roi{k}": a[k] - b[k] for k in range(6)}
    tested = check_differences(pd.concat([table_of(regions), table_of({"roi0": [0.1, 0.2, 0.3]}, ("a", "c"))]))
    first = tested[tested["model_b"] == "b"]
    known = stats.ttest_rel(a, b, axis=1)
    np.testing.assert_allclose(first["t"], known.statistic)
    np.testing.assert_allclose(first["p"], known.pvalue)
    np.testing.assert_allclose(first["effect_size"], (a - b).mean(1) / (a - b).std(1, ddof=1))
    assert first["subjects_a"].tolist() == [(values > 0).sum() for values in regions.values()]
    assert set(first["sign_flip_floor"]) == {0.0625}
    other = tested[tested["model_b"] == "c"].iloc[0]
    p = tested["p"].to_numpy()
    np.testing.assert_allclose(tested["q"], stats.false_discovery_control(p))  # one family for all regions and pairs
    assert other["q"] > other["p"]


def test_a_single_subject_is_not_tested():
    tested = check_differences(table_of({"roi0": [0.1], "roi1": [np.nan]}))
    assert tested["n_subjects"].tolist() == [1, 0]
    assert tested[["t", "p", "q", "effect_size"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"significance": "bootstrap"}, "significance = 'bootstrap': 'none' or 'noise' is needed"),
        ({"significance": "noise", "metric": "r2"}, "is about correlations"),
        ({"group_test": "t"}, "group_test = 't': 'none' or 'paired_t' is needed"),
        ({"level": 1.5}, r"level = 1.5: a number above 0 and below 1"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        Comparison(**settings)


# Where noise is not exact


def fixed_split(rho_features, rho_responses, *, shared=0):
    """Sixty runs of 12 presentations, the last ten of them tested; some held-out stimuli were trained on."""
    rng = np.random.default_rng(0)
    n_runs, n_rows = 60, 12
    run = np.repeat([f"run-{k:02d}" for k in range(n_runs)], n_rows)

    def series(n_columns, rho):
        parts = []
        for _ in range(n_runs):
            drawn = rng.standard_normal((n_rows + 20, n_columns))
            parts.append(lfilter([np.sqrt(1 - rho**2)], [1, -rho], drawn, axis=0)[20:])
        return np.concatenate(parts).astype(np.float32)

    stimulus = np.array([f"clip{k}" for k in range(len(run))])
    test = np.arange(len(run) - 120, len(run))
    stimulus[test[:shared]] = stimulus[:shared]
    samples = Samples(stimulus, np.tile(np.arange(n_rows) * 8.0, n_runs), np.full(len(run), 8.0), run, "stimulus")
    values = series(50, rho_responses)
    targets, drift = Targets.of_columns([f"t{k}" for k in range(50)]), np.zeros((len(run), 0), np.float32)
    responses = Responses(values, samples, targets, samples, drift, "01", "video", 2.0)
    space = FeatureSpace("a", series(6, rho_features), samples, tuple("abcdef"))
    return responses, [space], np.arange(len(run) - 120), test


def test_white_features_or_white_noise_are_independent_enough():
    for rho in ((0.0, 0.6), (0.6, 0.0)):
        check_independence(*fixed_split(*rho))


def test_autocorrelated_features_and_noise_are_refused():
    with pytest.raises(
        DataError, match=r"neighbours correlate: features 'a' with 0\.\d+, .* the variance of r is \d\.\d times"
    ):
        check_independence(*fixed_split(0.6, 0.5))


def test_held_out_stimuli_that_were_trained_on_are_refused_unless_few():
    check_independence(*fixed_split(0.0, 0.0, shared=6))
    with pytest.raises(DataError, match="20 of 120 held-out samples of sub-01 show stimuli that were trained on"):
        check_independence(*fixed_split(0.0, 0.0, shared=20))


def test_nominal_rates_where_noise_is_allowed():
    rng = np.random.default_rng(1)
    X, w = rng.standard_normal((100, 5)), rng.standard_normal((5, 4000))
    y, p = rng.standard_normal((100, 4000)), X @ w
    r = (y - y.mean(0)) / y.std(0) * ((p - p.mean(0)) / p.std(0))
    assert np.mean(noise_probability(r.mean(0), np.array([100]), pooled=True) <= 0.05) == pytest.approx(0.05, abs=0.01)
