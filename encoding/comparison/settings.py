"""What is compared with what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ..core import ConfigError, suggest
from ..numerics.rsa import BRAIN, COMPARISONS
from ..numerics.similarity import SIMILARITIES

METRICS = ("r", "pooled_r", "r2")
SIGNIFICANCE = ("none", "noise")
GROUP_TESTS = ("none", "paired_t")
REGIONS = ("searchlight", "atlas")
REPEATS = ("average", "first")
FEWEST = 3  # targets that a correlation of patterns needs


@dataclass(frozen=True, slots=True)
class Comparison:
    """Settings of the comparison; the ``[compare]`` table of the configuration.

    Attributes
    ----------
    metric : {"r", "pooled_r", "r2"}
        Score of the main tables and maps; the others are written beside it.
    pairs : tuple of (str, str)
        Models to compare; every pair of single-space models unless given.
    significance : {"none", "noise"}
        "noise": with one fixed test set of independent samples, compute for every target and model how likely unrelated
        responses and predictions would correlate as highly (one-sided), and count those below `level` after correction
        over targets by the false discovery rate. Refused where it would be wrong: with several folds, for volumes, and
        where neighbouring samples correlate.
    level : float
        Accepted false discovery rate of targets.
    group_test : {"none", "paired_t"}
        "paired_t": test differences between fits over subjects in every region, two-tailed, with the false discovery
        rate over all regions and pairs. It does not generalise over stimuli, and names no winner.
    n_permutations : int
        Draws of the test of every feature space against chance, by exchanging runs; 0 makes none.
    p_level : float
        Largest p at which a space is named the best of a region, or called above chance.

    Raises
    ------
    ConfigError
        If the metric is unknown or a pair does not name two models.
    """

    metric: str = "r"
    pairs: tuple[tuple[str, str], ...] = ()
    significance: str = "none"
    level: float = 0.01
    group_test: str = "none"
    n_permutations: int = 1000
    p_level: float = 0.05

    def __post_init__(self) -> None:
        """Check values."""
        if not _whole(self.n_permutations) or self.n_permutations < 0:
            raise ConfigError(
                f"[compare] n_permutations = {self.n_permutations!r}, but an integer of 0 or more is needed."
            )
        if isinstance(self.p_level, bool) or not 0 < self.p_level < 1:
            raise ConfigError(f"[compare] p_level = {self.p_level!r}, but a probability above 0 and below 1 is needed.")
        if self.metric not in METRICS:
            raise ConfigError(f"[compare] metric = {self.metric!r}. {suggest(str(self.metric), METRICS)}")
        for name, known in (("significance", SIGNIFICANCE), ("group_test", GROUP_TESTS)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"[compare] {name} = {getattr(self, name)!r}. {suggest(str(getattr(self, name)), known)}"
                )
        if self.significance == "noise" and self.metric == "r2":
            raise ConfigError(
                '[compare] significance = "noise" is about correlations; metric must be "r" or "pooled_r".'
            )
        if isinstance(self.level, bool) or not 0 < self.level < 1:
            raise ConfigError(f"[compare] level = {self.level!r}, but a rate above 0 and below 1 is needed.")
        for pair in self.pairs:
            if len(pair) != 2 or pair[0] == pair[1]:
                raise ConfigError(f"[compare] pairs: {list(pair)} does not name two different models.")

    def resolve(self, single: Sequence[str], models: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Say which pairs are compared.

        Parameters
        ----------
        single : sequence of str
            Models of single feature spaces.
        models : sequence of str
            All models.

        Returns
        -------
        tuple of (str, str)
            The pairs.

        Raises
        ------
        ConfigError
            If a pair names a model that is not fitted.
        """
        for pair in self.pairs:
            for name in pair:
                if name not in models:
                    raise ConfigError(f"[compare] pairs: no model {name!r} in [[fit]]. {suggest(name, models)}")
        return tuple((a, b) for a, b in self.pairs) or tuple(combinations(single, 2))


