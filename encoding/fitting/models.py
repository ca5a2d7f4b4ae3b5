"""What one encoding model is: its feature spaces and how its hyper-parameters are searched."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
from annotated_types import Interval

from ..core import ConfigError
from ..core.plugins import Registry
from ..core.settings import OneOf, Rule, Text, Unit, distinct, settings
from ..core.weights import KEEP_WEIGHTS
from ..numerics.ridge_search import draw_candidates

SEARCHES = ("random", "guided")
ALPHA_UNITS = ("trace", "zscored")
MOST_BANDS = 5  # of which every subset is fitted
DEFAULT_ALPHAS = tuple(float(alpha) for alpha in np.logspace(-1, 5, 13))


def _methods() -> Collection[str]:
    from .solvers import METHODS  # with torch and SciPy, which reading a configuration seldom needs

    return METHODS


Penalty = Annotated[float, Interval(gt=0, le=1e30)]
Bands = Annotated[tuple[Text, ...], Rule("a list of feature spaces, each once,", distinct)]
Penalties = Annotated[tuple[Penalty, ...], Rule("a list of numbers above 0", bool)]


@settings("[[fit]]")
class Ridge:
    """Ridge regression on one feature space, or on several concatenated ones.

    One penalty per target, or one for all targets, chosen by inner cross-validation.

    Examples
    --------
    >>> import encoding
    >>> encoding.Ridge(("mllm",), alphas=(1.0, 10.0), keep_weights="mean").name
    'mllm'
    """

    bands: Bands
    """Feature spaces; joined as one where there are several."""
    name: str = ""
    """Name of the model; the feature spaces joined by "+" unless given."""
    alphas: Annotated[Penalties, Unit("`alpha_unit`")] = DEFAULT_ALPHAS
    """Penalties to choose from, as multiples of trace(K) / n. K is the kernel of the scaled features, with
    trace(K) / n = 1, so that alpha is the ratio of noise to signal variance for which it is optimal."""
    method: Annotated[str, OneOf(_methods)] = "auto"
    """Solver. All solvers except the reference, himalaya, scale features on the rows of every inner training set;
    himalaya scales them once per outer fold."""
    alpha_per_target: bool = True
    """Whether every target has a penalty of its own, the one with the smallest squared error. Otherwise, all targets
    share one penalty per outer fold, the one with the highest correlation averaged over inner folds and targets."""
    alpha_unit: Annotated[str, OneOf(ALPHA_UNITS)] = "trace"
    """What `alphas` count. "zscored": they are the penalty L of ``|y - Z w|^2 + L |w|^2`` where every one of the p
    features in Z is z-scored, as papers often state it; it is L / p multiples of trace(K) / n."""
    pca: Annotated[int, Interval(ge=1, le=1_000_000)] | None = None
    """Reduce every feature space of more features than this to so many principal components, which are fitted in each
    outer fold on its training rows; features are z-scored before, and components after. Delays come after it."""
    keep_variance: Annotated[float, Interval(gt=0, lt=1)] | None = None
    """Keep as few principal components as explain this share of the variance of z-scored features in training rows."""
    keep_weights: Annotated[str, OneOf(KEEP_WEIGHTS)] = "no"
    """Whether weights are saved, for maps of single features and `encoding predict`: "folds" saves those of every outer
    fold, which predict its held-out rows again; "mean" their mean over folds, which takes as many times less room."""

    def __post_init__(self) -> None:
        """Fill in the name and check rules across fields."""
        object.__setattr__(self, "name", self.name or "+".join(self.bands))
        if not self.alpha_per_target and self.method != "auto":
            raise ConfigError(
                f"alpha_per_target = false has a solver of its own; leave out method (it is {self.method!r})."
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


@settings("[[fit]]")
class BandedRidge:
    """Banded ridge: several feature spaces, each with a penalty of its own in every target.

    The kernel is a weighted sum of the kernels of the bands; weights and penalty are chosen per target by
    inner cross-validation over a random search (Dupré la Tour et al. 2022, NeuroImage 264:119728).

    Examples
    --------
    >>> import encoding
    >>> encoding.BandedRidge(("mllm", "ratings"), n_iter=200).name
    'mllm+ratings'
    """

    bands: Bands
    """Feature spaces, at least two."""
    name: str = ""
    """Name of the model; the feature spaces joined by "+" unless given."""
    alphas: Annotated[Penalties, Unit("trace(K) / n")] = DEFAULT_ALPHAS
    """Penalties to choose from, as multiples of trace(K) / n."""
    n_iter: Annotated[int, Interval(ge=1, le=10_000_000)] = 100
    """Candidates of band weights: each band alone and all bands equal come first, draws from Dirichlet distributions
    follow."""
    method: Annotated[str, OneOf(_methods)] = "auto"
    """Solver, as for `Ridge`. "wide" is for one or two wide bands: it tries penalties of these times weightings of the
    other bands, about as densely as `n_iter` draws."""
    search: Annotated[str, OneOf(SEARCHES)] = "random"
    """"random": every target tries every candidate. "guided": all targets try the first 32 and then only those that
    look promising for them, four of every 200; it needs the method "statistics" and pays off for `n_iter` of 1,000
    and more."""
    subsets: bool = False
    """Whether to fit a model of every subset of the bands too, so that variance can be partitioned among them; up to
    five bands. See `models_of_subsets`."""
    pca: Annotated[int, Interval(ge=1, le=1_000_000)] | None = None
    """Reduce every feature space of more features than this to so many principal components, which are fitted in each
    outer fold on its training rows; features are z-scored before, and components after. Delays come after it."""
    keep_variance: Annotated[float, Interval(gt=0, lt=1)] | None = None
    """Keep as few principal components as explain this share of the variance of z-scored features in training rows."""
    keep_weights: Annotated[str, OneOf(KEEP_WEIGHTS)] = "no"
    """Whether weights are saved, for maps of single features and `encoding predict`: "folds" saves those of every outer
    fold, which predict its held-out rows again; "mean" their mean over folds, which takes as many times less room."""

    def __post_init__(self) -> None:
        """Fill in the name and check rules across fields."""
        object.__setattr__(self, "name", self.name or "+".join(self.bands))
        n_bands = len(self.bands)
        if self.subsets and n_bands > MOST_BANDS:
            raise ConfigError(
                f"subsets = true with {n_bands} bands, but at most {MOST_BANDS} are possible: every band doubles the "
                f"number of models."
            )
        if n_bands < 2:
            raise ConfigError('banded ridge needs two or more bands; use kind = "ridge" for one.')
        if self.search == "guided" and self.method != "auto":
            from .solvers import GUIDED_METHODS

            if self.method not in GUIDED_METHODS:
                raise ConfigError(
                    f'search = "guided" needs method = "{list(GUIDED_METHODS)[-1]}", not {self.method!r}.'
                )
        if self.n_iter < n_bands + 1:
            raise ConfigError(
                f"n_iter = {self.n_iter}, but {n_bands} bands need at least {n_bands + 1} candidates (each band "
                f"alone, and all equal)."
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
            Ignored; present for the common interface.

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


class EncodingModel(Protocol):
    """Protocol of models; they are dataclasses, whose fields are part of the key of a result.

    Examples
    --------
    >>> model = encoding.Ridge(("mllm",), alphas=(1.0, 10.0))
    >>> model.name, model.bands, len(model.candidates(0))
    ('mllm', ('mllm',), 1)
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def bands(self) -> tuple[str, ...]:
        """Feature spaces."""
        ...

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def alphas(self) -> tuple[float, ...]:
        """Penalties to choose from, as multiples of trace(K) / n."""
        ...

    @property
    def method(self) -> str:
        """Name of the solver, or auto."""
        ...

    @property
    def joined(self) -> bool:
        """Whether the feature spaces share one penalty."""
        ...

    @property
    def alpha_per_target(self) -> bool:
        """Whether every target has a penalty of its own."""
        ...

    @property
    def search(self) -> str:
        """How candidates are tried."""
        ...

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
        ...

    def candidates(self, rng: np.random.Generator) -> np.ndarray:
        """List the band weights to search.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the draws.

        Returns
        -------
        ndarray, shape (n_candidates, n_bands)
            Non-negative, each row sums to one.
        """
        ...


