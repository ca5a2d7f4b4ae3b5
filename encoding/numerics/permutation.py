"""Null distributions from exchanging whole units of features: runs, runs and shifts, or stimuli.

The statistic of a space and a target is the signal that different units share, at a fixed penalty of the mean
eigenvalue,

    T = C'NC - sum over units u of C_u'N C_u,    C_u = X_u'y_u,  C = sum of C_u,  N = inv(S + (tr S / p) I).

Features of whole units are laid over the responses of other units of the same length. S, and with it N, does not
change, and what is dependent within a unit (autocorrelation, a time course common to all runs) stays together. A draw
is the same for all targets and all spaces, so that their largest standardised statistic controls the family-wise error
of all of them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .cleaning import project_out
from .mixing import hashed
from .shared_variance import RANK_TOLERANCE, inverse_root

FEWEST_UNITS = 6  # of which 720 orders exist; with fewer, features are shifted within runs as well
FEWEST_SHIFTED = 3
TRIM = 0.1  # runs whose lengths differ by less than this share are cut to a common length
N_COSINES = 8


@dataclass(frozen=True, eq=False, slots=True)
class Scheme:
    """How features are laid over responses at random."""

    kind: str  # What is exchanged
    # Rows of each unit (a run, or runs that show the same stimuli), cut to a length that others share; for
    # "stimuli" one number per stimulus
    units: tuple[np.ndarray, ...]
    stratum: np.ndarray  # (n_units,) Units of one stratum are exchanged
    n_dropped: int  # Rows that were cut
    seed: int  # Seed of the draws

    @property
    def rows(self) -> np.ndarray:
        """Rows that take part, unit after unit."""
        return np.concatenate(self.units)

    @property
    def n_orders(self) -> float:
        """Number of different arrangements, shifts included."""
        counts = np.bincount(self.stratum)
        orders = math.exp(min(sum(math.lgamma(count + 1) for count in counts), 300.0))
        if self.kind == "runs and shifts":
            orders *= math.prod(float(len(unit)) for unit in self.units)
        return orders

    def order(self, draw: int) -> np.ndarray:
        """List the unit whose features come to lie at each unit in one draw; draw 0 changes nothing."""
        order = np.arange(len(self.stratum))
        if draw:
            keys = hashed(order, self.seed, 2 * draw)
            for number in np.unique(self.stratum):
                members = np.flatnonzero(self.stratum == number)
                order[members] = members[np.argsort(keys[members], kind="stable")]
        return order

    def shifts(self, draw: int) -> np.ndarray:
        """List the rows by which each unit is shifted in one draw."""
        lengths = np.array([len(unit) for unit in self.units])
        if not draw:
            return np.zeros_like(lengths)
        return (hashed(np.arange(len(lengths)), self.seed, 2 * draw + 1) % lengths.astype(np.uint64)).astype(int)


def exchange_units(units: Sequence[Sequence[np.ndarray]], seed: int) -> Scheme:
    """Decide how units are exchanged."""
    if len(units) < FEWEST_SHIFTED:
        what = "run" if len(units) == 1 else "runs"
        raise ValueError(f"{len(units)} {what}, but at least {FEWEST_SHIFTED} are needed to exchange their features")
    cut, stratum, dropped = _equal_lengths(units)
    scheme = Scheme("runs", cut, stratum, dropped, seed)
    if scheme.n_orders >= math.factorial(FEWEST_UNITS):
        return scheme
    return Scheme("runs and shifts", cut, stratum, dropped, seed)


def _equal_lengths(units: Sequence[Sequence[np.ndarray]]) -> tuple[tuple[np.ndarray, ...], np.ndarray, int]:
    """Cut runs of almost equal length to the shortest of them, and number units of equal lengths."""
    lengths = [tuple(len(rows) for rows in unit) for unit in units]
    singles = sorted({length[0] for length in lengths if len(length) == 1}, reverse=True)
    to: dict[int, int] = {}
    while singles:
        near = [length for length in singles if length >= (1 - TRIM) * singles[0]]
        to |= dict.fromkeys(near, near[-1])
        singles = singles[len(near) :]
    cut = [
        unit[0][: to[length[0]]] if len(length) == 1 else np.concatenate(unit)
        for unit, length in zip(units, lengths, strict=True)
    ]
    keys = [(to[length[0]],) if len(length) == 1 else length for length in lengths]
    known = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    n_dropped = sum(map(sum, lengths)) - sum(map(len, cut))
    return tuple(cut), np.array([known[key] for key in keys]), n_dropped


def exchange_stimuli(n_stimuli: int, seed: int) -> Scheme:
    """Exchange features of stimuli, alike in all runs, where the same stimuli recur in all of them."""
    if n_stimuli < FEWEST_UNITS:
        raise ValueError(f"{n_stimuli} different stimuli, but at least {FEWEST_UNITS} are needed to exchange features")
    return Scheme("stimuli", tuple(np.array([k]) for k in range(n_stimuli)), np.zeros(n_stimuli, int), 0, seed)


def slow_basis(n_rows: int) -> np.ndarray:
    """Orthonormal mean and slow cosines of a run; mean and cubic trend where a run is short."""
    if n_rows >= 4 * N_COSINES:
        k, t = np.arange(N_COSINES + 1), np.arange(n_rows)[:, None]
        columns = np.cos(np.pi * k * (t + 0.5) / n_rows)
    else:
        columns = np.vander(np.linspace(-1, 1, n_rows), min(4, max(1, n_rows // 3)), increasing=True)
    return np.linalg.qr(columns)[0]


def prepare_rows(values: np.ndarray, scheme: Scheme) -> np.ndarray:
    """Select the rows of a scheme and centre them per unit; before shifts, also project out slow time."""
    parts = []
    for unit in scheme.units:
        part = np.asarray(values[unit], dtype=np.float64)
        part = part - part.mean(0)
        parts.append(project_out(part, slow_basis(len(unit))) if scheme.kind == "runs and shifts" else part)
    return np.concatenate(parts)


def penalised(X: np.ndarray) -> np.ndarray:
    """Whiten features with a penalty of the mean eigenvalue of X'X; one column of zeros where nothing varies.

    With more features than rows the columns are rotated to fewer, which changes no sum of squares over them.
    """
    if X.shape[1] > len(X) and X.any():
        values, vectors = np.linalg.eigh(X @ X.T)
        kept = values > RANK_TOLERANCE * values[-1]
        penalty = float(values.sum()) / X.shape[1]
        return vectors[:, kept] * np.sqrt(values[kept] / (values[kept] + penalty))
    gram = X.T @ X
    if not gram.any():
        return np.zeros((len(X), 1))
    return X @ inverse_root(gram, float(np.trace(gram)) / max(len(gram), 1))


def unit_squares(Y: np.ndarray) -> np.ndarray:
    """Scale responses to a sum of squares of 1; targets that do not vary stay 0."""
    size = np.sqrt(np.einsum("nt,nt->t", Y, Y))
    return np.divide(Y, size, out=np.zeros_like(Y), where=size > 0)


class UnitDraws:
    """Statistics of several spaces under exchanges of runs.

    Shapes: `spaces` (n_rows, n_features).
    """

    def __init__(self, spaces: Sequence[np.ndarray], scheme: Scheme, n_draws: int) -> None:
        self.spaces, self.scheme, self.n_draws = [np.asarray(X, dtype=np.float64) for X in spaces], scheme, n_draws
        white = [penalised(X) for X in self.spaces]
        self.starts = np.concatenate([[0], np.cumsum([Z.shape[1] for Z in white])[:-1]]).astype(int)
        self.Z = np.ascontiguousarray(np.concatenate(white, axis=1), dtype=np.float32)
        ends = np.cumsum([len(unit) for unit in scheme.units])
        self.slices = [slice(int(end) - len(unit), int(end)) for end, unit in zip(ends, scheme.units, strict=True)]
        self.bases = [slow_basis(len(unit)) for unit in scheme.units] if scheme.kind == "runs and shifts" else []

    def statistics(self, Y: np.ndarray) -> np.ndarray:
        """Compute T of prepared responses, shape (n_draws + 1, n_spaces, n_targets); the observed first."""
        Y = np.ascontiguousarray(unit_squares(Y), dtype=np.float32)
        found = np.empty((self.n_draws + 1, len(self.starts), Y.shape[1]), dtype=np.float32)
        shifted = self.scheme.kind == "runs and shifts"
        own = None if shifted else self._own_products(Y)
        for draw in range(self.n_draws + 1):
            found[draw] = self._shifted(Y, draw) if own is None else self._exchanged(Y, own, draw)
        return found

    def _own_products(self, Y: np.ndarray) -> np.ndarray:
        """Squares of the products of every unit of features with every unit of responses of the same stratum."""
        n = len(self.slices)
        own = np.zeros((n, n, len(self.starts), Y.shape[1]), dtype=np.float32)
        for b, rows in enumerate(self.slices):
            for a in np.flatnonzero(self.scheme.stratum == self.scheme.stratum[b]):
                own[a, b] = self._squares(self.Z[self.slices[a]].T @ Y[rows])
        return own

    def _squares(self, products: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.square(products), self.starts, axis=0)

    def _exchanged(self, Y: np.ndarray, own: np.ndarray, draw: int) -> np.ndarray:
        order = self.scheme.order(draw)
        Z = np.concatenate([self.Z[self.slices[a]] for a in order])
        return self._squares(Z.T @ Y) - own[order, np.arange(len(order))].sum(0)

    def _shifted(self, Y: np.ndarray, draw: int) -> np.ndarray:
        """Shift features before they are cleaned and whitened, so that every draw is treated as the observed one."""
        order, shifts = self.scheme.order(draw), self.scheme.shifts(draw)
        moved = []
        for X in self.spaces:
            parts = [np.roll(X[self.slices[order[b]]], shifts[b], axis=0) for b in range(len(order))]
            parts = [project_out(part, basis) for part, basis in zip(parts, self.bases, strict=True)]
            moved.append(penalised(np.concatenate(parts)))
        # A direction that rounding made appear or vanish may change the number of columns.
        starts = np.concatenate([[0], np.cumsum([Z.shape[1] for Z in moved])[:-1]]).astype(int)
        Z = np.concatenate(moved, axis=1).astype(np.float32)
        total, own = np.zeros((Z.shape[1], Y.shape[1]), np.float32), np.zeros((len(starts), Y.shape[1]), np.float32)
        for rows in self.slices:
            product = Z[rows].T @ Y[rows]
            total += product
            own += np.add.reduceat(np.square(product), starts, axis=0)
        return np.add.reduceat(np.square(total), starts, axis=0) - own


class StimulusDraws:
    """Statistics of several spaces where features are exchanged between stimuli, alike in all runs.

    Shapes: `spaces` (n_stimuli, n_features), `layout` (n_delays, n_rows, n_stimuli).
    """

    def __init__(self, spaces: Sequence[np.ndarray], layout: np.ndarray, scheme: Scheme, n_draws: int) -> None:
        # N comes from the stimuli, each counted once, so that exchanging them does not change it.
        white = [penalised(F - F.mean(0)).astype(np.float32) for F in spaces]
        self.starts = np.concatenate([[0], np.cumsum([Z.shape[1] for Z in white])[:-1]]).astype(int)
        self.Z, self.layout = np.concatenate(white, axis=1), np.asarray(layout, dtype=np.float32)
        self.scheme, self.n_draws = scheme, n_draws

    def statistics(self, Y: np.ndarray) -> np.ndarray:
        """Compute C'NC for responses centred per run, shape (n_draws + 1, n_spaces, n_targets); the observed first."""
        Y = unit_squares(Y).astype(np.float32)
        products = [delay.T @ Y for delay in self.layout]
        found = np.empty((self.n_draws + 1, len(self.starts), Y.shape[1]), dtype=np.float32)
        for draw in range(self.n_draws + 1):
            Z = self.Z[self.scheme.order(draw)].T
            found[draw] = sum(np.add.reduceat(np.square(Z @ part), self.starts, axis=0) for part in products)
        return found


