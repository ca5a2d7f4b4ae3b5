"""Average the presentations of one triplet, and pool judges."""

import numpy as np

from ..core import DataError, Judgments
from ..numerics.triplet_ranks import rank_triplets


def average_orders(judgments: Judgments) -> Judgments:
    """Average all presentations of a triplet, so that a preference for a slot cancels out.

    Where every item has stood in every slot equally often (``order = "cyclic"`` or "all"), whatever a judge adds to
    a slot is added to all three items alike.

    Parameters
    ----------
    judgments : Judgments
        Valid answers count; each triplet must be of one split.

    Returns
    -------
    Judgments
        One row per annotator and triplet, items in ascending order; probabilities are means over presentations (of 0
        and 1 where only choices are known), the choice is the most probable item. Triplets of which two items share
        the first place are unparsed. The weight is the number of presentations.

    Examples
    --------
    >>> from encoding.collection import average_orders
    >>> average_orders(judgments), len(judgments.items)
    (Judgments(300 about 38 stimuli, 300 valid), 320)
    """
    rows = np.flatnonzero(judgments.choice >= 0)
    items, choice = judgments.items[rows], judgments.choice[rows]
    soft = judgments.probabilities[rows]
    known = np.isfinite(soft).all(axis=1, keepdims=True)
    by_slot = np.where(known, soft, np.eye(3)[choice])
    order = np.argsort(items, axis=1)
    by_item = np.take_along_axis(by_slot, order, axis=1)
    names, judge = np.unique(judgments.annotator[rows], return_inverse=True)
    key = np.stack((judge, rank_triplets(items)), axis=1)
    _, first, place = np.unique(key, axis=0, return_index=True, return_inverse=True)
    n = np.bincount(place)
    mean = np.stack([np.bincount(place, weights=by_item[:, k]) for k in range(3)], axis=1) / n[:, None]
    ranked = np.sort(mean, axis=1)
    tied = ranked[:, 2] - ranked[:, 1] < 1e-9
    return Judgments(
        judgments.stimuli, np.sort(items[first], axis=1), np.where(tied, -1, mean.argmax(axis=1)), mean,
        np.where(tied, "unparsed", "valid"), n.astype(np.float32), np.zeros(len(n), dtype=np.int32),
        judgments.split[rows][first], names[judge[first]], judgments.provenance,
    )  # fmt: skip


def pool(judgments: Judgments, *, steps: int = 50) -> tuple[Judgments, dict[str, float]]:
    """Pool several judges, weighted by their reliability.

    A judge names the right item with a probability of its own, and each of the others with half of what is left. How
    reliable judges are is found from how they agree, and what is right from who says so, in turns.

    Parameters
    ----------
    judgments : Judgments
        Valid answers of two or more annotators count; probabilities where they are known.
    steps : int, optional
        Turns.

    Returns
    -------
    pooled : Judgments
        One row per triplet, items in ascending order, with the probability of each to be the odd one.
    reliability : dict of str to float
        Probability of each judge to name the right item.

    Notes
    -----
    Dawid and Skene (1979), Maximum likelihood estimation of observer error-rates using the EM algorithm, with one
    parameter per judge.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from encoding.collection import pool
    >>> two = replace(judgments, annotator=np.array(["first", "second"] * 160))
    >>> pooled, weights = pool(two)
    >>> sorted(weights), pooled
    (['first', 'second'], Judgments(300 about 38 stimuli, 300 valid))
    """
    once = average_orders(judgments)
    names, judge = np.unique(once.annotator, return_inverse=True)
    if len(names) < 2:
        raise DataError(f"Judgments of {len(names)} annotator cannot be pooled; two or more are needed.")
    _, first, place = np.unique(rank_triplets(once.items), return_index=True, return_inverse=True)
    answer = once.probabilities.astype(np.float64)
    skill = np.full(len(names), 0.6)
    for _ in range(steps):
        gain = np.log(2 * skill / (1 - skill))[judge]
        score = np.stack([np.bincount(place, weights=answer[:, k] * gain) for k in range(3)], axis=1)
        right = np.exp(score - score.max(axis=1, keepdims=True))
        right /= right.sum(axis=1, keepdims=True)
        hit = (answer * right[place]).sum(axis=1)
        skill = np.bincount(judge, weights=hit) / np.bincount(judge)
        skill = np.clip(skill, 1 / 3 + 1e-6, 1 - 1e-3)
    ranked = np.sort(right, axis=1)
    tied = ranked[:, 2] - ranked[:, 1] < 1e-9
    n = len(first)
    pooled = Judgments(
        once.stimuli, once.items[first], np.where(tied, -1, right.argmax(axis=1)), right,
        np.where(tied, "unparsed", "valid"), np.bincount(place).astype(np.float32), np.zeros(n, dtype=np.int32),
        once.split[first], np.full(n, "pooled"), judgments.provenance,
    )  # fmt: skip
    return pooled, dict(zip(names.tolist(), skill.tolist(), strict=True))
