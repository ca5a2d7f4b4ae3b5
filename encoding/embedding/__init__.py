"""Feature spaces of the stimuli: tables that are there already, and dimensions learned from odd-one-out judgments."""

from .consensus import Consensus, agree, fit_consensus
from .evaluation import evaluate, slot_preference
from .from_judgments import JudgmentTable, learn
from .motion import MotionEnergy, measure_motion
from .simulated import simulate_judgments
from .sparse import SparseEmbedding
from .tables import ConcatTable, FeatureTable, concatenate, embed

# What `kind` in a [[features]] table of the configuration can be.
EMBEDDERS = {
    "table": FeatureTable,
    "judgments": JudgmentTable,
    "concat": ConcatTable,
    "motion_energy": MotionEnergy,
}

__all__ = [
    "EMBEDDERS",
    "ConcatTable",
    "Consensus",
    "FeatureTable",
    "JudgmentTable",
    "MotionEnergy",
    "SparseEmbedding",
    "agree",
    "concatenate",
    "embed",
    "evaluate",
    "fit_consensus",
    "learn",
    "measure_motion",
    "simulate_judgments",
    "slot_preference",
]
