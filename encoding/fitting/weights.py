"""Weights of chosen penalties, kept so that responses to anything can be predicted and features be mapped.

Penalties and band weights of every fold are part of `Predictions`, whichever solver chose them; the weights follow from
these and the training rows. That they give the held-out predictions again is checked against their stored sums.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..core import (
    AlignmentError,
    DataError,
    EncodingError,
    FeatureSpace,
    Predictions,
    Provenance,
    Responses,
    Weights,
    digest,
    fingerprint_array,
    suggest,
    versions,
)
from ..core.progress import Progress, silent
from ..core.weights import sum_over, undelayed_names
from ..io.arrays import drop_pages, take_columns
from ..io.partial import Partial
from ..io.store import load, saved_with, write_object
from ..numerics.designs import scale_set
from ..numerics.ridge import band_weights, wide_weights
from .budget import Compute
from .design import average
from .folds import Fold, Folds
from .models import EncodingModel
from .reduction import reduce_all

STEP = "weights/1"
# Largest difference of a sum over held-out rows, in parts of the response's own, before weights are refused.
TOLERATED = 1e-3
BLOCK_BYTES = 64 << 20


def fit_weights(  # noqa: PLR0913 - what was fitted, and what is kept
    model: EncodingModel,
    spaces: Sequence[FeatureSpace],
    responses: Responses,
    folds: Folds,
    predictions: Predictions,
    folder: str | Path,
    *,
    keep: str = "folds",
    described: Sequence[FeatureSpace] = (),
    compute: Compute | None = None,
    progress: Progress = silent,
) -> Weights:
    """Fit the weights of every outer fold at the penalties that were chosen for it.

    Parameters
    ----------
    model : Ridge or BandedRidge
        The model.
    spaces : sequence of FeatureSpace
        Aligned feature spaces, those of `cross_predict`.
    responses : Responses
        Responses on the same samples.
    folds : Folds
        The folds.
    predictions : Predictions
        What `cross_predict` made of all these.
    folder : str or Path
        Where the result is saved; if it already holds the result of the same inputs, that is loaded. Finished chunks of
        targets are kept beside it until it is complete.
    keep : {"folds", "mean"}, default="folds"
        Whether to keep one set of weights per outer fold, or their mean.
    described : sequence of FeatureSpace, optional
        The same spaces before alignment, from which the mean stimulus is taken.
    compute : Compute, optional
        Memory; a quarter of it goes to weights of a chunk of targets, and to what is kept of every fold.
    progress : callable, optional
        Called with the share done.

    Returns
    -------
    Weights
        Loaded from `folder`; values are a memory map.

    Raises
    ------
    AlignmentError
        If a feature space is missing or has other samples.
    EncodingError
        If the weights do not give the held-out predictions again: the model was not fitted as ridge.

    Examples
    --------
    >>> from encoding.fitting import fit_weights
    >>> settings = {"keep": "mean", "described": loaded.described}
    >>> data = (loaded.spaces, loaded.responses, fitted.folds)
    >>> fit_weights(study.models[0], *data, fitted.predictions[0], "work/weights", **settings).values.shape
    (1, 1092, 30)
    """
    compute, folder = compute or Compute(), Path(folder)
    used = [_space(name, spaces, responses) for name in model.bands]
    parts = [fingerprint_array(part) for part in (predictions.alphas, predictions.gammas)]
    inputs = {"predictions": predictions.provenance.key, "choices": digest(parts)}
    inputs |= {f"reference {s.name}": fingerprint_array(s.values) for s in described if s.name in model.bands}
    provenance = Provenance(STEP, {"model": model.name, "keep": keep}, inputs, None, versions())
    if not saved_with(folder, provenance.key):
        fit = _Fit(model, used, responses, folds, predictions, compute.memory_bytes // 4)
        partial = Partial(folder, {"key": provenance.key, "chunk": fit.n_chunk})
        arrays = _fill(fit, partial, keep, progress)
        made = Weights(
            model.name,
            tuple(model.bands),
            tuple(space.features for space in used),
            responses.subject,
            responses.targets,
            responses.samples.clock,
            keep,
            **arrays,
            reference=tuple(
                _reference(space, described, responses, undelayed_names(space.features, responses.samples.clock)[0])
                for space in used
            ),
            fitted=fingerprint_runs(responses),
            provenance=provenance,
        )
        write_object(made, partial.folder)
        partial.finish()
    progress(1.0)
    found: Weights = load(folder)
    return found


def fingerprint_runs(responses: Responses) -> tuple[str, ...]:
    """Fingerprint the responses of every run, to find out later whether some were fitted."""
    samples = responses.samples
    found = []
    for run in samples.runs:
        rows = np.flatnonzero(samples.run == run)
        found.append(digest([fingerprint_array(np.ascontiguousarray(responses.values[rows]))]))
        drop_pages(responses.values)
    return tuple(found)


class _FoldFit:
    """One outer fold: scaled training rows, and kernels where features outnumber them."""

    def __init__(
        self,
        X: np.ndarray,
        fold: Fold,
        bands: list[slice],
        *,
        joined: bool,
        rotate: Sequence[np.ndarray | None],
        keep: bool,
    ) -> None:
        self.X, self.fold, self.bands, self.rotate, self.keep = X, fold, bands, rotate, keep
        self.mean, self.spread = X[fold.train].mean(0), X[fold.train].std(0)
        self.edges = np.cumsum([0] + [self._width(number) for number in range(len(bands))]).tolist()
        own = [slice(a, b) for a, b in pairwise(self.edges)]
        self.penalised = [slice(0, self.edges[-1])] if joined else own
        train = self._columns(fold.train)
        _, self.factor = scale_set(train, np.arange(len(train)), self.penalised, scale=True, intercept=True)
        self._kernels: list[np.ndarray] | None = None

    @cached_property
    def test(self) -> np.ndarray:
        """Held-out rows about the training means."""
        return average(self.X[self.fold.test], self.fold.average) - self.mean

    def _width(self, number: int) -> int:
        rotate, band = self.rotate[number], self.bands[number]
        return band.stop - band.start if rotate is None else rotate.shape[1]

    def _columns(self, rows: np.ndarray) -> np.ndarray:
        """Return what is fitted, in some rows: features about their training means, or their components."""
        X = self.X[rows]
        X -= self.mean
        if all(rotate is None for rotate in self.rotate):
            return X
        parts = [
            X[:, band] if rotate is None else X[:, band] @ rotate
            for band, rotate in zip(self.bands, self.rotate, strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def _features(self, weights: np.ndarray) -> np.ndarray:
        """Turn weights of components into weights of features."""
        if all(rotate is None for rotate in self.rotate):
            return weights
        parts = [
            weights[a:b] if rotate is None else rotate @ weights[a:b]
            for rotate, (a, b) in zip(self.rotate, pairwise(self.edges), strict=True)
        ]
        return np.concatenate(parts)

    def weights(self, Y: np.ndarray, gammas: np.ndarray, alphas: np.ndarray) -> np.ndarray:
        """Fit weights (n_features, n_targets) of unscaled features to centred training responses."""
        Z = self._columns(self.fold.train)
        Z *= self.factor
        if Z.shape[1] <= len(Z):
            found = band_weights(Z, Y, bands=self.penalised, gammas=gammas, alphas=alphas)
        else:
            kernels = self._kernels or [Z[:, band] @ Z[:, band].T for band in self.penalised]
            self._kernels = kernels if self.keep else None
            found = wide_weights(Z, kernels, Y, bands=self.penalised, gammas=gammas, alphas=alphas)
        found *= self.factor[:, None]
        return self._features(found)


class _Fit:
    """All that the weights of one model follow from."""

    def __init__(
        self,
        model: EncodingModel,
        used: Sequence[FeatureSpace],
        responses: Responses,
        folds: Folds,
        predictions: Predictions,
        memory: int,
    ) -> None:
        self.model, self.responses, self.folds, self.predictions = model, responses, folds, predictions
        X = np.concatenate([space.values.astype(np.float64) for space in used], axis=1)
        X[:, X.std(0) <= 1e-7 * np.abs(X).max(0, initial=0.0)] = 0.0  # constants, as `make_design` has them
        edges = np.cumsum([0] + [space.values.shape[1] for space in used]).tolist()
        bands = [slice(a, b) for a, b in pairwise(edges)]
        n, p = X.shape
        kept = len(folds.folds) * (1 if model.joined else len(bands)) * 8 * n * n if p > n else 0
        self.fits = []
        for fold in folds.folds:
            wanted = {"n_components": getattr(model, "pca", None), "share": getattr(model, "keep_variance", None)}
            rotate: Sequence[np.ndarray | None] = [None] * len(used)
            if any(value is not None for value in wanted.values()):
                _, rotate = reduce_all(used, fold.train, **wanted)
            self.fits.append(_FoldFit(X, fold, bands, joined=model.joined, rotate=rotate, keep=kept <= memory))
        self.n_chunk = int(np.clip(memory // (8 * (3 * p + 3 * n)), 16, 4096))
        self.n_features = p

    def solve(self, k: int, Y: np.ndarray, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fit responses Y (n_samples, n_chunk) in fold k: weights (n_chunk, n_features) and training means."""
        fit, moments = self.fits[k], self.predictions.moments
        train = Y[fit.fold.train].astype(np.float64)
        mean = train.mean(0)
        choice = (self.predictions.gammas[k][:, chunk].astype(np.float64), self.predictions.alphas[k][chunk])
        weights = fit.weights(train - mean, *choice).astype(np.float32)
        predicted = fit.test @ weights
        held = average(Y[fit.fold.test].astype(np.float64), fit.fold.average) - mean
        size = np.maximum(moments.yy[k, chunk], np.finfo(float).tiny)
        for name, value in (("pp", (predicted**2).sum(0)), ("yp", (held * predicted).sum(0))):
            differs = np.abs(value - getattr(moments, name)[k, chunk]) / size
            if not (differs <= TOLERATED).all():
                raise EncodingError(
                    f"Model {self.model.name!r}, outer fold {k}: weights at the chosen penalties predict held-out rows "
                    f"otherwise than the model did (target {chunk[differs.argmax()]}, {name} differs by "
                    f"{differs.max():.1e} of the response). Weights can be kept of ridge models only, with the "
                    f"features and responses that were fitted."
                )
        return weights.T, mean


