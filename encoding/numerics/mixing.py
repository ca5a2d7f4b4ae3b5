"""Random numbers without a state: what is drawn for item i depends on the seed and on i, and on nothing else.

A plan of judgments can so be made longer, cut into shards, or looked at from the middle, and every trial stays
what it was. The numbers do not change with the version of any library.
"""

from typing import Any

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
BLOCK = 1 << 17  # items that are worked on at once; their temporaries stay in the cache
DIRECT = 1 << 20  # ranges up to here are permuted by sorting random keys


def hashed(index: np.ndarray, seed: int, stream: int) -> np.ndarray:
    """Draw 64 random bits for every index.

    SplitMix64: Steele, Lea and Flood (2014), Fast splittable pseudorandom number generators.

    Examples
    --------
    >>> hashed(np.arange(2), seed=0, stream=0).tolist() == hashed(np.arange(5), seed=0, stream=0)[:2].tolist()
    True
    """
    with np.errstate(over="ignore"):
        key = _finish(np.uint64(seed & 0xFFFFFFFFFFFFFFFF) * GOLDEN + np.uint64(stream + 1))
        return _finish((np.asarray(index).astype(np.uint64) + np.uint64(1)) * GOLDEN + key)


def _finish(state: Any) -> Any:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def uniform(index: np.ndarray, seed: int, stream: int) -> np.ndarray:
    """Draw a number between 0 and 1 for every index."""
    return (hashed(index, seed, stream) >> np.uint64(11)) * 2.0**-53


class Permutation:
    """A random order of 0 .. n - 1, of which any part can be looked up without holding the rest.

    Small ranges are sorted by random keys. Larger ones go through a Feistel network over the next power of two,
    of which results outside the range are put through again until they fall inside.

    Luby and Rackoff (1988), How to construct pseudorandom permutations from pseudorandom functions; Black and
    Rogaway (2002), Ciphers with arbitrary finite domains.

    Examples
    --------
    >>> sorted(Permutation(5, seed=0, stream=0)(np.arange(5)).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, n: int, seed: int, stream: int) -> None:
        self.n = n
        self._direct = None
        if n <= DIRECT:
            self._direct = np.argsort(hashed(np.arange(n), seed, stream), kind="stable")
            return
        bits = (n - 1).bit_length()
        self._widths = bits // 2, bits - bits // 2
        self._keys = hashed(np.arange(6), seed, stream)

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Return the items at some places of the order."""
        places = np.asarray(places, dtype=np.int64)
        if self._direct is not None:
            return self._direct[places]
        found = np.empty(places.shape, dtype=np.int64)
        for start in range(0, len(places), BLOCK):
            values = self._network(places[start : start + BLOCK].astype(np.uint64))
            outside = np.flatnonzero(values >= self.n)
            while len(outside):
                values[outside] = self._network(values[outside])
                outside = outside[values[outside] >= self.n]
            found[start : start + BLOCK] = values
        return found

    def _network(self, values: np.ndarray) -> np.ndarray:
        left_bits, right_bits = self._widths
        left, right = values >> np.uint64(right_bits), values & np.uint64((1 << right_bits) - 1)
        for key in self._keys:
            # The half that is changed takes the other's place, and with it its width; six rounds restore both.
            left, right = right, left ^ (_stir(right + key) >> np.uint64(64 - left_bits))
            left_bits, right_bits = right_bits, left_bits
        return (left << np.uint64(right_bits)) | right


def _stir(state: np.ndarray) -> np.ndarray:
    state = state * np.uint64(0xBF58476D1CE4E5B9)
    state ^= state >> np.uint64(32)
    state *= np.uint64(0x94D049BB133111EB)
    return state
