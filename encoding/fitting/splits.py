"""Divide samples into folds: no run is cut, and no stimulus is on both sides unless asked for."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal

import numpy as np
from annotated_types import Interval

from ..core import ConfigError, Exclusion, Samples, SplitError, suggest
from ..core.settings import NotNegative, Number, OneOf, Seed, Text, Unit, settings
from ..numerics.designs import contiguous_groups, purge
from .folds import Fold, Folds

KINDS = ("runs", "fixed", "blocks")
REPEATS = ("condition", "drop_later", "exclude_from_training")
INNER = ("runs", "random")
POSITIONS = re.compile(r"([1-9][0-9]*)(?:-([1-9][0-9]*))?")


LEAVE_ONE_OUT = Literal["leave_one_out"]
FoldCount = Annotated[int, Interval(ge=2, le=100_000)]


@settings("[split]")
class Split:
    """How samples are divided into outer and inner folds.

    Examples
    --------
    >>> from encoding.fitting import Split
    >>> Split(kind="fixed", test_runs=("run-04",)).test_runs
    ('run-04',)
    """

    kind: Annotated[str, OneOf(KINDS)] = "runs"
    """"runs": every fold holds out whole runs. "fixed": one split, `test_runs` against the rest; repeats of a test
    stimulus (or of a whole test run, with one row per volume) are averaged before scoring. "blocks": contiguous blocks
    of one long run, with a purge gap around each."""
    n_outer: FoldCount | LEAVE_ONE_OUT = "leave_one_out"
    """Outer folds, made of neighbouring runs in their order; left out where `groups` or `test_runs` define them."""
    n_inner: FoldCount | LEAVE_ONE_OUT = 5
    """Inner folds, on which hyper-parameters are chosen; one per training run where there are fewer runs."""
    repeats: Annotated[str, OneOf(REPEATS)] | None = None
    """What to do with stimuli that occur in several folds. "condition": they recur by design and are what is to be
    predicted, keep them. "drop_later": keep the first presentation only. "exclude_from_training": leave samples of a
    stimulus out of training whenever it is tested. Left out: such stimuli are an error. Inner folds are treated
    alike."""
    groups: tuple[tuple[Text, ...], ...] = ()
    """Outer folds listed run by run, by patterns such as ``ses-01_*``, or by positions such as ``11-20`` (the eleventh
    to the twentieth run of the subject, counted over sessions), instead of `n_outer`."""
    test_runs: tuple[Text, ...] = ()
    """Runs, patterns or positions to test when `kind` is "fixed"."""
    gap: Annotated[NotNegative, Unit("s")] = 20.0
    """Seconds between training and held-out samples when `kind` is "blocks"; longer than the haemodynamic response and
    the longest delay."""
    inner: Annotated[str, OneOf(INNER)] = "runs"
    """"runs": inner folds divide the training runs, in their order. "random": each of `n_inner` splits validates on a
    random draw of training runs, `validation_share` of them (at least one); a run may be in several draws."""
    validation_share: Annotated[Number, Interval(gt=0, lt=1)] = 0.2
    """Share of the training runs that a random inner split validates on."""
    seed: Seed = 0
    """Seed of random inner splits."""

    def __post_init__(self) -> None:
        """Check rules across fields."""
        if (self.kind == "fixed") != bool(self.test_runs):
            raise ConfigError(
                f"kind = {self.kind!r} with test_runs = {list(self.test_runs)}: "
                'kind = "fixed" needs test_runs, other kinds have none.'
            )
        if self.groups and self.kind != "runs":
            raise ConfigError(f'groups belong to kind = "runs", not to {self.kind!r}.')
        if (self.groups or self.kind == "fixed") and self.n_outer != "leave_one_out":
            given = "groups" if self.groups else "test_runs"
            raise ConfigError(f"n_outer = {self.n_outer}, but {given} define the outer folds. Leave n_outer out.")
        if self.kind == "blocks" and "leave_one_out" in (self.n_outer, self.n_inner):
            raise ConfigError('kind = "blocks" needs numbers for n_outer and n_inner.')
        if self.inner == "random" and (self.kind == "blocks" or self.n_inner == "leave_one_out"):
            raise ConfigError(
                f'inner = "random" draws whole runs, a number of times: it needs a number for n_inner (it is '
                f'{self.n_inner!r}) and no kind = "blocks" (it is {self.kind!r}).'
            )


def make_folds(split: Split, samples: Samples, shown: tuple[np.ndarray, np.ndarray]) -> Folds:
    """Divide samples into outer and inner folds, and handle recurring stimuli.

    Parameters
    ----------
    split : Split
        What is wanted.
    samples : Samples
        Rows of the responses.
    shown : tuple of ndarray
        Pairs of (row, stimulus): which rows depend on which stimulus. With delays a volume depends on stimuli
        that have ended.

    Returns
    -------
    Folds
        Checked for leaks.

    Raises
    ------
    SplitError
        If there are too few runs, if a stimulus recurs across (outer or inner) folds and `Split.repeats` is None,
        or if a fold would be empty.

    Examples
    --------
    >>> import encoding
    >>> from encoding.fitting import Split, make_folds
    >>> names, run = np.array([f"clip{k}" for k in range(12)]), np.repeat(["run-1", "run-2", "run-3", "run-4"], 3)
    >>> samples = encoding.Samples(names, np.arange(12.0), np.ones(12), run, "stimulus")
    >>> folds = make_folds(Split(n_outer=4, n_inner=3), samples, (np.arange(12), names))
    >>> [fold.test.tolist() for fold in folds.folds]  # whole runs
    [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    """
    keep = np.ones(len(samples), bool)
    exclusions: list[Exclusion] = []
    if split.repeats == "drop_later":
        keep, exclusions = _first_presentations(samples, shown)
    units = _outer_units(split, samples)
    gap = split.gap if split.kind == "blocks" else None
    folds = []
    for number in range(units.max() + 1):
        test = np.flatnonzero((units == number) & keep)
        train = np.flatnonzero(_clear_of(samples, units == number, gap) & keep & (units != number))
        if split.repeats == "exclude_from_training":
            seen = np.unique(shown[1][np.isin(shown[0], test)])
            shared = np.intersect1d(train, shown[0][np.isin(shown[1], seen)])
            train = np.setdiff1d(train, shared)
            exclusions += [
                Exclusion("training samples", len(shared), f"stimulus tested in outer fold {number}")
            ] * bool(len(shared))
        _check_repeats(split, shown, train, test, f"Outer fold {number}")
        average = _averaging(samples, test) if split.kind == "fixed" else np.arange(len(test))
        inner = _inner(split, samples, shown, train, f"Outer fold {number}")
        folds.append(Fold(train, test, inner, average))
    return Folds(tuple(folds), samples, gap, tuple(exclusions))


def _first_presentations(samples: Samples, shown: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, list[Exclusion]]:
    """Keep the first presentation of every stimulus; return a mask of rows, and what was dropped."""
    if samples.clock != "stimulus":
        raise SplitError(
            'repeats = "drop_later" needs one row per stimulus; volumes of a later presentation cannot be taken out of '
            'their run without a gap. Use "exclude_from_training" or "condition".'
        )
    _, first = np.unique(shown[1], return_index=True)
    keep = np.zeros(len(samples), bool)
    keep[shown[0][first]] = True
    dropped = np.flatnonzero(~keep)
    if not len(dropped):
        return keep, []
    names = ", ".join(samples.stimulus[dropped[:5]].tolist()) + (", ..." if len(dropped) > 5 else "")
    return keep, [Exclusion("presentations", len(dropped), f"later showings of stimuli already shown ({names})")]


def check_runs(split: Split, runs: Sequence[str]) -> None:
    """Refuse a split that the runs of a subject, named in their order, do not allow."""
    if split.kind == "fixed":
        _match(split.test_runs, runs, "test_runs")
    for patterns in split.groups:
        _match(patterns, runs, "groups")
    if split.kind != "blocks" and len(runs) < 2:
        raise _one_run(runs)
    if split.kind == "runs" and not split.groups and split.n_outer != "leave_one_out":
        _require_runs(int(split.n_outer), runs)


def _one_run(runs: Sequence[str]) -> SplitError:
    return SplitError(
        f"There is one run only ({runs[0]!r}), and folds hold out whole runs. "
        f'Set kind = "blocks" in [split] to hold out contiguous blocks with a gap between them.'
    )


def _require_runs(n_folds: int, runs: Sequence[str]) -> None:
    if n_folds > len(runs):
        raise SplitError(f"[split] n_outer = {n_folds}, but there are {len(runs)} runs. Use at most {len(runs)}.")


def _match(patterns: Sequence[str], runs: Sequence[str], what: str) -> list[str]:
    """Find the runs that a pattern or a range of positions selects."""
    found: list[str] = []
    for pattern in patterns:
        matched = _at(pattern, runs, what)
        if matched is None:
            matched = [run for run in runs if fnmatchcase(run, pattern)]
        if not matched:
            raise SplitError(f"[split] {what}: {pattern!r} matches no run. {suggest(pattern, runs)}")
        found += matched
    return list(dict.fromkeys(found))


def _at(pattern: str, runs: Sequence[str], what: str) -> list[str] | None:
    """Parse a range of run positions such as "11-20", counted from 1; return None if the text is none."""
    places = POSITIONS.fullmatch(pattern)
    if places is None or pattern in runs:
        return None
    first, last = int(places[1]), int(places[2] or places[1])
    if first > last or last > len(runs):
        raise SplitError(f"[split] {what}: {pattern!r} is not a valid range of run positions (1-{len(runs)}).")
    return list(runs[first - 1 : last])


def _outer_units(split: Split, samples: Samples) -> np.ndarray:
    """Find the outer fold that tests each row; -1 for rows that are only trained on."""
    runs = samples.runs
    if split.kind == "blocks":
        return _blocks(len(samples), int(split.n_outer), "samples")
    if len(runs) < 2:
        raise _one_run(runs)
    of_run = dict.fromkeys(runs, -1)
    if split.kind == "fixed":
        of_run.update(dict.fromkeys(_match(split.test_runs, runs, "test_runs"), 0))
    elif split.groups:
        for number, patterns in enumerate(split.groups):
            for run in _match(patterns, runs, "groups"):
                if of_run[run] >= 0:
                    raise SplitError(f"[split] groups: run {run!r} is in group {of_run[run]} and in group {number}.")
                of_run[run] = number
    else:
        n_folds = len(runs) if split.n_outer == "leave_one_out" else int(split.n_outer)
        _require_runs(n_folds, runs)
        of_run = dict(zip(runs, contiguous_groups(len(runs), n_folds).tolist(), strict=True))
    return np.asarray([of_run[run] for run in samples.run.tolist()])


def _blocks(n_samples: int, n_folds: int, what: str) -> np.ndarray:
    """Assign samples to contiguous blocks of nearly equal size."""
    if n_samples < 2 * n_folds:
        raise SplitError(f"[split] {n_samples} {what} cannot be cut into {n_folds} blocks of at least two.")
    return contiguous_groups(n_samples, n_folds)


def _clear_of(samples: Samples, held_out: np.ndarray, gap: float | None) -> np.ndarray:
    """Mark rows that are not held out, nor within the gap of a held-out row of the same run."""
    if gap is None:
        return ~held_out
    clear = ~held_out
    for run in np.unique(samples.run[held_out]):
        inside = samples.run == run
        start, stop = samples.onset[inside], samples.onset[inside] + samples.duration[inside]
        clear[inside] = purge(start, stop, held_out[inside], gap)
    return clear


def _check_repeats(
    split: Split, shown: tuple[np.ndarray, np.ndarray], train: np.ndarray, test: np.ndarray, where: str
) -> None:
    """Refuse stimuli that occur on both sides of a fold unless the split says what to do with them."""
    if split.repeats == "condition":
        return
    both = np.intersect1d(shown[1][np.isin(shown[0], train)], shown[1][np.isin(shown[0], test)])
    if len(both):
        raise SplitError(
            f"{where}: {len(both)} stimuli are both trained on and tested, e.g. {str(both[0])!r}. Say in "
            '[split] what that means: repeats = "condition" (they recur by design), "drop_later" (keep the first '
            'showing) or "exclude_from_training" (never train on what is tested).'
        )


def _averaging(samples: Samples, test: np.ndarray) -> np.ndarray:
    """Find the averaged row of each test row: same stimulus, or same position in identical runs."""
    rows = samples[test]
    if rows.clock == "stimulus":
        _, first, member = np.unique(rows.stimulus, return_index=True, return_inverse=True)
        rank = np.argsort(np.argsort(first))
        return rank[member]
    timelines = {run: tuple(rows.stimulus[rows.run == run].tolist()) for run in rows.runs}
    average, offset, known = np.empty(len(rows), int), 0, {}
    for run, timeline in timelines.items():
        if timeline not in known:
            known[timeline] = offset
            offset += len(timeline)
        average[rows.run == run] = known[timeline] + np.arange(len(timeline))
    return average


def _inner(
    split: Split, samples: Samples, shown: tuple[np.ndarray, np.ndarray], train: np.ndarray, where: str
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Divide the training rows into inner folds."""
    inside = samples[train]
    if split.inner == "random":
        return _random_inner(split, inside, shown, train, where)
    gap = split.gap if split.kind == "blocks" else None
    if split.kind == "blocks":
        units = _blocks(len(inside), int(split.n_inner), f"training samples (after a gap of {gap} s)")
    else:
        runs = inside.runs
        n_folds = len(runs) if split.n_inner == "leave_one_out" else min(int(split.n_inner), len(runs))
        if n_folds < 2:
            raise SplitError(
                f"{len(runs)} training run is left for the inner folds ({', '.join(runs)}), and two are needed "
                f"to choose hyper-parameters. Use fewer outer folds, or more runs."
            )
        of_run = dict(zip(runs, contiguous_groups(len(runs), n_folds).tolist(), strict=True))
        units = np.asarray([of_run[run] for run in inside.run.tolist()])
    held_out = [units == number for number in range(units.max() + 1)]
    fits = [_clear_of(inside, validation, gap) & ~validation for validation in held_out]
    return _inner_pairs(split, shown, train, list(zip(fits, held_out, strict=True)), where)


def _random_inner(
    split: Split, inside: Samples, shown: tuple[np.ndarray, np.ndarray], train: np.ndarray, where: str
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Draw inner folds that each validate on some of the training runs."""
    runs = inside.runs
    if len(runs) < 2:
        raise SplitError(f"{where}: {len(runs)} training run is left for random inner splits, and two are needed.")
    size = min(max(1, round(split.validation_share * len(runs))), len(runs) - 1)
    rng = np.random.default_rng([split.seed, len(runs)])
    drawn = [rng.choice(len(runs), size, replace=False) for _ in range(int(split.n_inner))]
    held_out = [np.isin(inside.run, [runs[number] for number in numbers]) for numbers in drawn]
    return _inner_pairs(split, shown, train, [(~validation, validation) for validation in held_out], where)


def _inner_pairs(
    split: Split,
    shown: tuple[np.ndarray, np.ndarray],
    train: np.ndarray,
    masks: Sequence[tuple[np.ndarray, np.ndarray]],
    where: str,
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Handle stimuli that recur on both sides of inner folds."""
    pairs = []
    for number, (fit, validation) in enumerate(masks):
        kept = fit
        if split.repeats == "exclude_from_training":
            seen = np.unique(shown[1][np.isin(shown[0], train[validation])])
            kept = fit & ~np.isin(train, shown[0][np.isin(shown[1], seen)])
        _check_repeats(split, shown, train[kept], train[validation], f"{where}, inner fold {number}")
        pairs.append((np.flatnonzero(kept), np.flatnonzero(validation)))
    return tuple(pairs)
