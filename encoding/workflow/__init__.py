"""The steps of the pipeline, each for one study: subjects, feature spaces, scores, and the summary of a run."""
