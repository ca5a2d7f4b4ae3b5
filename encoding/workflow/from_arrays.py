"""From arrays to scores: the stages of the pipeline without files, datasets and folders.

Features are arrays with one row per sample, responses an array (n_samples, n_targets), and `groups` says which run each
row was measured in: whole runs are held out, as rows of a run share noise. Nothing is centred or scaled but what every
fit does with its training rows; do with each run what you do with both (z-score it, for example) before.
"""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..comparison import (
    Inference,
    Presented,
    Resources,
    Rsa,
    RsaResult,
    chance_table,
    compare_similarity,
    difference_table,
    evaluate,
    infer_spaces,
    score_regions,
)
from ..comparison import (
    noise_ceiling as ceiling_of,
)
from ..core import (
    AlignmentError,
    Atlas,
    ConfigError,
    DataError,
    FoldMoments,
    Predictions,
    Samples,
    ScoreRow,
    Scores,
    Targets,
    Weights,
)
from ..fitting import (
    BandedRidge,
    Compute,
    EncodingModel,
    Fold,
    Folds,
    Split,
    cross_predict_all,
    fit_weights,
    make_folds,
    models_of_subsets,
)
from ..fitting.arrays import available_threads
from ..io.tables import frame_of
from .array_data import ArrayData, name_spaces


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class CrossValidation:
    """Held-out predictions of models, with methods that score and save them.

    Attributes
    ----------
    predictions : tuple of Predictions
        One per model.
    folds : Folds
        Outer and inner folds.
    weights : mapping of str to Weights
        Of the models whose settings ask for them (``keep_weights``).

    Examples
    --------
    >>> import encoding, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X, run = rng.standard_normal((200, 2)), np.repeat(range(4), 50)
    >>> Y = X @ [[1.0, 0.0], [1.0, 0.0]] + rng.standard_normal((200, 2))  # the second target is noise
    >>> found = encoding.cross_validate({"mllm": X}, Y, run)
    >>> found.to_frame().round(1)
            mllm
    target
    t1       0.8
    t2       0.0
    """

    predictions: tuple[Predictions, ...]
    folds: Folds
    weights: Mapping[str, Weights] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        models = ", ".join(one.model for one in self.predictions)
        n_targets = len(self.predictions[0].targets) if self.predictions else 0
        return f"CrossValidation(models {models}, {n_targets} targets, {self.folds!r})"

    def scores(self, metric: str = "r") -> Scores:
        """Score every model in every target.

        Parameters
        ----------
        metric : {"r", "pooled_r", "r2", "split_r2", "partition_r2"}
            As of `Scores`.

        Returns
        -------
        Scores
            One row per model, or per band of joint models ("split_r2"), or per part ("partition_r2").
        """
        return evaluate(self.predictions, metric)

    def to_frame(self, metric: str = "r") -> pd.DataFrame:
        """Make a table of scores.

        Parameters
        ----------
        metric : str
            As of `scores`.

        Returns
        -------
        pandas.DataFrame
            One row per target and one column per model.
        """
        frame: pd.DataFrame = self.scores(metric).to_frame()
        return frame

    def regions(self, labels: Any, metric: str = "r") -> pd.DataFrame:
        """Average scores over regions.

        Parameters
        ----------
        labels : sequence of str, shape (n_targets,)
            Region of every target; "" for none.
        metric : str
            As of `scores`.

        Returns
        -------
        pandas.DataFrame
            One row per region and model.
        """
        scores = self.scores(metric)
        atlas = _atlas(labels, scores.targets)
        return score_regions(scores, atlas, atlas.labels)


