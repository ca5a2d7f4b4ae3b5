"""Names and limits that the settings of an embedding share with its estimators, without importing these."""

METHODS = ("map", "variational")
STARTS = ("random", "spectral")
TASKS = ("odd", "match", "rate")  # the odd one of three, which of two goes with a target, or how alike two are
RELIABLE = 0.8  # reproducibility from which a dimension counts as reliable
PRECISIONS = ("float32", "float64")
