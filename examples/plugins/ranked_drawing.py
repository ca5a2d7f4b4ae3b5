"""A drawing: scores of one model over targets, in ascending order. A function of arrays that returns a figure."""

import numpy as np
from matplotlib.figure import Figure

from encoding.core import DataError


def draw_ranked(scores: np.ndarray, *, label: str) -> Figure:
    """Draw sorted scores; the vertical axis, from the smallest to the largest score, is the scale."""
    finite = np.sort(scores[np.isfinite(scores)])
    if not len(finite):
        raise DataError(f"Ranked scores: none of {scores.size} targets has a finite score.")
    figure = Figure(figsize=(4, 3))
    axes = figure.add_subplot(xlabel="targets, sorted", ylabel=label)
    axes.plot(np.arange(1, len(finite) + 1) / len(finite), finite, color="black")
    axes.set_ylim(finite[0], max(finite[-1], finite[0] + 1e-6))
    return figure
