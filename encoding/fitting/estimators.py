"""Ridge and banded ridge as scikit-learn estimators, with the names of himalaya.

Neither scales its input, and penalties are those of himalaya: the kernel is ``sum_b gamma_b X_b X_b'``, the
penalty is added to its diagonal.
"""

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from ..core import AlignmentError, ConfigError, EncodingError, suggest
from ..numerics.held_out import Refit, outer_features, prepare_refit, refit_all, training_products
from ..numerics.ridge import band_weights, left_out_losses
from ..numerics.ridge_search import band_scale, draw_candidates
from ..numerics.target_products import TargetProducts, standardise_targets
from .arrays import Arrays, choose_arrays
from .plan import METHODS, choose_method, count_operations
from .rows import Rows, lay_out
from .solvers.base import join_found
from .solvers.himalaya import search_all
from .solvers.kernel import KernelSearch
from .solvers.search_statistics import Found, StatisticsSearch, Task

DEFAULT_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-1, 5, 13))
BATCHES_AT_ONCE = 8
N_VERIFIED = 8
TOLERATED = 1e-4


class BandedRidgeCV(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Banded ridge: one weight per group of features and one penalty, chosen for every target by cross-validation.

    The same search as himalaya's ``GroupRidgeCV`` and ``MultipleKernelRidgeCV`` (Dupré la Tour et al. 2022,
    NeuroImage 264:119728) with exact scores from sufficient statistics or from kernels, for all penalties at once.

    Parameters
    ----------
    groups : array of shape (n_features,), "input" or None
        Group of every feature; features of negative groups are left out. "input": X is a list of arrays, one per
        group. None: all features are one group.
    alphas : sequence of float
        Penalties to choose from, positive.
    n_iter : int or array of shape (n_candidates, n_groups)
        Candidates of group weights. A number: all groups equal, each alone, then Dirichlet draws.
    cv : int, splitter or list of (ndarray, ndarray)
        Inner folds; they are drawn once. An int means consecutive folds.
    fit_intercept : bool
        Whether every inner fold and the model have an intercept.
    method : {"auto", "statistics", "kernel", "himalaya"}
        Solver; "auto" counts operations. "himalaya" is the reference.
    random_state : int, RandomState or None
        Draws the candidates.
    device : {"cpu", "cuda"}
        Where to compute.
    dtype : {"float32", "float64"}
        Precision of what is as wide as the number of targets; decompositions and the model itself are float64.
    verify : bool
        Whether to compare the scores of some targets with himalaya's.

    Attributes
    ----------
    deltas_ : ndarray of shape (n_groups, n_targets)
        Log of weight over penalty; -inf for groups without weight.
    best_alphas_ : ndarray of shape (n_targets,)
        Chosen penalties.
    cv_scores_ : ndarray of shape (n_candidates, n_targets)
        Negative mean squared error of every candidate at its best penalty, averaged over inner folds.
    coef_ : ndarray of shape (n_features, n_targets)
        Weights of the features.
    intercept_ : ndarray of shape (n_targets,)
        Only with ``fit_intercept``.
    n_features_in_ : int
        Number of features.
    solver_ : dict
        Solver and why it was taken, and what verification found.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.standard_normal((60, 5)), rng.standard_normal((60, 3))
    >>> model = BandedRidgeCV(groups=[0, 0, 0, 1, 1], n_iter=10, fit_intercept=True, random_state=0).fit(X, Y)
    >>> model.deltas_.shape, model.predict(X, split=True).shape
    ((2, 3), (2, 60, 3))
    """

    def __init__(  # noqa: PLR0913 - one parameter each, as scikit-learn wants it
        self,
        groups: Any = None,
        *,
        alphas: Sequence[float] = DEFAULT_ALPHAS,
        n_iter: Any = 100,
        cv: Any = 5,
        fit_intercept: bool = False,
        method: str = "auto",
        random_state: Any = None,
        device: str = "cpu",
        dtype: str = "float32",
        verify: bool = False,
    ) -> None:
        self.groups, self.alphas, self.n_iter, self.cv = groups, alphas, n_iter, cv
        self.fit_intercept, self.method, self.random_state = fit_intercept, method, random_state
        self.device, self.dtype, self.verify = device, dtype, verify

    def fit(self, X: Any, y: Any) -> "BandedRidgeCV":
        """Choose weights and penalty of every target, and fit.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or list of arrays
            Features.
        y : array of shape (n_samples,) or (n_samples, n_targets)
            Responses.

        Returns
        -------
        BandedRidgeCV
            Itself.

        Raises
        ------
        ConfigError
            If a parameter is not allowed.
        AlignmentError
            If X, y and groups do not fit together.
        """
        X, order, bands = self._arrange(X)
        Y = check_array(y, dtype=[np.float64, np.float32], ensure_2d=False)
        self._flat = Y.ndim == 1
        Y = Y.reshape(len(Y), -1)
        if len(X) != len(Y):
            raise AlignmentError(f"X has {len(X)} samples and y has {len(Y)}; both must be the same.")
        task = Task(np.arange(len(order)), bands, self._candidates(len(bands)), self._penalties())
        splits = [(np.asarray(a), np.asarray(b)) for a, b in check_cv(self.cv).split(X, Y)]
        # Changes no result with an intercept, but sums of values far from zero would lose digits.
        Z = X[:, order] - (np.median(X[:, order], axis=0) if self.fit_intercept else 0.0)
        rows = lay_out(Z, [(np.arange(len(X)), splits)])
        choice = choose_method(
            self.method,
            rows,
            n_features=len(order),
            n_candidates=len(task.gammas),
            n_alphas=len(task.alphas),
            n_targets=Y.shape[1],
            device=self.device,
        )
        arrays = choose_arrays(self.device, dtype=self.dtype)
        found, weights = Fitter(Z, Y, rows, task, self.fit_intercept, arrays).run(choice.method, splits)
        self.solver_ = {"method": choice.method, "reason": choice.reason}
        if self.verify and choice.method != "himalaya":
            self.solver_ |= verify_scores(Z, Y, rows, task, splits=splits, found=found, intercept=self.fit_intercept)
        self._keep(X, Y, task, found, weights, order)
        return self

    def _keep(
        self, X: np.ndarray, Y: np.ndarray, task: Task, found: Found, weights: np.ndarray, order: np.ndarray
    ) -> None:
        gammas, alphas = task.gammas[found.candidate[0]].T, task.alphas[found.alpha[0]]
        with np.errstate(divide="ignore"):
            deltas = np.log(gammas / alphas)
        coef = np.zeros((X.shape[1], Y.shape[1]))
        coef[order] = weights
        self.n_features_in_ = X.shape[1]
        self.deltas_, self.best_alphas_ = deltas[:, 0] if self._flat else deltas, alphas
        self.cv_scores_ = found.each[:, 0]  # type: ignore[index]
        self.coef_ = coef[:, 0] if self._flat else coef
        if self.fit_intercept:
            intercept = Y.mean(0) - X.mean(0) @ coef
            self.intercept_ = intercept[0] if self._flat else intercept

    def predict(self, X: Any, split: bool = False) -> np.ndarray:
        """Predict.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or list of arrays
            Features.
        split : bool, default=False
            Whether to predict from every group alone, without the intercept.

        Returns
        -------
        ndarray of shape (n_samples, n_targets), or (n_groups, n_samples, n_targets)
            Predictions; without the last axis where y had none.

        Raises
        ------
        AlignmentError
            If X has other features than those that were fitted.
        """
        check_is_fitted(self, "coef_")
        X, order, bands = self._arrange(X)
        if X.shape[1] != self.n_features_in_:
            raise AlignmentError(f"X has {X.shape[1]} features, but {self.n_features_in_} were fitted.")
        if split:
            return np.stack([X[:, order[band]] @ self.coef_[order[band]] for band in bands])
        return X @ self.coef_ + (self.intercept_ if self.fit_intercept else 0.0)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: ARG002
        """Compute the variance explained in every target, as himalaya does.

        Parameters
        ----------
        X : array of shape (n_samples, n_features), or list of arrays
            Features.
        y : array of shape (n_samples,) or (n_samples, n_targets)
            Responses.
        sample_weight : None
            There are no weights.

        Returns
        -------
        ndarray of shape (n_targets,), or float
            R2; 0 for responses that do not vary.
        """
        y = np.asarray(y, dtype=np.float64)
        error, total = ((y - self.predict(X)) ** 2).mean(0), y.var(0)
        return np.where(total > 0, 1 - error / np.where(total > 0, total, 1), 0.0)[()]

    def _arrange(self, X: Any) -> tuple[np.ndarray, np.ndarray, list[slice]]:
        """Bring features of a group side by side."""
        if isinstance(self.groups, str):
            if self.groups != "input":
                raise ConfigError(f'groups = {self.groups!r}, but an array, "input" or None is needed.')
            parts = [check_array(part, dtype=[np.float64, np.float32]) for part in X]
            if len({len(part) for part in parts}) != 1:
                raise AlignmentError(f"X: groups of {[len(part) for part in parts]} samples; all must have the same.")
            X, groups = np.concatenate(parts, axis=1), np.repeat(range(len(parts)), [p.shape[1] for p in parts])
        else:
            X = check_array(X, dtype=[np.float64, np.float32])
            groups = np.zeros(X.shape[1], int) if self.groups is None else np.asarray(self.groups)
        if groups.shape != (X.shape[1],):
            raise AlignmentError(f"groups has shape {groups.shape}, but X has {X.shape[1]} features.")
        order = np.argsort(groups, kind="stable")
        order = order[groups[order] >= 0]
        _, counts = np.unique(groups[order], return_counts=True)
        edges = np.cumsum([0, *counts]).tolist()
        return X.astype(np.float64), order, [slice(a, b) for a, b in pairwise(edges)]

    def _candidates(self, n_groups: int) -> np.ndarray:
        if isinstance(self.n_iter, int | np.integer):
            if self.n_iter < 1:
                raise ConfigError(f"n_iter = {self.n_iter}, but at least one candidate is needed.")
            seed = check_random_state(self.random_state).randint(2**31)
            return draw_candidates(n_groups, int(self.n_iter), np.random.default_rng(seed))
        gammas = np.asarray(self.n_iter, dtype=np.float64)
        if gammas.ndim != 2 or gammas.shape[1] != n_groups or not len(gammas):
            raise ConfigError(f"n_iter has shape {gammas.shape}, but (n_candidates, {n_groups}) was needed.")
        if not np.isfinite(gammas).all() or (gammas < 0).any():
            raise ConfigError("n_iter: weights of groups must be finite and not negative.")
        return gammas

    def _penalties(self) -> np.ndarray:
        alphas = np.unique(np.asarray(self.alphas, dtype=np.float64))
        if not len(alphas) or not np.isfinite(alphas).all() or alphas[0] <= 0:
            raise ConfigError(f"alphas = {np.asarray(self.alphas).tolist()}; positive finite numbers are needed.")
        if self.method not in METHODS:
            raise ConfigError(f"method = {self.method!r}. {suggest(str(self.method), METHODS)}")
        return alphas


class RidgeCV(BandedRidgeCV):
    """Ridge with one penalty per target, chosen by cross-validation.

    Parameters
    ----------
    alphas : sequence of float
        Penalties to choose from, positive.
    cv : int, splitter or list of (ndarray, ndarray)
        Inner folds; they are drawn once.
    fit_intercept : bool
        Whether every inner fold and the model have an intercept.
    method : {"auto", "statistics", "kernel", "himalaya"}
        Solver.
    device : {"cpu", "cuda"}
        Where to compute.
    dtype : {"float32", "float64"}
        Precision of what is as wide as the number of targets.
    verify : bool
        Whether to compare the scores of some targets with himalaya's.

    Attributes
    ----------
    best_alphas_ : ndarray of shape (n_targets,)
        Chosen penalties.
    cv_scores_ : ndarray of shape (n_targets,)
        Negative mean squared error of the choice, averaged over inner folds.
    coef_, intercept_, n_features_in_, solver_
        As in `BandedRidgeCV`.
    """

    def __init__(
        self,
        alphas: Sequence[float] = DEFAULT_ALPHAS,
        *,
        cv: Any = 5,
        fit_intercept: bool = False,
        method: str = "auto",
        device: str = "cpu",
        dtype: str = "float32",
        verify: bool = False,
    ) -> None:
        super().__init__(
            None,
            alphas=alphas,
            n_iter=1,
            cv=cv,
            fit_intercept=fit_intercept,
            method=method,
            device=device,
            dtype=dtype,
            verify=verify,
        )

    def fit(self, X: Any, y: Any) -> "RidgeCV":
        """Choose the penalty of every target, and fit.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Features.
        y : array of shape (n_samples,) or (n_samples, n_targets)
            Responses.

        Returns
        -------
        RidgeCV
            Itself.
        """
        self.groups, self.n_iter, self.random_state = None, 1, None
        super().fit(X, y)
        self.cv_scores_ = self.cv_scores_[0]
        return self


class Fitter:
    """Search and refit, a few batches of targets at a time.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Features, bands side by side.
    Y : ndarray, shape (n_samples, n_targets)
        Responses.
    rows : Rows
        One outer fold that trains on all rows.
    task : Task
        What to search.
    intercept : bool
        Whether to centre.
    arrays : Arrays
        Where to compute.
    """

    def __init__(self, X: np.ndarray, Y: np.ndarray, rows: Rows, task: Task, intercept: bool, arrays: Arrays) -> None:
        self.X, self.Y, self.rows, self.task = X, Y, rows, task
        self.intercept, self.arrays = intercept, arrays

    def run(self, method: str, splits: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Found, np.ndarray]:
        """Search and refit all targets.

        Parameters
        ----------
        method : {"statistics", "kernel", "himalaya"}
            Solver.
        splits : list of (ndarray, ndarray)
            Inner folds.

        Returns
        -------
        tuple of (Found, ndarray)
            The choices, and weights of shape (n_features, n_targets).
        """
        if method == "statistics":
            return self._by_statistics()
        found = self._by_himalaya(splits) if method == "himalaya" else self._by_kernels(splits)
        X = self.X - self.X.mean(0) if self.intercept else self.X
        Y = self.Y - self.Y.mean(0) if self.intercept else self.Y
        weights = band_weights(
            X,
            Y,
            bands=self.task.bands,
            gammas=self.task.gammas[found.candidate[0]].T,
            alphas=self.task.alphas[found.alpha[0]],
        )
        return found, weights

    def _by_statistics(self) -> tuple[Found, np.ndarray]:
        settings = {"scale": False, "intercept": self.intercept}
        engine = StatisticsSearch(self.X, self.rows, [self.task], arrays=self.arrays, **settings)
        train = self.rows.folds[0][0]
        features = outer_features(self.X, self.X[:0], train, self.task.bands, **settings)
        found, weights = [], []

        @functools.cache
        def prepared(candidate: int) -> Refit:
            return prepare_refit(features, band_scale(self.task.bands, self.task.gammas[candidate], self.X.shape[1]))

        width = engine.batch * BATCHES_AT_ONCE

        def read(first: int) -> tuple[TargetProducts, np.ndarray]:
            values, unit = engine.standardise(self.Y[:, first : first + engine.batch])
            return engine.products(values), unit

        for begin in range(0, self.Y.shape[1], width):
            stop = min(begin + width, self.Y.shape[1])
            batches = list(self.arrays.each(read, range(begin, stop, engine.batch)))
            parts = engine.run([products for products, _ in batches], keep_all=True)[0]
            for part, (products, unit) in zip(parts, batches, strict=True):
                cross, _, _ = training_products(self.rows.plan, products, 0, intercept=self.intercept)
                alphas = self.task.alphas[part.alpha[0]]
                fitted = refit_all(prepared, cross, part.candidate[0], alphas)
                weights.append(fitted * unit)
                found.append(_in_units(part, unit))
        return join_found(found), np.concatenate(weights, axis=1)

    def _by_kernels(self, splits: list[tuple[np.ndarray, np.ndarray]]) -> Found:
        values, unit = standardise_targets(self.Y, self.rows.plan.blocks, intercept=self.intercept)
        if self.arrays.device == "cpu" and one_decomposition_is_cheaper(self.rows, self.task, splits, self.Y.shape[1]):
            return _in_units(self._by_leaving_out(values, [held for _, held in splits]), unit)
        engine = KernelSearch(self.X, self.rows, self.task, scale=False, intercept=self.intercept, arrays=self.arrays)
        return _in_units(engine.run(values, keep_all=True), unit)

    def _by_leaving_out(self, Y: np.ndarray, blocks: list[np.ndarray]) -> Found:
        """Decompose the kernel of all rows once per candidate."""
        Y = Y.astype(self.arrays.dtype)
        n, n_targets = len(self.task.gammas), Y.shape[1]
        losses = np.empty((n, n_targets), dtype=Y.dtype)
        alpha = np.empty((n, n_targets), dtype=np.int64)

        def one(number: int) -> None:
            Z = self.X * band_scale(self.task.bands, self.task.gammas[number], self.X.shape[1])
            loss = left_out_losses(Z @ Z.T, Y, blocks, self.task.alphas, intercept=self.intercept)
            losses[number], alpha[number] = loss.min(0), loss.argmin(0)

        list(self.arrays.each(one, range(n)))
        best = losses.argmin(0)
        chosen = np.take_along_axis(alpha, best[None], axis=0)
        curve = -np.minimum.accumulate(losses, axis=0).astype(np.float64).sum(1)
        return Found(best[None], chosen, -losses.min(0)[None].astype(np.float64), curve, -losses[:, None])

    def _by_himalaya(self, splits: list[tuple[np.ndarray, np.ndarray]]) -> Found:
        candidate, alpha, scores = search_all(
            self.X,
            self.Y,
            bands=self.task.bands,
            gammas=self.task.gammas,
            alphas=self.task.alphas.tolist(),
            inner=splits,
            intercept=self.intercept,
            device=self.arrays.device,
        )
        curve = np.maximum.accumulate(scores, axis=0).sum(1)
        return Found(candidate[None], alpha[None], scores.max(0)[None], curve, scores[:, None])


def one_decomposition_is_cheaper(
    rows: Rows, task: Task, splits: list[tuple[np.ndarray, np.ndarray]], n_targets: int
) -> bool:
    """Tell whether leaving blocks out of one decomposition takes fewer operations than one decomposition per fold.

    Parameters
    ----------
    rows : Rows
        One outer fold that trains on all rows.
    task : Task
        What to search.
    splits : list of (ndarray, ndarray)
        Inner folds; every one must train on all rows that it does not validate on.
    n_targets : int
        Number of targets.

    Returns
    -------
    bool
        True for few targets, where decompositions are most of the work.
    """
    n, A = len(rows.folds[0][0]), len(task.alphas)
    if any(len(np.union1d(train, held)) != n or len(train) + len(held) != n for train, held in splits):
        return False
    by_fold = count_operations(rows, len(task.columns), 1, A, n_targets)["kernel"]
    products = 2.0 * n * n * (n_targets * A + len(task.columns))
    inverses = sum(2.0 * A * n * len(held) ** 2 for _, held in splits)
    return 16.0 * n**3 + 5e3 * n * n + products + inverses < by_fold


def _in_units(found: Found, unit: np.ndarray) -> Found:
    each = None if found.each is None else found.each * unit**2
    return Found(found.candidate, found.alpha, found.score * unit**2, found.curve, each)


def verify_scores(
    X: np.ndarray,
    Y: np.ndarray,
    rows: Rows,
    task: Task,
    *,
    splits: list[tuple[np.ndarray, np.ndarray]],
    found: Found,
    intercept: bool,
) -> dict[str, Any]:
    """Search some targets with himalaya too, and compare the scores.

    Parameters
    ----------
    X : ndarray of float64, shape (n_samples, n_features)
        Features, bands side by side.
    Y : ndarray, shape (n_samples, n_targets)
        Responses.
    rows : Rows
        One outer fold that trains on all rows.
    task : Task
        What was searched.
    splits : list of (ndarray, ndarray)
        Inner folds.
    found : Found
        Scores of every candidate.
    intercept : bool
        Whether inner folds have an intercept.

    Returns
    -------
    dict
        Number of targets, and the largest difference in units of their variance.

    Raises
    ------
    EncodingError
        If a score differs by more than 1e-4.
    """
    columns = np.unique(np.linspace(0, Y.shape[1] - 1, N_VERIFIED).astype(int))
    values, unit = standardise_targets(Y[:, columns], rows.plan.blocks, intercept=intercept)
    _, _, scores = search_all(
        X,
        values,
        bands=task.bands,
        gammas=task.gammas,
        alphas=task.alphas.tolist(),
        inner=splits,
        intercept=intercept,
    )
    difference = float(np.abs(scores - found.each[:, 0, columns] / unit**2).max())  # type: ignore[index]
    if not difference <= TOLERATED:
        raise EncodingError(
            f"Verification: scores of {len(columns)} targets differ from himalaya's by up to {difference:.1e} of their "
            f'variance, but {TOLERATED} was allowed. Use method = "himalaya" and report this.'
        )
    return {"verified_targets": len(columns), "verified_difference": difference}
