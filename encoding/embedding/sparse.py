"""Sparse, non-negative dimensions from judgments of similarity: choices among three, or ratings of pairs."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from ..core import (
    ConfigError,
    DataError,
    FeatureSpace,
    Judgments,
    Provenance,
    Samples,
    suggest,
    versions,
)
from ..numerics.choices import choice_logits, correct_share
from ..numerics.spectral import spectral_start, win_rates
from ..numerics.threads import torch_threads
from ..numerics.variational import Posterior, SpikeSlab, alive
from .intervals import LEAST_COST, cost_of_turning, draw_posterior, inflation
from .judges import judge_sharpness
from .methods import METHODS, PRECISIONS, STARTS, TASKS
from .new_items import place_items
from .objective import NEGLIGIBLE, Point, Problem, prune, row_losses
from .path import (
    CHANCE,
    LARGE,
    RATIO,
    RUNG,
    AtChanceError,
    Candidate,
    Search,
    affordable_dims,
    default_lambdas,
    steepness,
)
from .rated import Given, Rated, Rows, as_rows, check_rows, fingerprints, rated_judges, within
from .triplets import (
    PARTS,
    SEEN,
    Triplets,
    as_triplets,
    connections,
    divide,
    further_folds,
    gaps,
    parts_of,
    slot_entropy,
)

START = 2.0  # mean dot product of a random start
FOLDS = 4  # further parts that are held out in turn where one cannot tell numbers of dimensions apart
MOST_FOLDED = 1_000_000  # judgments; of more, one part has enough
ENOUGH = 1_000  # validation judgments
JUDGE_ROUNDS = 2  # of estimating the noise of judges and fitting again
STEP = "embed/4"
HINTS = {
    "odd": "Are the columns in order (odd item last)",
    "match": "Are the columns in order (target first, the item that is left over last)",
    "rate": "Do larger ratings mean more alike",
}


@dataclass(eq=False, repr=False)
class SparseEmbedding(BaseEstimator):
    """Embed items such that their dot products predict which of three is the odd one out, or how alike two are.

    Attributes
    ----------
    method : {"map", "variational"}
        "map": non-negative coordinates with a penalty on their sum (SPoSE's model). "variational": a Gaussian for each
        coordinate under a spike-and-slab prior (VICE's model), started from "map".
    n_dims : int, optional
        Exact number of dimensions. The validation loss decides if it is left out.
    max_dims : int
        Most dimensions at the beginning of the path. It begins with fewer where items were judged rarely: eight
        showings of an item for each of its coordinates, and ten dimensions at least.
    lambdas : sequence of float, optional
        Penalties to try, in SPoSE's units; for ridges above 2 they are divided by half the ridge. If left out they are
        chosen from the number of judgments and items, and more are added where the best one is at an end or the number
        of dimensions jumps.
    start : {"random", "spectral"}
        Where the first fit begins.
    slot_bias : bool
        Estimate a preference for each slot within the likelihood.
    task : {"odd", "match", "rate"}
        "odd": which of three is the odd one out. "match": which of two goes with a target, which stands in the first
        slot; the choice is the slot of the other one, which is left over. "rate": how alike two are (`PairRatings`);
        each participant has thresholds of its own between the steps of the scale.
    judge_noise : bool
        Estimate how noisy each annotator is: similarities are multiplied by a sharpness of each, whose (for choices,
        weighted) geometric mean is one.
    reweight : int
        Most rounds, in which large coordinates are freed from the penalty, that are tried; 0 for none.
    spike, slab, share : float
        Prior of "variational": standard deviations of its two parts, and the weight of the first. A wide part of 1, as
        in VICE, pulls large coordinates towards zero.
    ridges : sequence of float
        Quadratic parts of the penalty to try: c(x) = x + ridge x^2 / 2. They keep coordinates of items that were judged
        rarely from growing; 0 is plain L1.
    validation : float
        Share of triplets to choose by, where the judgments declare no split; up to a quarter where that would be less
        than 1,000 judgments.
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
    - ``scale_``, of the same shape: posterior standard deviations of "variational", else None. ``turning_cost_``:
      log-likelihood lost when a dimension is turned into another by 15 degrees; ``determined_``: whether that is enough
      for intervals.
    - ``slot_bias_``, shape (3,): preference for each slot, mean zero; zeros if not estimated. Minus infinity for the
      slot of a target. ``rating_bias_``: parameters of the thresholds of ratings, else None.
    - ``judges_``: with `judge_noise`, a table of judge, n, noise (1 is typical), low and high (95 percent).
    - ``lambda_``, ``ridge_``, ``rounds_``, ``n_start_``: the penalty, its shape, and the dimensions that the chosen fit
      began with; ``validation_loss_``: its loss on validation judgments; ``path_``: a table with a row per fit;
      ``plain_``: whether this is the fit that plain L1 comes to by itself.
    - ``rival_``: coordinates of the fit with most dimensions, more than the chosen one, whose validation loss is within
      two standard errors of the best; None if there is none.
    - ``notes_``: what should be known about the choice and the judgments, in words; ``components_``: group of items
      connected by judgments, -1 for items in none; ``judged_``.
    - ``parts_``, shape (n_valid,): "train", "validation", "test" or "subset" for each valid judgment. The last two are
      never looked at.
    - ``items_``: name of each row; ``trace_`` and ``converged_``: objective after each step of the last fit, and
      whether it stopped by itself.

    Examples
    --------
    >>> from encoding.embedding import SparseEmbedding, simulate_judgments
    >>> rng = np.random.default_rng(0)
    >>> X = rng.gamma(2, 0.7, (30, 2)) * (rng.random((30, 2)) < 0.5)
    >>> model = SparseEmbedding(max_dims=6).fit(simulate_judgments(X, 4000, seed=0))
    >>> model.embedding_.shape  # two of six dimensions are kept, as many as were planted
    (30, 2)
    >>> np.abs(np.corrcoef(X.T, model.embedding_.T)[:2, 2:]).max(1).round(1)
    array([1., 1.])
    """

    method: str = "map"
    n_dims: int | None = None
    max_dims: int = 100
    lambdas: tuple[float, ...] | None = None
    start: str = "random"
    slot_bias: bool = False
    task: str = "odd"
    judge_noise: bool = False
    ridges: tuple[float, ...] = (2.0, 0.0, 100.0)
    reweight: int = 2
    spike: float = 0.25
    slab: float = 3.0
    share: float = 0.6
    validation: float = 0.1
    tol: float = 1e-6
    max_iter: int = 500
    precision: str = "float32"
    device: str = "cpu"
    threads: int = 1
    random_state: int = 0

    def fit(self, X: Given, y: None = None) -> "SparseEmbedding":  # noqa: ARG002
        """Learn an embedding.

        Parameters
        ----------
        X : Judgments, PairRatings, Triplets, or ndarray of int, shape (n, 3)
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
        return self._learn(X, None, 1.0)

    def fit_near(self, X: Given, model: "SparseEmbedding", *, stronger: float = 1.0) -> "SparseEmbedding":
        """Learn an embedding, with a search around what another fit chose; `lambdas` that are given are all tried.

        Parameters
        ----------
        X : Judgments, PairRatings, Triplets, or ndarray of int, shape (n, 3)
            Judgments.
        model : SparseEmbedding
            A fit with the same settings.
        stronger : float
            What its lambda is multiplied by.

        Returns
        -------
        SparseEmbedding
            Itself.
        """
        model._check_fitted()
        return self._learn(X, model, stronger)

    def _learn(self, X: Any, near: "SparseEmbedding | None", stronger: float) -> "SparseEmbedding":
        self._check()
        data = as_rows(X)
        check_rows(data, task=self.task, slot_bias=self.slot_bias, judge_noise=self.judge_noise, start=self.start)
        self.items_ = data.names
        self.part_codes_ = self._parts(X, data)
        n_train, n_held_out = np.bincount(self.part_codes_, minlength=len(PARTS))[:SEEN]
        if not n_train or not n_held_out:
            raise DataError(
                f"SparseEmbedding: {n_train} judgments to train and {n_held_out} to validate; both need some."
            )
        self.components_ = connections(data[self.part_codes_ < SEEN])
        self.inputs_ = fingerprints(data)
        with torch_threads(self.threads):
            chosen = self._choose(data, near, stronger)
            if self.judge_noise and isinstance(data, Triplets):
                train = data[self.part_codes_ == PARTS.index("train")]
                sharpness = self._judge(chosen.point, train)["sharpness"].to_numpy()
                data = dataclasses.replace(data, sharpness=sharpness[data.judge])
                chosen = self._choose(data, near, stronger)
            self._finish(data, chosen)
        return self

    def _judge(self, point: Point, data: Triplets) -> pd.DataFrame:
        """Estimate the sharpness of each judge given an embedding."""
        assert data.judge is not None
        table = judge_sharpness(point.X.cpu().numpy(), None if point.bias is None else point.bias.cpu().numpy(), data)
        table.insert(0, "judge", data.judges)
        return table

    @property
    def parts_(self) -> np.ndarray:
        """Part of each valid judgment."""
        return np.asarray(PARTS)[self.part_codes_]

    def _choose(self, data: Rows, near: "SparseEmbedding | None", stronger: float) -> Candidate:
        """Search penalty, dimensions and reweighting on validation judgments, with the training judgments."""
        train, held_out = (data[self.part_codes_ == PARTS.index(part)] for part in ("train", "validation"))
        ridges, rounds, most = self.ridges, self.reweight, affordable_dims(train, self.max_dims)
        if self.lambdas is not None:
            lambdas = tuple(sorted(self.lambdas)) if near is None else tuple(stronger * v for v in sorted(self.lambdas))
        elif near is not None:
            middle = stronger * near.lambda_ * steepness(near.ridge_)
            lambdas = tuple(middle * factor for factor in (1 / RATIO, 1.0, RATIO))
            ridges, rounds = (near.ridge_,), rounds if near.rounds_ else 0
            most = min(most, math.ceil(RUNG * min(near.n_start_, 2 * near.embedding_.shape[1])))
        else:
            lambdas = default_lambdas(train)
        search = Search(
            self._problem(train),
            held_out,
            tol=self.tol,
            max_iter=self.max_iter,
            fixed=self.lambdas is not None,
            n_dims=self.n_dims,
            folds=lambda: self._folds(data),
        )
        chosen = search.run(
            self._start(train, most),
            lambdas,
            ridges=ridges,
            rounds=rounds,
        )
        self.path_ = search.table(chosen)
        self.rival_ = search.rival(chosen)
        self.plain_: bool = chosen is search.plain
        setting = chosen.setting
        self.lambda_: float = setting.value
        self.ridge_: float = setting.ridge
        self.rounds_: int = setting.rounds
        self.n_start_: int = setting.n_start
        self.validation_loss_ = chosen.loss
        gain, se = search.gain(chosen, self._chance(search.problem, train, held_out))
        if not chosen.n_dims or gain <= CHANCE * se:
            raise AtChanceError(
                f"SparseEmbedding: no dimension is left that predicts validation judgments better than chance: "
                f"cross-entropy {chosen.loss:.4f} at lambda {self.lambda_:.3g}, chance {chosen.loss + gain:.4f}, "
                f"standard error {se:.4f} of {len(held_out):,} judgments. {HINTS[self.task]}, and are there enough "
                f"judgments?"
            )
        self.notes_ = tuple(note for note in (*gaps(self.items_, self.components_), search.edge) if note)
        return chosen

    def _chance(self, problem: Problem, train: Rows, held_out: Rows) -> float | np.ndarray:
        """Loss without an embedding; of ratings (n,), since their scales are known to differ."""
        if isinstance(train, Triplets):
            return slot_entropy(train) if self.slot_bias else float(np.log(2 if self.task == "match" else 3))
        start = problem.begin(np.zeros((len(train.names), 0)))
        null = problem.minimise(start, 0.0, tol=self.tol, max_iter=self.max_iter)
        return row_losses(null.X, null.bias, held_out)[0]

    @property
    def judged_(self) -> np.ndarray:
        """Whether each item is in any judgment that was fitted; the others have coordinates of zero."""
        return self.components_ >= 0

    def _problem(self, data: Rows) -> Problem:
        return Problem(
            data,
            with_bias=self.slot_bias,
            dtype=getattr(torch, self.precision),
            device=self.device,
            matching=self.task == "match",
            sharp=self.judge_noise,
        )

    def _finish(self, data: Rows, chosen: Candidate) -> None:
        # The choice is made: validation judgments now help to fit, the test part still does not.
        seen = self.part_codes_ < SEEN
        data = data if seen.all() else data[seen]
        both = self._problem(data)
        cost = self.lambda_ / both.n_items
        found = both.minimise(
            chosen.point,
            cost if chosen.weights is None else cost * chosen.weights,
            ridge=cost * self.ridge_,
            tol=self.tol,
            max_iter=self.max_iter,
        )
        for _ in range(JUDGE_ROUNDS if self.judge_noise else 0):
            if isinstance(data, Rated):
                break  # whose sharpness is among what is fitted
            self.judges_ = self._judge(found, data)
            sharpness = self.judges_["sharpness"].to_numpy()[data.judge]
            both = self._problem(dataclasses.replace(data, sharpness=sharpness))
            found = both.minimise(
                found,
                cost if chosen.weights is None else cost * chosen.weights,
                ridge=cost * self.ridge_,
                tol=self.tol,
                max_iter=self.max_iter,
            )
        point = prune(found, NEGLIGIBLE if self.n_dims is None else -np.inf)
        self.scale_: np.ndarray | None = None
        if self.method == "variational":
            point = self._posterior(both, point)
        if not point.X.shape[1]:
            raise DataError(
                f"SparseEmbedding: no dimension is left at lambda {self.lambda_:.3g} that the posterior tells from "
                f"zero. Are there enough judgments? method = 'map' does not need as many."
            )
        self.embedding_: np.ndarray = point.X.cpu().numpy()
        bias = np.zeros(3) if point.bias is None else point.bias.cpu().numpy().astype(np.float64)
        self.rating_bias_: np.ndarray | None = None
        if isinstance(data, Rated):
            self.rating_bias_, bias = bias, np.zeros(3)
            if self.judge_noise:
                self.judges_ = rated_judges(self.rating_bias_, data)
        self.slot_bias_ = bias - bias[np.isfinite(bias)].mean()
        self.converged_, self.trace_ = point.converged, point.trace

    def _posterior(self, problem: Problem, point: Point) -> Point:
        def _draw(problem: Problem, point: Point) -> Posterior:
            prior = SpikeSlab(self.spike, self.slab, self.share)
            return draw_posterior(problem, point, prior, seed=self.random_state, large=LARGE)

        fitted = _draw(problem, point)
        mean, scale = fitted.mean.cpu().numpy(), fitted.scale.cpu().numpy()
        self.inflation_ = inflation(problem, point, fitted.mean, _draw, seed=self.random_state)
        scale = scale * self.inflation_
        kept = np.ones(mean.shape[1], bool) if self.n_dims is not None else alive(mean, scale)
        order = np.flatnonzero(kept)[np.argsort(-np.maximum(mean[:, kept], 0).sum(axis=0), kind="stable")]
        self.scale_ = scale[:, order]
        X = fitted.mean[:, order].clamp(min=0)
        self.turning_cost_ = cost_of_turning(problem, X, point.bias)
        return dataclasses.replace(point, X=X, converged=True, trace=fitted.trace)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Return the posterior interval of each coordinate.

        Parameters
        ----------
        level : float
            Probability that it holds the coordinate.

        Returns
        -------
        low, high : ndarray, shape (n_items, n_dims)
            Not below zero; NaN for dimensions that the judgments do not determine.

        Raises
        ------
        ConfigError
            If the embedding was fitted with another method than "variational".
        """
        self._check_fitted()
        if self.scale_ is None:
            raise ConfigError(f"SparseEmbedding: method = {self.method!r} has no intervals; use 'variational'.")
        half = np.where(self.determined_, float(norm.ppf(0.5 + level / 2)) * self.scale_, np.nan)
        return np.maximum(self.embedding_ - half, 0), self.embedding_ + half

    @property
    def determined_(self) -> np.ndarray:
        """Whether judgments speak against mixing a dimension of "variational" with another one."""
        return self.turning_cost_ >= LEAST_COST

    def _start(self, train: Rows, n_dims: int) -> np.ndarray:
        n_items = len(train.names)
        n_dims = max(n_dims, self.n_dims or 1)
        if self.start == "spectral" and isinstance(train, Triplets):
            rate = win_rates(train.items, train.choice, n_items, probabilities=train.probabilities)
            return spectral_start(rate, n_dims)
        # Dot products of about START: large enough to tell dimensions apart from the first step on.
        width = 2 * np.sqrt(START / n_dims)
        return width * np.random.default_rng([self.random_state, 1]).random((n_items, n_dims))

    def _parts(self, given: Any, data: Rows) -> np.ndarray:
        declared = parts_of(given, data)
        codes = np.zeros(len(data), np.int8)
        for number, part in enumerate(PARTS):
            if declared is not None:
                codes[declared == part] = number
        self.declared_ = bool((codes == PARTS.index("validation")).any())
        if not self.declared_:
            learn = np.flatnonzero(codes == PARTS.index("train"))
            # Few judgments need a larger share, or the choice among fits is a draw of lots.
            share = min(max(self.validation, ENOUGH / max(len(learn), 1)), max(self.validation, 0.25))
            drawn = divide(data[learn], share, np.random.default_rng([self.random_state, 0]))
            codes[learn[drawn]] = PARTS.index("validation")
        return codes

    def _folds(self, data: Rows) -> Iterator[tuple[Problem, Rows]]:
        """Hold out further parts of the judgments in turn, as large as the validation part that was drawn."""
        seen = data[self.part_codes_ < SEEN]
        drawn = (self.part_codes_ == PARTS.index("validation"))[self.part_codes_ < SEEN]
        if self.declared_ or len(seen) > MOST_FOLDED:
            return
        for held_out in further_folds(seen, drawn, FOLDS, [self.random_state, 9]):
            yield self._problem(seen[~held_out]), seen[held_out]

    def _check(self) -> None:
        known_values = (("method", METHODS), ("start", STARTS), ("precision", PRECISIONS), ("task", TASKS))
        for name, known in known_values:
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

    def score(self, X: Given, y: None = None) -> float:  # noqa: ARG002
        """Compute the share of judgments that are predicted; a tie counts as the chance of guessing it.

        Parameters
        ----------
        X : Judgments, PairRatings, Triplets, or ndarray of int, shape (n, 3)
            Judgments about the same items.
        y : None
            Not used.

        Returns
        -------
        float
            Odd-one-out accuracy; chance is 1/3. For ratings their correlation with dot products, both less the
            participant's mean; NaN where nothing varies within participants.
        """
        self._check_fitted()
        data = self._about_same_items(X)
        if isinstance(data, Rated):
            products = (self.embedding_[data.items[:, 0]] * self.embedding_[data.items[:, 1]]).sum(axis=1)
            found, given = within(products, data), within(data.rating, data)
            return float(np.corrcoef(found, given)[0, 1]) if found.any() and given.any() else float("nan")
        similarity = self.embedding_ @ self.embedding_.T
        correct = correct_share(choice_logits(similarity, data.items, bias=self.slot_bias_), data.choice)
        return float(np.average(correct, weights=data.weight))

    def transform(self, X: Judgments | Triplets | np.ndarray) -> np.ndarray:
        """Return the coordinates of the items of some judgments; items that were not fitted are placed among them.

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
        if self.task == "rate":
            raise ConfigError(
                "SparseEmbedding: new items are placed by choices only, not by ratings. Use "
                "encoding.embedding.new_items.place_by_features, or fit all ratings together."
            )
        data = as_triplets(X)
        return place_items(self.embedding_, self.items_, data, bias=self.slot_bias_)

    def _about_same_items(self, X: Given) -> Rows:
        data = as_rows(X, n_items=len(self.items_) if isinstance(X, np.ndarray) else None)
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
            self.embedding_[self.judged_],
            tuple(np.asarray(self.items_)[self.judged_].tolist()),
            Provenance(STEP, self.settings(), self.inputs_, self.random_state, versions()),
        )


def feature_space(name: str, X: np.ndarray, items: tuple[str, ...], provenance: Provenance) -> FeatureSpace:
    """Name rows and columns of an embedding.

    Shapes: `X` (n_items, n_dims).
    """
    features = tuple(f"{name}_{number + 1}" for number in range(X.shape[1]))
    return FeatureSpace(name, X.astype(np.float64), Samples.of_stimuli(list(items)), features, provenance)
