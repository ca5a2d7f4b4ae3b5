"""Held-out predictions to scores per target."""

from collections.abc import Sequence

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
    metric : {"r", "pooled_r", "r2", "split_r2"}
        See `Scores`. "split_r2" has one row per band of each model with more than one.

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
    """
    first = _check_alike(predictions)
    rows: list[ScoreRow] = []
    values: list[np.ndarray] = []
    for prediction in predictions:
        if metric == "split_r2":
            if len(prediction.bands) > 1:
                rows += [ScoreRow(prediction.model, band) for band in prediction.bands]
                values += list(band_scores(prediction))
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

    Parameters
    ----------
    prediction : Predictions
        Held-out predictions.
    metric : str
        "r", "pooled_r" or "r2"; anything else is refused by `Scores`.

    Returns
    -------
    ndarray, shape (n_targets,)
        The scores; NaN where a target was not fitted.
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
    """
    m = prediction.moments
    return metrics.split_r2(m.yy, m.y_band, m.p_band)


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