def _fill(fit: _Fit, partial: Partial, keep: str, progress: Progress) -> dict[str, np.ndarray]:
    """Fit chunk after chunk into the arrays of a `Weights`; chunks that are there already are left as they are."""
    n_folds, n_targets = len(fit.fits), len(fit.responses.targets)
    n_sets = n_folds if keep == "folds" else 1
    offset, spread = (np.stack([getattr(one, name) for one in fit.fits]) for name in ("mean", "spread"))
    centre = offset.mean(0)
    values = partial.array("values.npy", (n_sets, n_targets, fit.n_features))
    intercept = partial.array("intercept.npy", (n_sets, n_targets), np.float64)
    usable = np.flatnonzero(fit.responses.usable)
    chunks = [usable[first : first + fit.n_chunk] for first in range(0, len(usable), fit.n_chunk)]
    for number, chunk in enumerate(chunks):
        if not partial.has(number):
            Y = take_columns(fit.responses.values, chunk)
            total, start = np.zeros((len(chunk), fit.n_features)), np.zeros(len(chunk))
            for k in range(n_folds):
                weights, mean = fit.solve(k, Y, chunk)
                if keep == "folds":
                    values[k, chunk], intercept[k, chunk] = weights, mean
                else:
                    total += weights / n_folds
                    start += (mean + weights @ (centre - offset[k])) / n_folds
            if keep == "mean":
                values[0, chunk], intercept[0, chunk] = total, start
            for array in (values, intercept):
                if isinstance(array, np.memmap):
                    array.flush()
                drop_pages(array)
            partial.write(number, {"n": np.array(len(chunk))})
        progress((number + 1) / len(chunks))
    if keep == "mean":
        offset, spread = centre[None], spread.mean(0)[None]
    stored = {"values": partial.reopen("values.npy"), "intercept": partial.reopen("intercept.npy")}
    return {**stored, "offset": offset, "spread": spread}


