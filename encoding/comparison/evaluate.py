"""Held-out predictions to scores per target."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..core import AlignmentError, Predictions, Provenance, ScoreRow, Scores, versions
from ..numerics import metrics

STEP = "evaluate/1"


def evaluate(predictions: Sequence[Predictions], metric: str = "r") -> Scores:
    """Score every model (or every band of every model) on held-out samples.

    Parameters
    ----------
    predictions : sequence of Predictions
        Models of one subject on the same targets.
    metric : {"r", "pooled_r", "r2", "split_r2", "partition_r2"}
        See `Scores`. "split_r2" has one row per band of each model with more than one, "partition_r2" one per set of
        bands of each model of which a model of every subset is there too.

    Returns
    -------
    Scores
        One row per model, in the given order, or one per band.

    Raises
    ------
    AlignmentError
        If the predictions belong to different subjects, targets or held-out samples.
    DataError
        If the metric is unknown.

    Examples
    --------
    >>> from encoding.comparison import evaluate
    >>> evaluate(fitted.predictions, "r2")
    Scores(r2, sub-01, rows mllm, category, joint, 1092 targets)
    """
    first = _check_alike(predictions)
    rows: list[ScoreRow] = []
    values: list[np.ndarray] = []
    for prediction in predictions:
        if metric == "split_r2":
            if len(prediction.bands) > 1:
                rows += [ScoreRow(prediction.model, band) for band in prediction.bands]
                values += list(band_scores(prediction))
        elif metric == "partition_r2":
            parts = partition(prediction, predictions)
            rows += [ScoreRow(prediction.model, name) for name in parts]
            values += list(parts.values())
        else:
            rows.append(ScoreRow(prediction.model))
            values.append(model_scores(prediction, metric))
    config = {"metric": metric, "models": [prediction.model for prediction in predictions]}
    inputs = {f"predictions {prediction.model}": prediction.provenance.key for prediction in predictions}
    table = np.stack(values) if values else np.empty((0, len(first.targets)))
    provenance = Provenance(STEP, config, inputs, first.provenance.seed, versions())
    return Scores(metric, tuple(rows), table, first.targets, first.subject, provenance)


def model_scores(prediction: Predictions, metric: str) -> np.ndarray:
    """Score one model.

    Returns (n_targets,).
    """
    m = prediction.moments
    if metric == "r2":
        return metrics.r2(m.yy, m.pp, m.yp)
    average = metrics.pooled_r if metric == "pooled_r" else metrics.fold_averaged_r
    return average(m.n, m.y, m.p, m.yy, m.pp, m.yp)


def band_scores(prediction: Predictions) -> np.ndarray:
    """Divide the R2 of a model among its bands by the product measure.

    Parameters
    ----------
    prediction : Predictions
        Held-out predictions.

    Returns
    -------
    ndarray, shape (n_bands, n_targets)
        Parts that sum to the R2 of the model.

    Examples
    --------
    >>> from encoding.comparison import band_scores
    >>> band_scores(fitted.predictions[2]).shape
    (2, 1092)
    """
    m = prediction.moments
    return metrics.split_r2(m.yy, m.y_band, m.p_band)


def partition(prediction: Predictions, others: Sequence[Predictions]) -> dict[str, np.ndarray]:
    """Divide the R2 of a joint model into what each set of bands has for itself.

    The part of a set T of bands is what these share with each other and with no other band. With R2(S) the score of a
    model of the bands in S, and U all bands,

        part(T) = sum over S within T of (-1)^(|S| + 1) R2((U without T) joined with S)

    (commonality analysis: Mood 1971; Seibold & McPhee 1979). The part of a single band is its unique variance. Held-out
    scores are estimates, so that parts can be negative: where a model of fewer bands predicts better, or where bands
    mask each other.

    Returns (n_targets,).
    """
    bands = prediction.bands
    models = {frozenset(other.bands): other for other in others} | {frozenset(bands): prediction}
    sets = [frozenset(chosen) for size in range(1, len(bands) + 1) for chosen in combinations(bands, size)]
    if len(bands) < 2 or any(chosen not in models for chosen in sets):
        return {}
    r2 = {chosen: model_scores(models[chosen], "r2") for chosen in sets}
    r2[frozenset()] = np.where(np.isfinite(r2[sets[-1]]), 0.0, np.nan)
    whole, parts = frozenset(bands), {}
    for chosen in sets:
        terms = [
            (-1.0) ** (size + 1) * r2[(whole - chosen) | frozenset(within)]
            for size in range(len(chosen) + 1)
            for within in combinations(chosen, size)
        ]
        parts["+".join(band for band in bands if band in chosen)] = np.sum(terms, axis=0)
    return parts


def fold_correlations(prediction: Predictions) -> np.ndarray:
    """Score one model in each outer fold.

    Parameters
    ----------
    prediction : Predictions
        Held-out predictions.

    Returns
    -------
    ndarray, shape (n_folds, n_targets)
        Pearson correlations.

    Examples
    --------
    >>> from encoding.comparison import fold_correlations
    >>> fold_correlations(fitted.predictions[0]).shape
    (4, 1092)
    """
    m = prediction.moments
    return metrics.correlation(m.n[:, None], m.y, m.p, m.yy, m.pp, m.yp)


def _check_alike(predictions: Sequence[Predictions]) -> Predictions:
    if not predictions:
        raise AlignmentError("There are no predictions to evaluate; name at least one model in [[fit]].")
    first = predictions[0]
    for other in predictions[1:]:
        if other.subject != first.subject or not other.targets.same_as(first.targets):
            raise AlignmentError(
                f"Models {first.model!r} (sub-{first.subject}, {first.targets!r}) and {other.model!r} "
                f"(sub-{other.subject}, {other.targets!r}) cannot be compared: subject and targets must agree."
            )
        if not other.samples.same_as(first.samples) or not np.array_equal(other.fold, first.fold):
            raise AlignmentError(
                f"Models {first.model!r} ({len(first.samples)} held-out samples in {len(first.moments.n)} folds) and "
                f"{other.model!r} ({len(other.samples)} in {len(other.moments.n)}) of sub-{first.subject} cannot be "
                f"compared: they must be fitted with the same folds."
            )
    return first