def cross_validate(  # noqa: PLR0913 - each of them is a choice of its own
    X: Any,
    Y: Any,
    groups: Any,
    *,
    models: Sequence[EncodingModel] | None = None,
    cv: Any = "leave_one_out",
    inner_cv: Any = 5,
    repeats: str | None = None,
    targets: Any = None,
    stimuli: Any = None,
    seed: int = 0,
    folder: str | Path | None = None,
    compute: Compute | None = None,
) -> CrossValidation:
    """Fit encoding models in nested cross-validation over whole runs.

    Parameters
    ----------
    X : mapping of str to array of shape (n_samples, n_features), list of arrays, or array
        Feature spaces: arrays, or DataFrames whose columns name the features. Those of a list are named "X1", "X2" ...
    Y : array of shape (n_samples, n_targets)
        Responses; columns that contain only NaN are left out.
    groups : sequence of shape (n_samples,)
        Run of every row. If rows are independent, give every row a number of its own.
    models : sequence of Ridge or BandedRidge, optional
        Models to fit. By default, ridge on every space, and banded ridge on all spaces if there are several.
    cv : int, "leave_one_out", splitter, or list of (train, test)
        Outer folds: a number of blocks of consecutive runs, or a scikit-learn splitter, which is passed `groups`.
    inner_cv : int or "leave_one_out"
        Inner folds over the training runs, on which penalties and band weights are chosen.
    repeats : {"condition", "drop_later", "exclude_from_training"}, optional
        How to handle `stimuli` that recur in several folds. By default, they raise an error.
    targets : Targets, mask image, path, fitted masker, or sequence of str, optional
        What the columns of Y are.
    stimuli : sequence of str, optional
        Stimulus of every row. By default, every row is a stimulus of its own.
    seed : int, default=0
        Seed of candidates of band weights.
    folder : str or Path, optional
        Folder for results, from which an interrupted fit is resumed and a finished one is loaded.
    compute : Compute, optional
        Memory and device.

    Returns
    -------
    CrossValidation
        Predictions and scores.

    Raises
    ------
    AlignmentError
        If arrays have different numbers of rows.
    SplitError
        If a run, or an undeclared stimulus, is on both sides of a fold.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = {"mllm": rng.standard_normal((120, 6)), "ratings": rng.standard_normal((120, 4))}
    >>> Y = X["mllm"] @ rng.standard_normal((6, 3)) + rng.standard_normal((120, 3))
    >>> found = encoding.cross_validate(X, Y, groups=np.repeat([1, 2, 3, 4], 30))
    >>> found.to_frame().mean().round(1).to_dict()["mllm"] > 0.7
    True
    """
    data = ArrayData(X, Y, groups, targets, stimuli)
    models = tuple(data.default_models() if models is None else models)
    for model in models:
        data.require(model.bands)
    folds = _folds(data, cv, inner_cv, repeats)
    compute = compute or Compute()
    with _kept(folder) as place:
        folders = [place / f"model-{model.name}" for model in models]
        found = cross_predict_all(models, data.spaces, data.responses, folds, folders, seed=seed, compute=compute)
        weights = {
            model.name: fit_weights(
                model,
                data.spaces,
                data.responses,
                folds,
                predictions,
                place / f"weights-{model.name}",
                keep=getattr(model, "keep_weights", "no"),
                described=data.described,
                compute=compute,
            )
            for model, predictions in zip(models, found, strict=True)
            if getattr(model, "keep_weights", "no") != "no"
        }
        if folder is None:  # what is mapped from files that go away is copied
            found = [_in_memory(one) for one in found]
            weights = {name: _in_memory(one) for name, one in weights.items()}
        return CrossValidation(tuple(found), folds, weights)


def variance_partition(X: Any, Y: Any, groups: Any, *, n_iter: int = 100, **settings: Any) -> Scores:
    """Partition the held-out variance explained by feature spaces into unique and shared parts.

    Parameters
    ----------
    X : mapping of str to array of shape (n_samples, n_features), or list of arrays
        Two to five feature spaces.
    Y : array of shape (n_samples, n_targets)
        Responses.
    groups : sequence of shape (n_samples,)
        Run of every row.
    n_iter : int, default=100
        Candidates of band weights of the joint model.
    **settings : object
        Further settings of `cross_validate`.

    Returns
    -------
    Scores
        "partition_r2": one row per set of spaces, joined by "+". Parts are estimates and can be negative.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> own, shared, other = (rng.standard_normal((200, 2)) for _ in range(3))
    >>> Y = (own + shared) @ [[1.0], [1.0]]  # half the variance is only in "a", half is in both spaces
    >>> X = {"a": np.hstack([own, shared]), "b": np.hstack([other, shared])}
    >>> encoding.variance_partition(X, Y, groups=np.repeat(range(4), 50), n_iter=10).to_frame().round(1)
              a    b  a+b
    target
    t1      0.5  0.0  0.5
    """
    bands = tuple(name_spaces(X))
    joint = BandedRidge(bands, n_iter=n_iter, subsets=True)
    found = cross_validate(X, Y, groups, models=[joint, *models_of_subsets(joint)], **settings)
    parts = found.scores("partition_r2")
    whole = [k for k, row in enumerate(parts.rows) if row.model == joint.name]  # not those of joint models of fewer
    rows = tuple(ScoreRow(parts.rows[k].feature) for k in whole)
    return dataclasses.replace(parts, rows=rows, values=parts.values[whole])


