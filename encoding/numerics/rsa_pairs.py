"""Spearman's correlation, and Pearson's of Euclidean distances, over the pairs of one searchlight after another.

Both need the similarity of every pair. It is formed tile by tile in float32. Distances are compared at once. For
ranks, pairs are counted in bins of equal width instead of sorted, and every pair of a bin has the mean of the ranks in
it. With c pairs in a bin and next to it at most d, a pair is less than c / 2 + d ranks from its true one, also where
rounding has moved it across an edge; so the correlation is off by at most

    sqrt(12 sum over bins of c (c / 2 + d)^2 / n^3)

by Cauchy and Schwarz (n pairs in all), some 1e-4 with 2^17 bins, and in fact less than a thousandth of that, since the
errors of single pairs have nothing to do with the ranks of a model. Where the bound is above `WORST` (many equal
values, or far outliers) the pairs are sorted.
"""

from collections.abc import Sequence

import numpy as np
import torch

from .rsa import TINY, Comparer
from .similarity import Pairs, Similarity

TILE = 128  # rows of similarities that are formed at once
BINS = 1 << 17
REACH = 6.0  # standard deviations that bins cover on either side; what lies outside counts for the last bin
WORST = 1e-3  # bound of the error of a rank correlation above which pairs are sorted
CLOSE = 1e-3  # squared distances below this part of the largest squared length are computed in float64
ALIKE = 1e-3  # standard deviation of distances, in parts of their size, below which they are computed in float64
SAMPLE = 64  # rows of which the spread of similarities is estimated