def _space(name: str, spaces: Sequence[FeatureSpace], responses: Responses) -> FeatureSpace:
    by_name = {space.name: space for space in spaces}
    if name not in by_name:
        raise AlignmentError(f"There is no feature space {name!r}. {suggest(name, by_name)}")
    if not by_name[name].samples.same_as(responses.samples):
        raise AlignmentError(f"Feature space {name!r} has {by_name[name].samples!r}, not those of the responses.")
    return by_name[name]


def _reference(
    space: FeatureSpace, described: Sequence[FeatureSpace], responses: Responses, names: Sequence[str]
) -> np.ndarray:
    """Average features over all presentations; zeros where the space was not made of stimuli."""
    before = next((one for one in described if one.name == space.name and one.samples.clock == "none"), None)
    if before is None or not set(names) <= set(before.features):
        return np.zeros(len(names))
    shown = responses.samples if responses.samples.clock == "stimulus" else responses.presentations
    place = {stimulus: row for row, stimulus in enumerate(before.samples.stimulus.tolist())}
    rows = [place[stimulus] for stimulus in shown.stimulus.tolist() if stimulus in place]
    columns = [before.features.index(name) for name in names]
    mean: np.ndarray = before.values[np.ix_(rows, columns)].mean(0, dtype=np.float64) if rows else np.zeros(len(names))
    return mean


