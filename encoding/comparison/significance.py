"""Which targets a model predicts better than independent noise would."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import DataError, FeatureSpace, Responses, Scores
from ..io.arrays import take_columns
from ..numerics.autocorrelation import lag_one, variance_inflation
from ..numerics.significance import discovery_rates, noise_probability

INSTEAD = 'Set [compare] significance = "none"; spaces are tested by exchanging whole runs in any case.'
MOST_INFLATION = 1.1  # of the variance of r: p of .010 is then .013
MOST_SHARED = 0.05  # of the held-out rows
COLUMNS = 2048


def discoveries(scores: Scores, n: np.ndarray) -> np.ndarray:
    """Compute the false discovery rate of every score on a fixed test set, model by model.

    Parameters
    ----------
    scores : Scores
        Correlations, "r" or "pooled_r".
    n : ndarray of int, shape (1,)
        Held-out samples.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_targets)
        Rates over the usable targets of each model, one-sided; samples are taken as independent, see
        `check_independence`.

    Raises
    ------
    DataError
        If the scores are no correlations, or there is not one fold of four samples or more.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> from encoding.comparison import discoveries
    >>> rng = np.random.default_rng(0)
    >>> X, run = rng.standard_normal((120, 2)), np.repeat(range(4), 30)
    >>> Y = X @ [[1.0, 0.0], [1.0, 0.0]] + rng.standard_normal((120, 2))  # the second target is noise
    >>> fixed = encoding.cross_validate(X, Y, run, cv=[(np.flatnonzero(run < 3), np.flatnonzero(run == 3))])
    >>> discoveries(fixed.scores(), np.array([30])) < 0.01
    array([[ True, False]])
    """
    if scores.metric not in ("r", "pooled_r"):
        raise DataError(f'Significance against noise needs correlations ("r" or "pooled_r"), not {scores.metric!r}.')
    if len(n) != 1:
        raise DataError(
            f"Significance against noise is exact for one fixed test set, but there are {len(n)} outer folds, whose "
            f"training data overlap. {INSTEAD}"
        )
    if np.min(n) < 4:
        raise DataError(f"The test set has {np.min(n)} held-out samples; significance against noise needs 4 or more.")
    p = noise_probability(scores.values, n, pooled=scores.metric == "pooled_r")
    return np.stack([discovery_rates(row) for row in p])


def check_independence(
    responses: Responses, spaces: Sequence[FeatureSpace], train: np.ndarray, test: np.ndarray
) -> None:
    """Raise an error if held-out samples are not independent, so that they cannot be tested against noise.

    Parameters
    ----------
    responses : Responses
        One row per presentation.
    spaces : sequence of FeatureSpace
        Aligned features.
    train, test : ndarray of int
        Rows of the fixed split.

    Raises
    ------
    DataError
        If neighbouring held-out samples correlate in features and responses, or many held-out stimuli were trained on.

    Examples
    --------
    >>> from encoding.comparison import check_independence
    >>> fold = fitted.folds.folds[0]
    >>> try:
    ...     check_independence(loaded.responses, loaded.spaces, fold.train, fold.test)
    ... except encoding.EncodingError as error:
    ...     print(error)
    [compare] significance = "noise" takes held-out samples as independent, but neighbours correlate: ...
    """
    samples = responses.samples[test]
    shared = np.isin(samples.stimulus, responses.samples.stimulus[train])
    if shared.mean() > MOST_SHARED:
        raise DataError(
            f'[compare] significance = "noise": {shared.sum()} of {len(test)} held-out samples of '
            f"sub-{responses.subject} show stimuli that were trained on, which any features can recognise. {INSTEAD}"
        )
    columns = np.flatnonzero(responses.usable)
    parts = [
        lag_one(take_columns(responses.values, columns[at : at + COLUMNS], test), samples.run)
        for at in range(0, len(columns), COLUMNS)
    ]
    of_responses = np.concatenate(parts) if parts else np.zeros(0)
    for space in spaces:
        weight = space.values[test].var(0)
        rho = lag_one(space.values[test], samples.run)
        known = np.isfinite(rho)
        of_features = float(np.average(rho[known], weights=weight[known])) if weight[known].sum() > 0 else 0.0
        inflation = float(np.nanmean(variance_inflation(of_features, of_responses))) if of_responses.size else 1.0
        if inflation > MOST_INFLATION:
            raise DataError(
                f'[compare] significance = "noise" takes held-out samples as independent, but neighbours correlate: '
                f"features {space.name!r} with {of_features:.2f}, responses of sub-{responses.subject} with "
                f"{np.nanmean(of_responses):.2f} on average: the variance of r is {inflation:.1f} times what is "
                "assumed. "
                f"{INSTEAD}"
            )


def count_discoveries(scores: Scores, rates: np.ndarray, level: float) -> dict[str, dict[str, Any]]:
    """Count the targets of every model that are discoveries.

    Parameters
    ----------
    scores : Scores
        What was tested.
    rates : ndarray, shape (n_rows, n_targets)
        Of `discoveries`.
    level : float
        Accepted false discovery rate.

    Returns
    -------
    dict
        By model: ``n`` targets, their ``share`` of the usable ones, and the smallest score among them (``critical``;
        None without any).

    Examples
    --------
    >>> from encoding.comparison import count_discoveries
    >>> rates = np.full(result.scores["r"].values.shape, 0.5)
    >>> count_discoveries(result.scores["r"], rates, 0.05)["mllm"]["n"]
    0
    """
    found: dict[str, dict[str, Any]] = {}
    for row, values, q in zip(scores.rows, scores.values, rates, strict=True):
        inside = q <= level
        usable = max(int(np.isfinite(q).sum()), 1)
        critical = float(values[inside].min()) if inside.any() else None
        found[row.model] = {"n": int(inside.sum()), "share": float(inside.sum()) / usable, "critical": critical}
    return found
