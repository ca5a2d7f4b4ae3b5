"""Judges without a model: one looks at the colours of frames, one counts the words of captions.

They know nothing of emotion. Beside a model's judgments they say how much of them colours or words alone would give,
and they try a study out from the clips on, without a server.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval
from PIL import Image
from scipy.sparse import csr_array

from ..core import DataError
from ..core.settings import OneOf, Text, settings
from .computed import Computed, ComputedAnnotator
from .contents import Contents

WEIGHTS = ("tfidf", "count")


@settings("[[annotator]]", kw_only=True)
class Colours(Computed):
    """An annotator that judges clips by the colours of their frames.

    Examples
    --------
    >>> from encoding.collection import Colours
    >>> Colours(temperature=0.1).name
    'colours'
    """

    name: Text = "colours"
    """Name of the annotator in tables."""
    levels: Annotated[int, Interval(ge=2, le=16)] = 4
    """Steps of red, green and blue; the histogram has levels to the power of three bins."""
    dark: Annotated[int, Interval(ge=0, le=255)] = 0
    """Pixels whose red, green and blue are all below this (0 to 255) do not count: borders, black backgrounds."""

    def open(self, contents: Contents, base: str | Path = ".") -> ComputedAnnotator:  # noqa: ARG002
        """Compute the colour histogram of every clip.

        Parameters
        ----------
        contents : Contents
            With frames.
        base : str or Path, optional
            Not used; frames have whole paths.

        Returns
        -------
        ComputedAnnotator
            Ready to be asked.

        Raises
        ------
        DataError
            If there are no frames.
        """
        if not all(contents.images):
            raise DataError('An annotator of kind "colours" looks at frames: set show = "frames" in [stimuli].')
        rows = [_remembered(frames, self.levels, self.dark) for frames in contents.images]
        return ComputedAnnotator(self, "colours", np.array(rows), "shown")


@settings("[[annotator]]", kw_only=True)
class Words(Computed):
    """An annotator that judges captions by the words they share.

    Examples
    --------
    >>> from encoding.collection import Words
    >>> Words(temperature=0.1).metric
    'cosine'
    """

    name: Text = "words"
    """Name of the annotator in tables."""
    weights: Annotated[str, OneOf(WEIGHTS)] = "tfidf"
    """Whether rare words weigh more (term frequency, inverse document frequency), or every word the same."""

    def open(self, contents: Contents, base: str | Path = ".") -> ComputedAnnotator:  # noqa: ARG002
        """Read all captions.

        Parameters
        ----------
        contents : Contents
            With captions.
        base : str or Path, optional
            Not used.

        Returns
        -------
        ComputedAnnotator
            Ready to be asked.

        Raises
        ------
        DataError
            If there are no captions, or no words in them.
        """
        if not all(contents.texts):
            raise DataError('An annotator of kind "words" reads captions: set show = "captions" in [stimuli].')
        return ComputedAnnotator(self, "words", word_counts(contents.texts, weights=self.weights), "shown")


def colour_histogram(frames: Sequence[Path], *, levels: int = 4, dark: int = 0) -> np.ndarray:
    """Return the colour histogram of a clip, averaged over frames: float64 of shape (levels ** 3,)."""
    shares = np.zeros(levels**3)
    for frame in frames:
        with Image.open(frame) as picture:
            red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), dtype=np.int32), -1, 0)
        code = (red * levels // 256 * levels + green * levels // 256) * levels + blue * levels // 256
        bright = (red >= dark) | (green >= dark) | (blue >= dark)
        shares += np.bincount(code[bright], minlength=levels**3) / code.size
    return shares / len(frames)


@cache  # frames are known by their content, and a table is needed several times
def _remembered(frames: tuple[Path, ...], levels: int, dark: int) -> np.ndarray:
    return colour_histogram(frames, levels=levels, dark=dark)


def word_counts(texts: Sequence[str], *, weights: str = "tfidf") -> csr_array:
    """Count words (English stop words removed), as a sparse (n_texts, n_words) matrix."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer  # takes a second to import

    try:
        counts = CountVectorizer(stop_words="english").fit_transform(texts)
    except ValueError as error:
        raise DataError(f"{len(texts)} captions: there are no words in them to compare ({error}).") from error
    if weights == "tfidf":
        counts = TfidfTransformer(norm=None).fit_transform(counts)
    return csr_array(counts, dtype=np.float64)
