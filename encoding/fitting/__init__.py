"""FIT: aligned feature spaces and responses to held-out predictions."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .budget import Compute
    from .crossval import cross_predict, cross_predict_all
    from .device import choose_device
    from .estimators import BandedRidgeCV, RidgeCV
    from .folds import Fold, Folds
    from .models import MODELS, BandedRidge, EncodingModel, Ridge, models_of_subsets, one_model_each
    from .splits import Split, make_folds
    from .weights import fit_weights, intercept_of, predict_rows, predict_stimuli, tuning
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "MODELS",
    "BandedRidge",
    "BandedRidgeCV",
    "Compute",
    "EncodingModel",
    "Fold",
    "Folds",
    "Ridge",
    "RidgeCV",
    "Split",
    "choose_device",
    "cross_predict",
    "cross_predict_all",
    "fit_weights",
    "intercept_of",
    "make_folds",
    "models_of_subsets",
    "one_model_each",
    "predict_rows",
    "predict_stimuli",
    "tuning",
]
