"""Representational similarity analysis of one region at a time: form the similarity of all pairs, then compare.

This is the definition, in float64; `rsa_trace` finds the same numbers for many searchlights without forming it.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from .kinds import BRAIN, COMPARISONS
from .similarity import Pairs, Similarity

PATTERNS = BRAIN[:2]  # that need one pattern per stimulus; `crossnobis` is made of several
TINY = 1e-6  # norm of a pattern about its mean, in parts of the pattern's size, that only rounding leaves


def average_ranks(values: torch.Tensor) -> torch.Tensor:
    """Rank numbers; equal numbers share the mean of their ranks.

    Shapes: `values` (n,); returns (n,).
    """
    on_cpu = values.device.type == "cpu"  # where numpy sorts some four times as fast
    order = torch.from_numpy(np.argsort(values.numpy())) if on_cpu else torch.argsort(values)
    ordered = values[order]
    ranks = torch.arange(1, len(values) + 1, dtype=torch.float64, device=values.device)
    new = ordered[1:] != ordered[:-1]
    if not bool(new.all()):
        group = torch.cat([new.new_zeros(1), new]).cumsum(0)
        count = torch.bincount(group).to(torch.float64)
        last = count.cumsum(0)
        ranks = (last - (count - 1) / 2)[group]
    found = torch.empty_like(ranks)
    found[order] = ranks
    return found


def ranks_of(values: np.ndarray) -> np.ndarray:
    """Rank numbers as `average_ranks` does; (n,)."""
    return average_ranks(torch.as_tensor(values)).numpy()


def pattern_similarity(products: torch.Tensor, sums: torch.Tensor, n: int, kind: str) -> torch.Tensor:
    """Turn products of patterns into their similarity.

    Shapes: `products` (n_rows, n_rows), `sums` (n_rows,); returns (n_rows, n_rows).
    """
    square = products.diagonal()
    if kind == "euclidean":
        return -(square[:, None] + square - 2 * products).clamp_(min=0).sqrt_()
    centred = products - sums[:, None] * (sums / n)
    variance = square - sums * sums / n
    norm = torch.where(variance > TINY**2 * square, variance, torch.nan).sqrt()
    return centred / norm[:, None] / norm


def products_of(parts: Iterable[np.ndarray], device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor, int]:
    """Sum products of patterns over targets that come in parts.

    Shapes: `parts` (n_targets, n_rows).
    """
    products, sums, n, shift = torch.zeros(()), torch.zeros(()), 0, torch.zeros(())
    for part in parts:
        X = torch.as_tensor(part, device=device).to(torch.float64)
        if not n:
            shift = X.mean()
            products = torch.zeros((X.shape[1],) * 2, dtype=torch.float64, device=device)
            sums = torch.zeros(X.shape[1], dtype=torch.float64, device=device)
        X = X - shift
        products += X.T @ X
        sums += X.sum(dim=0)
        n += len(X)
    return products, sums, n


class Comparer:
    """Compares the similarity of patterns with that of models, pair by pair."""

    def __init__(
        self,
        models: Sequence[Similarity],
        pairs: Pairs,
        *,
        brain: str = "correlation",
        comparison: str = "pearson",
        device: str = "cpu",
    ) -> None:
        if brain not in PATTERNS or comparison not in COMPARISONS:
            raise ValueError(f"brain {brain!r}, comparison {comparison!r}: known are {PATTERNS} and {COMPARISONS}")
        self.pairs, self.brain, self.ranked, self.device = pairs, brain, comparison == "spearman", device
        self.flat = torch.as_tensor(pairs.flat(), device=device)
        rows = []
        for model in models:
            of_pairs = torch.as_tensor(pairs.take(model), device=device)
            rows.append(_standard(average_ranks(of_pairs) if self.ranked else of_pairs))
        self.models = torch.stack(rows)

    def compare(self, similarity: torch.Tensor) -> np.ndarray:
        """Compare one matrix of similarities with every model.

        Shapes: `similarity` (n, n); returns (n_models,).
        """
        of_pairs = similarity.reshape(-1)[self.flat]
        if not bool(torch.isfinite(of_pairs).all()):
            return np.full(len(self.models), np.nan)
        of_pairs = average_ranks(of_pairs) if self.ranked else of_pairs.to(torch.float64)
        return (self.models @ _standard(of_pairs)).cpu().numpy()

    def patterns(self, X: torch.Tensor) -> np.ndarray:
        """Compare the patterns of one region that fits into memory.

        Shapes: `X` (n_targets, n); returns (n_models,).
        """
        X = X.to(torch.float64)
        if self.brain == "correlation":
            Z = X - X.mean(dim=0)
            norm = torch.linalg.vector_norm(Z, dim=0)
            Z = Z / torch.where(norm > TINY * torch.linalg.vector_norm(X, dim=0), norm, torch.nan)
            return self.compare(Z.T @ Z)
        X = X - X.mean()
        return self.compare(pattern_similarity(X.T @ X, X.sum(dim=0), len(X), self.brain))

    def parts(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        """Compare the patterns of a region of any size.

        Shapes: `parts` (n_targets, n); returns (n_models,).
        """
        products, sums, n = products_of(parts, self.device)
        return self.compare(pattern_similarity(products, sums, n, self.brain))


def _standard(values: torch.Tensor) -> torch.Tensor:
    """Centre and scale to unit length; NaN where nothing varies."""
    centred = values - values.mean()
    norm = torch.linalg.vector_norm(centred)
    return centred / torch.where(norm > 1e-12 * torch.linalg.vector_norm(values), norm, torch.nan)