def predict_rows(weights: Weights, spaces: Sequence[FeatureSpace], *, fold: int | None = None) -> np.ndarray:
    """Predict the responses to rows of features with the layout of those that were fitted.

    Parameters
    ----------
    weights : Weights
        Of `fit_weights`.
    spaces : sequence of FeatureSpace
        Feature spaces of the model on the same samples, aligned as the fitted ones; columns are found by their names.
    fold : int, optional
        Outer fold whose weights are used; the mean over folds unless given.

    Returns
    -------
    ndarray of float32, shape (n_spaces, n_samples, n_targets)
        What every space predicts about the intercept; `intercept_of` gives that.

    Raises
    ------
    AlignmentError
        If a space or a feature is missing, or samples differ.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> from encoding.fitting import intercept_of, predict_rows
    >>> rng = np.random.default_rng(0)
    >>> X, run = rng.standard_normal((80, 2)), np.repeat(range(4), 20)
    >>> Y = X @ [[2.0], [0.0]] + 5 + 0.1 * rng.standard_normal((80, 1))
    >>> found = encoding.cross_validate({"X": X}, Y, run, models=[encoding.Ridge(("X",), keep_weights="mean")])
    >>> weights, names = found.weights["X"], encoding.Samples.of_stimuli(["new1", "new2"])
    >>> new = encoding.FeatureSpace("X", [[1.0, 0.0], [0.0, 1.0]], names, weights.features[0])
    >>> (predict_rows(weights, [new])[0] + intercept_of(weights)).round()  # planted: 7 and 5
    array([[7.],
           [5.]])
    """
    parts = [_named(weights, space, spaces) for space in weights.spaces]
    first = parts[0].samples
    for part in parts[1:]:
        if not part.samples.same_as(first):
            raise AlignmentError(f"Feature spaces {parts[0].name!r} and {part.name!r} are on different samples.")
    values, offset, _ = _sets(weights, fold)
    columns = weights.columns
    out = np.empty((len(parts), len(first), len(weights.targets)), dtype=np.float32)
    for number, part in enumerate(parts):
        here = columns[part.name]
        out[number] = _product(part.values - offset[here], values, here)
    return out


def intercept_of(weights: Weights, fold: int | None = None) -> np.ndarray:
    """Return the predicted response if every feature is at its mean.

    Parameters
    ----------
    weights : Weights
        Of `fit_weights`.
    fold : int, optional
        Outer fold; the mean over folds unless given.

    Returns
    -------
    ndarray of float64, shape (n_targets,)
        The mean training response.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> from encoding.fitting import intercept_of
    >>> rng = np.random.default_rng(0)
    >>> X, run = rng.standard_normal((80, 2)), np.repeat(range(4), 20)
    >>> Y = X @ [[2.0], [0.0]] + 5 + 0.1 * rng.standard_normal((80, 1))
    >>> found = encoding.cross_validate({"X": X}, Y, run, models=[encoding.Ridge(("X",), keep_weights="mean")])
    >>> intercept_of(found.weights["X"]).round(1) == Y.mean(0).round(1)
    array([ True])
    """
    return _sets(weights, fold)[2]


