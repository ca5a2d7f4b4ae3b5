"""What an embedding says about odd-one-out choices, and how well it says it.

Slots, similarities and biases are those of `triplets`: of three items slot q is called odd with a probability that
grows with the similarity of the two others.
"""

import numpy as np
import torch

from .threads import torch_threads

TIES = 1e-9  # logits that differ by less count as equal
FLUSH = 16  # terms that are summed in the precision of the kernel
WIDEST_SINGLE = 60.0  # nats that float32 spans with all its digits
WIDEST = 600.0  # nats; exponentials of float64 and their reciprocals span a little more
TILE = 256  # rows of the similarity matrix that are summed at once


def choice_logits(
    similarity: np.ndarray, items: np.ndarray, *, bias: np.ndarray | None = None, sharpness: np.ndarray | None = None
) -> np.ndarray:
    """Return the similarity of the pair that remains when a slot is called odd.

    Shapes: `similarity` (n_items, n_items), `items` (n, 3), `bias` (3,), `sharpness` (n,); returns (n, 3).
    """
    a, b, c = np.asarray(items).T
    logits = np.stack([similarity[b, c], similarity[a, c], similarity[a, b]], axis=1).astype(np.float64)
    if sharpness is not None:
        logits *= np.asarray(sharpness, dtype=np.float64)[:, None]
    return logits if bias is None else logits + np.asarray(bias, dtype=np.float64)


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Normalise logits.

    Shapes: `logits` (n, 3); returns (n, 3).
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def correct_share(logits: np.ndarray, choice: np.ndarray) -> np.ndarray:
    """Score each judgment: 1 if the chosen slot alone has the largest logit, 1/2 or 1/3 if it shares it, else 0.

    Sparse embeddings have many triplets of which no two items share a dimension; counting such ties as right would
    reward an embedding of zeros.

    Shapes: `logits` (n, 3), `choice` (n,); returns (n,).
    """
    largest = logits >= logits.max(axis=1, keepdims=True) - TIES
    return largest[np.arange(len(logits)), choice] / largest.sum(axis=1)


def cross_entropy(log_p: np.ndarray, choice: np.ndarray, *, probabilities: np.ndarray | None = None) -> np.ndarray:
    """Compute how surprising each judgment is.

    Shapes: `log_p` (n, 3), `choice` (n,), `probabilities` (n, 3); returns (n,).
    """
    loss = -log_p[np.arange(len(log_p)), choice]
    if probabilities is None:
        return loss
    soft = np.isfinite(probabilities).all(axis=1)
    target = np.where(soft[:, None], probabilities, 1.0).astype(np.float64)
    target /= target.sum(axis=1, keepdims=True)
    some = np.where(target > 0, log_p, 0.0)  # what cannot be odd has minus infinity
    return np.where(soft, -(target * some).sum(axis=1), loss)


def choice_similarity(X: np.ndarray) -> np.ndarray:
    """Compute how often two items are kept together, averaged over all third items.

    With E = exp(X X'), entry (i, j) is E_ij times the mean over k of 1 / (E_ij + E_ik + E_jk).

    Shapes: `X` (n_items, n_dims); returns (n_items, n_items).
    """
    n = len(X)
    products = np.asarray(X, dtype=np.float64)
    products = products @ products.T
    off = ~np.eye(n, dtype=bool)
    low, high = float(products[off].min()), float(products[off].max())
    with torch_threads(1):  # the blocks are too small to be worth dividing
        if high - low < WIDEST:
            narrow = torch.float32 if high - low < WIDEST_SINGLE else torch.float64
            kept = _from_kernel(torch.as_tensor(products - high).exp_().to(narrow))
        else:
            kept = _from_differences(torch.as_tensor(products))
    return kept.div_(max(n - 2, 1)).fill_diagonal_(1).to(torch.float32).numpy()


def _from_kernel(kernel: torch.Tensor) -> torch.Tensor:
    """Sum the probabilities over third items with one exponential per pair.

    All ratios are of numbers within the range of the dtype. The reciprocal of a triple serves its three pairs, so that
    items are taken in turn as the largest of the triple.
    """
    kernel.fill_diagonal_(torch.inf)  # a pair of an item with itself adds nothing to any sum
    sums = torch.tril(_sum_reciprocals(kernel), -1)
    return (sums + sums.T) * kernel.fill_diagonal_(0)


