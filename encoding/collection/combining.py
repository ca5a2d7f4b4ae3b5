"""Average the presentations of one triplet."""

import numpy as np

from ..core import Judgments
from ..numerics.triplet_ranks import rank_triplets


def average_orders(judgments: Judgments) -> Judgments:
    """Bring all presentations of a triplet together, so that a preference for a slot cancels out.

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