class PairRsa:
    """Compares the similarity of patterns with that of models by all pairs, in float32 where that is enough."""

    def __init__(
        self, models: Sequence[Similarity], pairs: Pairs, *, brain: str, comparison: str, device: str = "cpu"
    ) -> None:
        self.brain, self.ranked, self.device, self.n_pairs = brain, comparison == "spearman", device, pairs.n
        self.exact = Comparer(models, pairs, brain=brain, comparison=comparison, device=device)
        # Rows in the order of their blocks, so that the pairs of a row that do not count stand next to it.
        self.order = np.argsort(pairs.block, kind="stable")
        self.n_models = len(models)
        self.back = torch.as_tensor(np.argsort(self.order), device=device)
        place = np.argsort(self.order)
        extra = np.sort(place[pairs.extra], axis=1)
        block, n = pairs.block[self.order], len(pairs)
        flat = self.exact.flat.cpu().numpy()
        rows, columns = place[flat // n], place[flat % n]
        where = np.maximum(rows, columns) * n + np.minimum(rows, columns)
        ends = [(start, min(start + TILE, n)) for start in range(0, n, TILE)]
        parts: list[list[np.ndarray]] = [[] for _ in ends]
        for model in self.exact.models.cpu().numpy():
            in_order = np.zeros(n * n, dtype=np.float32)
            in_order[where] = model
            for part, (start, stop) in zip(parts, ends, strict=True):
                part.append(in_order.reshape(n, n)[start:stop, :stop].ravel())
        self.tiles: list[_Tile] = []
        for part, (start, stop) in zip(parts, ends, strict=True):
            inside = block[start:stop, None] <= block[None, start:stop]
            # Blocks that began above this tile have pairs left of its square that do not count.
            first = int(np.searchsorted(block, block[start]))
            left = np.argwhere(block[start:stop, None] == block[None, first:start])
            left[:, 1] += first
            here = extra[(extra[:, 1] >= start) & (extra[:, 1] < stop)]
            out = np.concatenate([left, np.stack([here[:, 1] - start, here[:, 0]], axis=1)])
            self.tiles.append(
                _Tile(
                    start,
                    stop,
                    torch.as_tensor(np.stack(part), device=device),
                    torch.as_tensor(inside, device=device),
                    torch.as_tensor(out[:, 0] * stop + out[:, 1], device=device),
                )
            )
        self.size = sum(tile.models.shape[1] for tile in self.tiles)

    def compare(self, X: torch.Tensor) -> np.ndarray:
        """Compare the patterns of one searchlight.

        Shapes: `X` (n_targets, n), in the order of `order`; returns (n_models,).
        """
        Z, square = self._prepare(X)
        if Z is None:
            return np.full(self.n_models, np.nan)
        found = self._ranked(Z, square) if self.ranked else self._distances(Z, square)
        return self.exact.patterns(X[:, self.back]) if found is None else found

    def _prepare(self, X: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Standardise patterns for correlations; for distances centre every target, and return squared lengths."""
        X = X.to(torch.float32)
        if self.brain == "euclidean":
            Z = X - X.mean(dim=1, keepdim=True)
            return Z, (Z * Z).sum(dim=0)
        Z = X - X.mean(dim=0)
        norm = torch.linalg.vector_norm(Z, dim=0)
        if bool((norm <= TINY * torch.linalg.vector_norm(X, dim=0)).any()):
            return None, norm
        return Z.div_(norm), norm

    def _formed(self, Z: torch.Tensor, square: torch.Tensor, tile: "_Tile", room: torch.Tensor) -> torch.Tensor:
        """Form correlations, or minus the squared distances, of the pairs of a tile."""
        formed = room[: (tile.stop - tile.start) * tile.stop].view(tile.stop - tile.start, tile.stop)
        torch.mm(Z[:, tile.start : tile.stop].T, Z[:, : tile.stop], out=formed)
        if self.brain == "euclidean":
            formed.mul_(2).sub_(square[tile.start : tile.stop, None]).sub_(square[: tile.stop])
        return formed

    def _distances(self, Z: torch.Tensor, square: torch.Tensor) -> np.ndarray | None:
        room, largest = Z.new_empty(min(TILE, len(self.order)) * len(self.order)), float(square.max())
        # About their root mean square, so that sums in float32 keep their digits.
        typical = (2 * float(square.mean())) ** 0.5
        dots = torch.zeros(self.n_models, dtype=torch.float64, device=self.device)
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        for tile in self.tiles:
            formed = tile.leave_out(self._formed(Z, square, tile, room).neg_(), largest)
            if float(formed.min()) < CLOSE * largest:
                return None  # pairs that nearly coincide, of which float32 keeps few digits
            distance = tile.leave_out(formed.sqrt_().sub_(typical), 0.0).view(-1)
            dots -= (tile.models @ distance).to(torch.float64)
            sums[0] += distance.sum(dtype=torch.float64)
            sums[1] += torch.dot(distance, distance).to(torch.float64)
        left = float(sums[1] - sums[0] ** 2 / self.n_pairs)
        if not left > ALIKE**2 * self.n_pairs * typical**2:
            return None
        return (dots / left**0.5).cpu().numpy()

    def _ranked(self, Z: torch.Tensor, square: torch.Tensor) -> np.ndarray | None:
        low, width = self._bins(Z, square)
        if width is None or self.n_pairs < BINS:
            return None
        room = Z.new_empty(min(TILE, len(self.order)) * len(self.order))
        number = torch.empty(self.size, dtype=torch.int32, device=self.device)
        Z, square, at = Z * width**-0.5, square / width, 0
        for tile in self.tiles:
            formed = self._formed(Z, square, tile, room).sub_(low / width).clamp_(0, BINS - 1)
            number[at : at + formed.numel()] = tile.leave_out(formed, float(BINS)).view(-1)
            at += formed.numel()
        n, c = self.n_pairs, torch.bincount(number, minlength=BINS + 1)[:-1].to(torch.float64)
        beside = torch.maximum(torch.nn.functional.pad(c[:-1], (1, 0)), torch.nn.functional.pad(c[1:], (0, 1)))
        if float((12 * (c * (c / 2 + beside) ** 2).sum() / float(n) ** 3).sqrt()) > WORST:
            return None
        ranks = c.cumsum(0) - (c + 1) / 2 + 1 - (n + 1) / 2  # about their mean
        table = torch.nn.functional.pad(ranks, (0, 1)).to(torch.float32)
        dots, at = torch.zeros(self.n_models, dtype=torch.float64, device=self.device), 0
        for tile in self.tiles:
            size = tile.models.shape[1]
            of_pairs = torch.index_select(table, 0, number[at : at + size])
            dots += (tile.models @ of_pairs).to(torch.float64)
            at += size
        return (dots / (c * ranks**2).sum().sqrt()).cpu().numpy()

    def _bins(self, Z: torch.Tensor, square: torch.Tensor) -> tuple[float, float | None]:
        """Return the lower edge and the width of bins; no width where rounding would move pairs over whole bins."""
        rows = torch.linspace(0, len(self.order) - 1, min(SAMPLE, len(self.order)), device=self.device).long()
        some = Z[:, rows].T @ Z
        if self.brain == "euclidean":
            some = 2 * some - square[rows, None] - square
        keep = torch.ones_like(some, dtype=torch.bool)
        keep[torch.arange(len(rows)), rows] = False
        mean, spread = float(some[keep].mean()), float(some[keep].std())
        width = 2 * REACH * spread / BINS
        rounding = 64 * torch.finfo(torch.float32).eps * (1.0 if self.brain == "correlation" else float(square.max()))
        return mean - REACH * spread, width if width > rounding / 16 else None


class _Tile:
    """Some rows of the lower triangle: models, and which pairs do not count."""

    def __init__(self, start: int, stop: int, models: torch.Tensor, inside: torch.Tensor, others: torch.Tensor) -> None:
        self.start, self.stop = start, stop
        self.models = models  # (n_models, n_rows * stop) Unit length over all pairs; 0 where a pair does not count
        self.inside = inside  # (n_rows, n_rows) Whether a pair of the last columns does not count
        self.others = others  # (n,) Places of other pairs that do not count

    def leave_out(self, formed: torch.Tensor, value: float) -> torch.Tensor:
        """Set pairs that do not count to a value."""
        formed[:, self.start :].masked_fill_(self.inside, value)
        if len(self.others):
            formed.view(-1)[self.others] = value
        return formed
