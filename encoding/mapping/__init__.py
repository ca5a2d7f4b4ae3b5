"""MAP: scores to brain maps and reports."""

from .atlases import choose_atlases
from .derivative import prepare_derivative
from .report import write_report
from .results import FACTS, METRICS, Result, read_result, winner_of, write_maps, write_result
from .settings import Maps

__all__ = [
    "FACTS",
    "METRICS",
    "Maps",
    "Result",
    "choose_atlases",
    "prepare_derivative",
    "read_result",
    "winner_of",
    "write_maps",
    "write_report",
    "write_result",
]
