"""Predictions to scores per target."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from encoding.comparison import band_scores, evaluate, fold_correlations
from encoding.core import AlignmentError, DataError, ScoreRow


@pytest.fixture
def drawn():
    rng = np.random.default_rng(0)
    bands = rng.standard_normal((2, 30, 4))
    return bands.sum(0) + rng.standard_normal((30, 4)), bands


def pearson(y, p):
    return np.array([stats.pearsonr(y[:, t], p[:, t]).statistic for t in range(y.shape[1])])


def test_scores_by_hand(make_predictions, drawn):
    y, bands = drawn
    joint, alone = make_predictions("joint", y, bands), make_predictions("alone", y, bands[:1])
    halves = slice(0, 15), slice(15, 30)
    for metric, score in {
        "r": lambda p: np.tanh(np.mean([np.arctanh(pearson(y[h], p[h])) for h in halves], axis=0)),
        "pooled_r": lambda p: pearson(y, p),
        "r2": lambda p: 1 - ((y - p) ** 2).sum(0) / (y**2).sum(0),
    }.items():
        scores = evaluate([joint, alone], metric)
        assert scores.rows == (ScoreRow("joint"), ScoreRow("alone"))
        assert (scores.metric, scores.subject) == (metric, "01")
        np.testing.assert_allclose(scores.row("joint"), score(bands.sum(0)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scores.row("alone"), score(bands[0]), rtol=1e-5, atol=1e-6)


def test_parts_of_r2_per_band(make_predictions, drawn):
    y, bands = drawn
    joint, alone = make_predictions("joint", y, bands), make_predictions("alone", y, bands[:1])
    scores = evaluate([alone, joint], "split_r2")
    assert scores.rows == (ScoreRow("joint", "joint0"), ScoreRow("joint", "joint1"))
    expected = (bands * (2 * y - bands.sum(0))).sum(1) / (y**2).sum(0)
    np.testing.assert_allclose(scores.values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(band_scores(joint).sum(0), evaluate([joint], "r2").values[0], rtol=1e-5, atol=1e-6)


def test_models_of_one_band_have_no_parts(make_predictions, drawn):
    y, bands = drawn
    scores = evaluate([make_predictions("alone", y, bands[:1])], "split_r2")
    assert scores.rows == ()
    assert scores.values.shape == (0, 4)


def test_correlation_of_every_fold(make_predictions, drawn):
    y, bands = drawn
    found = fold_correlations(make_predictions("joint", y, bands))
    np.testing.assert_allclose(found, [pearson(y[h], bands.sum(0)[h]) for h in (slice(0, 15), slice(15, 30))])


def test_target_without_responses_is_nan(make_predictions, drawn):
    y, bands = drawn
    y[:, 1] = np.nan
    for metric in ("r", "pooled_r", "r2"):
        values = evaluate([make_predictions("joint", y, bands)], metric).values[0]
        np.testing.assert_array_equal(np.isnan(values), [False, True, False, False])


def test_provenance_follows_the_predictions(make_predictions, drawn):
    y, bands = drawn
    one, other = make_predictions("a", y, bands), make_predictions("b", y, bands)
    keys = {
        evaluate(models, metric).provenance.key for models in ([one], [other], [one, other]) for metric in ("r", "r2")
    }
    assert len(keys) == 6


def test_what_cannot_be_compared(make_predictions, drawn):
    y, bands = drawn
    one = make_predictions("a", y, bands)
    with pytest.raises(AlignmentError, match="no predictions to evaluate"):
        evaluate([])
    with pytest.raises(AlignmentError, match=r"'a' \(sub-01.*'b' \(sub-02.*subject and targets must agree"):
        evaluate([one, make_predictions("b", y, bands, subject="02")])
    with pytest.raises(AlignmentError, match=r"Targets\(4 .*Targets\(3 .*subject and targets must agree"):
        evaluate([one, make_predictions("b", y[:, :3], bands[:, :, :3])])
    with pytest.raises(AlignmentError, match=r"30 held-out samples in 2 folds\) and 'b' \(30 in 3\).*same folds"):
        evaluate([one, make_predictions("b", y, bands, fold=np.repeat([0, 1, 2], 10))])
    known = r"\('r', 'pooled_r', 'r2', 'split_r2', 'partition_r2', 'rsa', 'ceiling', 'over_ceiling'\)"
    with pytest.raises(DataError, match=rf"metric 'rr' is not one of {known}"):
        evaluate([one], "rr")
    with pytest.raises(DataError, match=r"a row is listed twice in \['a', 'a'\]"):
        evaluate([one, dataclasses.replace(one)])
