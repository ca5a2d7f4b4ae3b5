"""Motion energy of videos: responses of a pyramid of spatio-temporal Gabor filters."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Interval

from ..core import ConfigError, DataError, FeatureSpace, Provenance, Samples, digest, fingerprint, versions
from ..core.progress import Progress, silent
from ..core.settings import NotNegative, Rule, Text, Unit, distinct, settings
from ..core.stimuli import number_name
from ..io.atomic import atomic_file
from ..io.fetched import require_fetched
from ..io.locks import locked
from ..io.luminance import MOTION_PACKAGES, read_luminance
from .sources import FeatureSource, SourceContext

BATCH = 256
STEP = "motion/2"


Frequencies = Annotated[
    tuple[NotNegative, ...], Rule("a list of different numbers of 0 or more", lambda f: distinct(f) and min(f) >= 0)
]


@settings("[[features]]")
class MotionEnergy(FeatureSource):
    """Motion energy of video files, by pymoten (extra ``motion``).

    Every clip is turned into square luminance images; the energy of a filter is the root of the summed squares of its
    two phases (Adelson & Bergen 1985; Nishimoto et al. 2011), its log is averaged over the clip. The defaults give the
    6,555 channels of Du et al. (2023).

    Examples
    --------
    >>> from encoding.embedding import MotionEnergy
    >>> MotionEnergy("motion", "stimuli").pattern
    '*.mp4'
    """

    slow: ClassVar[bool] = True
    name: Text
    """Name of the feature space."""
    videos: Text
    """Folder of the clips, relative to the BIDS folder. Stimuli are named after files without extension, with numbers
    spelled alike (``0017.mp4`` is ``17``)."""
    pattern: Text = "*.mp4"
    """Which files."""
    size: Annotated[int, Interval(ge=8, le=10_000), Unit("pixels")] = 96
    """Edge of the images in pixels."""
    rate: Annotated[int, Interval(ge=1, le=1000), Unit("images per second")] = 15
    """Images per second."""
    spatial_frequencies: Annotated[Frequencies, Unit("cycles per image")] = (0, 2, 4, 8, 16, 32)
    """Cycles per image; 0 stands for a whole-image filter."""
    temporal_frequencies: Annotated[Frequencies, Unit("Hz")] = (0, 2, 4)
    """Frequencies in Hz; 0 stands for static filters."""

    def __post_init__(self) -> None:
        """Check that images can show every frequency."""
        if 2 * max(self.temporal_frequencies) > self.rate:
            raise ConfigError(
                f"rate = {self.rate}, but twice the highest temporal frequency or more "
                f"({max(self.temporal_frequencies)} Hz) is needed."
            )
        if 2 * max(self.spatial_frequencies) > self.size:
            raise ConfigError(
                f"size = {self.size} pixels cannot show {max(self.spatial_frequencies)} cycles per image; at least "
                f"two pixels per cycle are needed."
            )

    def check(self, base: Path) -> None:
        """Find the clips."""
        clips_of(self, base)

    def inputs_key(self, context: SourceContext) -> str:
        """Identify clips and settings; names of folders do not count."""
        return clips_key(self, context.base, STEP, _measured(self))

    def make_space(self, context: SourceContext) -> FeatureSpace:
        """Measure all clips, or load what was measured."""
        return measure_motion(self, context.base, context.folder, progress=context.progress)


def measure_motion(
    source: MotionEnergy,
    base: str | Path,
    folder: str | Path,
    *,
    progress: Progress = silent,
) -> FeatureSpace:
    """Measure the motion energy of all clips, with a cache.

    Parameters
    ----------
    source : MotionEnergy
        What to measure.
    base : str or Path
        Folder that its videos are relative to.
    folder : str or Path
        Results are kept there clip by clip, so that an interrupted run goes on.
    progress : callable
        Called with the share of clips done.

    Returns
    -------
    FeatureSpace
        On the clock "none".

    Raises
    ------
    DataError
        If there is no clip, two name one stimulus, one cannot be decoded, or pymoten is not installed.

    Examples
    --------
    >>> from encoding.embedding import MotionEnergy, measure_motion
    >>> try:
    ...     measure_motion(MotionEnergy("motion", "videos"), "my_study", "work")
    ... except encoding.EncodingError as error:
    ...     print(type(error).__name__)
    DataError
    """
    names = clips_of(source, base)
    settings = _measured(source)
    place = Path(folder) / f"motion-{digest([STEP, settings])}"
    pyramid: Any = None
    rows, prints = [], []
    # Participants that start together want the same clips: one measures them, and the others read what it kept.
    with locked(folder, place.name, sweeping=((place, "*"),)):
        for done, path in enumerate(names.values(), start=1):
            prints.append(fingerprint(path))
            kept = place / f"{path.stem}-{prints[-1]}.npy"
            if not kept.is_file():
                pyramid = _pyramid(source) if pyramid is None else pyramid
                with atomic_file(kept) as temporary, temporary.open("wb") as stream:
                    np.save(stream, _energy(source, pyramid, path), allow_pickle=False)
            rows.append(np.load(kept, allow_pickle=False))
            progress(done / len(names))
    provenance = Provenance(STEP, settings | {"name": source.name}, {"videos": digest(prints)}, None, versions())
    features = tuple(f"{source.name}_{number + 1}" for number in range(len(rows[0])))
    return FeatureSpace(source.name, np.stack(rows), Samples.of_stimuli(np.asarray(list(names))), features, provenance)


def _measured(source: MotionEnergy) -> dict[str, Any]:
    """Return the settings that what is measured depends on."""
    return {
        name: value for name, value in dataclasses.asdict(source).items() if name not in ("name", "videos", "pattern")
    }


def clips_key(source: Any, base: str | Path, *settings: Any) -> str:
    """Identify the clips of a source, and how they are measured; names of folders do not count."""
    clips = clips_of(source, base)
    return digest([*settings, list(clips), [fingerprint(path) for path in clips.values()]])


def clips_of(source: Any, base: str | Path) -> dict[str, Path]:
    """Find the clips of a source with `name`, `videos` and `pattern`, by stimulus."""
    top = Path(base) / source.videos
    files = sorted(path for path in top.glob(source.pattern) if path.is_file() or path.is_symlink())
    if not files:
        raise DataError(f"Feature space {source.name!r}: no file {source.pattern!r} in {top}.")
    names: dict[str, Path] = {}
    for path in files:
        name = number_name(path.stem)
        if name in names:
            raise DataError(f"{top}: {names[name].name} and {path.name} both name stimulus {name!r}. Keep one.")
        names[name] = path
    require_fetched(files, f"Feature space {source.name!r}")
    return names


def _pyramid(source: MotionEnergy) -> Any:
    try:
        from moten.pyramids import MotionEnergyPyramid
    except ImportError as error:
        raise DataError(f"Motion energy needs pymoten ({error}): {MOTION_PACKAGES}.") from error
    return MotionEnergyPyramid(
        stimulus_vhsize=(source.size, source.size),
        stimulus_fps=source.rate,
        spatial_frequencies=list(source.spatial_frequencies),
        temporal_frequencies=list(source.temporal_frequencies),
    )


def _energy(source: MotionEnergy, pyramid: Any, path: Path) -> np.ndarray:
    """Average the log energy of every filter over a clip; one filter after the other, in a fixed order."""
    images = read_luminance(path, source.size, source.rate)
    return np.asarray(pyramid.project_stimulus_batched(images, batch_size=BATCH)).mean(0).astype(np.float32)