MODELS: Registry[type[EncodingModel]] = Registry(
    "encoding.models", {"ridge": Ridge, "banded_ridge": BandedRidge}, needs=("penalties", "candidates")
)


def models_of_subsets(model: BandedRidge) -> tuple[EncodingModel, ...]:
    """Make a model of every proper subset of the bands of a joint model.

    Parameters
    ----------
    model : BandedRidge
        The joint model.

    Returns
    -------
    tuple of Ridge or BandedRidge
        Named after their bands, joined by "+"; single bands first. Candidates are in proportion to the number of bands,
        so that small models are not searched more thoroughly than large ones.

    Examples
    --------
    >>> from encoding.fitting import models_of_subsets
    >>> [model.name for model in models_of_subsets(encoding.BandedRidge(("mllm", "category"), subsets=True))]
    ['mllm', 'category']
    """
    made: list[EncodingModel] = [Ridge((band,), alphas=model.alphas, method=model.method) for band in model.bands]
    for size in range(2, len(model.bands)):
        n_iter = max(size + 1, round(model.n_iter * size / len(model.bands)))
        smaller = replace(model, bands=model.bands[:size], name="", n_iter=n_iter, subsets=False, keep_weights="no")
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

    Examples
    --------
    >>> from encoding.fitting import one_model_each
    >>> [model.name for model in one_model_each(["mllm", "category"])]
    ['mllm', 'category']
    """
    return tuple(Ridge(bands=(space,), **settings) for space in spaces)  # type: ignore[arg-type]
