"""Sparse, non-negative dimensions from odd-one-out judgments."""

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from ..core import (
    ConfigError,
    DataError,
    FeatureSpace,
    Judgments,
    Provenance,
    Samples,
    fingerprint_array,
    suggest,
    versions,
)
from ..numerics.choices import choice_logits, correct_share
from ..numerics.spectral import spectral_start, win_rates
from ..numerics.threads import torch_threads
from ..numerics.variational import SpikeSlab, alive, fit_posterior
from .methods import METHODS, STARTS
from .new_items import place_items
from .objective import Point, Problem
from .path import LARGE, choose, default_lambdas, refine, walk
from .triplets import PARTS, SEEN, Triplets, as_triplets, divide, parts_of

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
POSTERIOR_STEPS, POSTERIOR_RATE = 1000, 0.03
BATCH = 250_000  # judgments of a step of "variational", where there are many
STEP = "embed/1"


@dataclass(eq=False, repr=False)
class SparseEmbedding(BaseEstimator):
    """Embed items so that dot products predict which of three is the odd one out.

    Attributes
    ----------
    method : {"map", "variational"}
        "map": non-negative coordinates with a penalty on their sum (SPoSE's model). "variational": a Gaussian for each
        coordinate under a spike-and-slab prior (VICE's model), started from "map".
    n_dims : int, optional
        Exact number of dimensions. The validation loss decides if it is left out.
    max_dims : int
        Number of dimensions at the beginning of the path, at most the number of items.
    lambdas : sequence of float, optional
        Penalties to try, in SPoSE's units; chosen from the number of judgments and items if left out.
    start : {"random", "spectral"}
        Where the first fit begins.
    slot_bias : bool
        Estimate a preference for each slot within the likelihood.
    reweight : int
        Rounds in which large coordinates are freed from the penalty; 0 for plain L1.
    spike, slab, share : float
        Prior of "variational": standard deviations of its two parts, and the weight of the first.
    validation : float
        Share of triplets to choose lambda by, where the judgments declare no split.
    tol : float
        Fits stop when three steps in a row lower the objective by less than this part of it.
    max_iter : int
        Most steps of a fit.
    precision : {"float32", "float64"}
        Of the computation.
    device : str
        "cpu" or "cuda". On CUDA sums are taken in no fixed order, so that runs differ in the last digits.
    threads : int
        CPU threads of one fit. The same number gives the same bytes.
    random_state : int
        Seed of start, validation part and draws.

    Notes
    -----
    After `fit` there are:

    - ``embedding_``, shape (n_items, n_dims): non-negative, dimensions by descending sum; of "variational" the
      posterior means, cut at zero.
    - ``scale_``, of the same shape: posterior standard deviations of "variational", else None.
    - ``slot_bias_``, shape (3,): preference for each slot, mean zero; zeros if not estimated.
    - ``lambda_``: the penalty that was chosen; ``path_``: a table with a row per penalty, see `walk`.
    - ``parts_``, shape (n_valid,): "train", "validation", "test" or "subset" for each valid judgment. The last two are
      never looked at.
    - ``items_``: name of each row; ``trace_`` and ``converged_``: objective after each step of the last fit, and
      whether it stopped by itself.

    Examples
    --------
    >>> import numpy as np
    >>> from encoding.embedding import SparseEmbedding, simulate_judgments
    >>> rng = np.random.default_rng(0)
    >>> X = rng.gamma(2, 0.7, (30, 2)) * (rng.random((30, 2)) < 0.5)
    >>> judgments = simulate_judgments(X, 4000, seed=0)
    >>> SparseEmbedding(max_dims=6).fit(judgments).embedding_.shape
    (30, 2)
    """

    method: str = "map"
    n_dims: int | None = None
    max_dims: int = 100
    lambdas: tuple[float, ...] | None = None
    start: str = "random"
    slot_bias: bool = False
    reweight: int = 2
    spike: float = 0.25
    slab: float = 1.0
    share: float = 0.6
    validation: float = 0.1
    tol: float = 1e-6
    max_iter: int = 500
    precision: str = "float32"
    device: str = "cpu"
    threads: int = 1
    random_state: int = 0

    def fit(self, X: Judgments | Triplets | np.ndarray, y: None = None) -> "SparseEmbedding":  # noqa: ARG002
        """Learn an embedding.

        Parameters
        ----------
        X : Judgments, Triplets, or ndarray of int, shape (n, 3)
            Judgments; an array has the odd item last. Declared splits are kept: lambda is chosen on "validation",
            "test" and "subset" are left alone.
        y : None
            Not used.

        Returns
        -------
        SparseEmbedding
            Itself.

        Raises
        ------
        ConfigError
            If a setting is not allowed.
        DataError
            If there are no valid judgments, or no penalty leaves any dimension.
        """
        self._check()
        data = as_triplets(X)
        self.items_ = data.names
        self.part_codes_ = self._parts(X, data)
        n_train, n_held_out = np.bincount(self.part_codes_, minlength=len(PARTS))[:SEEN]
        if not n_train or not n_held_out:
            raise DataError(
                f"SparseEmbedding: {n_train} judgments to train and {n_held_out} to validate; both need some."
            )
        self.inputs_ = {"items": fingerprint_array(data.items), "choice": fingerprint_array(data.choice)}
        if data.probabilities is not None:
            self.inputs_["probabilities"] = fingerprint_array(data.probabilities)
        if data.weight is not None:
            self.inputs_["weight"] = fingerprint_array(data.weight)
        with torch_threads(self.threads):
            self._finish(data, self._choose(data))
        return self

    @property
    def parts_(self) -> np.ndarray:
        """Part of each valid judgment."""
        return np.asarray(PARTS)[self.part_codes_]

    def _choose(self, data: Triplets) -> Point:
        """Walk along the path, and take the fit that validation judgments are in favour of."""
        train, held_out = (data[self.part_codes_ == PARTS.index(part)] for part in ("train", "validation"))
        problem = self._problem(train)
        lambdas = tuple(sorted(self.lambdas)) if self.lambdas is not None else default_lambdas(train)
        points, self.path_ = walk(problem, problem.begin(self._start(train)), lambdas, held_out, tol=self.tol)
        row = choose(self.path_, self.n_dims)
        self.path_["chosen"] = np.arange(len(self.path_)) == row
        self.lambda_ = lambdas[row]
        return points[row]

    def _problem(self, data: Triplets) -> Problem:
        return Problem(data, with_bias=self.slot_bias, dtype=PRECISIONS[self.precision], device=self.device)

    def _finish(self, data: Triplets, chosen: Point) -> None:
        # Lambda is chosen: validation judgments now help to fit, the test part still does not.
        seen = self.part_codes_ < SEEN
        both = self._problem(data if seen.all() else data[seen])
        point = refine(
            both,
            self._shorten(chosen),
            self.lambda_,
            rounds=self.reweight,
            drop=self.n_dims is None,
            tol=self.tol,
            max_iter=self.max_iter,
        )
        self.scale_: np.ndarray | None = None
        if self.method == "variational":
            point = self._posterior(both, point)
        if not point.X.shape[1]:
            raise DataError(
                f"SparseEmbedding: no dimension is left at lambda {self.lambda_}: the judgments are no better "
                f"predicted with any than without. Are the columns in order (odd item last), and are there enough "
                f"judgments?"
            )
        self.embedding_ = point.X.cpu().numpy()
        bias = np.zeros(3) if point.bias is None else point.bias.cpu().numpy().astype(np.float64)
        self.slot_bias_ = bias - bias.mean()
        self.converged_, self.trace_ = point.converged, point.trace

    def _shorten(self, point: Point) -> Point:
        return point if self.n_dims is None else dataclasses.replace(point, X=point.X[:, : self.n_dims].contiguous())

    def _posterior(self, problem: Problem, point: Point) -> Point:
        batches = [problem.batch]
        n = len(problem.data)
        if n >= LARGE:
            order = np.random.default_rng([self.random_state, 4]).permutation(n)
            parts = np.array_split(order, n // BATCH)
            batches = [problem.sort(problem.data[np.sort(rows)]) for rows in parts]
        turn = itertools.count()

        def _loss(X: torch.Tensor) -> tuple[float, torch.Tensor]:
            batch = batches[next(turn) // 2 % len(batches)]  # both draws of an antithetic pair see the same one
            return problem.loss(X, batch, bias=point.bias)[:2]

        fitted = fit_posterior(
            _loss,
            point.X,
            n_judgments=problem.batch.total,
            prior=SpikeSlab(self.spike, self.slab, self.share),
            n_steps=POSTERIOR_STEPS,
            rate=POSTERIOR_RATE,
            seed=self.random_state,
        )
        mean, scale = fitted.mean.cpu().numpy(), fitted.scale.cpu().numpy()
        kept = np.ones(mean.shape[1], bool) if self.n_dims is not None else alive(mean, scale)
        order = np.flatnonzero(kept)[np.argsort(-np.maximum(mean[:, kept], 0).sum(axis=0), kind="stable")]
        self.scale_ = scale[:, order]
        return dataclasses.replace(
            point, X=torch.as_tensor(np.maximum(mean[:, order], 0)), converged=True, trace=fitted.trace
        )

    def _start(self, train: Triplets) -> np.ndarray:
        n_items = len(train.names)
        n_dims = max(min(self.max_dims, n_items), self.n_dims or 1)
        if self.start == "spectral":
            rate = win_rates(train.items, train.choice, n_items, probabilities=train.probabilities)
            return spectral_start(rate, n_dims)
        return 0.1 + 0.1 * np.random.default_rng([self.random_state, 1]).random((n_items, n_dims))

    def _parts(self, given: Any, data: Triplets) -> np.ndarray:
        declared = parts_of(given, data)
        codes = np.zeros(len(data), np.int8)
        for number, part in enumerate(PARTS):
            if declared is not None:
                codes[declared == part] = number
        if not (codes == PARTS.index("validation")).any():
            learn = np.flatnonzero(codes == PARTS.index("train"))
            drawn = divide(data[learn], self.validation, np.random.default_rng([self.random_state, 0]))
            codes[learn[drawn]] = PARTS.index("validation")
        return codes

    def _check(self) -> None:
        for name, known in (("method", METHODS), ("start", STARTS), ("precision", tuple(PRECISIONS))):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"SparseEmbedding: {name} = {value!r}. {suggest(str(value), known)}")
        for name in ("max_dims", "threads", "max_iter"):
            if not isinstance(getattr(self, name), int | np.integer) or getattr(self, name) < 1:
                raise ConfigError(f"SparseEmbedding: {name} = {getattr(self, name)!r}, but 1 or more is needed.")
        if self.n_dims is not None and self.n_dims < 1:
            raise ConfigError(f"SparseEmbedding: n_dims = {self.n_dims!r}, but 1 or more is needed, or None.")
        if self.lambdas is not None and (not len(self.lambdas) or min(self.lambdas) < 0):
            raise ConfigError(f"SparseEmbedding: lambdas = {self.lambdas!r}, but numbers of 0 or more are needed.")
        if not 0 < self.validation < 1:
            raise ConfigError(
                f"SparseEmbedding: validation = {self.validation!r}, but a share between 0 and 1 is needed."
            )
        if not (0 < self.spike < self.slab and 0 < self.share < 1):
            raise ConfigError(
                f"SparseEmbedding: spike = {self.spike!r}, slab = {self.slab!r}, share = {self.share!r}; needed "
                f"0 < spike < slab and 0 < share < 1."
            )
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(
                f"SparseEmbedding: device = {self.device!r}, but PyTorch finds no CUDA device. Use 'cpu'."
            )

    def _check_fitted(self) -> None:
        if not hasattr(self, "embedding_"):
            raise NotFittedError("SparseEmbedding: call fit before transform, score or to_feature_space.")

    def score(self, X: Judgments | Triplets | np.ndarray, y: None = None) -> float:  # noqa: ARG002
        """Compute the share of judgments that are predicted; a tie counts as the chance of guessing it.

        Parameters
        ----------
        X : Judgments, Triplets, or ndarray of int, shape (n, 3)
            Judgments about the same items.
        y : None
            Not used.

        Returns
        -------
        float
            Odd-one-out accuracy; chance is 1/3.
        """
        self._check_fitted()
        data = self._about_same_items(X)
        similarity = self.embedding_ @ self.embedding_.T
        correct = correct_share(choice_logits(similarity, data.items, bias=self.slot_bias_), data.choice)
        return float(np.average(correct, weights=data.weight))

    def transform(self, X: Judgments | Triplets | np.ndarray) -> np.ndarray:
        """Give the coordinates of the items of some judgments; those that were not fitted are placed among the others.

        Parameters
        ----------
        X : Judgments, Triplets, or ndarray of int, shape (n, 3)
            Judgments. Items are recognised by name; in an array new items have numbers from n_items on.

        Returns
        -------
        ndarray, shape (n_items_of_X, n_dims)
            Rows in the order of the names of `X`.
        """
        self._check_fitted()
        data = as_triplets(X)
        return place_items(self.embedding_, self.items_, data, bias=self.slot_bias_)

    def _about_same_items(self, X: Judgments | Triplets | np.ndarray) -> Triplets:
        data = as_triplets(X, n_items=len(self.items_) if isinstance(X, np.ndarray) else None)
        if data.names == self.items_:
            return data
        place = {name: number for number, name in enumerate(self.items_)}
        strangers = [name for name in data.names if name not in place]
        if strangers:
            raise DataError(
                f"SparseEmbedding: {len(strangers)} items were not fitted, the first is {strangers[0]!r}. Place them "
                f"with transform."
            )
        numbers = np.array([place[name] for name in data.names], dtype=np.int32)
        return dataclasses.replace(data, items=numbers[data.items], names=self.items_)

    def settings(self) -> dict[str, Any]:
        """List the settings that shape the result.

        Returns
        -------
        dict
            JSON; device and threads are not among them.
        """
        kept = {name: value for name, value in self.get_params().items() if name not in ("device", "threads")}
        kept["lambdas"] = None if self.lambdas is None else [float(value) for value in self.lambdas]
        return kept

    def to_feature_space(self, name: str) -> FeatureSpace:
        """Make a feature space for encoding models.

        Parameters
        ----------
        name : str
            Its name; dimensions are called name_1, name_2, ...

        Returns
        -------
        FeatureSpace
            One row per item, on the clock "none".
        """
        self._check_fitted()
        return feature_space(
            name,
            self.embedding_,
            self.items_,
            Provenance(STEP, self.settings(), self.inputs_, self.random_state, versions()),
        )


def feature_space(name: str, X: np.ndarray, items: tuple[str, ...], provenance: Provenance) -> FeatureSpace:
    """Name rows and columns of an embedding.

    Parameters
    ----------
    name : str
        Name of the space; dimensions are called name_1, name_2, ...
    X : ndarray, shape (n_items, n_dims)
        Coordinates.
    items : tuple of str
        Name of each row.
    provenance : Provenance
        How it was made.

    Returns
    -------
    FeatureSpace
        On the clock "none".
    """
    features = tuple(f"{name}_{number + 1}" for number in range(X.shape[1]))
    return FeatureSpace(name, X.astype(np.float64), Samples.of_stimuli(list(items)), features, provenance)