def permutation_test(
    X: Any,
    Y: Any,
    groups: Any,
    *,
    n_permutations: int = 1000,
    labels: Any = None,
    targets: Any = None,
    stimuli: Any = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Test feature spaces against chance by exchanging whole runs, in every target or every region.

    The test is about the space itself, not a fit: the variance of the response that is linear in it and shared by runs.

    Parameters
    ----------
    X : mapping of str to array of shape (n_samples, n_features), list of arrays, or array
        Feature spaces, as for `cross_validate`.
    Y : array of shape (n_samples, n_targets)
        Responses, z-scored or centred within every run.
    groups : sequence of shape (n_samples,)
        Run of every row; at least four runs.
    n_permutations : int, default=1000
        Number of draws.
    labels : sequence of str, shape (n_targets,), optional
        Region of every target ("" for none). If given, region means are tested, and pairs of spaces are compared.
    targets : Targets, mask image, path, fitted masker, or sequence of str, optional
        What the columns of Y are.
    stimuli : sequence of str, optional
        Stimulus of every row.
    seed : int, default=0
        Seed of the draws.

    Returns
    -------
    pandas.DataFrame
        Without `labels`, one row per target and space: "u" (this variance, as a share of the total), "p", "p_fwe"
        (corrected for all targets and spaces) and "q" (false discovery rate). With `labels`, the claims about regions:
        against chance and between spaces, with intervals and verdicts. Values that the design does not allow are NaN;
        ``frame.attrs["notes"]`` says why.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((240, 3))
    >>> Y = X @ [[1, 0], [1, 0], [1, 0]] + rng.standard_normal((240, 2))  # the second target is noise
    >>> found = encoding.permutation_test(X, Y, groups=np.repeat(range(8), 30), n_permutations=200)
    >>> (found["p_fwe"] < 0.05).tolist()
    [True, False]
    """
    data = ArrayData(X, Y, groups, targets, stimuli)
    everything = (None, np.ones(len(data.responses.targets), dtype=int))
    atlas = None if labels is None else _atlas(labels, data.responses.targets)
    with _kept(None) as place:
        tests = infer_spaces(
            data.spaces,
            data.responses,
            [everything] if atlas is None else [everything, (atlas, atlas.labels)],
            place / "tests",
            settings=Inference(n_permutations, seed=seed),
            presented=Presented(data.described),  # stimuli that recur in all runs are exchanged by them
            resources=Resources(available_threads()),
        )
    if atlas is None:
        parts = []
        nothing = np.full((len(tests.spaces), len(data.responses.targets)), np.nan)  # where a design allows no test
        for number, space in enumerate(tests.spaces):
            columns = {name: tests.targets.get(name, nothing)[number] for name in ("u", "p", "p_fwe", "q")}
            frame = frame_of(columns, data.responses.targets).reset_index()
            frame.insert(1, "space", space)
            parts.append(frame)
        table = pd.concat(parts, ignore_index=True)
    else:
        tables = [chance_table(tests), difference_table(tests)]
        table = pd.concat([one for one in tables if len(one)], ignore_index=True)
    table.attrs["notes"] = dict(tests.notes)
    return table


def noise_ceiling(
    Y: Any, groups: Any = None, stimuli: Any = None, *, n_averaged: float = 1.0, targets: Any = None
) -> pd.DataFrame:
    """Estimate from repeated stimuli how well any model could predict every target, with an interval.

    Parameters
    ----------
    Y : array of shape (n_samples, n_targets), or (n_repeats, n_stimuli, n_targets)
        Responses to single presentations. With three axes, every repeat is a run of its own.
    groups : sequence of shape (n_samples,), optional
        Run of every row; not needed with three axes. Repeats within a run share noise, so only the first one counts.
    stimuli : sequence of str, shape (n_samples,), optional
        Stimulus of every row; not needed with three axes.
    n_averaged : float, default=1.0
        Number of presentations averaged in the responses that a model is tested on.
    targets : Targets, mask image, path, fitted masker, or sequence of str, optional
        What the columns of Y are.

    Returns
    -------
    pandas.DataFrame
        One row per target: "reliability" (the largest R2), "low" and "high" (its 95% interval over stimuli, which
        assumes independent stimuli and is too narrow for neighbouring volumes of a film), and "r" (the largest
        correlation; NaN unless "low" is above 0.1, so that no score is divided by noise).
        ``frame.attrs`` has "n_stimuli".

    Raises
    ------
    DataError
        If fewer than ten stimuli were shown in several runs.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> signal = np.append(rng.standard_normal((50, 1)), np.zeros((50, 1)), axis=1)
    >>> Y = signal + rng.standard_normal((4, 50, 2))  # four repeats of 50 stimuli; the second target has no signal
    >>> encoding.noise_ceiling(Y, n_averaged=4)["r"].round(1).tolist()
    [0.9, nan]
    """
    if not hasattr(Y, "columns") and np.ndim(Y) == 3:
        if groups is not None or stimuli is not None:
            raise AlignmentError(
                f"Y has shape {np.shape(Y)}, its first axes are repeats and stimuli: leave out `groups` and `stimuli`."
            )
        n_repeats, n_stimuli = np.shape(Y)[:2]
        Y = np.reshape(Y, (n_repeats * n_stimuli, -1))
        groups, stimuli = np.repeat(np.arange(n_repeats), n_stimuli), np.tile(np.arange(n_stimuli), n_repeats)
    if stimuli is None:
        raise AlignmentError("stimuli is None, but the stimulus of each row of Y was needed to know which are repeats.")
    data = ArrayData(np.zeros((len(Y), 1)), Y, groups, targets, stimuli)
    found = ceiling_of(data.responses, n_averaged=n_averaged)
    if found.why_not:
        raise DataError(f"Y: there is no noise ceiling, {found.why_not}, in different runs (`groups`).")
    columns = {"reliability": found.reliability, "low": found.low, "high": found.high, "r": found.r}
    frame = frame_of(columns, data.responses.targets)
    frame.attrs["n_stimuli"] = found.n_stimuli
    return frame


def rsa(  # noqa: PLR0913 - each of them is a choice of its own
    X: Any,
    Y: Any,
    groups: Any = None,
    *,
    labels: Any = None,
    radius_mm: float | None = None,
    similarity: Any = "correlation",
    brain: str = "correlation",
    comparison: str = "pearson",
    targets: Any = None,
    stimuli: Any = None,
    repeats: str | None = None,
    noise: str | None = None,
) -> RsaResult:
    """Compare the similarity of stimuli in feature spaces with that of their responses.

    Parameters
    ----------
    X : mapping of str to array of shape (n_samples, n_features), list of arrays, or array
        Feature spaces, a row per row of Y.
    Y : array of shape (n_samples, n_targets)
        Responses to single presentations.
    groups : sequence of shape (n_samples,), optional
        Run of every row. Stimuli of the same run are not compared, since they share noise. By default, all pairs are.
    labels : sequence of str, shape (n_targets,), optional
        Region of every target, "" for none. By default, all targets form one region.
    radius_mm : float, optional
        Radius of searchlights around every voxel, instead of regions; `targets` must then be voxels.
    similarity : {"correlation", "cosine", "dot", "choice_probability"}, or mapping of str to these
        Similarity in feature spaces.
    brain : {"correlation", "euclidean", "crossnobis"}
        Similarity of responses. Crossnobis distances need `stimuli` that were presented in several `groups`.
    comparison : {"pearson", "spearman"}
        Correlation of both over pairs of stimuli.
    targets : Targets, mask image, path, fitted masker, or sequence of str, optional
        What the columns of Y are.
    stimuli : sequence of str, optional
        Stimulus of every row. By default, every row is a stimulus of its own.
    repeats : {"average", "first"}, optional
        How to handle stimuli with several rows. By default, they raise an error, except for crossnobis distances, which
        use all rows.
    noise : {"none", "shrunk", "diagonal"}, optional
        Covariance of the noise for crossnobis distances; "none" by default. The others need stimuli with equally many
        rows.

    Returns
    -------
    RsaResult
        ``result.table`` has one row per region and space, ``result.scores`` one value per target. These are
        descriptive and not tested.

    Examples
    --------
    >>> import encoding, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> spaces = {"planted": rng.standard_normal((40, 5)), "unrelated": rng.standard_normal((40, 5))}
    >>> Y = spaces["planted"] @ rng.standard_normal((5, 30)) + 0.1 * rng.standard_normal((40, 30))
    >>> found = encoding.rsa(spaces, Y)
    >>> found.table[["feature", "value"]].round(1)
         feature  value
    0    planted    0.8
    1  unrelated    0.0
    """
    data = ArrayData(X, Y, np.zeros(len(np.asarray(Y)), int) if groups is None else groups, targets, stimuli)
    if data.described == ():
        raise DataError("X: rows of one stimulus have different features, so that stimuli cannot be compared.")
    settings = Rsa(
        "rsa",
        similarity=similarity,
        brain=brain,
        comparison=comparison,
        regions="atlas" if radius_mm is None else "searchlight",
        radius_mm=radius_mm,
        same_run=groups is None and brain != "crossnobis",
        repeats=repeats,
        noise=noise,
        min_targets=3,
    )
    atlas = None if labels is None else _atlas(labels, data.responses.targets)
    places = (atlas, np.ones(len(data.responses.targets), dtype=int) if atlas is None else atlas.labels)
    with _kept(None) as place:
        found = compare_similarity(settings, data.described, data.responses, [places], place / "rsa")
        return dataclasses.replace(found, scores=_in_memory(found.scores))


def _atlas(labels: Any, targets: Targets) -> Atlas:
    """Make an atlas of the names of regions."""
    names = np.asarray(labels).astype(str)
    if names.shape != (len(targets),):
        raise AlignmentError(f"labels has shape {names.shape}, but {len(targets)} were needed, one per target.")
    known = sorted(set(names.tolist()) - {""})
    number = {name: k for k, name in enumerate(known, start=1)}
    numbers = np.array([number.get(name, 0) for name in names.tolist()])
    none = ("",) * len(known)
    return Atlas(
        "labels", numbers, targets, np.arange(1, len(known) + 1), tuple(known), none, none, ("#888888",) * len(known)
    )


def _folds(data: ArrayData, cv: Any, inner_cv: Any, repeats: str | None) -> Folds:
    samples = data.responses.samples
    shown = (np.arange(len(samples)), samples.stimulus)
    if isinstance(cv, int | np.integer | str):
        n_outer: Any = cv if isinstance(cv, str) else int(cv)
        split = Split(n_outer=n_outer, n_inner=inner_cv, repeats=repeats)
        return make_folds(split, samples, shown)
    if repeats not in (None, "condition"):
        raise ConfigError(f"repeats = {repeats!r} with folds of one's own: leave such rows out of the folds instead.")
    pairs = cv if isinstance(cv, list | tuple) else cv.split(data.spaces[0].values, data.responses.values, samples.run)
    folds = []
    for train, test in pairs:
        rows, held = np.asarray(train), np.asarray(test)
        folds.append(Fold(rows, held, _inner(samples[rows], inner_cv), np.arange(len(held))))
    checked = Folds(tuple(folds), samples)
    for number, fold in enumerate(checked.folds):
        both = np.intersect1d(samples.stimulus[fold.train], samples.stimulus[fold.test])
        if len(both) and repeats is None:
            raise DataError(
                f"Outer fold {number}: {len(both)} stimuli are both trained on and tested, the first is "
                f'{str(both[0])!r}. Set repeats = "condition" if they recur by design.'
            )
    return checked


def _inner(part: Samples, inner_cv: Any) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Divide training rows by runs, into as many inner folds as there are runs at most."""
    runs = len(part.runs)
    n = runs if inner_cv == "leave_one_out" else min(int(inner_cv), runs)
    order = {run: place * n // runs for place, run in enumerate(part.runs)}
    unit = np.array([order[run] for run in part.run.tolist()])
    return tuple((np.flatnonzero(unit != k), np.flatnonzero(unit == k)) for k in range(n))


@contextmanager
def _kept(folder: str | Path | None) -> Iterator[Path]:
    """Open a folder for results: the one that is asked for, or a temporary one."""
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="encoding-") as temporary:
        yield Path(temporary)


def _in_memory(item: Any) -> Any:
    """Copy the arrays of an object out of their files."""
    values = {}
    for field in dataclasses.fields(item):
        value = getattr(item, field.name)
        if isinstance(value, np.ndarray):
            values[field.name] = np.array(value)
        elif isinstance(value, FoldMoments):
            values[field.name] = _in_memory(value)
    return dataclasses.replace(item, **values)


__all__ = ["CrossValidation", "cross_validate", "permutation_test", "rsa", "variance_partition"]
