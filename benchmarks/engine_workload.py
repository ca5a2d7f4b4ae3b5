"""Data of the sizes that the engine was made for."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from encoding.core import Samples
from encoding.fitting import Fold, Folds
from encoding.numerics.ridge import scale_band

WIDTHS = (30, 30, 34, 14)
N_OUTER = 6


@dataclass
class Workload:
    """Correlated features, responses that follow mixtures of them, nested folds over blocks of runs."""

    X: np.ndarray
    Y: np.ndarray
    bands: list
    folds: list
    study: Folds

    @property
    def groups(self):
        """Group of every feature."""
        return np.repeat(np.arange(len(self.bands)), [band.stop - band.start for band in self.bands])

    def inner(self, k):
        """Inner folds of an outer fold."""
        return list(self.study.folds[k].inner)

    def scaled(self, k):
        """Features scaled once on the training rows of an outer fold, and centred responses."""
        fold = self.study.folds[k]
        parts = [scale_band(self.X[fold.train][:, band], self.X[:0, band])[0] for band in self.bands]
        Y = self.Y[fold.train]
        return np.concatenate(parts, axis=1).astype(np.float32), Y - Y.mean(0)

    def scaled_test(self, k):
        """Held-out rows, scaled as the training rows."""
        fold = self.study.folds[k]
        parts = [scale_band(self.X[fold.train][:, band], self.X[fold.test][:, band])[1] for band in self.bands]
        return np.concatenate(parts, axis=1).astype(np.float32), self.Y[fold.test]


def make_workload(n, widths, n_targets, seed=0, noise="usual"):
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n, 40))
    parts = []
    for width in widths:
        mixing = rng.standard_normal((40, width)) * np.geomspace(1, 0.1, 40)[:, None]
        parts.append(shared @ mixing * 0.5 + 1.5 * rng.standard_normal((n, width)))
    X = np.concatenate(parts, axis=1)
    edges = np.cumsum([0, *widths]).tolist()
    bands = [slice(a, b) for a, b in pairwise(edges)]
    share = np.sqrt(rng.dirichlet(np.full(len(widths), 0.5), n_targets)).T
    signal = np.zeros((n, n_targets), dtype=np.float32)
    for number, band in enumerate(bands):
        part = (X[:, band] @ rng.standard_normal((band.stop - band.start, n_targets))).astype(np.float32)
        signal += share[number] * part / part.std(0)
    strength = rng.uniform(0.02, 0.6, n_targets) if noise == "mixed" else rng.uniform(0, 0.3, n_targets)
    Y = signal * np.sqrt(strength, dtype=np.float32) + rng.standard_normal((n, n_targets), dtype=np.float32)
    block = (np.arange(n) * N_OUTER) // n
    study = nested_folds(block)
    folds = [(fold.train, [(fold.train[a], fold.train[b]) for a, b in fold.inner]) for fold in study.folds]
    return Workload(X, np.asarray(Y, dtype=np.float32), bands, folds, study)


def nested_folds(block):
    """Hold out each block; on what is left, validate on each other block."""
    folds = []
    for k in range(block.max() + 1):
        train, test = np.flatnonzero(block != k), np.flatnonzero(block == k)
        inside = block[train]
        inner = tuple((np.flatnonzero(inside != j), np.flatnonzero(inside == j)) for j in np.unique(inside))
        folds.append(Fold(train, test, inner, np.arange(len(test))))
    n = len(block)
    runs = np.char.add("run-", block.astype(str))
    samples = Samples(np.arange(n).astype(str), np.arange(n) * 2.0, np.full(n, 2.0), runs, "stimulus")
    return Folds(tuple(folds), samples)
