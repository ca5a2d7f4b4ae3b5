"""Low-level vision of clips: how bright, how rich in contrast and edges, and how changing they are."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..core import FeatureSpace, Provenance, Samples, digest, fingerprint, versions
from ..core.progress import Progress, silent
from ..core.settings import Text, settings
from ..io.atomic import atomic_file
from ..io.locks import locked
from ..io.luminance import read_luminance
from .motion import clips_key, clips_of
from .sources import FeatureSource, SourceContext

STEP = "vision/1"
SIZE, RATE = 48, 4.0  # pixels along an edge, images per second: enough for means over a clip
MEASURES = ("luminance", "contrast", "edges", "change")


@settings("[[features]]")
class LowLevelVision(FeatureSource):
    """Luminance, contrast, edges and change of every clip, for use in `[compare] nuisance`.

    Means over the clip, four images per second, of CIE lightness: its mean (luminance), its standard deviation over the
    image (contrast), the size of its gradient (edges), and its absolute change from image to image (change). Needs
    PyAV (extra ``motion`` or ``collect``).

    Examples
    --------
    >>> from encoding.embedding import LowLevelVision
    >>> LowLevelVision("vision").videos
    'stimuli'
    """

    slow: ClassVar[bool] = True
    name: Text
    """Name of the feature space."""
    videos: Text = "stimuli"
    """Folder of the clips, relative to the BIDS folder. Stimuli are named after files without extension, with numbers
    spelled alike (``0017.mp4`` is ``17``)."""
    pattern: Text = "*.mp4"
    """Which files."""

    def check(self, base: Path) -> None:
        """Find the clips."""
        clips_of(self, base)

    def inputs_key(self, context: SourceContext) -> str:
        """Identify the clips."""
        return clips_key(self, context.base, STEP)

    def make_space(self, context: SourceContext) -> FeatureSpace:
        """Measure all clips, or load what was measured."""
        clips = clips_of(self, context.base)
        values = measure_vision(clips.values(), context.folder, progress=context.progress)
        prints = digest([fingerprint(path) for path in clips.values()])
        provenance = Provenance(STEP, {"name": self.name}, {"videos": prints}, None, versions())
        features = tuple(f"{self.name}_{measure}" for measure in MEASURES)
        return FeatureSpace(self.name, values, Samples.of_stimuli(np.asarray(list(clips))), features, provenance)


def measure_vision(clips: Iterable[Path], folder: str | Path, *, progress: Progress = silent) -> np.ndarray:
    """Measure luminance, contrast, edges and change of clips, with a cache.

    Parameters
    ----------
    clips : iterable of Path
        Videos or pictures.
    folder : str or Path
        Results are kept there by the content of each file.
    progress : callable
        Called with the share of clips done.

    Returns
    -------
    ndarray of float32, shape (n_clips, 4)
        In CIE lightness (0 to 100): mean, standard deviation over the image, size of the gradient per pixel, and
        absolute change between images a quarter of a second apart.

    Raises
    ------
    DataError
        If a file cannot be decoded, or PyAV is not installed.

    Examples
    --------
    >>> from PIL import Image
    >>> from encoding.embedding import measure_vision
    >>> Image.new("RGB", (64, 64), "black").save("black.png")
    >>> Image.new("RGB", (64, 64), "white").save("white.png")
    >>> measure_vision([Path("black.png"), Path("white.png")], "work/vision")[:, 0].round()  # mean lightness
    array([  0., 100.], dtype=float32)
    """
    paths = list(clips)
    place = Path(folder) / STEP.replace("/", "-")
    rows = []
    with locked(folder, place.name, sweeping=((place, "*"),)):
        for done, path in enumerate(paths, start=1):
            kept = place / f"{fingerprint(path)}.npy"
            if not kept.is_file():
                with atomic_file(kept) as temporary, temporary.open("wb") as stream:
                    np.save(stream, _measures(read_luminance(path, SIZE, RATE)), allow_pickle=False)
            rows.append(np.load(kept, allow_pickle=False))
            progress(done / len(paths))
    return np.stack(rows)


def _measures(images: np.ndarray) -> np.ndarray:
    """Average four measures over lightness images, shape (n_images, size, size)."""
    down, right = np.gradient(images, axis=(1, 2))
    change = np.abs(np.diff(images, axis=0)).mean() if len(images) > 1 else 0.0
    means = images.mean(), images.std(axis=(1, 2)).mean(), np.hypot(down, right).mean(), change
    return np.array(means, dtype=np.float32)