def _from_differences(products: torch.Tensor) -> torch.Tensor:
    """Sum the same from differences of logits, which never leave the range but take two exponentials per triple."""
    n = len(products)
    logits = products.clone().fill_diagonal_(-torch.inf)  # i, i and i, k are no triple
    kept = torch.zeros_like(products)
    for i in range(n - 1):
        own = logits[i]
        others = products[i, i + 1 :, None]
        odds = (own - others).exp_().add_((logits[i + 1 :] - others).exp_())
        p = odds.add_(1).reciprocal_()
        p[:, i] = 0
        p[torch.arange(n - i - 1), torch.arange(i + 1, n)] = 0
        kept[i, i + 1 :] = p.sum(dim=1)
    return kept + kept.T


def _sum_reciprocals(kernel: torch.Tensor) -> torch.Tensor:
    """Sum 1 / (E_ij + E_ik + E_jk) over k for every i > j."""
    n = len(kernel)
    sums, buffer = torch.zeros_like(kernel), torch.empty(TILE * n, dtype=kernel.dtype)
    total = torch.zeros_like(kernel, dtype=torch.float64)
    for k in range(2, n):
        row = kernel[k, :k]
        last = sums[k]
        for start in range(0, k, TILE):
            stop = min(start + TILE, k)
            # Pairs (i, j) with j < stop cover every pair once or twice; the lower triangle is whole.
            part = buffer[: (stop - start) * stop].view(stop - start, stop)
            torch.add(kernel[start:stop, :stop], row[:stop], out=part)
            part.add_(row[start:stop, None]).reciprocal_()
            sums[start:stop, :stop] += part
            last[start:stop] += part.sum(dim=1)
            if start:
                last[:start] += part[:, :start].sum(dim=0)
        if k % FLUSH == 0 or k == n - 1:  # a long sum in single precision would lose digits
            total[: k + 1, : k + 1] += sums[: k + 1, : k + 1]
            sums[: k + 1, : k + 1] = 0
    return total


def repeat_counts(items: np.ndarray, choice: np.ndarray, n_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Count the answers to each set of three items, whatever the order in which they were shown.

    Shapes: `items` (n, 3), `choice` (n,); returns group (n,), counts (n_sets, 3).
    """
    order = np.argsort(items, axis=1)
    rank = np.argsort(order, axis=1)[np.arange(len(items)), choice]
    group = np.unique(triplet_keys(items, n_items), return_inverse=True)[1]
    counts = np.zeros((group.max(initial=-1) + 1, 3), dtype=np.int64)
    np.add.at(counts, (group, rank), 1)
    return group, counts


def triplet_keys(items: np.ndarray, n_items: int) -> np.ndarray:
    """Return the number of the unordered triplet of every judgment.

    Shapes: `items` (n, 3); returns (n,).
    """
    low, middle, high = np.sort(items, axis=1).astype(np.int64).T
    return (low * n_items + middle) * n_items + high


def noise_ceiling(counts: np.ndarray) -> tuple[float, float, int]:
    """Estimate how well the best prediction could do, from sets that were judged several times.

    Parameters
    ----------
    counts : ndarray of int, shape (n_sets, 3)
        Answers to each set.

    Returns
    -------
    agreement : float
        Probability that two answers to the same set agree; a prediction by one other answer reaches it. NaN without
        repeats.
    modal : float
        Mean share of the most frequent answer: what a prediction that knows it reaches. It is too high by chance where
        there are few repeats.
    n_sets : int
        Sets with two answers or more.
    """
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return float("nan"), float("nan"), 0
    n = counts.sum(axis=1)
    agreement = (counts * (counts - 1)).sum(axis=1) / (n * (n - 1))
    return float(agreement.mean()), float((counts.max(axis=1) / n).mean()), len(counts)


def calibration(
    probabilities: np.ndarray, choice: np.ndarray, *, n_bins: int = 10, weight: np.ndarray | None = None
) -> np.ndarray:
    """Compare predicted probabilities with how often they came true: mean, share and number in each bin.

    Shapes: `probabilities` (n, n_options), `choice, weight` (n,); returns (n_bins, 3).
    """
    came_true = np.eye(probabilities.shape[1])[choice].ravel()
    flat = probabilities.ravel()
    place = np.minimum((flat * n_bins).astype(int), n_bins - 1)
    number = np.bincount(place, minlength=n_bins).astype(float)
    each = np.ones(len(flat)) if weight is None else np.repeat(weight.astype(float), probabilities.shape[1])
    total = np.bincount(place, weights=each, minlength=n_bins)
    some = np.where(total > 0, total, np.nan)
    mean = np.bincount(place, weights=each * flat, minlength=n_bins) / some
    share = np.bincount(place, weights=each * came_true, minlength=n_bins) / some
    return np.stack([mean, share, number], axis=1)