def predict_stimuli(weights: Weights, spaces: Sequence[FeatureSpace]) -> np.ndarray:
    """Predict the response that each stimulus evokes, relative to the mean stimulus.

    On the clock "stimulus" it is that of one presentation. On the clock "tr" weights are summed over delays: the
    response to a stimulus of one volume, added over the volumes that follow it.

    Parameters
    ----------
    weights : Weights
        Of `fit_weights`.
    spaces : sequence of FeatureSpace
        Feature spaces of the model with one row per stimulus (clock "none"), the same stimuli in the same order.

    Returns
    -------
    ndarray of float32, shape (n_stimuli, n_targets)
        Predicted responses.

    Raises
    ------
    AlignmentError
        If a space or a feature is missing, or stimuli differ.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> from encoding.fitting import predict_stimuli
    >>> rng = np.random.default_rng(0)
    >>> X, run = rng.standard_normal((80, 2)), np.repeat(range(4), 20)
    >>> Y = X @ [[2.0], [0.0]] + 0.1 * rng.standard_normal((80, 1))
    >>> found = encoding.cross_validate({"X": X}, Y, run, models=[encoding.Ridge(("X",), keep_weights="mean")])
    >>> weights, names = found.weights["X"], encoding.Samples.of_stimuli(["new1", "new2"])
    >>> new = encoding.FeatureSpace("X", np.array([[1.0, 0.0], [0.0, 1.0]]) + X.mean(0), names, weights.features[0])
    >>> predict_stimuli(weights, [new]).round(1)  # planted: 2 and 0
    array([[2.],
           [0.]], dtype=float32)
    """
    values, _, _ = _sets(weights, None)
    by_name = {space.name: space for space in spaces}
    total: np.ndarray | None = None
    first: FeatureSpace | None = None
    for number, name in enumerate(weights.spaces):
        if name not in by_name:
            raise AlignmentError(f"Model {weights.model!r} needs feature space {name!r}. {suggest(name, by_name)}")
        space, (names, member) = by_name[name], weights.names(name)
        if first is not None and not space.samples.same_as(first.samples):
            raise AlignmentError(f"Feature spaces {first.name!r} and {name!r} have other stimuli, or another order.")
        first = first or space
        X = _columns(weights, space, names).astype(np.float64)
        if weights.reference:
            X -= weights.reference[number]
        summed = _product(X[:, member], values, weights.columns[name])
        total = summed if total is None else total + summed
    assert total is not None
    return total


def tuning(weights: Weights, space: str, r2: np.ndarray | None = None) -> np.ndarray:
    """Summarise the weights of a space by one number per feature and target, comparable over targets.

    Weights are averaged over folds and delays and multiplied by the features' standard deviations; all features of the
    model in a target are then divided by their norm, since penalties shrink some targets more than others, and
    multiplied by the root of the variance that the model explains there (as Dupré la Tour et al. do, 2022, NeuroImage
    264:119728).

    Parameters
    ----------
    weights : Weights
        Of `fit_weights`.
    space : str
        One of its feature spaces.
    r2 : ndarray, shape (n_targets,), optional
        Held-out R2 of the model, negative values counting as 0; without it the norm is 1 in every target.

    Returns
    -------
    ndarray of float32, shape (n_features, n_targets)
        In the order of `Weights.names`; NaN where nothing was fitted.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> from encoding.fitting import tuning
    >>> rng = np.random.default_rng(0)
    >>> X, run = rng.standard_normal((80, 2)), np.repeat(range(4), 20)
    >>> Y = X @ [[2.0, 0.0], [0.0, 1.0]] + 0.1 * rng.standard_normal((80, 2))  # each target follows one feature
    >>> found = encoding.cross_validate({"X": X}, Y, run, models=[encoding.Ridge(("X",), keep_weights="mean")])
    >>> tuning(found.weights["X"], "X").round(1)
    array([[ 1.,  0.],
           [-0.,  1.]], dtype=float32)
    """
    if space not in weights.spaces:
        raise DataError(f"Model {weights.model!r} has no feature space {space!r}. {suggest(space, weights.spaces)}")
    _, member = weights.names(space)
    out = np.empty((int(member.max()) + 1, len(weights.targets)), dtype=np.float32)
    spread, n_delays = weights.spread.mean(0), np.bincount(member)
    columns, others = weights.columns, [weights.names(name)[1] for name in weights.spaces]
    for some in _chunks(weights):
        scaled = weights.values[:, some].mean(0, dtype=np.float64) * spread
        norm = np.zeros(len(scaled))
        for name, which in zip(weights.spaces, others, strict=True):
            averaged = sum_over(scaled[:, columns[name]], which) / np.bincount(which)
            norm += (averaged**2).sum(1)
        here = sum_over(scaled[:, columns[space]], member) / n_delays
        size = 1.0 if r2 is None else np.sqrt(np.maximum(np.asarray(r2, dtype=np.float64)[some], 0))
        with np.errstate(invalid="ignore"):
            out[:, some] = (here / np.where(norm > 0, np.sqrt(norm), 1)[:, None]).T * size
        drop_pages(weights.values)
    return out


