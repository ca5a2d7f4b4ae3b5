"""What is compared with what."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ..core import ConfigError, suggest

METRICS = ("r", "pooled_r", "r2")
SIGNIFICANCE = ("none", "noise")
GROUP_TESTS = ("none", "paired_t")


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
        "noise": tell for every target and model how likely unrelated, independent responses and predictions would
        correlate as highly (one-sided), and count those below `level` after correction over targets by the false
        discovery rate. Neighbouring samples are taken as independent, which real ones are not.
    level : float
        Accepted false discovery rate.
    group_test : {"none", "paired_t"}
        "paired_t": test differences between models over subjects in every region, two-tailed, with the false discovery
        rate over the regions of an atlas or ROI set.

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

    def __post_init__(self) -> None:
        """Check values."""
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
