"""COMPARE: held-out predictions, and similarities, to scores of targets, regions, networks and subjects."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .ceilings import Ceiling, noise_ceiling, occasions_averaged, over_ceiling
    from .claims import (
        beyond_table,
        chance_table,
        difference_table,
        fit_differences,
        unique_of_fits,
        unique_table,
        verdict_table,
    )
    from .evaluate import band_scores, evaluate, fold_correlations
    from .exchange import units_of
    from .group import check_differences, confidence_of, join_confidence, summarise_differences, summarise_regions
    from .group_claims import Prevalence, group_claims, group_verdicts, prevalence, sign_flip_p
    from .inference import infer_spaces
    from .naming import name_best
    from .regions import add_confidence, compare_regions, parcels, score_regions
    from .rsa import RsaResult, compare_similarity
    from .rsa_inference import infer_similarity
    from .settings import Comparison, Rsa
    from .significance import check_independence, count_discoveries, discoveries
    from .space_tests import Inference, Presented, Resources, SpaceTests, read_tests
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "Ceiling",
    "Comparison",
    "Inference",
    "Presented",
    "Prevalence",
    "Resources",
    "Rsa",
    "RsaResult",
    "SpaceTests",
    "add_confidence",
    "band_scores",
    "beyond_table",
    "chance_table",
    "check_differences",
    "check_independence",
    "compare_regions",
    "compare_similarity",
    "confidence_of",
    "count_discoveries",
    "difference_table",
    "discoveries",
    "evaluate",
    "fit_differences",
    "fold_correlations",
    "group_claims",
    "group_verdicts",
    "infer_similarity",
    "infer_spaces",
    "join_confidence",
    "name_best",
    "noise_ceiling",
    "occasions_averaged",
    "over_ceiling",
    "parcels",
    "prevalence",
    "read_tests",
    "score_regions",
    "sign_flip_p",
    "summarise_differences",
    "summarise_regions",
    "unique_of_fits",
    "unique_table",
    "units_of",
    "verdict_table",
]
