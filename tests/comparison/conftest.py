"""Predictions made from explicit responses and predictions, without a fit."""

import numpy as np
import pytest

from encoding.core import Atlas, FoldMoments, Predictions, RoiSet, Samples, Targets
from encoding.numerics.metrics import fold_sums


def predict(name, y, bands, *, fold=None, subject="01", band_names=None):
    """Pack responses of shape (rows, targets) and band predictions of shape (bands, rows, targets) as a model."""
    n_bands, n_rows, n_targets = bands.shape
    fold = np.repeat([0, 1], [n_rows // 2, n_rows - n_rows // 2]) if fold is None else fold
    folds = np.unique(fold)
    sums = [fold_sums(y[fold == k], bands[:, fold == k]) for k in folds]
    moments = FoldMoments(n=np.bincount(fold), **{name: np.stack([part[name] for part in sums]) for name in sums[0]})
    run = np.array([f"run-{k}" for k in fold])
    samples = Samples(np.arange(n_rows).astype(str), np.arange(n_rows) * 2.0, np.full(n_rows, 2.0), run, "stimulus")
    names = band_names or tuple(f"{name}{b}" for b in range(n_bands)) if n_bands > 1 else (name,)
    targets = Targets.of_columns([f"t{k}" for k in range(n_targets)])
    chosen = (np.ones((len(folds), n_targets)), np.ones(1), np.full((len(folds), n_bands, n_targets), 1 / n_bands))
    return Predictions(name, names, subject, samples, targets, fold, moments, *chosen)


@pytest.fixture
def make_predictions():
    """Return the function that packs predictions."""
    return predict


@pytest.fixture
def atlas():
    """Six targets: two regions of one network, one in each hemisphere, and one region of another; the last is none."""
    targets = Targets.of_columns([f"t{k}" for k in range(6)])
    return Atlas(
        "toy", np.array([3, 3, 7, 7, 9, 0]), targets, np.array([3, 7, 9, 11]),
        ("LH_Insula", "RH_Insula", "LH_Visual", "RH_Visual"), ("L", "R", "L", "R"), ("Salience", "Salience", "Vis", ""),
        ("#000000",) * 4,
        roi_sets=(
            RoiSet("emotion", "insula", ("LH_Insula", "RH_Insula")),
            RoiSet("emotion", "right visual", ("RH_Visual",)),
            RoiSet("sight", "visual", ("LH_Visual", "RH_Visual")),
        ),
    )  # fmt: skip