class BandDraws:
    """Statistics of what a band adds to another, under exchanges of its residual between runs.

    The band is divided as A = B beta + E. E is exchanged between units, B beta is added back, and responses and B keep
    their places, so that what A and B have in common stays in the model. (Permuting A, or the residual of the
    responses, is not exact where A and B correlate.)

    Shapes: `band, others` (n_rows, n_features).
    """

    def __init__(self, band: np.ndarray, others: np.ndarray, scheme: Scheme, n_draws: int) -> None:
        beta = np.linalg.lstsq(others, band, rcond=RCOND)[0]
        self.common, self.others = others @ beta, others
        self.residual = band - self.common
        ends = np.cumsum([len(unit) for unit in scheme.units])
        self.slices = [slice(int(end) - len(unit), int(end)) for end, unit in zip(ends, scheme.units, strict=True)]
        self.scheme, self.n_draws = scheme, n_draws

    def statistics(self, Y: np.ndarray) -> np.ndarray:
        """Compute T of both bands, shape (n_draws + 1, 1, n_targets); T of B alone is the same in all draws."""
        Y = unit_squares(Y).astype(np.float32)
        found = np.empty((self.n_draws + 1, 1, Y.shape[1]), dtype=np.float32)
        for draw in range(self.n_draws + 1):
            moved = np.concatenate([self.residual[self.slices[a]] for a in self.scheme.order(draw)])
            Z = penalised(np.concatenate([self.common + moved, self.others], axis=1)).astype(np.float32)
            own = sum(np.square(Z[rows].T @ Y[rows]).sum(0) for rows in self.slices)
            found[draw, 0] = np.square(Z.T @ Y).sum(0) - own
        return found


