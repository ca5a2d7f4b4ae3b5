"""Names and limits that the settings of an embedding share with its estimators, without importing these."""

from collections.abc import Mapping
from typing import Any

METHODS = ("map", "variational")
STARTS = ("random", "spectral")
TASKS = ("odd", "match", "rate")  # the odd one of three, which of two goes with a target, or how alike two are
RELIABLE = 0.8  # reproducibility from which a dimension counts as reliable
PRECISIONS = ("float32", "float64")
KEYS = {"category": "categories", "dimension": "dimensions"}  # kinds of ratings, and the settings that name them
# Settings of the page alone: the fit and the feature space do not follow from them.
SHOWN = ("categories", "dimensions", "frames", "learning_curve", "learning_shares", "n_permutations", "n_bootstrap")


def unused_settings(given: Mapping[str, Any]) -> set[str]:
    """Name the settings of a `JudgmentTable` that make no difference to the feature space beside the others."""
    names = {*SHOWN}
    if given["ratings"] is None:
        names |= {"n_judgments", "temperature", "similarity", "soft", "n_repeats"}
    elif given["test"] is None:  # no file is read
        names |= {"annotator", "odd", "count_from", "stimuli"}
    if given["test"] is not None:
        names.add("test_share")
    if len(given["seeds"]) == 1:
        names |= {"halves", "resamples", "threshold"}
    if given["method"] == "map":
        names |= {"spike", "slab", "share"}
    return names
