"""Controls: features that know nothing of the stimuli must not predict responses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..core import FeatureSpace, Samples
from ..numerics.autocorrelation import lag_one
from ..numerics.control_features import equal_rows, held_out_r
from ..numerics.metrics import fisher_mean
from ..numerics.shared_variance import FEWEST_BLOCKS, blocks_of_runs, centre_runs, estimate, shared_kernel, shared_space

LEVEL = 0.05  # of all controls of one subject together
N_DRAWS = 999
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
    """Test whether features explain variance that different runs share, averaged over targets.

    The products of different runs have independent noise, so that no autocorrelation within runs makes them differ from
    0; a time course that runs share does.
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
    kernel = shared_kernel(shared_space(X, blocks), Y).mean(0)
    found = estimate(kernel)
    return Control(name, meaning, X.shape[1], r, float(found.value), float(found.p_above()))


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
    if varying.shape[1] <= 2 * most:
        return varying
    _, _, right = np.linalg.svd(varying, full_matrices=False)
    return varying @ right[:most].T


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