RCOND = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class Null:
    """What draws say about observed statistics."""

    # (n_spaces, n_targets) Observed statistics in standard deviations from the mean over all arrangements, the
    # observed one included
    z: np.ndarray
    skewness: np.ndarray  # (n_spaces, n_targets) Third standardised moment over arrangements
    p: np.ndarray  # (n_spaces, n_targets) (1 + draws that reach the observed value) / (1 + draws)
    largest: np.ndarray  # (n_draws + 1,) Largest z over spaces and targets in every arrangement, the observed first


def summarise(statistics: np.ndarray) -> Null:
    """Standardise statistics over arrangements, shape (n_draws + 1, n_spaces, n_targets), the observed first."""
    values = np.asarray(statistics, dtype=np.float64)
    centred = values - values.mean(0)
    sd = np.sqrt(np.square(centred).mean(0))
    varies = sd > 0
    z = np.divide(centred, sd, out=np.zeros_like(centred), where=varies)
    # A draw that repeats the observed arrangement differs from it by rounding only, and counts.
    reached = (z[1:] >= z[0] - 1e-5).sum(0)
    p = np.where(varies, (1 + reached) / len(values), np.nan)
    largest = z[:, varies].max(1, initial=-np.inf)
    return Null(np.where(varies, z[0], np.nan), np.where(varies, (z**3).mean(0), np.nan), p, largest)


