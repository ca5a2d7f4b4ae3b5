"""An annotator: stimuli belong together if their names have letters in common."""

from pathlib import Path

import numpy as np

from encoding.collection.computed import Computed, ComputedAnnotator
from encoding.collection.contents import Contents
from encoding.core.settings import Text, settings


@settings("[[annotator]]", kw_only=True)
class Letters(Computed):
    """An annotator that counts the letters of names."""

    name: Text = "letters"
    """Name of the annotator in tables."""

    def open(self, contents: Contents, base: str | Path = ".") -> ComputedAnnotator:  # noqa: ARG002
        """Count letters and digits of every stimulus; `ComputedAnnotator` compares the counts."""
        letters = sorted(set("".join(contents.stimuli)))
        counts = np.array([[name.count(letter) for letter in letters] for name in contents.stimuli], dtype=float)
        return ComputedAnnotator(self, "letters", counts)
