"""What one encoding model is: its feature spaces and how its hyper-parameters are searched."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ..core import ConfigError, suggest
from ..numerics.ridge_search import draw_candidates
from .plan import METHODS

SEARCHES = ("random", "guided")
ALPHA_UNITS = ("trace", "zscored")
MOST_BANDS = 5  # of which every subset is fitted
DEFAULT_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-1, 5, 13))


@dataclass(frozen=True, slots=True)
class Ridge:
    """Ridge regression on one feature space (or several, side by side as one).

    One penalty per target, or one for all targets, chosen by inner cross-validation.

    Attributes
    ----------
    bands : tuple of str
        Feature spaces; joined as one when there are several.
    name : str
        Name of the model; the feature spaces joined by "+" unless given.
    alphas : tuple of float
        Penalties to choose from, as multiples of trace(K) / n. K is the kernel of the scaled features, with
        trace(K) / n = 1, so alpha is the ratio of noise to signal variance that it is right for.
    method : {"auto", "statistics", "kernel", "himalaya"}
        Solver. The first three scale features on the rows of every inner training set; himalaya, the reference,
        scales them once per outer fold.
    alpha_per_target : bool
        Whether every target has a penalty of its own, that of the smallest squared error. Otherwise all targets share
        one in each outer fold: the one of the highest correlation, averaged over inner folds and targets.
    alpha_unit : {"trace", "zscored"}
        What `alphas` count. "zscored": they are the penalty L of ``|y - Z w|^2 + L |w|^2`` where every one of the p
        features in Z is z-scored, as papers often state it; it is L / p multiples of trace(K) / n.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """

    bands: tuple[str, ...]
    name: str = ""
    alphas: tuple[float, ...] = DEFAULT_ALPHAS
    method: str = "auto"
    alpha_per_target: bool = True
    alpha_unit: str = "trace"

    def __post_init__(self) -> None:
        """Check values and fill in the name."""
        _check(self)
        if not isinstance(self.alpha_per_target, bool):
            raise ConfigError(
                f"[[fit]] {self.name!r}: alpha_per_target = {self.alpha_per_target!r}, but true or false is needed."
            )
        if self.alpha_unit not in ALPHA_UNITS:
            raise ConfigError(
                f"[[fit]] {self.name!r}: alpha_unit = {self.alpha_unit!r}. {suggest(str(self.alpha_unit), ALPHA_UNITS)}"
            )
        if not self.alpha_per_target and self.method != "auto":
            raise ConfigError(
                f"[[fit]] {self.name!r}: alpha_per_target = false has a solver of its own; leave out method "
                f"(it is {self.method!r})."
            )

    @property
    def joined(self) -> bool:
        """Whether the feature spaces share one penalty."""
        return True

    def penalties(self, n_features: int) -> np.ndarray:
        """List the penalties as the solvers want them.

        Parameters
        ----------
        n_features : int
            Features of all bands.

        Returns
        -------
        ndarray of float64, shape (n_alphas,)
            Multiples of trace(K) / n, ascending.
        """
        return np.unique(self.alphas) / (n_features if self.alpha_unit == "zscored" else 1)

    @property
    def search(self) -> str:
        """How candidates are tried; there is one."""
        return "random"

    def candidates(self, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """List the band weights to search.

        Parameters
        ----------
        rng : numpy.random.Generator
            Not used: there is one band.

        Returns
        -------
        ndarray, shape (1, 1)
            The one candidate.
        """
        return np.ones((1, 1))


@dataclass(frozen=True, slots=True)
class BandedRidge:
    """Banded ridge: several feature spaces, each with a penalty of its own in every target.

    The kernel is a weighted sum of the kernels of the bands; weights and penalty are chosen per target by
    inner cross-validation over a random search (Dupré la Tour et al. 2022, NeuroImage 264:119728).

    Attributes
    ----------
    bands : tuple of str
        Feature spaces, at least two.
    name : str
        Name of the model; the feature spaces joined by "+" unless given.
    alphas : tuple of float
        Penalties to choose from, as multiples of trace(K) / n.
    n_iter : int
        Candidates of band weights: each band alone and all bands equal come first, draws from Dirichlet
        distributions follow.
    method : {"auto", "statistics", "kernel", "himalaya"}
        Solver, as in `Ridge`.
    search : {"random", "guided"}
        "random": every target tries every candidate. "guided": all targets try the first 32 and then only those that
        look promising for them, four of every 200; it needs the method "statistics" and serves `n_iter` of 1,000
        and more.
    subsets : bool
        Whether to fit a model of every subset of the bands too, so that variance can be partitioned among them; up to
        five bands. See `models_of_subsets`.

    Raises
    ------
    ConfigError
        If a value is not allowed.
    """

    bands: tuple[str, ...]
    name: str = ""
    alphas: tuple[float, ...] = DEFAULT_ALPHAS
    n_iter: int = 100
    method: str = "auto"
    search: str = "random"
    subsets: bool = False

    def __post_init__(self) -> None:
        """Check values and fill in the name."""
        _check(self)
        if not isinstance(self.subsets, bool) or (self.subsets and len(self.bands) > MOST_BANDS):
            raise ConfigError(
                f"[[fit]] {self.name!r}: subsets = {self.subsets!r} with {len(self.bands)} bands, but true or false is "
                f"needed, and at most {MOST_BANDS} bands: every one doubles the number of models."
            )
        if len(self.bands) < 2:
            raise ConfigError(
                f'[[fit]] {self.name!r}: banded ridge needs two or more bands; use kind = "ridge" for one.'
            )
        if self.search not in SEARCHES:
            raise ConfigError(f"[[fit]] {self.name!r}: search = {self.search!r}. {suggest(str(self.search), SEARCHES)}")
        if self.search == "guided" and self.method not in ("auto", "statistics"):
            raise ConfigError(
                f'[[fit]] {self.name!r}: search = "guided" needs method = "statistics", not {self.method!r}.'
            )
        if self.n_iter < len(self.bands) + 1:
            raise ConfigError(
                f"[[fit]] {self.name!r}: n_iter = {self.n_iter}, but {len(self.bands)} bands need at least "
                f"{len(self.bands) + 1} candidates (each band alone, and all equal)."
            )

    @property
    def joined(self) -> bool:
        """Whether the feature spaces share one penalty."""
        return False

    @property
    def alpha_per_target(self) -> bool:
        """Whether every target has a penalty of its own."""
        return True

    def penalties(self, n_features: int) -> np.ndarray:  # noqa: ARG002
        """List the penalties as the solvers want them.

        Parameters
        ----------
        n_features : int
            Features of all bands; of no matter here.

        Returns
        -------
        ndarray of float64, shape (n_alphas,)
            Multiples of trace(K) / n, ascending.
        """
        return np.unique(self.alphas)

    def candidates(self, rng: np.random.Generator) -> np.ndarray:
        """List the band weights to search.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the draws; half come from a Dirichlet of concentration 0.1 (few bands matter), half from one
            of 1 (uniform on the simplex).

        Returns
        -------
        ndarray, shape (n_iter, n_bands)
            Non-negative, each row sums to one.
        """
        return draw_candidates(len(self.bands), self.n_iter, rng)


EncodingModel = Ridge | BandedRidge
MODELS: dict[str, type[Ridge] | type[BandedRidge]] = {"ridge": Ridge, "banded_ridge": BandedRidge}


def _check(model: Ridge | BandedRidge) -> None:
    if isinstance(model.bands, str):
        # It would be taken for a list of single letters.
        raise ConfigError(f"[[fit]] bands = {model.bands!r}, but a list of names was needed: {[model.bands]}.")
    object.__setattr__(model, "bands", tuple(model.bands))
    object.__setattr__(model, "alphas", tuple(float(alpha) for alpha in model.alphas))
    object.__setattr__(model, "name", model.name or "+".join(model.bands))
    if not model.bands or len(set(model.bands)) != len(model.bands):
        raise ConfigError(
            f"[[fit]] {model.name!r}: bands = {list(model.bands)}; name at least one feature space, each once."
        )
    if not model.alphas or min(model.alphas) <= 0 or not np.all(np.isfinite(model.alphas)):
        raise ConfigError(f"[[fit]] {model.name!r}: alphas = {list(model.alphas)}; positive finite numbers are needed.")
    if model.method not in METHODS:
        raise ConfigError(f"[[fit]] {model.name!r}: method = {model.method!r}. {suggest(str(model.method), METHODS)}")


def models_of_subsets(model: BandedRidge) -> tuple[EncodingModel, ...]:
    """Make a model of every subset of the bands of a joint model, itself left out.

    Parameters
    ----------
    model : BandedRidge
        The joint model.

    Returns
    -------
    tuple of Ridge or BandedRidge
        Named after their bands, joined by "+"; single bands first. Candidates are in proportion to the number of bands,
        so that small models are not searched more thoroughly than large ones.
    """
    made: list[EncodingModel] = [Ridge((band,), alphas=model.alphas, method=model.method) for band in model.bands]
    for size in range(2, len(model.bands)):
        n_iter = max(size + 1, round(model.n_iter * size / len(model.bands)))
        smaller = replace(model, bands=model.bands[:size], name="", n_iter=n_iter, subsets=False)
        made += [replace(smaller, bands=bands, name="") for bands in combinations(model.bands, size)]
    return tuple(made)


def one_model_each(spaces: Sequence[str], **settings: object) -> tuple[Ridge, ...]:
    """Make one ridge model per feature space.

    Parameters
    ----------
    spaces : sequence of str
        Names of feature spaces.
    **settings : object
        Other fields of `Ridge`.

    Returns
    -------
    tuple of Ridge
        Each named after its feature space.
    """
    return tuple(Ridge(bands=(space,), **settings) for space in spaces)  # type: ignore[arg-type]
