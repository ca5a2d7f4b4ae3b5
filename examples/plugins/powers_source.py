"""A feature source: the columns of a table, raised to some powers."""

from typing import Annotated

import numpy as np
import pandas as pd

from encoding.core import DataError, FeatureSpace, Provenance, Samples, fingerprint
from encoding.core.settings import Positive, Rule, Text, distinct, settings
from encoding.embedding import FeatureSource, SourceContext


@settings("[[features]]")
class Powers(FeatureSource):
    """Powers of the columns of a table."""

    name: Text
    """Name of the feature space."""
    file: Text
    """TSV with the column stim_id and one column per feature, relative to the BIDS folder."""
    powers: Annotated[tuple[Positive, ...], Rule("a list of different numbers above 0", distinct)] = (1, 2)
    """Exponents."""

    def make_space(self, context: SourceContext) -> FeatureSpace:
        """Read the table and raise its columns to the powers."""
        path = context.base / self.file
        if not path.is_file():
            raise DataError(f"Feature space {self.name!r}: no file {path}.")
        table = pd.read_csv(path, sep="\t", dtype={"stim_id": str}).set_index("stim_id")
        values = np.concatenate([table.to_numpy(float) ** power for power in self.powers], axis=1)
        features = tuple(f"{column}^{power:g}" for power in self.powers for column in table)
        provenance = Provenance("powers/1", {"powers": self.powers}, {self.file: fingerprint(path)})
        return FeatureSpace(self.name, values, Samples.of_stimuli(table.index.to_numpy(str)), features, provenance)