def family_wise(z: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Compute p corrected for all spaces and targets: how many arrangements have a largest z that reaches each z."""
    ordered = np.sort(largest[1:] + 1e-5)
    reached = len(ordered) - np.searchsorted(ordered, z, side="left")
    return np.where(np.isfinite(z), (1 + reached) / (1 + len(ordered)), np.nan)


def tail_probability(z: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """Compute p beyond the resolution of the draws: Pearson III, skewness pooled over the targets of a space.

    Shapes: `z, skewness` (n_spaces, n_targets); returns (n_spaces, n_targets).
    """
    known = np.isfinite(skewness)
    n = np.maximum(known.sum(1), 1)
    pooled = np.where(known, skewness, 0).sum(1) / n
    return np.stack([stats.pearson3.sf(row, skew) for row, skew in zip(z, pooled, strict=True)])


def chunks_of(n_targets: int, size: int) -> Iterator[slice]:
    """Divide targets into slices of a size."""
    return (slice(first, min(first + size, n_targets)) for first in range(0, n_targets, size))


def targets_at_once(scheme: Scheme, n_spaces: int, n_draws: int, n_bytes: int) -> int:
    """Count the targets whose draws fit into some memory."""
    own = 4 * len(scheme.units) ** 2 * n_spaces if scheme.kind == "runs" else 0
    each = own + 28 * (n_draws + 1) * n_spaces + 16 * sum(map(len, scheme.units))
    return int(np.clip(n_bytes // each, 32, 2048))