def _chunks(weights: Weights) -> list[slice]:
    n_targets = len(weights.targets)
    width = max(1, BLOCK_BYTES // (8 * len(weights.values) * max(weights.values.shape[2], 1)))
    return [slice(first, min(first + width, n_targets)) for first in range(0, n_targets, width)]


def _sets(weights: Weights, fold: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values, offset (n_features,) and intercept (n_targets,) of one fold, or of the mean of all."""
    if fold is not None:
        if weights.kept != "folds":
            raise DataError(f'{weights!r}: weights of single folds were not kept. Set keep_weights = "folds".')
        return weights.values[fold : fold + 1], weights.offset[fold], weights.intercept[fold]
    offset = weights.offset.mean(0)
    if len(weights.values) == 1:
        return weights.values, offset, weights.intercept[0]
    intercept = np.empty(len(weights.targets))
    for some in _chunks(weights):
        moved = np.einsum("ktp,kp->kt", weights.values[:, some], offset - weights.offset)
        intercept[some] = (weights.intercept[:, some] + moved).mean(0)
    return weights.values, offset, intercept


def _product(X: np.ndarray, values: np.ndarray, columns: slice) -> np.ndarray:
    """Multiply rows (n, n_columns) with the mean over sets of weights (n_sets, n_targets, n_features)."""
    out = np.empty((len(X), values.shape[1]), dtype=np.float32)
    width = max(1, BLOCK_BYTES // (8 * len(values) * max(X.shape[1], 1)))
    for first in range(0, values.shape[1], width):
        some = slice(first, first + width)
        out[:, some] = X @ values[:, some, columns].mean(0, dtype=np.float64).T
    return out


def _named(weights: Weights, name: str, spaces: Sequence[FeatureSpace]) -> FeatureSpace:
    by_name = {space.name: space for space in spaces}
    if name not in by_name:
        raise AlignmentError(f"Model {weights.model!r} needs feature space {name!r}. {suggest(name, by_name)}")
    space, wanted = by_name[name], weights.features[weights.spaces.index(name)]
    if space.features == wanted:
        return space
    return FeatureSpace(name, _columns(weights, space, wanted), space.samples, wanted, space.provenance)


def _columns(weights: Weights, space: FeatureSpace, wanted: Sequence[str]) -> np.ndarray:
    """Select the features that were fitted, by their names."""
    place: Mapping[str, int] = {feature: number for number, feature in enumerate(space.features)}
    missing = [feature for feature in wanted if feature not in place]
    if missing:
        raise AlignmentError(
            f"Feature space {space.name!r}: {len(missing)} of the {len(wanted)} features that model {weights.model!r} "
            f"was fitted with are missing, the first is {missing[0]!r}. {suggest(missing[0], place)}"
        )
    return space.values[:, [place[feature] for feature in wanted]]


__all__ = ["fit_weights", "intercept_of", "predict_rows", "predict_stimuli", "tuning"]
