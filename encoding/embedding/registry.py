"""The kinds of feature sources: those that are built in, and those of installed packages."""

from ..core.plugins import Registry
from .from_judgments import JudgmentTable
from .motion import MotionEnergy
from .series import SeriesTable
from .sources import FeatureSource
from .tables import ConcatTable, FeatureTable
from .vision import LowLevelVision

# What `kind` in a [[features]] table of the configuration can be.
SOURCES: Registry[type[FeatureSource]] = Registry(
    "encoding.sources",
    {
        "table": FeatureTable,
        "series": SeriesTable,
        "judgments": JudgmentTable,
        "concat": ConcatTable,
        "motion_energy": MotionEnergy,
        "low_level_vision": LowLevelVision,
    },
    needs=("make_space", "needs", "slow"),
)
