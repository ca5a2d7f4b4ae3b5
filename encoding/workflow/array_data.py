"""Arrays of a user as feature spaces and responses."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..core import AlignmentError, DataError, FeatureSpace, Responses, Samples, Targets
from ..embedding.tables import check_precision
from ..fitting import BandedRidge, EncodingModel, Ridge
from ..io.images.in_memory import targets_of_mask

SUBJECT = "array"


def plain_numbers(values: Any, name: str) -> np.ndarray:
    """Return an array of real numbers; refuse what numpy would turn into others without a word."""
    if hasattr(values, "toarray"):
        raise DataError(f"{name} is sparse ({type(values).__name__}), but a dense array was needed: pass .toarray().")
    if np.ma.is_masked(values):
        raise DataError(
            f"{name} is a masked array with {np.ma.count_masked(values)} masked values, which would be read as if they "
            "were not. Fill them, or leave the rows or columns out."
        )
    given = np.asarray(values)
    if given.dtype.kind not in "biufO":
        raise DataError(f"{name} holds {given.dtype}, but real numbers were needed.")
    try:
        return given if given.dtype.kind == "f" and given.dtype.itemsize >= 4 else given.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as numbers ({error}).") from error


class ArrayData:
    """Arrays as feature spaces and responses on the same samples."""

    def __init__(self, X: Any, Y: Any, groups: Any, targets: Any, stimuli: Any) -> None:
        columns = [str(name) for name in Y.columns] if hasattr(Y, "columns") else None
        Y = plain_numbers(Y, "Y")
        Y = Y[:, None] if Y.ndim == 1 else Y
        if Y.ndim != 2:
            raise AlignmentError(f"Y has shape {Y.shape}, but (n_samples, n_targets) was needed.")
        n, run = len(Y), np.asarray(groups)
        if groups is None or run.shape != (n,):
            given = "None" if groups is None else f"of shape {run.shape}"
            raise AlignmentError(
                f"groups is {given}, but the run of each of the {n} rows of Y was needed: rows of a run share noise "
                f"and are held out together. Where rows are independent, give np.arange({n})."
            )
        run = run.astype(str)
        position = np.zeros(n)
        for name in np.unique(run):
            position[run == name] = np.arange((run == name).sum())
        names = np.asarray([f"row{k}" for k in range(n)] if stimuli is None else stimuli).astype(str)
        if names.shape != (n,):
            raise AlignmentError(
                f"stimuli has shape {names.shape}, but the stimulus of each of the {n} rows was needed."
            )
        samples = Samples(names, position, np.ones(n), run, "stimulus")
        self.spaces = [self._space(name, values, samples) for name, values in name_spaces(X).items()]
        where = as_targets(columns if targets is None and columns else targets, Y.shape[1])
        if Y.dtype != np.float32:
            known = np.isfinite(Y).all(axis=0)
            check_precision(Y[:, known], tuple(f"column {k}" for k in np.flatnonzero(known)), "Y", "target")
        self.responses = Responses(Y, samples, where, samples, np.zeros((n, 0)), SUBJECT, "array", float("nan"))
        self.described = self._per_stimulus(samples)

    @staticmethod
    def _space(name: str, values: Any, samples: Samples) -> FeatureSpace:
        if isinstance(values, FeatureSpace):
            values, features = values.values, values.features
        else:
            features = tuple(map(str, values.columns)) if hasattr(values, "columns") else ()
            values = plain_numbers(values, f"X[{name!r}]").astype(np.float64, copy=False)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != len(samples):
            raise AlignmentError(
                f"X[{name!r}] has shape {values.shape}, but Y has {len(samples)} rows; (n_samples, n_features) with "
                f"the same rows was needed."
            )
        features = features or tuple(f"{name}_{k + 1}" for k in range(values.shape[1]))
        known = np.isfinite(values).all(axis=0)
        check_precision(values[:, known], tuple(np.array(features)[known]), f"X[{name!r}]")
        return FeatureSpace(name, values, samples, features)

    def _per_stimulus(self, samples: Samples) -> tuple[FeatureSpace, ...]:
        """Make spaces of one row per stimulus; none where rows of a stimulus differ."""
        names, first, member = np.unique(samples.stimulus, return_index=True, return_inverse=True)
        made = []
        for space in self.spaces:
            if not np.array_equal(space.values, space.values[first][member.ravel()]):
                return ()
            made.append(FeatureSpace(space.name, space.values[first], Samples.of_stimuli(names), space.features))
        return tuple(made)

    def require(self, bands: Iterable[str]) -> None:
        """Refuse spaces that are not there."""
        known = [space.name for space in self.spaces]
        for band in bands:
            if band not in known:
                raise AlignmentError(f"A model names feature space {band!r}, but X has {', '.join(known)}.")

    def default_models(self) -> list[EncodingModel]:
        """Return ridge of every space, and banded ridge of all."""
        names = tuple(space.name for space in self.spaces)
        models: list[EncodingModel] = [Ridge((name,)) for name in names]
        return models + ([BandedRidge(names, n_iter=max(100, len(names) + 1))] if len(names) > 1 else [])


def as_targets(targets: Any, n: int) -> Targets:
    """Make an axis of what the columns of responses are: `Targets`, a mask, names, or None for numbers."""
    if targets is None:
        found = Targets.of_columns([f"t{k + 1}" for k in range(n)])
    elif isinstance(targets, Targets):
        found = targets
    elif isinstance(targets, Sequence | np.ndarray | pd.Index) and not isinstance(targets, str):
        found = Targets.of_columns(targets)
    else:
        found = targets_of_mask(targets)
    if len(found) != n:
        raise AlignmentError(f"Y has {n} columns, but {found!r} were given. Both must come from the same mask.")
    return found


def name_spaces(X: Any) -> dict[str, Any]:
    """Name the feature spaces."""
    if isinstance(X, Mapping):
        found = {str(name): values for name, values in X.items()}
    elif isinstance(X, list | tuple):
        spaces = all(isinstance(one, FeatureSpace) for one in X)
        found = {(one.name if spaces else f"X{k + 1}"): one for k, one in enumerate(X)}
    else:
        found = {X.name if isinstance(X, FeatureSpace) else "X": X}
    if not found:
        raise DataError("X holds no feature space; at least one is needed.")
    return found
