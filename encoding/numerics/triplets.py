"""Loss and gradient of odd-one-out choices, exact, at a cost per judgment that does not depend on the dimensions.

Items x_1 ... x_M have non-negative coordinates. Of three items in slots 0, 1, 2, slot q is called odd with probability

    p_q = exp(b_q + s_q) / sum_r exp(b_r + s_r),

where s_q is the dot product of the two items that are not in slot q and b_q is how much slot q is preferred whatever is
shown there (Zheng, Pereira, Baker & Hebart 2019 have b = 0). Where a target in slot 0 is matched with one of two
items it cannot be odd: b_0 is minus infinity. Judges with noise of their own have logits b_q + a s_q with a sharpness a
each. With targets t (one-hot for a choice, a distribution where the judge gave probabilities) and weights w the loss is
-sum_n w_n sum_q t_nq log p_nq / sum_n w_n.

All dot products are computed at once, S = X X'. A judgment then reads three entries of exp(S), or of S where judgments
are fewer than entries, and adds w (p - t) at the same three places of a matrix G; the gradient is (G + G') X. Judgments
are sorted by the pair that was kept, so that two of the three places lie close to those of the judgment before.
"""

from dataclasses import dataclass

import numpy as np
import torch

MOST_ITEMS = 46_340  # whose pairs still have numbers of 32 bits
CHUNK = 1 << 16  # judgments per pass over the caches
THIN = 32  # dimensions up to which a product with a square matrix costs less than its copy
HEADROOM = 3.0  # ln 3 and rounding, below the largest exponent of a dtype
SLOTS = torch.arange(3)


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Judgments that are treated alike."""

    pairs: torch.Tensor  # (3, n) Flat index i * n_items + j of the pair that is kept if row q is odd
    target: torch.Tensor | None  # (3, n) Probability of each row; None where row 0 was chosen
    weight: torch.Tensor | None  # (n,) None for ones
    shift: int  # Row q was shown in slot (q + shift) modulo 3
    sharpness: float = 1.0  # What similarities are multiplied by


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Judgments whose mean loss is one step's objective."""

    blocks: tuple[Block, ...]  # Parts, in a fixed order
    total: float  # Sum of weights
    n_items: int  # Number of items that the pairs are made of
    sharpest: float = 1.0  # Largest sharpness, or 1

    @property
    def n_rows(self) -> int:
        """Number of judgments."""
        return sum(block.pairs.shape[1] for block in self.blocks)


def make_batch(  # noqa: PLR0913
    items: np.ndarray,
    choice: np.ndarray,
    *,
    n_items: int,
    probabilities: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    sharpness: np.ndarray | None = None,
    by_slot: bool = False,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> Batch:
    """Sort judgments for `TripletLoss`.

    Shapes: `items` (n, 3), `choice` (n,), `probabilities` (n, 3), `weight, sharpness` (n,).
    """
    items, choice = np.asarray(items), np.asarray(choice, dtype=np.int8)
    soft = np.zeros(len(items), bool) if probabilities is None else np.isfinite(probabilities).all(axis=1)
    groups: list[tuple[np.ndarray, int, bool]] = []
    for shift in range(3) if by_slot else (None,):
        chosen = ~soft if shift is None else ~soft & (choice == shift)
        groups.append((np.flatnonzero(chosen), shift or 0, False))
    groups.append((np.flatnonzero(soft), 0, True))
    kinds = [1.0] if sharpness is None else np.unique(sharpness).tolist()
    if sharpness is not None:
        groups = [(rows[sharpness[rows] == kind], *rest) for kind in kinds for rows, *rest in groups]
    blocks: list[Block] = []
    for rows, shift, is_soft in groups:
        if not len(rows):
            continue
        own = 1.0 if sharpness is None else float(sharpness[rows[0]])
        odd = np.zeros(len(rows), np.int8) if is_soft else choice[rows]
        pairs = _pairs(items[rows], odd, n_items)
        order = np.argsort(pairs[0], kind="stable")
        pairs, rows = np.take(pairs, order, axis=1), rows[order]
        target = np.asarray(probabilities, dtype=np.float64)[rows].T if is_soft else None
        if target is not None:
            target = target / target.sum(axis=0)
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            blocks.append(
                Block(
                    _tensor(pairs[:, part], torch.int32, device),
                    None if target is None else _tensor(target[:, part], dtype, device),
                    None if weight is None else _tensor(np.asarray(weight)[rows[part]], dtype, device),
                    shift,
                    own,
                )
            )
    total = float(len(items) if weight is None else np.sum(weight, dtype=np.float64))
    return Batch(tuple(blocks), total, n_items, max(1.0, *kinds))


def _pairs(items: np.ndarray, odd: np.ndarray, n_items: int) -> np.ndarray:
    """Return flat pairs of rows 0, 1 and 2; row 0 is the odd slot, the others follow in cyclic order.

    The first item of the kept pair comes first in two of the three, which keeps them in one row of the matrix.
    """
    rows = np.arange(len(items))
    first, second, third = (items[rows, (odd + shift) % 3].astype(np.int32, copy=False) for shift in (1, 2, 0))
    # Row 1 is the item `first` being odd, and row 2 the item `second`.
    pairs = np.empty((3, len(items)), np.int32)
    of_first = first * np.int32(n_items)
    pairs[0], pairs[1], pairs[2] = of_first + second, second * np.int32(n_items) + third, of_first + third
    return pairs


def _tensor(array: np.ndarray, dtype: torch.dtype, device: str) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(array), device=device).to(dtype)


