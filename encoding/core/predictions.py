"""Held-out predictions of one model for one subject."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import own
from .axes import Samples, Targets
from .provenance import Provenance


@dataclass(frozen=True, eq=False, slots=True)
class FoldMoments:
    """Sums over the held-out samples of each outer fold, from which every score follows.

    Responses y and predictions p are taken about the mean of y over the *training* samples of the
    fold; p is the sum of the predictions p_b of the bands.

    Attributes
    ----------
    n : ndarray of int64, shape (n_folds,)
        Number of held-out samples.
    y, p : ndarray of float64, shape (n_folds, n_targets)
        Sums of y and of p.
    yy, pp, yp : ndarray of float64, shape (n_folds, n_targets)
        Sums of y * y, p * p, y * p.
    y_band, p_band : ndarray of float64, shape (n_folds, n_bands, n_targets)
        Sums of y * p_b and of p * p_b.
    """

    n: np.ndarray
    y: np.ndarray
    p: np.ndarray
    yy: np.ndarray
    pp: np.ndarray
    yp: np.ndarray
    y_band: np.ndarray
    p_band: np.ndarray

    def __post_init__(self) -> None:
        """Check shapes against each other."""
        folds, bands, targets = np.shape(self.y_band)
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("y", "p", "yy", "pp", "yp"), (folds, targets))
        shapes |= dict.fromkeys(("y_band", "p_band"), (folds, bands, targets))
        for name, shape in shapes.items():
            kept = own(getattr(self, name), owner="FoldMoments", name=name, shape=shape, dtype=np.float64)
            object.__setattr__(self, name, kept)
        n = own(self.n, owner="FoldMoments", name="n", shape=(folds,), dtype=np.int64)
        object.__setattr__(self, "n", n)


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """Predictions of a model for samples that it was not fitted to.

    Attributes
    ----------
    model : str
        Name of the model.
    bands : tuple of str
        Its feature spaces.
    subject : str
        Label without ``sub-``.
    samples : Samples
        The held-out rows, fold after fold; repeats of a test set are averaged into one row.
    targets : Targets
        The columns.
    fold : ndarray of int32, shape (n_samples,)
        Outer fold that held each row out.
    moments : FoldMoments
        Sums for scores; NaN for targets that were not fitted.
    alphas : ndarray of float64, shape (n_folds, n_targets)
        Chosen regularisation, as a multiple of trace(K) / n.
    alpha_grid : ndarray of float64, shape (n_alphas,)
        What it was chosen from.
    gammas : ndarray of float32, shape (n_folds, n_bands, n_targets)
        Chosen share of each band in the kernel; sums to one over bands.
    values : ndarray of float32, shape (n_bands, n_samples, n_targets), optional
        Prediction of each band about the training mean, when it was kept; usually a memory map.
    provenance : Provenance
        Settings and inputs.
    solver : mapping
        What computed it, why that was chosen, and how the search for hyper-parameters went.

    Raises
    ------
    AlignmentError
        If shapes and axes differ.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, run = rng.standard_normal((40, 2)), np.repeat(range(4), 10)
    >>> predictions = encoding.cross_validate({"mllm": X}, X @ [[1.0], [2.0]], run).predictions[0]
    >>> predictions.fold[::10]  # each run is predicted by the models that were fitted to the others
    array([0, 1, 2, 3], dtype=int32)
    """

    model: str
    bands: tuple[str, ...]
    subject: str
    samples: Samples
    targets: Targets
    fold: np.ndarray
    moments: FoldMoments
    alphas: np.ndarray
    alpha_grid: np.ndarray
    gammas: np.ndarray
    values: np.ndarray | None = None
    provenance: Provenance = field(default_factory=lambda: Provenance("predictions/1"))
    solver: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check values against axes."""
        owner = f"Predictions of model {self.model!r}"
        n, t, b, f = len(self.samples), len(self.targets), len(self.bands), len(self.moments.n)
        fields = (
            ("fold", np.int32, (n,)),
            ("alphas", np.float64, (f, t)),
            ("alpha_grid", np.float64, (None,)),
            ("gammas", np.float32, (f, b, t)),
        )
        for name, dtype, shape in fields:
            kept = own(getattr(self, name), owner=owner, name=name, shape=shape, dtype=dtype)
            object.__setattr__(self, name, kept)
        own(self.moments.y_band, owner=owner, name="moments.y_band", shape=(f, b, t))
        if self.values is not None:
            kept = own(self.values, owner=owner, name="values", shape=(b, n, t), dtype=np.float32)
            object.__setattr__(self, "values", kept)

    def __repr__(self) -> str:
        kept = "kept" if self.values is not None else "scored and dropped"
        return (
            f"Predictions({self.model!r}, sub-{self.subject}, bands {', '.join(self.bands)}, "
            f"{len(self.moments.n)} folds, {len(self.targets)} targets, values {kept})"
        )
