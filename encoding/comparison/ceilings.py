"""How much of a response any model could predict, and scores as a share of that."""

from dataclasses import dataclass

import numpy as np

from ..core import Predictions, Responses, ScoreRow, Scores
from ..io.arrays import take_columns
from ..numerics.ceilings import repeat_reliability

FLOOR = 0.1  # lower limit of the reliability above which a ceiling divides scores
COLUMNS = 2048


@dataclass(frozen=True, eq=False, slots=True)
class Ceiling:
    """Noise ceiling of every target.

    Attributes
    ----------
    r : ndarray of float64, shape (n_targets,)
        Largest correlation that a model can reach; NaN where the reliability is not certainly above `FLOOR`.
    reliability, low, high : ndarray of float64, shape (n_targets,)
        Largest R2, with its 95% interval; not truncated.
    n_stimuli : int
        Stimuli that were shown in several runs.
    n_averaged : float
        Occasions over which the tested responses are averaged.
    why_not : str
        Why there is no ceiling; all values are NaN then.

    Examples
    --------
    >>> from encoding.comparison import noise_ceiling
    >>> noise_ceiling(loaded.responses).why_not
    'because 2 stimuli were shown more than once; 10 are needed'
    """

    r: np.ndarray
    reliability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n_stimuli: int
    n_averaged: float
    why_not: str = ""


def noise_ceiling(responses: Responses, *, n_averaged: float = 1.0) -> Ceiling:
    """Estimate noise ceilings from stimuli that were shown in several runs.

    Parameters
    ----------
    responses : Responses
        One row per presentation. Of a stimulus that was shown several times in one run the first showing counts:
        presentations of one run share noise.
    n_averaged : float
        Occasions over which the responses that models are tested on are averaged.

    Returns
    -------
    Ceiling
        Without values, and with the reason, where stimuli were shown once or rows are volumes.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> from encoding.comparison import noise_ceiling
    >>> rng = np.random.default_rng(0)
    >>> clips = np.tile([f"clip{k}" for k in range(50)], 4)  # 50 stimuli in each of four runs
    >>> run = np.repeat(["1", "2", "3", "4"], 50)
    >>> samples = encoding.Samples(clips, np.arange(200.0), np.ones(200), run, "stimulus")
    >>> signal = np.tile(rng.standard_normal(50), 4)
    >>> noise = rng.standard_normal((200, 2))
    >>> values = noise + np.column_stack([signal, np.zeros(200)])  # nothing but noise in the second target
    >>> targets = encoding.Targets.of_columns(["V1", "nothing"])
    >>> responses = encoding.Responses(values, samples, targets, samples, np.zeros((200, 0)), "01", "video", 2.0)
    >>> noise_ceiling(responses).r.round(1)  # planted: 0.7, the root of one half
    array([0.7, nan])
    """
    nothing = np.full(len(responses.targets), np.nan)
    if responses.samples.clock != "stimulus":
        why = "because samples are volumes, whose noise is not independent"
        return Ceiling(nothing, nothing, nothing, nothing, 0, n_averaged, why)
    samples = responses.samples
    pairs = np.char.add(np.char.add(samples.run, "\t"), samples.stimulus)
    rows = np.sort(np.unique(pairs, return_index=True)[1])
    _, counts = np.unique(samples.stimulus[rows], return_counts=True)
    columns = np.flatnonzero(responses.usable)
    parts = []
    try:
        for at in range(0, len(columns), COLUMNS):
            values = take_columns(responses.values, columns[at : at + COLUMNS], rows)
            parts.append(repeat_reliability(values, samples.stimulus[rows], averaged=n_averaged))
    except ValueError as error:
        return Ceiling(nothing, nothing, nothing, nothing, int((counts > 1).sum()), n_averaged, f"because {error}")
    whole = {name: nothing.copy() for name in ("value", "low", "high")}
    for name, values in whole.items():
        if parts:
            values[columns] = np.concatenate([getattr(part, name) for part in parts])
    certain = whole["low"] > FLOOR
    r = np.sqrt(np.where(certain, np.clip(whole["value"], 0, None), np.nan))
    return Ceiling(r, whole["value"], whole["low"], whole["high"], int((counts > 1).sum()), n_averaged)


def occasions_averaged(predictions: Predictions, n_rows_tested: int) -> float:
    """Compute the mean number of presentations averaged in a tested sample.

    Parameters
    ----------
    predictions : Predictions
        Held-out predictions of one model.
    n_rows_tested : int
        Rows that the folds test.

    Returns
    -------
    float
        Rows per tested sample.

    Examples
    --------
    >>> from encoding.comparison import occasions_averaged
    >>> occasions_averaged(fitted.predictions[0], 38)
    1.0
    """
    return n_rows_tested / max(int(predictions.moments.n.sum()), 1)


def over_ceiling(scores: Scores, ceiling: Ceiling) -> dict[str, Scores]:
    """Divide correlations by the noise ceiling.

    Parameters
    ----------
    scores : Scores
        Correlations, "r" or "pooled_r".
    ceiling : Ceiling
        Of the same targets.

    Returns
    -------
    dict of str to Scores
        "ceiling" and "over_ceiling"; the latter exceeds 1 where both are uncertain, and is not cut. Empty without one.

    Examples
    --------
    >>> from encoding.comparison import noise_ceiling, over_ceiling
    >>> over_ceiling(result.scores["r"], noise_ceiling(loaded.responses))
    {}
    """
    if ceiling.why_not:
        return {}
    values = scores.values / np.where(ceiling.r > 0, ceiling.r, np.nan)
    of_r = Scores("ceiling", (ScoreRow("ceiling"),), ceiling.r[None].astype(np.float32), scores.targets, scores.subject)
    return {
        "ceiling": of_r,
        "over_ceiling": Scores("over_ceiling", scores.rows, values.astype(np.float32), scores.targets, scores.subject),
    }
