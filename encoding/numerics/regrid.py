"""Rows at any times, such as words or frames, brought to a regular grid such as that of volumes."""

import numpy as np
from scipy import sparse

# Methods of `regrid`, and what each makes of the rows of one volume.
METHODS = ("mean", "sum", "last", "lanczos")
LOBES = 3
TOLERANCE = 1e-6  # seconds; below it, times that were written as decimals are equal


def regrid(
    values: np.ndarray, start: np.ndarray, duration: np.ndarray, *, first: float, step: float, n_steps: int, method: str
) -> np.ndarray:
    """Resample rows to intervals of equal length, ``first + k step`` to ``first + (k + 1) step``.

    "mean" and "sum" weight a row by the share of its duration inside the interval, or count it whole where it begins
    if it has no duration; "last" takes the row that begins last inside; "lanczos" interpolates from the middle of rows
    to the middle of intervals. Intervals without rows are 0.

    Shapes: `values` (n_rows, n_columns), `start, duration` (n_rows,); returns (n_steps, n_columns).
    """
    values = np.asarray(values, dtype=np.float64)
    if method == "lanczos":
        middle = first + step * (np.arange(n_steps) + 0.5)
        return lanczos_weights(start + duration / 2, middle, step) @ values
    if method == "last":
        return _last(values, start, first, step, n_steps)
    shares = interval_shares(start, duration, first, step, n_steps)
    found = shares @ values
    if method == "mean":
        total = np.asarray(shares.sum(axis=1)).reshape(-1, 1)
        found = np.divide(found, total, out=np.zeros_like(found), where=total > 0)
    return found


def interval_shares(
    start: np.ndarray, duration: np.ndarray, first: float, step: float, n_steps: int
) -> sparse.csr_array:
    """Return the share of the duration of every row that falls into every interval.

    Shapes: `start, duration` (n_rows,); returns (n_steps, n_rows).
    """
    begin = np.floor((start - first) / step + TOLERANCE).astype(np.int64)
    end = np.maximum(np.ceil((start + duration - first) / step - TOLERANCE).astype(np.int64), begin + 1)
    intervals, rows, weights = [], [], []
    for further in range(int((end - begin).max(initial=0))):
        here = np.flatnonzero((begin + further < end) & (begin + further >= 0) & (begin + further < n_steps))
        number = begin[here] + further
        low = np.maximum(first + number * step, start[here])
        high = np.minimum(first + (number + 1) * step, start[here] + duration[here])
        inside = np.where(duration[here] > 0, high - low, 1.0)
        intervals.append(number)
        rows.append(here)
        weights.append(inside / np.where(duration[here] > 0, duration[here], 1.0))
    empty = [np.zeros(0, np.int64)]
    place = (np.concatenate(intervals or empty), np.concatenate(rows or empty))
    kept = np.concatenate(weights or [np.zeros(0)])
    kept[np.abs(kept) < TOLERANCE] = 0.0
    found = sparse.csr_array((kept, place), shape=(n_steps, len(start)))
    found.eliminate_zeros()
    return found


def _last(values: np.ndarray, start: np.ndarray, first: float, step: float, n_steps: int) -> np.ndarray:
    found = np.zeros((n_steps, values.shape[1]))
    number = np.floor((start - first) / step + TOLERANCE).astype(np.int64)
    order = np.argsort(start, kind="stable")
    inside = order[(number[order] >= 0) & (number[order] < n_steps)]
    taken = dict(zip(number[inside].tolist(), inside.tolist(), strict=True))  # the last of an interval stays
    found[list(taken)] = values[list(taken.values())]
    return found


def lanczos_weights(times: np.ndarray, wanted: np.ndarray, step: float, lobes: int = LOBES) -> sparse.csr_array:
    """Return the weights of Lanczos interpolation from `times` to `wanted`, with the cutoff 1 / (2 step).

    The weight of a row at the distance t, in steps, is ``sinc(t) sinc(t / lobes)`` for ``|t| <= lobes`` and 0 beyond,
    where ``sinc(t) = sin(pi t) / (pi t)`` (Duchon, 1979, *J. Appl. Meteorol.* 18:1016). Weights are not normalised: n
    rows per step add up to n times their mean, as in published encoding models of speech.

    Shapes: `times` (n_rows,), `wanted` (n_steps,), ascending; returns (n_steps, n_rows).
    """
    low = np.searchsorted(wanted, times - lobes * step, side="left")
    high = np.searchsorted(wanted, times + lobes * step, side="right")
    counts = high - low
    rows = np.repeat(np.arange(len(times)), counts)
    intervals = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    distance = (wanted[intervals] - times[rows]) / step
    weights = np.sinc(distance) * np.sinc(distance / lobes)
    return sparse.csr_array((weights, (intervals, rows)), shape=(len(wanted), len(times)))
