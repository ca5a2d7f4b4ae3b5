"""MAP: scores to brain maps and reports."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .derivative import drawing_key, is_drawn, note_drawn, prepare_derivative
    from .labels import Labels, read_labels, write_labels
    from .report import write_report
    from .results import (
        INFERENCE,
        METRICS,
        RSA,
        Result,
        TargetTests,
        finished_result,
        read_result,
        require_same_settings,
        write_background,
        write_maps,
        write_result,
    )
    from .rsa_maps import spaces_as_models, write_rsa_maps
    from .settings import BDATA, SEGMENTATIONS, Maps, choose_atlases
    from .significance import rates_of
    from .summary import (
        FACTS,
        CeilingSummary,
        ControlsSummary,
        ControlSummary,
        DiscoverySummary,
        ModelSummary,
        RsaSummary,
        SolverSummary,
        Summary,
        shaping_settings,
    )
    from .verdicts import joined_claims, judge_regions, rank_spaces
    from .viewer import view
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "BDATA",
    "FACTS",
    "INFERENCE",
    "METRICS",
    "RSA",
    "SEGMENTATIONS",
    "CeilingSummary",
    "ControlSummary",
    "ControlsSummary",
    "DiscoverySummary",
    "Labels",
    "Maps",
    "ModelSummary",
    "Result",
    "RsaSummary",
    "SolverSummary",
    "Summary",
    "TargetTests",
    "choose_atlases",
    "drawing_key",
    "finished_result",
    "is_drawn",
    "joined_claims",
    "judge_regions",
    "note_drawn",
    "prepare_derivative",
    "rank_spaces",
    "rates_of",
    "read_labels",
    "read_result",
    "require_same_settings",
    "shaping_settings",
    "spaces_as_models",
    "view",
    "write_background",
    "write_labels",
    "write_maps",
    "write_report",
    "write_result",
    "write_rsa_maps",
]