@dataclass(frozen=True, slots=True)
class Rsa:
    """One representational similarity analysis; a ``[[rsa]]`` table of the configuration.

    Published values move tenfold with these choices, so that all of them are written beside every number.

    Attributes
    ----------
    name : str
        Name of the analysis, as in file names and tables.
    spaces : tuple of str
        Feature spaces that are compared with the brain; all unless given.
    similarity : str or mapping of str to str
        Similarity of stimuli by a feature space: "choice_probability" (of an embedding of odd-one-out judgments),
        "dot", "cosine" or "correlation" (over features); for all spaces, or by name of the space, where spaces that are
        not named have "correlation".
    brain : {"correlation", "euclidean"}
        Similarity of the responses to two stimuli over the targets of a region: Pearson's correlation, or minus the
        Euclidean distance.
    comparison : {"pearson", "spearman"}
        Correlation of both similarities over pairs of stimuli; "spearman" of ranks, ties sharing their mean rank.
    regions : {"atlas", "searchlight"}
        Every region, network and ROI of the atlases of ``[map]``; or a searchlight about every voxel.
    radius_mm : float, optional
        Searchlights are spheres of this radius: voxels whose centre lies within it.
    edge_voxels : int, optional
        Searchlights are cubes of this (odd) number of voxels along each edge.
    same_run : bool
        Whether stimuli that were shown in one run are compared. They share noise and slow signals, and their responses
        are scaled together, so that they are left out unless asked for.
    repeats : {"average", "first"}, optional
        What to do with stimuli that were shown several times; must be said where there are any.
    min_targets : int
        Regions and searchlights with fewer usable targets have no value.

    Raises
    ------
    ConfigError
        If a value is not allowed, or two contradict each other.
    """

    name: str
    spaces: tuple[str, ...] = ()
    similarity: str | Mapping[str, str] = "correlation"
    brain: str = "correlation"
    comparison: str = "pearson"
    regions: str = "atlas"
    radius_mm: float | None = None
    edge_voxels: int | None = None
    same_run: bool = False
    repeats: str | None = None
    min_targets: int = 10

    def __post_init__(self) -> None:
        """Check values."""
        if isinstance(self.spaces, str):
            raise self._error("spaces", "a list of feature spaces is needed")
        given = self.similarity
        for value in given.values() if isinstance(given, Mapping) else [given]:
            self._one_of("similarity", value, SIMILARITIES)
        self._one_of("brain", self.brain, BRAIN)
        self._one_of("comparison", self.comparison, COMPARISONS)
        self._one_of("regions", self.regions, REGIONS)
        if self.repeats is not None:
            self._one_of("repeats", self.repeats, REPEATS)
        if not isinstance(self.same_run, bool):
            raise self._error("same_run", "true or false is needed")
        if not _whole(self.min_targets) or self.min_targets < FEWEST:
            raise self._error("min_targets", f"an integer of {FEWEST} or more is needed")
        self._check_searchlight()

    def _check_searchlight(self) -> None:
        sizes = [name for name in ("radius_mm", "edge_voxels") if getattr(self, name) is not None]
        if self.regions == "atlas":
            if sizes:
                raise self._error(sizes[0], 'it belongs to regions = "searchlight"')
            return
        if len(sizes) != 1:
            raise ConfigError(
                f'{self._where}: regions = "searchlight" needs radius_mm (a sphere) or edge_voxels (a cube), '
                f"but {'both are' if sizes else 'none is'} given. The size changes the values: it has no default."
            )
        radius = self.radius_mm
        if radius is not None and (isinstance(radius, bool) or not isinstance(radius, int | float) or radius <= 0):
            raise self._error("radius_mm", "a number of millimetres above 0 is needed")
        edge = self.edge_voxels
        if edge is not None and (not _whole(edge) or edge < 3 or edge % 2 == 0):
            raise self._error("edge_voxels", "an odd number of voxels, 3 or more, is needed")

    @property
    def _where(self) -> str:
        return f"[[rsa]] {self.name!r}"

    def _error(self, key: str, needed: str) -> ConfigError:
        return ConfigError(f"{self._where}: {key} = {getattr(self, key)!r}, but {needed}.")

    def _one_of(self, key: str, value: Any, allowed: Sequence[str]) -> None:
        if value not in allowed:
            raise ConfigError(f"{self._where}: {key} = {value!r}. {suggest(str(value), allowed)}")

    def resolve(self, spaces: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Say which feature spaces are compared, and how similarity is computed in each.

        Parameters
        ----------
        spaces : sequence of str
            All feature spaces.

        Returns
        -------
        tuple of (str, str)
            Name and similarity.

        Raises
        ------
        ConfigError
            If a space is named that is not there or not compared.
        """
        chosen = self.spaces or tuple(spaces)
        named = self.similarity if isinstance(self.similarity, Mapping) else dict.fromkeys(chosen, self.similarity)
        for key, names, known in (("spaces", chosen, spaces), ("similarity", named, chosen)):
            for name in names:
                if name not in known:
                    raise ConfigError(f"{self._where}: {key}: no feature space {name!r}. {suggest(str(name), known)}")
        if len(set(chosen)) < len(chosen):
            raise self._error("spaces", "every feature space can be named once")
        return tuple((name, named.get(name, "correlation")) for name in chosen)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
