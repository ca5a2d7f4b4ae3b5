"""Names of similarities, which settings share with the functions that compute them, without importing these."""

SIMILARITIES = ("choice_probability", "dot", "cosine", "correlation")  # of stimuli
BRAIN = ("correlation", "euclidean", "crossnobis")  # of responses
NOISE = ("none", "shrunk", "diagonal")  # covariances of noise that crossnobis distances are in units of
COMPARISONS = ("pearson", "spearman")  # of two similarities
