"""Feature spaces of the stimuli."""

from .tables import FeatureTable, embed

# What `kind` in a [[features]] table of the configuration can be.
EMBEDDERS = {"table": FeatureTable}

__all__ = ["EMBEDDERS", "FeatureTable", "embed"]
