"""Weights of a fitted model, from which responses to anything can be predicted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from .arrays import own
from .axes import Targets
from .errors import AlignmentError
from .provenance import Provenance

KEEP_WEIGHTS = ("no", "mean", "folds")


@dataclass(frozen=True, eq=False, slots=True)
class Weights:
    """Primal weights of one model for one subject, in the units of features and responses.

    With x the features of a row, a response is predicted as ``(x - offset) @ values.T + intercept``.

    Attributes
    ----------
    model : str
        Name of the model.
    spaces : tuple of str
        Its feature spaces.
    features : tuple of tuple of str
        Names of the features of every space; on the clock "tr" a name and its delay in volumes (``Fear@2``).
    subject : str
        Label without ``sub-``.
    targets : Targets
        The targets.
    clock : {"stimulus", "tr"}
        What a row of the fitted features was.
    kept : {"mean", "folds"}
        "folds": one set of weights per outer fold, fitted without its held-out rows. "mean": their mean, which predicts
        the mean of their predictions.
    values : ndarray of float32, shape (n_sets, n_targets, n_features)
        Weights; NaN for targets that were not fitted. There is one set unless `kept` is "folds".
    offset, spread : ndarray of float64, shape (n_sets, n_features)
        Mean and standard deviation of the features over the rows that were fitted.
    intercept : ndarray of float64, shape (n_sets, n_targets)
        What is predicted at the offset: the mean training response.
    reference : tuple of ndarray of float64
        Mean of every space over the presentations, one number per feature without delays: a stimulus like this is
        predicted to evoke the mean response. Zeros where it is not known.
    fitted : tuple of str
        Fingerprints of the responses of every run that was fitted.
    provenance : Provenance
        Settings and inputs.

    Raises
    ------
    AlignmentError
        If shapes and axes differ.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, run = rng.standard_normal((80, 2)), np.repeat(range(4), 20)
    >>> Y = X @ np.array([[1.0], [2.0]]) + 0.01 * rng.standard_normal((80, 1))
    >>> model = encoding.Ridge(("X",), alphas=(1e-4,), keep_weights="mean")
    >>> encoding.cross_validate(X, Y, run, models=[model]).weights["X"].values.round(1)
    array([[[1., 2.]]], dtype=float32)
    """

    model: str
    spaces: tuple[str, ...]
    features: tuple[tuple[str, ...], ...]
    subject: str
    targets: Targets
    clock: str
    kept: str
    values: np.ndarray
    offset: np.ndarray
    spread: np.ndarray
    intercept: np.ndarray
    reference: tuple[np.ndarray, ...] = ()
    fitted: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance("weights/1"))

    def __post_init__(self) -> None:
        """Check values against axes."""
        owner = f"Weights of model {self.model!r}"
        if len(self.features) != len(self.spaces) or self.kept not in KEEP_WEIGHTS[1:]:
            raise AlignmentError(
                f"{owner}: {len(self.features)} lists of features for {len(self.spaces)} spaces, kept = {self.kept!r}; "
                f"one list each and one of {KEEP_WEIGHTS[1:]} are needed."
            )
        sets, p, t = len(self.values), sum(map(len, self.features)), len(self.targets)
        fields = (
            ("values", np.float32, (sets, t, p)),
            ("offset", np.float64, (sets, p)),
            ("spread", np.float64, (sets, p)),
            ("intercept", np.float64, (sets, t)),
        )
        for name, dtype, shape in fields:
            kept = own(getattr(self, name), owner=owner, name=name, shape=shape, dtype=dtype)
            object.__setattr__(self, name, kept)
        object.__setattr__(self, "reference", tuple(np.asarray(part, dtype=np.float64) for part in self.reference))

    @property
    def columns(self) -> dict[str, slice]:
        """Columns of every space among the features."""
        edges = np.cumsum([0, *map(len, self.features)]).tolist()
        return {space: slice(a, b) for space, (a, b) in zip(self.spaces, pairwise(edges), strict=True)}

    def names(self, space: str) -> tuple[tuple[str, ...], np.ndarray]:
        """Name the features of a space without delays.

        Parameters
        ----------
        space : str
            Its name.

        Returns
        -------
        names : tuple of str
            Each once, in order.
        member : ndarray of int64, shape (n_columns,)
            Which of the names each column of the space belongs to.
        """
        return undelayed_names(self.features[self.spaces.index(space)], self.clock)

    def predict(self, X: Any) -> np.ndarray:
        """Predict responses to rows of features, as those that were fitted.

        Parameters
        ----------
        X : mapping of str to array of shape (n_samples, n_features), or array
            Every space of the model, or all of its features side by side, in the order of `features`.

        Returns
        -------
        ndarray of float64, shape (n_samples, n_targets)
            Predictions; the mean over outer folds where the weights of each were kept.

        Raises
        ------
        AlignmentError
            If a space is missing or has another number of features.
        """
        if isinstance(X, Mapping):
            missing = [space for space in self.spaces if space not in X]
            if missing:
                raise AlignmentError(f"Model {self.model!r} needs feature space {missing[0]!r}, which X does not have.")
            X = np.concatenate([np.asarray(X[space], dtype=np.float64) for space in self.spaces], axis=1)
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.offset.shape[1]:
            sizes = ", ".join(
                f"{len(names)} of {space}" for space, names in zip(self.spaces, self.features, strict=True)
            )
            raise AlignmentError(f"X has shape {X.shape}, but model {self.model!r} was fitted with features {sizes}.")
        total = np.zeros((len(X), len(self.targets)))
        for values, offset, intercept in zip(self.values, self.offset, self.intercept, strict=True):
            total += (X - offset) @ values.T + intercept
        total /= len(self.values)
        return total

    def __repr__(self) -> str:
        sizes = ", ".join(f"{s} ({len(f)})" for s, f in zip(self.spaces, self.features, strict=True))
        return f"Weights({self.model!r}, sub-{self.subject}, {sizes}, {len(self.targets)} targets, {self.kept!r})"


def undelayed_names(columns: Sequence[str], clock: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Remove delays from names of columns (``Fear@2``) on the clock "tr": names, each once, and that of each column."""
    bare = list(columns)
    if clock == "tr":
        parts = [name.rpartition("@") for name in columns]
        bare = [first if at and delay.isdecimal() else first + at + delay for first, at, delay in parts]
    names = list(dict.fromkeys(bare))
    place = {name: number for number, name in enumerate(names)}
    return tuple(names), np.array([place[name] for name in bare], dtype=np.int64)


def sum_over(values: np.ndarray, member: Sequence[int] | np.ndarray) -> np.ndarray:
    """Sum the last axis of `values` over columns with the same number in `member`."""
    member = np.asarray(member)
    summed = np.zeros((*values.shape[:-1], int(member.max()) + 1))
    np.add.at(np.moveaxis(summed, -1, 0), member, np.moveaxis(values, -1, 0))
    return summed
