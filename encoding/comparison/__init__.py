"""COMPARE: held-out predictions, and similarities, to scores of targets, regions, networks and subjects."""

from .evaluate import band_scores, evaluate, fold_correlations
from .group import check_differences, summarise_differences, summarise_regions
from .regions import compare_regions, parcels, score_regions
from .rsa import RsaResult, compare_similarity
from .settings import Comparison, Rsa
from .significance import check_independence, count_discoveries, discoveries

__all__ = [
    "Comparison",
    "Rsa",
    "RsaResult",
    "band_scores",
    "check_differences",
    "check_independence",
    "compare_regions",
    "compare_similarity",
    "count_discoveries",
    "discoveries",
    "evaluate",
    "fold_correlations",
    "parcels",
    "score_regions",
    "summarise_differences",
    "summarise_regions",
]
