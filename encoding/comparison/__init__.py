"""COMPARE: held-out predictions to scores of targets, regions, networks and subjects."""

from .evaluate import band_scores, evaluate, fold_correlations
from .group import summarise_differences, summarise_regions, winners
from .regions import compare_regions, parcels, score_regions
from .settings import Comparison

__all__ = [
    "Comparison",
    "band_scores",
    "compare_regions",
    "evaluate",
    "fold_correlations",
    "parcels",
    "score_regions",
    "summarise_differences",
    "summarise_regions",
    "winners",
]
