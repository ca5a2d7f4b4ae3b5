"""Controls: features that know nothing of the stimuli must not predict responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..core import FeatureSpace, Samples
from ..numerics import permutation
from ..numerics.autocorrelation import lag_one
from ..numerics.control_features import equal_rows, held_out_r
from ..numerics.metrics import fisher_mean
from ..numerics.shared_variance import FEWEST_BLOCKS, blocks_of_runs, centre_runs, estimate, shared_kernel, shared_space

LEVEL = 0.05  # of all controls of one subject together
N_DRAWS = 999
N_EXCHANGES, MOST_TARGETS, MOST_COMPONENTS = 399, 256, 64  # of exchanges of runs: these take a second or two
SAME = 1e-5  # draws that differ by less than this share of their mean are one arrangement: all runs have one value
FEWEST_RUNS = 5  # of which 120 orders exist

Pairs = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Control:
    """What one control found in one subject."""

    name: str  # "position", "run", "time", "random", "motion" or "vision"
    meaning: str  # What its features are
    n_features: int  # How many there are
    r: float  # Held-out correlation at a fixed penalty, mean over targets; NaN where there is none
    # Variance of the responses that is linear in the features and shared by runs (U), mean over targets
    shared: float
    p: float  # One-sided probability of as much by chance; NaN where it was not tested
    why_not: str = ""  # Why it was not tested; "" where it was


def shared_control(name: str, meaning: str, X: np.ndarray, Y: np.ndarray, run: np.ndarray, folds: Pairs) -> Control:
    """Test whether features explain variance that different runs share, in targets and in their mean.

    Products of different runs have independent noise, so that no autocorrelation within runs makes them differ from 0;
    a time course that runs share does. Features that differ between runs are exchanged between them; those that are the
    same in all (position in the run) are tested by the variance over runs.
    """
    rows = np.unique(np.concatenate([np.concatenate(pair) for pair in folds]))
    X, Y, labels = centre_runs(X[rows], run[rows]), centre_runs(Y[rows], run[rows]), run[rows]
    X = _leading(X, len(X) // 4)
    blocks = blocks_of_runs(labels)
    place = np.full(int(rows.max()) + 1, -1)
    place[rows] = np.arange(len(rows))
    r = _mean_r(X, Y, [(place[train], place[test]) for train, test in folds])
    if len(blocks) < FEWEST_BLOCKS:
        return Control(name, meaning, X.shape[1], r, np.nan, np.nan, f"{len(blocks)} runs; {FEWEST_BLOCKS} are needed")
    if not X.any():
        return Control(name, meaning, X.shape[1], r, np.nan, np.nan, "too few samples, or nothing varies within runs")
    space = shared_space(X, blocks)
    found = estimate(shared_kernel(space, Y).mean(0))
    p = _exchange(X, Y, labels)
    if p is None:  # of the mean over targets, and of the mean response, which a leak of one sign is clearest in
        of_mean = estimate(shared_kernel(space, Y.mean(1, keepdims=True))).p_above()
        p = min(1.0, 2 * float(np.fmin(found.p_above(), of_mean[0])))
    return Control(name, meaning, X.shape[1], r, float(found.value), p)


def _exchange(X: np.ndarray, Y: np.ndarray, run: np.ndarray) -> float | None:
    """Exchange runs of features; None where there are too few, or features are alike in all.

    The statistic is the largest of three, each in standard deviations over draws: mean and maximum over targets of
    their standardised statistics, and that of the mean response.
    """
    rows = [np.flatnonzero(run == label) for label in dict.fromkeys(run.tolist())]
    if len(rows) < permutation.FEWEST_UNITS:
        return None
    scheme = permutation.exchange_units([[one] for one in rows], 0)
    if scheme.kind != "runs":
        return None
    chosen = Y[:, :: -(-Y.shape[1] // MOST_TARGETS)]
    responses = permutation.prepare_rows(np.concatenate([chosen, Y.mean(1, keepdims=True)], axis=1), scheme)
    features = permutation.prepare_rows(_components(X, MOST_COMPONENTS), scheme)
    draws = permutation.UnitDraws([features], scheme, N_EXCHANGES).statistics(responses)[:, 0].astype(np.float64)
    spread = draws.std(0)
    varies = spread > SAME * np.abs(draws).max(0)
    if not varies[-1] or not varies[:-1].any():
        return None
    z = ((draws - draws.mean(0)) / np.where(varies, spread, 1.0))[:, varies]
    three = np.stack([z[:, :-1].mean(1), z[:, :-1].max(1), z[:, -1]])
    largest = ((three - three.mean(1, keepdims=True)) / three.std(1, keepdims=True)).max(0)
    return float((1 + np.sum(largest[1:] >= largest[0] - 1e-5)) / len(largest))


def run_control(name: str, meaning: str, Y: np.ndarray, run: np.ndarray) -> Control:
    """Test whether run means follow the number of the run, by exchanging runs."""
    labels = list(dict.fromkeys(run.tolist()))
    means = np.stack([Y[run == label].mean(0, dtype=np.float64) for label in labels])
    typical = float(np.sqrt(np.square(Y, dtype=np.float64).mean()))
    if np.abs(means).max(initial=0.0) <= 1e-4 * typical:
        return Control(name, meaning, 2, np.nan, np.nan, np.nan, "responses are centred within runs")
    if len(labels) < FEWEST_RUNS:
        return Control(name, meaning, 2, np.nan, np.nan, np.nan, f"{len(labels)} runs; {FEWEST_RUNS} are needed")
    number = np.arange(len(labels))
    basis = np.linalg.qr(np.stack([number**0, number, number**2], axis=1).astype(float))[0][:, 1:]
    means = means - means.mean(0)
    size = np.sqrt(np.square(means).sum(0))
    means = means / np.where(size > 0, size, 1.0)

    def explained(order: np.ndarray) -> float:
        return float(np.square(basis.T @ means[order]).sum(0).mean())

    rng = np.random.default_rng(0)
    observed = explained(number)
    above = sum(explained(rng.permutation(len(labels))) >= observed - 1e-12 for _ in range(N_DRAWS))
    return Control(name, meaning, 2, np.nan, observed, (1 + above) / (1 + N_DRAWS))


def fold_control(name: str, meaning: str, X: np.ndarray, Y: np.ndarray, folds: Pairs) -> Control:
    """Test held-out correlations of a few folds against 0, with the variance of Nadeau and Bengio (2003)."""
    r = np.nanmean(np.arctanh(np.clip(held_out_r(X, Y, folds), -1 + 1e-9, 1 - 1e-9)), axis=1)
    n = len(r)
    if n < 3:
        return Control(name, meaning, X.shape[1], float(np.tanh(r.mean())), np.nan, np.nan, f"{n} folds; 3 are needed")
    se = np.sqrt((1 / n + 1 / (n - 1)) * r.var(ddof=1))
    p = float(stats.t.sf(r.mean() / se, n - 1)) if se > 0 else float(r.mean() <= 0)
    return Control(name, meaning, X.shape[1], float(np.tanh(r.mean())), np.nan, p)


def _mean_r(X: np.ndarray, Y: np.ndarray, folds: Pairs) -> float:
    r = fisher_mean(held_out_r(X, Y, folds))
    return float(np.nanmean(r)) if np.isfinite(r).any() else np.nan


def _leading(X: np.ndarray, most: int) -> np.ndarray:
    """Project on the leading principal components where there are many columns: U needs far fewer than rows."""
    varying = X[:, X.std(0) > 0]
    return varying if varying.shape[1] <= 2 * most else _components(varying, most)


def _components(X: np.ndarray, most: int) -> np.ndarray:
    """Scores on the leading principal components, at most so many; X itself where it has no more columns."""
    if X.shape[1] <= most:
        return X
    if X.shape[1] > len(X):  # decompose what is smaller
        values, vectors = np.linalg.eigh(X @ X.T)
        return (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1][:, :most]
    return X @ np.linalg.eigh(X.T @ X)[1][:, ::-1][:, :most]


Groups = tuple[tuple[str, ...], ...]


def same_files(contents: Mapping[str, str], samples: Samples, folds: Pairs) -> Groups:
    """List stimuli whose files have the same content, on both sides of a fold under different names."""
    groups: dict[str, list[str]] = {}
    for name, content in contents.items():
        groups.setdefault(content, []).append(name)
    return _across_folds([set(names) for names in groups.values() if len(names) > 1], samples, folds)


def hidden_duplicates(spaces: Sequence[FeatureSpace], samples: Samples, folds: Pairs) -> Groups:
    """List stimuli of equal features in every space that are trained on under one name and tested under another."""
    names = sorted(set(samples.stimulus.tolist()) - {""})
    for space in spaces:
        names = [name for name in names if name in set(space.samples.stimulus.tolist())]
    if not spaces or len(names) < 2:
        return ()
    parts = []
    for space in spaces:
        place = {name: row for row, name in enumerate(space.samples.stimulus.tolist())}
        values = space.values[[place[name] for name in names]].astype(np.float64)
        spread = values.std(0)
        values = values[:, spread > 0] / spread[spread > 0]
        parts.append(values / np.sqrt(max(values.shape[1], 1)))  # every space has the same say
    groups = equal_rows(np.concatenate(parts, axis=1))
    return _across_folds([{names[number] for number in group} for group in groups], samples, folds)


def _across_folds(groups: Sequence[set[str]], samples: Samples, folds: Pairs) -> Groups:
    """Keep the groups of which some are tested in a fold that others are trained in."""
    found = []
    for members in groups:
        for train, test in folds:
            trained = members & set(samples.stimulus[train].tolist())
            tested = members & set(samples.stimulus[test].tolist())
            if tested and trained - tested:
                found.append(tuple(sorted(members)))
                break
    return tuple(found)


def autocorrelations(Y: np.ndarray, spaces: Sequence[FeatureSpace], run: np.ndarray) -> dict[str, float]:
    """Compute lag-1 autocorrelations within runs of responses and of every feature space."""
    found = {"responses": float(np.nanmean(lag_one(Y, run))) if len(Y) else np.nan}
    for space in spaces:
        rho = lag_one(space.values, run)
        weight = space.values.var(0)
        known = np.isfinite(rho)
        found[space.name] = float(np.average(rho[known], weights=weight[known])) if weight[known].sum() > 0 else np.nan
    return found


def above_chance(controls: Sequence[Control]) -> list[bool]:
    """Flag the controls that predict better than chance, corrected for the number of tested ones."""
    tested = sum(not control.why_not for control in controls)
    return [not control.why_not and control.p <= LEVEL / tested for control in controls]
