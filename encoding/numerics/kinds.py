"""Names of similarities, which settings share with the functions that compute them, without importing these."""

SIMILARITIES = ("choice_probability", "dot", "cosine", "correlation")  # of stimuli
BRAIN = ("correlation", "euclidean")  # of responses
COMPARISONS = ("pearson", "spearman")  # of two similarities
