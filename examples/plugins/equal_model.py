"""A model: ridge on several feature spaces that all have the same weight, whatever their number of features."""

import numpy as np

from encoding.core.settings import settings
from encoding.fitting import Ridge


@settings("[[fit]]")
class EqualRidge(Ridge):
    """Ridge on the mean of the kernels of several feature spaces."""

    @property
    def joined(self) -> bool:
        """Return False: every feature space is scaled to unit variance and keeps a weight of its own."""
        return False

    def candidates(self, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """List the one candidate: equal weights."""
        return np.full((1, len(self.bands)), 1 / len(self.bands))
