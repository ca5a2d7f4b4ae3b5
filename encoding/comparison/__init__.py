"""COMPARE: held-out predictions, and similarities, to scores of targets, regions, networks and subjects."""

from .evaluate import band_scores, evaluate, fold_correlations
from .group import check_differences, rank_spaces, summarise_differences, summarise_regions
from .regions import compare_regions, parcels, score_regions
from .rsa import RsaResult, compare_similarity
from .settings import Comparison, Rsa
from .significance import count_discoveries, discoveries
from .verdicts import headline, judge_regions

__all__ = [
    "Comparison",
    "Rsa",
    "RsaResult",
    "band_scores",
    "check_differences",
    "compare_regions",
    "compare_similarity",
    "count_discoveries",
    "discoveries",
    "evaluate",
    "fold_correlations",
    "headline",
    "judge_regions",
    "parcels",
    "rank_spaces",
    "score_regions",
    "summarise_differences",
    "summarise_regions",
]
