"""Ridge and banded ridge as scikit-learn estimators, with the names of himalaya.

Neither scales its input, and penalties are those of himalaya: the kernel is ``sum_b gamma_b X_b X_b'``, the
penalty is added to its diagonal.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from ..core import AlignmentError, ConfigError, suggest
from ..numerics.ridge_search import draw_candidates
from .arrays import choose_arrays
from .design import DesignMatrix
from .folds import Fold
from .models import DEFAULT_ALPHAS
from .plan import choose_method
from .rows import lay_out
from .solvers import METHODS, SOLVERS
from .solvers.base import Fit, Problem, Size, Solver, Task
from .solvers.himalaya import verify_scores


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
    method : {"auto", "statistics", "kernel", "wide", "himalaya"}
        Solver; "auto" counts operations. "himalaya" is the reference. "wide" is for one or two wide groups: it tries
        penalties of these times weightings of the others, about as densely as `n_iter` draws; "auto" considers it
        where `n_iter` is a number.
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
        Chosen penalties; with "wide" also between those of `alphas`.
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
    >>> X = rng.standard_normal((200, 6))  # two groups of three features
    >>> Y = X[:, :3] @ rng.standard_normal((3, 2)) + rng.standard_normal((200, 2))  # only the first group matters
    >>> model = BandedRidgeCV(groups=[0, 0, 0, 1, 1, 1], fit_intercept=True, random_state=0).fit(X, Y)
    >>> first, second = model.predict(X, split=True)  # the prediction of each group
    >>> bool((first.var(0) > 20 * second.var(0)).all())
    True
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
        if y is None:
            raise AlignmentError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        X, order, bands = self._arrange(X)
        Y = check_array(y, dtype=[np.float64, np.float32], ensure_2d=False)
        self._flat = Y.ndim == 1
        Y = Y.reshape(len(Y), -1)
        if len(X) != len(Y):
            raise AlignmentError(f"X has {len(X)} samples and y has {len(Y)}; both must be the same.")
        task = Task(np.arange(len(order)), bands, self._candidates(len(bands)), self._penalties())
        design = self._design(X[:, order], [(np.asarray(a), np.asarray(b)) for a, b in check_cv(self.cv).split(X, Y)])
        widths = tuple(band.stop - band.start for band in bands)
        drawn = isinstance(self.n_iter, int | np.integer) and len(bands) > 1
        size = Size(design.rows, widths, len(task.gammas), len(task.alphas), free=drawn)
        choice = choose_method(self.method, size, Y.shape[1], self.device)
        solver = SOLVERS[choice.method](
            Problem(design, (task,), choose_arrays(self.device, dtype=self.dtype), details=True)
        )
        fit = fit_targets(solver, Y)
        self.solver_: dict[str, object] = {"method": choice.method, "reason": choice.reason}
        if self.verify and solver.checked:
            self.solver_ |= verify_scores(solver.problem, Y, fit)
        self._keep(X, Y, fit, order)
        return self

    def _design(self, X: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]]) -> DesignMatrix:
        """Make a design of one outer fold that trains on all rows and holds none out."""
        # Changes no result with an intercept, but sums of values far from zero would lose digits.
        X = X - (np.median(X, axis=0) if self.fit_intercept else 0.0)
        every, none = np.arange(len(X)), np.arange(0)
        rows = lay_out(X, [(every, splits)], [none])
        fold = Fold(every, none, tuple(splits), none)
        return DesignMatrix(X, {}, rows, (fold,), scale=False, intercept=self.fit_intercept)

    def _keep(self, X: np.ndarray, Y: np.ndarray, fit: Fit, order: np.ndarray) -> None:
        """Set the fitted attributes."""
        with np.errstate(divide="ignore"):
            deltas = np.log(fit.gammas[0] / fit.alphas[0])
        coef = np.zeros((X.shape[1], Y.shape[1]))
        coef[order] = fit.weights
        self.n_features_in_ = X.shape[1]
        self.deltas_, self.best_alphas_ = deltas[:, 0] if self._flat else deltas, fit.alphas[0]
        self.cv_scores_ = np.asarray(fit.each) * fit.unit**2
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
            raise AlignmentError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_} features "
                f"as input: those that were fitted."
            )
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
        """Sort features by group; return them, their order, and the columns of every group."""
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
        """Draw candidates, or check those that are given."""
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
        """Sort the penalties and check them, and the method."""
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
    method : {"auto", "statistics", "kernel", "wide", "himalaya"}
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

    Examples
    --------
    >>> import encoding, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 5))
    >>> Y = X @ rng.standard_normal((5, 3)) + 0.1 * rng.standard_normal((60, 3))
    >>> model = encoding.RidgeCV(alphas=[0.1, 1, 10], cv=3, fit_intercept=True).fit(X, Y)
    >>> model.score(X, Y).round(1)
    array([1., 1., 1.])
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


def fit_targets(solver: Solver, Y: np.ndarray) -> Fit:
    """Fit all targets of one model, as many at once as the solver suggests."""
    width = solver.at_once(Y.shape[1])
    parts = [solver.fit(Y[:, first : first + width], [None])[0] for first in range(0, Y.shape[1], width)]
    return Fit(
        np.concatenate([part.alphas for part in parts], axis=-1),
        np.concatenate([part.gammas for part in parts], axis=-1),
        np.concatenate([part.scores for part in parts], axis=-1),
        np.sum([part.curve for part in parts], axis=0),
        {},
        np.concatenate([part.unit for part in parts]),
        np.concatenate([part.weights for part in parts if part.weights is not None], axis=-1),
        np.concatenate([part.each for part in parts if part.each is not None], axis=-1),
    )
