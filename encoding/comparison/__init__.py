"""COMPARE: held-out predictions, and similarities, to scores of targets, regions, networks and subjects."""

from .evaluate import band_scores, evaluate, fold_correlations
from .group import summarise_differences, summarise_regions, winners
from .regions import compare_regions, parcels, score_regions
from .rsa import RsaResult, compare_similarity
from .rsa_settings import Rsa
from .settings import Comparison

__all__ = [
    "Comparison",
    "Rsa",
    "RsaResult",
    "band_scores",
    "compare_regions",
    "compare_similarity",
    "evaluate",
    "fold_correlations",
    "parcels",
    "score_regions",
    "summarise_differences",
    "summarise_regions",
    "winners",
]
