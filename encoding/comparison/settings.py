"""What is compared with what."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ..core import ConfigError, suggest

METRICS = ("r", "pooled_r", "r2")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Settings of the comparison; the ``[compare]`` table of the configuration.

    Attributes
    ----------
    metric : {"r", "pooled_r", "r2"}
        Score of the main tables and maps; the others are written beside it.
    pairs : tuple of (str, str)
        Models to compare; every pair of single-space models unless given.

    Raises
    ------
    ConfigError
        If the metric is unknown or a pair does not name two models.
    """

    metric: str = "r"
    pairs: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check values."""
        if self.metric not in METRICS:
            raise ConfigError(f"[compare] metric = {self.metric!r}. {suggest(str(self.metric), METRICS)}")
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
