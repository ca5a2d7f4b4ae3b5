"""Feature spaces of the stimuli: tables that are there already, and dimensions learned from judgments."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .consensus import Consensus, agree, fit_consensus
    from .evaluation import evaluate, slot_preference
    from .from_judgments import JudgmentTable, learn
    from .learning import learning_curve
    from .motion import MotionEnergy, measure_motion
    from .rated_scores import evaluate_ratings
    from .registry import SOURCES
    from .series import SeriesTable
    from .simulated import simulate_judgments
    from .sources import FeatureSource, SourceContext, in_order
    from .sparse import SparseEmbedding
    from .structure import compare_embeddings, explain, measure_blend, predict_ratings
    from .tables import ConcatTable, FeatureTable, concatenate, embed
    from .vision import LowLevelVision, measure_vision
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "SOURCES",
    "ConcatTable",
    "Consensus",
    "FeatureSource",
    "FeatureTable",
    "JudgmentTable",
    "LowLevelVision",
    "MotionEnergy",
    "SeriesTable",
    "SourceContext",
    "SparseEmbedding",
    "agree",
    "compare_embeddings",
    "concatenate",
    "embed",
    "evaluate",
    "evaluate_ratings",
    "explain",
    "fit_consensus",
    "in_order",
    "learn",
    "learning_curve",
    "measure_blend",
    "measure_motion",
    "measure_vision",
    "predict_ratings",
    "simulate_judgments",
    "slot_preference",
]
