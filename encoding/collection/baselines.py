"""Judges without a model: one looks at the colours of frames, one counts the words of captions.

They know nothing of emotion. Beside a model's judgments they say how much of them colours or words alone would give,
and they try a study out from the clips on, without a server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.sparse import csr_array

from ..core import ConfigError, DataError
from .computed import Computed, ComputedAnnotator
from .contents import Contents

WEIGHTS = ("tfidf", "count")


@dataclass(frozen=True, kw_only=True)
class Colours(Computed):
    """The ``[[annotator]]`` table of kind "colours": clips are alike whose frames have the same colours.

    Attributes
    ----------
    levels : int
        Steps of red, green and blue; the histogram has levels to the power of three bins.
    dark : int
        Pixels whose red, green and blue are all below this (0 to 255) do not count: borders, black backgrounds.
    name, metric, temperature, soft, slot_bias, seed
        As in `Computed`.
    """

    name: str = "colours"
    levels: int = 4
    dark: int = 0

    def __post_init__(self) -> None:
        """Check values."""
        super().__post_init__()
        if not 2 <= self.levels <= 16 or not 0 <= self.dark <= 255:
            raise ConfigError(
                f"[[annotator]] levels = {self.levels}, dark = {self.dark}: 2 to 16, and 0 to 255, are needed."
            )

    def open(self, contents: Contents, base: str | Path = ".") -> ComputedAnnotator:  # noqa: ARG002
        """Look at all frames.

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


@dataclass(frozen=True, kw_only=True)
class Words(Computed):
    """The ``[[annotator]]`` table of kind "words": captions are alike that share words.

    Attributes
    ----------
    weights : {"tfidf", "count"}
        Rare words weigh more (term frequency, inverse document frequency), or every word the same.
    name, metric, temperature, soft, slot_bias, seed
        As in `Computed`.
    """

    name: str = "words"
    weights: str = "tfidf"

    def __post_init__(self) -> None:
        """Check values."""
        super().__post_init__()
        if self.weights not in WEIGHTS:
            raise ConfigError(f"[[annotator]] weights = {self.weights!r}. Known: {', '.join(WEIGHTS)}.")

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
    """Tell which share of the frames of a clip has which colour.

    Parameters
    ----------
    frames : sequence of Path
        Pictures.
    levels : int, optional
        Steps of red, green and blue.
    dark : int, optional
        Pixels with no channel at or above this do not count.

    Returns
    -------
    ndarray of float64, shape (levels ** 3,)
        Shares of all pixels, a mean over frames; they add up to less than 1 where pixels are dark.
    """
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
    """Count words, without those that every English text has.

    Parameters
    ----------
    texts : sequence of str
        Captions.
    weights : {"tfidf", "count"}, optional
        As in `Words`.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (n_texts, n_words)
        Counts, weighted but not scaled to unit length.

    Raises
    ------
    DataError
        If there is no word in any of them.
    """
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer  # takes a second to import

    try:
        counts = CountVectorizer(stop_words="english").fit_transform(texts)
    except ValueError as error:
        raise DataError(f"{len(texts)} captions: there are no words in them to compare ({error}).") from error
    if weights == "tfidf":
        counts = TfidfTransformer(norm=None).fit_transform(counts)
    return csr_array(counts, dtype=np.float64)