class TripletLoss:
    """Mean loss of odd-one-out choices and its gradient, with buffers that are used again."""

    def __init__(self, n_items: int, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> None:
        self.n_items, self.dtype, self.device = n_items, dtype, device
        self._kernel = torch.empty((n_items, n_items), dtype=dtype, device=device)
        self._sums = torch.empty((n_items, n_items), dtype=dtype, device=device)
        self._limit = float(np.log(torch.finfo(dtype).max)) - HEADROOM

    def __call__(
        self, X: torch.Tensor, batch: Batch, *, bias: torch.Tensor | None = None
    ) -> tuple[float, torch.Tensor, torch.Tensor]:
        """Compute loss and gradients.

        Shapes: `X` (n_items, n_dims), `bias` (3,); returns gradient (n_items, n_dims), bias_gradient (3,).
        """
        kernel, sums = self._kernel, self._sums.zero_()
        torch.mm(X, X.T, out=kernel)
        extra = 0.0 if bias is None else float(bias[torch.isfinite(bias)].abs().max())
        # No dot product exceeds the largest square; below it, neither exponentials nor sums of three can overflow.
        largest = float(X.square().sum(dim=1).max())
        direct = batch.sharpest * largest + extra < self._limit / 2
        dense = 3 * batch.n_rows > kernel.numel()
        if direct and dense:
            kernel.exp_()
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        by_slot = torch.zeros(3, dtype=torch.float64, device=self.device)
        slots = None if bias is None else bias.to(device=self.device, dtype=self.dtype)
        for block in batch.blocks:
            order = (SLOTS + block.shift) % 3
            shown = None if slots is None else slots[order.to(self.device)][:, None]
            loss += self._add(block, shown, direct=direct, dense=dense, by_slot=by_slot, order=order)
        scale = 1.0 / batch.total
        # Two thin products are cheaper than one transposed copy.
        gradient = torch.addmm(sums @ X, sums.T, X) if X.shape[1] <= THIN else (sums + sums.T) @ X
        return float(loss) * scale, gradient.mul_(scale), by_slot.mul_(scale)

    def _add(
        self, block: Block, bias: torch.Tensor | None, *, direct: bool, dense: bool, by_slot: torch.Tensor,
        order: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Add a block's part of the gradient to the buffer, and return its part of the loss."""
        index = block.pairs.view(-1)
        values = self._kernel.view(-1).index_select(0, index).view(3, -1)
        if block.sharpness != 1:
            values = values.pow_(block.sharpness) if direct and dense else values.mul_(block.sharpness)
        if direct:
            if not dense:
                values.exp_()
            if bias is not None:
                values.mul_(bias.exp())
            values.div_(values.sum(dim=0))  # probabilities
            logs = (values[0] if block.target is None else values).log()
        else:
            if bias is not None:
                values.add_(bias)
            logs = torch.log_softmax(values, dim=0)
            values = logs.exp()
            logs = logs[0] if block.target is None else logs
        if block.target is None:
            values[0].sub_(1)
        else:
            # What cannot be odd has a logarithm of minus infinity.
            logs = torch.where(block.target > 0, logs * block.target, 0).sum(dim=0)
            values.sub_(block.target)
        if block.weight is not None:
            logs = logs * block.weight
            values.mul_(block.weight)
        if bias is not None:
            by_slot.index_add_(0, order.to(by_slot.device), values.sum(dim=1, dtype=torch.float64))
        if block.sharpness != 1:
            values.mul_(block.sharpness)
        self._sums.view(-1).index_add_(0, index, values.view(-1))
        return -logs.sum(dtype=torch.float64)
