"""Cross-validated squared Mahalanobis distances of stimuli that were shown in several runs (Walther et al. 2016).

For responses x_p to presentations p, and W the inverse covariance of their noise over v targets,

    G_ij = mean of x_p' W x_q over p of stimulus i and q of stimulus j in different runs
    d_ij = (G_ii + G_jj - 2 G_ij) / v

Noise of different runs is independent, so that with a fixed W (the identity for noise "none") G_ij is on average the
product of the true patterns, and d_ij their squared distance: 0 for stimuli with one pattern. Where every run shows all
stimuli once, d_ij is the mean over pairs of different runs a, b of (x_ia - x_ja)' W (x_ib - x_jb) / v, the usual
formula.

With noise "shrunk" and "diagonal", W is estimated from the presentations that it multiplies. For noise of covariance S,
estimated as S^ from K_i presentations of every stimulus, stimuli with one pattern then lie on average at

    (1 / K_i + 1 / K_j) E(tr W S - tr W S^) / v > 0,

the same for all pairs if all K are equal, which correlations over pairs do not notice. Callers refuse unequal ones.

Sums over pairs of different runs are those over all pairs less those within runs, (sum Z)'(sum Z) - sum_r Z_r' Z_r, so
that no pair of runs is visited. The noise is what differs between presentations of one stimulus, as contrasts of which
all are independent (of K presentations K - 1: the second less the first, the third less the mean of both, ...).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from .kinds import NOISE
from .rsa import Comparer
from .similarity import Pairs, Similarity

TINY = 1e-12  # variance of noise, in parts of that of the responses, below which distances in units of it mean nothing
ALIKE = 1e-3  # standard deviation of distances, in parts of their mean, below which they are computed in float64


@dataclass(frozen=True, eq=False)
class Shown:
    """Which stimulus every presentation shows, and in which run."""

    stimulus: np.ndarray  # (n_rows,) 0, 1, ...; every one in at least two runs
    run: np.ndarray  # (n_rows,) 0, 1, ...

    def __len__(self) -> int:
        return len(self.stimulus)

    @cached_property
    def n(self) -> int:
        """Number of stimuli."""
        return int(self.stimulus.max()) + 1

    @cached_property
    def within(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Rows of every run, and the stimuli that they show, in their order."""
        found = []
        for run in range(int(self.run.max()) + 1):
            rows = np.flatnonzero(self.run == run)
            rows = rows[np.argsort(self.stimulus[rows], kind="stable")]
            found.append((torch.as_tensor(rows), torch.as_tensor(self.stimulus[rows])))
        return found

    @cached_property
    def n_products(self) -> torch.Tensor:
        """Number of pairs of presentations in different runs, (n, n)."""
        ones = torch.ones((len(self), 1), dtype=torch.float64)
        return self._sums(ones)

    def products(self, Z: torch.Tensor) -> torch.Tensor:
        """Average products over pairs of presentations in different runs.

        Shapes: `Z` (n_rows, n_targets); returns (n, n).
        """
        return self._sums(Z).mul_(self._share(Z.dtype, Z.device))

    def _share(self, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """One over the number of pairs of presentations, (n, n), or a single number where all have as many."""
        place = dtype, device
        if place not in self._shares:
            n = self.n_products
            same = bool((n == n[0, 0]).all())
            self._shares[place] = (1 / (n[0, 0] if same else n)).to(device, dtype)
        return self._shares[place]

    @cached_property
    def _shares(self) -> dict[tuple[torch.dtype, torch.device], torch.Tensor]:
        return {}

    def _sums(self, Z: torch.Tensor) -> torch.Tensor:
        total = _by_stimulus(Z, torch.as_tensor(self.stimulus), self.n)
        found = total @ total.T
        for rows, stimuli in self.within:
            part, which = Z[rows.to(Z.device)], torch.unique(stimuli)
            if len(which) < len(rows):  # one that was shown twice in this run
                part = _by_stimulus(part, torch.searchsorted(which, stimuli), len(which))
            if len(which) == self.n:
                found.addmm_(part, part.T, alpha=-1)
            else:
                which = which.to(Z.device)
                found[which[:, None], which] -= part @ part.T
        return found

    def reduced(self, Q: torch.Tensor) -> torch.Tensor:
        """Average the products of presentations, which are there already, as `products` does.

        Shapes: `Q` (n_rows, n_rows); returns (n, n).
        """
        shown = torch.as_tensor(self.stimulus)
        found = _by_stimulus(_by_stimulus(Q, shown, self.n).T, shown, self.n)
        for rows, stimuli in self.within:
            inside = Q[rows[:, None], rows]
            found.index_put_((stimuli[:, None], stimuli), -inside, accumulate=True)
        return found / self.n_products

    @cached_property
    def _groups(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Rows of the stimuli with one number of presentations (n_stimuli, K), and their contrasts (K - 1, K)."""
        order = np.argsort(self.stimulus, kind="stable")
        counts = np.bincount(self.stimulus)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        found = []
        for k in np.unique(counts).tolist():
            rows = order[starts[counts == k][:, None] + np.arange(k)]
            contrast = np.tril(-np.ones((k - 1, k))) + np.diag(np.arange(1.0, k), 1)[: k - 1]
            contrast /= np.linalg.norm(contrast, axis=1, keepdims=True)
            found.append((torch.as_tensor(rows), torch.as_tensor(contrast)))
        return found

    def contrasts(self, X: torch.Tensor) -> torch.Tensor:
        """Contrast the presentations of every stimulus, which leaves independent noise of the size of theirs.

        Shapes: `X` (n_rows, m); returns (n_rows - n, m).
        """
        parts = [
            torch.einsum("ck,nkm->ncm", contrast.to(X), X[rows.to(X.device)]).flatten(0, 1)
            for rows, contrast in self._groups
        ]
        return torch.cat(parts)


def _by_stimulus(X: torch.Tensor, stimulus: torch.Tensor, n: int) -> torch.Tensor:
    return X.new_zeros((n, X.shape[1])).index_add_(0, stimulus.to(X.device), X)


def shrinkage(squares: torch.Tensor, square: torch.Tensor, trace: torch.Tensor, n: int, n_targets: int) -> float:
    """Weight of the identity in the covariance of Ledoit and Wolf (2004), for noise of mean 0.

    `squares` are the squared lengths of n rows of noise, `square` is that of their covariance (sum of squares of its
    numbers), `trace` its trace.
    """
    spread = float(square - trace**2 / n_targets)
    error = float((squares**2).sum() / n - square) / n
    return min(max(error, 0.0), spread) / spread if spread > 0 else 1.0


def whitened(X: torch.Tensor, shown: Shown, noise: str) -> torch.Tensor | None:
    """Scale responses to noise of unit variance that does not go together.

    Targets whose noise does not vary are left out. Returns None if none is left. Shapes: `X` (n_rows, n_targets),
    n_targets at most some thousands; returns (n_rows, n_left).
    """
    if noise == "none":
        return X
    C = shown.contrasts(X)
    variance = (C * C).mean(dim=0).to(torch.float64)
    varies = _varying(X, variance)
    if not bool(varies.all()):
        X, C, variance = X[:, varies], C[:, varies], variance[varies]
    if not X.shape[1]:
        return None
    if noise == "diagonal":
        return X / variance.sqrt().to(X)
    covariance = (C.T @ C).to(torch.float64) / len(C)
    lengths = (C * C).sum(dim=1).to(torch.float64)
    share = shrinkage(lengths, (covariance**2).sum(), covariance.trace(), len(C), X.shape[1])
    covariance *= 1 - share
    covariance.diagonal().add_(share * variance.mean())
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if int(failed):
        return None
    inverse = torch.linalg.solve_triangular(lower, torch.eye(len(lower), dtype=lower.dtype).to(lower), upper=False)
    return X @ inverse.T.to(X)


def _varying(X: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Find targets whose noise varies, by the variance of their contrasts.

    Shapes: `X` (n_rows, n_targets), `variance` (n_targets,); returns (n_targets,).
    """
    size = torch.linalg.vector_norm(X, dim=0).to(torch.float64) ** 2 / len(X)
    return variance > TINY * size


def distances_of(G: torch.Tensor, n_targets: int) -> torch.Tensor:
    """Turn average products (n, n) into distances, in place."""
    own = G.diagonal().clone()
    G.mul_(-2).add_(own[:, None]).add_(own).div_(n_targets)
    G.fill_diagonal_(0.0)
    return G


def crossnobis(parts: Iterable[np.ndarray], shown: Shown, noise: str, device: str = "cpu") -> torch.Tensor:
    """Compute the distances of all stimuli from targets that come in parts, in float64.

    In units of noise, targets whose noise does not vary are left out; all distances are NaN if none is left.
    The covariance of any number of targets is inverted by its rows: with contrasts C (m, v), a the share of the
    identity and b that of C'C,

        (a I + b C'C)^-1 = (I - C' (a / b I + CC')^-1 C) / a,

    so that products of presentations are all that is needed. Shapes: `parts` (n_targets, n_rows); returns (n, n).
    """
    if noise not in NOISE:
        raise ValueError(f"noise {noise!r} is not one of {NOISE}")
    Q, n_targets = torch.zeros((len(shown),) * 2, dtype=torch.float64, device=device), 0
    for part in parts:
        X = torch.as_tensor(part, device=device).to(torch.float64).T
        X = X - X.mean(dim=0)
        if noise != "none":
            variance = (shown.contrasts(X) ** 2).mean(dim=0)
            varies = _varying(X, variance)
            X = X[:, varies]
            if noise == "diagonal":
                X = X / variance[varies].sqrt()
        n_targets += X.shape[1]
        Q += X @ X.T
    if not n_targets:
        return torch.full((shown.n, shown.n), torch.nan, dtype=torch.float64)
    if noise == "shrunk":
        CX = shown.contrasts(Q)
        K = shown.contrasts(CX.T).T
        m, squares = len(K), K.diagonal()
        trace = squares.sum() / m
        share = shrinkage(squares, (K**2).sum() / m**2, trace, m, n_targets)
        a, b = share * trace / n_targets, (1 - share) / m
        if not float(a) > 0:
            return torch.full((shown.n, shown.n), torch.nan, dtype=torch.float64)
        inner = b * K
        inner.diagonal().add_(a)
        Q = (Q - b * (CX.T @ torch.linalg.solve(inner, CX))) / a
    return distances_of(shown.reduced(Q), n_targets)


class CrossnobisRsa:
    """Compares minus the distances of one searchlight after another with the similarities of models."""

    def __init__(
        self,
        models: Sequence[Similarity],
        pairs: Pairs,
        shown: Shown,
        *,
        noise: str,
        comparison: str,
        device: str = "cpu",
    ) -> None:
        if noise not in NOISE:
            raise ValueError(f"noise {noise!r} is not one of {NOISE}")
        self.shown, self.noise, self.device, self.n_models = shown, noise, device, len(models)
        self.order, self.n_pairs = np.arange(len(shown)), pairs.n
        self.exact = Comparer(models, pairs, comparison=comparison, device=device) if comparison == "spearman" else None
        if self.exact is None:
            self.models = torch.as_tensor(np.stack([_standardised(model, pairs) for model in models]), device=device)

    def compare(self, X: torch.Tensor) -> np.ndarray:
        """Compare the responses of one searchlight.

        Shapes: `X` (n_targets, n_rows); returns (n_models,).
        """
        rows = X.T - X.mean(dim=1)
        Z = whitened(rows.contiguous(), self.shown, self.noise)
        if Z is None:
            return np.full(self.n_models, np.nan)
        distances = distances_of(self.shown.products(Z), Z.shape[1])
        if self.exact is not None:
            return self.exact.compare(distances.neg_())
        # Every pair stands in both triangles, and nothing on the diagonal.
        mean = float(distances.sum(dtype=torch.float64)) / (2 * self.n_pairs)
        flat = distances.sub_(mean).fill_diagonal_(0.0).view(-1)
        square = float(torch.dot(flat, flat)) / 2
        if X.dtype != torch.float64 and not square > ALIKE**2 * self.n_pairs * mean**2:
            return self.compare(X.to(torch.float64))
        if not square > TINY * self.n_pairs * mean**2:
            return np.full(self.n_models, np.nan)
        dots = (self.models.to(flat) @ flat).to(torch.float64).cpu().numpy()
        return -dots / 2 / square**0.5


def _standardised(model: Similarity, pairs: Pairs) -> np.ndarray:
    """Similarity about its mean over pairs, of unit length over them, with zeros on the diagonal; (n * n,)."""
    mean, norm = pairs.moments(model)
    found = (model.rows(slice(None)) - mean) / norm
    np.fill_diagonal(found, 0.0)
    return found.astype(np.float32).ravel()
