"""Fit fMRI encoding models, compare feature spaces, map them on the brain.

The stages, in order, each a subpackage that knows none of the others:

``embedding``   feature spaces of the stimuli
``loading``     BIDS and fMRIPrep files to responses, features to the clock of the responses
``fitting``     cross-validated ridge and banded ridge
``comparison``  scores of models, bands, regions and networks
``mapping``     brain maps and the report

`encoding.pipeline` runs them one after the other: the file to read first.
"""

from .core import (
    Atlas,
    EncodingError,
    FeatureSpace,
    Judgments,
    Predictions,
    Responses,
    Samples,
    Scores,
    StimulusSet,
    Targets,
)
from .io.store import load, save

__version__ = "0.1.0"

__all__ = [
    "Atlas",
    "EncodingError",
    "FeatureSpace",
    "Judgments",
    "Predictions",
    "Responses",
    "Samples",
    "Scores",
    "StimulusSet",
    "Targets",
    "load",
    "save",
]
