"""Representational similarity analysis of many searchlights, without forming the similarity of all pairs.

For patterns z of unit length about their mean, in the columns of Z (targets x rows), the similarity is S = Z'Z. With M
the similarity of a model about its mean over the pairs that count,

    sum over all i, j of M_ij S_ij = trace(Z M Z') = sum over e of sign_e |Z u_e|^2,   M = sum of sign_e u_e u_e',

which costs 2 n v products per factor u_e instead of n^2 v; and the sum of the squares of S is that of the small matrix
Z Z'. Pairs that do not count lie in small blocks (a run each), for which S is formed, and taken away. Models without
factors (choice probabilities) need S, which is formed tile by tile, once for all of them. For a single one the product
of its lower triangle with Z' has as many operations and a result of n v instead of n^2 / 2 numbers; one triangle serves
several searchlights at once.
"""

from collections.abc import Sequence

import numpy as np
import torch

from .rsa import TINY
from .similarity import Pairs, Similarity

TILE = 256  # rows of S that are formed at once
LOWER = 128  # rows of a single model without factors that are multiplied at once
NEGLIGIBLE = 1e-13  # size of a factor, in parts of the largest
LOST = 16.0  # sums so many times larger than what is left after taking sums away are made in float64


class TraceRsa:
    """Pearson correlation, over pairs, of pattern correlations with the similarities of models.

    Rows are kept in the order of blocks, every block padded to the same length with patterns of zeros, which add
    nothing to any sum; `order` says which row stands where.
    """

    def __init__(self, models: Sequence[Similarity], pairs: Pairs, *, device: str = "cpu") -> None:
        self.device, self.n_pairs = device, pairs.n
        self.order, self.n_blocks = _layout(pairs.block)
        self.length = len(self.order) // self.n_blocks
        position = np.empty(len(pairs), dtype=np.int64)
        position[self.order[self.order >= 0]] = np.flatnonzero(self.order >= 0)
        self.rows = torch.as_tensor(position, device=device)
        self.extra = torch.as_tensor(position[pairs.extra], device=device)
        moments = [pairs.moments(model) for model in models]
        self.norm = torch.as_tensor([norm for _, norm in moments], dtype=torch.float64, device=device)
        forms = self._forms(models)
        self.with_factors = [k for k, form in enumerate(forms) if form]
        self.without = [k for k, form in enumerate(forms) if not form]
        self._keep_factors([models[k] for k in self.with_factors], [moments[k][0] for k in self.with_factors], pairs)
        self._keep_tiles([models[k] for k in self.without], [moments[k][0] for k in self.without])

    @staticmethod
    def _forms(models: Sequence[Similarity]) -> list[bool]:
        """Return which models are represented by factors: those with few compared with the number of rows."""
        few = [model.factor is not None and model.factor.shape[1] + 1 <= len(model) // 4 for model in models]
        total = sum(model.factor.shape[1] for model, small in zip(models, few, strict=True) if small)  # type: ignore[union-attr]
        return few if total <= 2 * len(models[0]) else [False] * len(models)

    def _keep_factors(self, models: Sequence[Similarity], means: Sequence[float], pairs: Pairs) -> None:
        padded = np.maximum(self.order, 0)
        real = self.order >= 0
        factors, signs, inside, lost = [], [], [], [1.0]
        extra = np.zeros((len(models), len(pairs.extra)))
        blocks = padded.reshape(self.n_blocks, self.length)
        for k, (model, mean) in enumerate(zip(models, means, strict=True)):
            given = np.asarray(model.factor)
            factor, sign = signed_factors(given, mean)
            factors.append(factor[padded].T * real)
            signs.append(sign)
            norm = float(self.norm[self.with_factors[k]])
            lost.append(float(np.sum(np.sum(factor**2, axis=0) ** 2)) / (2 * norm**2) if norm > 0 else 1.0)
            part = given[blocks]
            inside.append((part @ part.transpose(0, 2, 1) - mean).reshape(-1))
            extra[k] = np.einsum("ek,ek->e", given[pairs.extra[:, 0]], given[pairs.extra[:, 1]]) - mean
        self.lost = max(lost)
        self.sizes = [len(sign) for sign in signs]
        n = len(self.order)
        self.factors = self._tensor(np.concatenate(factors) if factors else np.zeros((0, n)), torch.float32)
        self.signs = self._tensor(np.concatenate(signs) if signs else np.zeros(0), torch.float64)
        self.owner = torch.repeat_interleave(torch.arange(len(signs)), torch.as_tensor(self.sizes, dtype=torch.long))
        self.owner = self.owner.to(self.device)
        size = self.n_blocks * self.length**2
        self.inside = self._tensor(np.stack(inside) if inside else np.zeros((0, size)), torch.float32)
        self.beside = self._tensor(extra, torch.float64)

    def _keep_tiles(self, models: Sequence[Similarity], means: Sequence[float]) -> None:
        """Keep models without factors as tiles of the lower triangle, 0 where a pair does not count.

        A tile is (n_models, n_rows * stop), or (stop, n_rows) of a single model.
        """
        self.tiles: list[tuple[int, int, torch.Tensor]] = []
        height = LOWER if len(models) == 1 else TILE
        n, padded, real = len(self.order), np.maximum(self.order, 0), self.order >= 0
        left_out = np.sort(self.extra.cpu().numpy(), axis=1)
        block = np.repeat(np.arange(self.n_blocks), self.length)
        for start in range(0, n if models else 0, height):
            stop = min(start + height, n)
            # Rows are ordered by block, so that an earlier block is an earlier row.
            kept = (block[:stop] < block[start:stop, None]) & real[:stop] & real[start:stop, None]
            here = left_out[(left_out[:, 1] >= start) & (left_out[:, 1] < stop)]
            kept[here[:, 1] - start, here[:, 0]] = False
            rows = padded[start:stop]
            parts = [
                (model.rows(rows)[:, padded[:stop]] - mean) * kept for model, mean in zip(models, means, strict=True)
            ]
            kept_as = parts[0].T if len(models) == 1 else np.stack(parts).reshape(len(models), -1)
            self.tiles.append((start, stop, self._tensor(np.ascontiguousarray(kept_as), torch.float32)))

    def _tensor(self, values: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
        return torch.as_tensor(values, device=self.device).to(dtype)

    def compare(self, patterns: torch.Tensor) -> torch.Tensor:
        """Compare the patterns of some searchlights of one size with every model; patterns are overwritten.

        Shapes: `patterns` (n_searchlights, n_targets, n_padded); returns (n_searchlights, n_models).
        """
        # What is done to one searchlight finds it in the processor's cache; a graphics card has enough to do with all.
        parts = patterns.split(1 if self.device == "cpu" else len(patterns))
        good = torch.cat([self._standardise(part) for part in parts])
        found, lost = self._compare(patterns, parts)
        rough = lost * self.lost > LOST
        if bool(rough.any()):
            doubled = patterns[rough].to(torch.float64)
            found[rough] = self._compare(doubled, (doubled,))[0]
        return torch.where(good[:, None], found, torch.nan)

    def _compare(self, Z: torch.Tensor, parts: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Compare standardised patterns; also return the cancellation ratio (sum / remainder)."""
        found = torch.empty((len(Z), len(self.norm)), dtype=torch.float64, device=self.device)
        of_parts = [self._of_part(part) for part in parts]
        if self.with_factors:
            found[:, self.with_factors] = torch.cat([by_factors for by_factors, _, _ in of_parts])
        if self.without:
            found[:, self.without] = self._by_lower(Z) if len(self.without) == 1 else self._by_tiles(Z)
        squares = torch.cat([part for _, part, _ in of_parts])
        everything = torch.cat([part for _, _, part in of_parts])
        norm = torch.where(squares > 1e-12 * everything, squares, torch.nan).sqrt()
        return found / norm[:, None] / self.norm, everything / (2 * squares)

    def _of_part(self, Z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute products with models that have factors, and squares of S about its mean and of all of S."""
        within = self._within(Z)
        beside = (Z[..., self.extra[:, 0]] * Z[..., self.extra[:, 1]]).sum(dim=1, dtype=torch.float64)
        total = torch.linalg.vector_norm(Z.sum(dim=2), dim=1, dtype=torch.float64) ** 2
        everything = torch.linalg.vector_norm(Z @ Z.transpose(1, 2), dim=(1, 2), dtype=torch.float64) ** 2
        total = (total - within.sum(dim=1, dtype=torch.float64)) / 2 - beside.sum(dim=1)
        squares = (everything - torch.linalg.vector_norm(within, dim=1, dtype=torch.float64) ** 2) / 2
        squares = (squares - (beside**2).sum(dim=1) - total**2 / self.n_pairs).clamp(min=0)
        return self._by_factors(Z, within, beside), squares, everything

    def _standardise(self, Z: torch.Tensor) -> torch.Tensor:
        """Standardise every pattern in place to mean 0 and length 1 over targets; return where all have variance."""
        mean = Z.mean(dim=1)
        Z -= mean[:, None]
        norm = (Z * Z).sum(dim=1).sqrt_()  # several times as fast as `vector_norm` along this axis
        varies = norm > TINY * Z.shape[1] ** 0.5 * mean.abs()
        Z *= torch.where(varies, 1 / norm, 0.0)[:, None]
        return varies[:, self.rows].all(dim=1)

    def _within(self, Z: torch.Tensor) -> torch.Tensor:
        """Similarity of pairs within blocks, (n_searchlights, n_blocks * length * length)."""
        n_lights, n_targets, _ = Z.shape
        if self.length == 1:
            return (Z * Z).sum(dim=1)
        blocks = Z.view(n_lights, n_targets, self.n_blocks, self.length).transpose(1, 2)
        return (blocks.transpose(2, 3) @ blocks).reshape(n_lights, -1)

    def _by_factors(self, Z: torch.Tensor, within: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        squares = (
            torch.linalg.vector_norm(self.factors.to(Z.dtype) @ Z.transpose(1, 2), dim=2, dtype=torch.float64) ** 2
        )
        traces = torch.zeros((len(Z), len(self.sizes)), dtype=torch.float64, device=self.device)
        traces.index_add_(1, self.owner, squares * self.signs)
        return (traces - (within @ self.inside.T.to(Z.dtype)).to(torch.float64)) / 2 - beside @ self.beside.T

    def _by_tiles(self, Z: torch.Tensor) -> torch.Tensor:
        found = torch.zeros((len(Z), len(self.without)), dtype=torch.float64, device=self.device)
        # Memory that is taken once: asking for some MB again and again costs as much as half the products.
        room = Z.new_empty(len(Z) * min(TILE, Z.shape[2]) * Z.shape[2])
        for start, stop, tile in self.tiles:
            formed = room[: len(Z) * (stop - start) * stop].view(len(Z), stop - start, stop)
            torch.matmul(Z[..., start:stop].transpose(1, 2), Z[..., :stop], out=formed)
            found += formed.view(len(Z), -1) @ tile.T.to(Z.dtype)
        return found

    def _by_lower(self, Z: torch.Tensor) -> torch.Tensor:
        """Multiply the lower triangle of a single model with the patterns of all searchlights."""
        found = torch.zeros(len(Z), dtype=torch.float64, device=self.device)
        flat = Z.reshape(-1, Z.shape[2])
        for start, stop, tile in self.tiles:
            product = flat[:, :stop] @ tile.to(Z.dtype)
            found += (product * flat[:, start:stop]).view(len(Z), -1).sum(dim=1, dtype=torch.float64)
        return found[:, None]


def signed_factors(factor: np.ndarray, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """Factor a similarity about its mean.

    Shapes: `factor` (n, k); returns factors (n, n_factors), signs (n_factors,).
    """
    q, r = np.linalg.qr(np.column_stack([factor, np.ones(len(factor))]))
    values, vectors = np.linalg.eigh(r[:, :-1] @ r[:, :-1].T - mean * np.outer(r[:, -1], r[:, -1]))
    kept = np.abs(values) > NEGLIGIBLE * np.abs(values).max(initial=0)
    return q @ vectors[:, kept] * np.sqrt(np.abs(values[kept])), np.sign(values[kept])


def _layout(block: np.ndarray) -> tuple[np.ndarray, int]:
    """Order rows by block, every block as long as the longest; -1 fills the gaps."""
    counts = np.bincount(block)
    order = np.full((len(counts), counts.max()), -1)
    for number in range(len(counts)):
        order[number, : counts[number]] = np.flatnonzero(block == number)
    return order.reshape(-1), len(counts)
