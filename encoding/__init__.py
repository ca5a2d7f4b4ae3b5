"""Fit fMRI encoding models, compare feature spaces, map them on the brain.

The stages, in order, each a subpackage that knows none of the others:

``embedding``   feature spaces of the stimuli
``loading``     BIDS and fMRIPrep files to responses, features to the clock of the responses
``fitting``     cross-validated ridge and banded ridge
``comparison``  scores of models, bands, regions and networks
``mapping``     brain maps and the report

`encoding.pipeline` runs them one after the other: the file to read first. `cross_validate`, `variance_partition`,
`permutation_test`, `noise_ceiling`, `rsa` and `draw_map` do the same with plain arrays, without files; `plot_files` and
`plot_results` draw figures of map files and of results.
"""

from typing import TYPE_CHECKING

from .core import (
    Atlas,
    EncodingError,
    FeatureSpace,
    Grid,
    Judgments,
    PairRatings,
    Predictions,
    Responses,
    Samples,
    Scores,
    StimulusSet,
    Targets,
    Weights,
)
from .core.lazy import lazy_names as _lazy_names
from .io.store import load, save

if TYPE_CHECKING:
    from .fitting.estimators import BandedRidgeCV, RidgeCV
    from .fitting.models import BandedRidge, Ridge
    from .mapping.own_image import draw_map
    from .mapping.panel import plot_results
    from .mapping.plotting import plot_files
    from .workflow.from_arrays import (
        CrossValidation,
        cross_validate,
        noise_ceiling,
        permutation_test,
        rsa,
        variance_partition,
    )
else:
    __getattr__ = _lazy_names(__name__)

__version__ = "0.1.0"

__all__ = [
    "Atlas",
    "BandedRidge",
    "BandedRidgeCV",
    "CrossValidation",
    "EncodingError",
    "FeatureSpace",
    "Grid",
    "Judgments",
    "PairRatings",
    "Predictions",
    "Responses",
    "Ridge",
    "RidgeCV",
    "Samples",
    "Scores",
    "StimulusSet",
    "Targets",
    "Weights",
    "cross_validate",
    "draw_map",
    "load",
    "noise_ceiling",
    "permutation_test",
    "plot_files",
    "plot_results",
    "rsa",
    "save",
    "variance_partition",
]
