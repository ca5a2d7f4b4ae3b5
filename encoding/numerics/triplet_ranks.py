"""Unordered triplets of n items: their numbers, their orbits, and how often they cover each pair."""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from .mixing import BLOCK, hashed, uniform

ORDERS = np.array([(0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 0, 2)])
TIES, LABELS, NOISE = 101, 102, 103


def count_triplets(n: int) -> int:
    """Count the unordered triplets of n items.

    Examples
    --------
    >>> count_triplets(66)
    45760
    """
    return n * (n - 1) * (n - 2) // 6


def rank_triplets(items: np.ndarray) -> np.ndarray:
    """Return the ranks of unordered triplets.

    Shapes: `items` (n_triplets, 3); returns (n_triplets,).

    Examples
    --------
    >>> rank_triplets(np.array([[2, 0, 1], [3, 1, 0]])).tolist()
    [0, 1]
    """
    ranks = np.empty(len(items), dtype=np.int64)
    for start in range(0, len(items), BLOCK):
        block = np.sort(np.asarray(items[start : start + BLOCK]).astype(np.int64), axis=1)
        a, b, c = block.T
        ranks[start : start + BLOCK] = c * (c - 1) * (c - 2) // 6 + b * (b - 1) // 2 + a
    return ranks


def unrank_triplets(ranks: np.ndarray) -> np.ndarray:
    """Return the triplets with these ranks; the inverse of `rank_triplets`.

    Shapes: `ranks` (n_triplets,); returns (n_triplets, 3).

    Examples
    --------
    >>> unrank_triplets(np.array([0, 1])).tolist()
    [[0, 1, 2], [0, 1, 3]]
    """
    ranks = np.asarray(ranks, dtype=np.int64)
    # The roots of the leading terms are off by one at most; integers then say which way.
    c = np.cbrt(6.0 * ranks).astype(np.int64) + 1
    c -= c * (c - 1) * (c - 2) // 6 > ranks
    c += (c + 1) * c * (c - 1) // 6 <= ranks
    rest = ranks - c * (c - 1) * (c - 2) // 6
    b = ((1.0 + np.sqrt(8.0 * rest + 1.0)) / 2).astype(np.int64)
    b -= b * (b - 1) // 2 > rest
    b += (b + 1) * b // 2 <= rest
    return np.stack((rest - b * (b - 1) // 2, b, c), axis=1)


def balanced_triplets(n: int, seed: int, *, distinct: bool = True) -> Iterator[np.ndarray]:
    """Draw triplets such that every pair is covered nearly equally often, at any point of the sequence.

    Items are laid on a circle in random order. A triplet that is turned around the circle gives n different
    triplets, and covers every pair at each of its three distances once. The next triplet to turn is therefore
    drawn among those whose distances have been covered least.

    Returns (n, 3).

    Difference families: Colbourn and Dinitz (2007), Handbook of Combinatorial Designs, II.3.
    """
    label = np.argsort(hashed(np.arange(n), seed, LABELS), kind="stable")
    twice = np.concatenate((label, label))
    steps = np.arange(1, n)
    covered = np.zeros(n // 2 + 1)
    # The two halves of the diameter are one pair, so that a turn covers it twice.
    times = np.where(2 * np.arange(n // 2 + 1) == n, 2.0, 1.0)
    used: dict[int, list[int]] = {}
    for turn in range(count_triplets(n) // n):
        noise = uniform(np.arange(n - 1) + turn * n, seed, TIES)
        pair = _rarest(covered, noise, steps, used, distinct=distinct)
        if pair is None:
            break
        x, y = pair
        z = n - x - y
        for step, following in ((x, y), (y, z), (z, x)):
            used.setdefault(step, []).append(following)
        for step in (x, y, z):
            distance = min(step, n - step)
            covered[distance] += times[distance]
        yield np.stack((twice[:n], twice[x : x + n], twice[x + y : x + y + n]), axis=1)
    if n % 3 == 0:
        yield label[np.arange(n).reshape(3, n // 3).T]


def _rarest(
    covered: np.ndarray, noise: np.ndarray, steps: np.ndarray, used: dict[int, list[int]], *, distinct: bool
) -> tuple[int, int] | None:
    """Find two steps around the circle, not used yet, whose three distances have been covered least."""
    n = len(steps) + 1
    folded = np.minimum(steps, n - steps)
    first = covered[1:] + noise[: len(covered) - 1]
    # Not the noise of `first`, which would prefer the step that was just chosen.
    other = np.roll(noise, n // 3) if distinct else noise
    nearest = int(np.argmin(first))
    for distance in chain((nearest,), _ascending(first)):
        x = distance + 1
        y = steps[: n - x - 1]
        if len(y) == 0:
            continue
        near, far = folded[: n - x - 1], np.minimum(x + y, n - x - y)
        cost = covered[near] + covered[far] + other[: n - x - 1]
        # A distance that a triplet has twice is covered twice, for as many new pairs as one would give.
        if distinct:
            cost += (near == folded[x - 1]).astype(float) + (far == folded[x - 1]) + (near == far)
        cost = cost + 1e9 * ((x == y) & (3 * x == n))  # a third of the circle has too few turns, and comes last
        if x in used:
            cost[np.array(used[x]) - 1] = np.inf
        best = int(np.argmin(cost))
        if cost[best] < 1e9:
            return x, best + 1
    return None


def _ascending(values: np.ndarray) -> Iterator[int]:
    """Sort only when the first candidate has failed."""
    yield from (int(place) for place in np.argsort(values))


def pair_counts(items: np.ndarray, n: int) -> np.ndarray:
    """Count how often each pair occurs in one triplet.

    Shapes: `items` (n_triplets, 3); returns (n * (n - 1).
    """
    counts = np.zeros(n * (n - 1) // 2, dtype=np.int64)
    block = max(BLOCK, len(counts))  # so that the sum over all pairs is not what takes the time
    for start in range(0, len(items), block):
        part = np.asarray(items[start : start + block]).astype(np.int32)
        for i, j in ((0, 1), (0, 2), (1, 2)):
            low, high = np.minimum(part[:, i], part[:, j]), np.maximum(part[:, i], part[:, j]).astype(np.int64)
            counts += np.bincount(high * (high - 1) // 2 + low, minlength=len(counts))
    return counts


def counterbalance(items: np.ndarray, n: int, seed: int, *, start: int = 0, in_place: bool = False) -> np.ndarray:
    """Draw the order in which the items of each triplet are shown, so that items use all slots equally.

    The order is random, but the six orders of a triplet are not equally likely: those come first that show items
    in slots where they have been shown less often than in others.

    Shapes: `items` (n_triplets, 3); returns (n_triplets, 3).
    """
    shown = items if in_place else np.empty_like(items)
    used, slots = np.zeros((n, 3), dtype=np.float32), np.arange(3)
    # Row k of the table adds up the three (item, slot) costs of order k.
    table = np.zeros((9, len(ORDERS)), dtype=np.float32)
    for k, order in enumerate(ORDERS):
        table[[3 * item + slot for slot, item in enumerate(order)], k] = 1
    # Within a block, slots are drawn without knowing of each other: with about one showing per item that is harmless.
    block = max(64, n)
    for first in range(0, len(items), block):
        part = items[first : first + block].astype(np.int64)
        # Eight bytes per trial, of which six break the ties between orders.
        bits = hashed(np.arange(start + first, start + first + len(part)), seed, NOISE).astype("<u8")
        cost = used[part].reshape(len(part), 9) @ table
        cost += (bits.view(np.uint8).reshape(-1, 8)[:, :6]) * np.float32(2.0 / 256)
        chosen = part.ravel()[ORDERS[np.argmin(cost, axis=1)] + 3 * np.arange(len(part))[:, None]]
        shown[first : first + block] = chosen
        used += np.bincount((3 * chosen + slots).ravel(), minlength=3 * n).reshape(n, 3)
        if first % (64 * block) == 0:
            used -= used.min(axis=1, keepdims=True)  # only differences count; small numbers keep the sums exact
    return shown
