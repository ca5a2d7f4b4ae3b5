"""Data types that the stages exchange. No algorithm, no file format."""

from .atlas import Atlas, RoiSet
from .axes import Grid, Samples, Targets
from .errors import AlignmentError, ConfigError, DataError, EncodingError, SplitError, suggest
from .features import FeatureSpace, Placement
from .judgments import Judgments, PairRatings
from .plans import Plan
from .predictions import FoldMoments, Predictions
from .provenance import Provenance, digest, fingerprint, fingerprint_array, versions
from .responses import Exclusion, Responses
from .scores import ScoreRow, Scores
from .stimuli import StimulusSet
from .weights import Weights

__all__ = [
    "AlignmentError",
    "Atlas",
    "ConfigError",
    "DataError",
    "EncodingError",
    "Exclusion",
    "FeatureSpace",
    "FoldMoments",
    "Grid",
    "Judgments",
    "PairRatings",
    "Placement",
    "Plan",
    "Predictions",
    "Provenance",
    "Responses",
    "RoiSet",
    "Samples",
    "ScoreRow",
    "Scores",
    "SplitError",
    "StimulusSet",
    "Targets",
    "Weights",
    "digest",
    "fingerprint",
    "fingerprint_array",
    "suggest",
    "versions",
]
