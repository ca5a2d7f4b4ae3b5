"""MAP: scores to brain maps and reports."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .derivative import drawing_key, is_drawn, note_drawn, prepare_derivative
    from .figures import Canvas, canvas_of
    from .maps import write_maps
    from .meshes import Surfaces, find_surfaces
    from .panel import plot_results
    from .parcels import Region, read_parcels, write_parcels
    from .plotting import plot_files
    from .report import write_report
    from .results import (
        INFERENCE,
        MEANING,
        METRICS,
        RSA,
        Result,
        TargetTests,
        finished_result,
        named_winner,
        read_result,
        require_same_settings,
        write_background,
        write_result,
    )
    from .rsa_maps import spaces_as_models, write_rsa_maps
    from .settings import BDATA, SEGMENTATIONS, Maps, choose_atlases
    from .sharing import Scrubber, new_labels, require_clean
    from .sidecars import group_facts, map_facts, units_of
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
    "MEANING",
    "METRICS",
    "RSA",
    "SEGMENTATIONS",
    "Canvas",
    "CeilingSummary",
    "ControlSummary",
    "ControlsSummary",
    "DiscoverySummary",
    "Maps",
    "ModelSummary",
    "Region",
    "Result",
    "RsaSummary",
    "Scrubber",
    "SolverSummary",
    "Summary",
    "Surfaces",
    "TargetTests",
    "canvas_of",
    "choose_atlases",
    "drawing_key",
    "find_surfaces",
    "finished_result",
    "group_facts",
    "is_drawn",
    "joined_claims",
    "judge_regions",
    "map_facts",
    "named_winner",
    "new_labels",
    "note_drawn",
    "plot_files",
    "plot_results",
    "prepare_derivative",
    "rank_spaces",
    "rates_of",
    "read_parcels",
    "read_result",
    "require_clean",
    "require_same_settings",
    "shaping_settings",
    "spaces_as_models",
    "units_of",
    "view",
    "write_background",
    "write_maps",
    "write_parcels",
    "write_report",
    "write_result",
    "write_rsa_maps",
]
