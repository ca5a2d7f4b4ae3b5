"""Frames of the stimuli as files: taken once, known by their hash, and what is wrong with the clips."""

import hashlib
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core import DataError, StimulusSet, fingerprint
from ..io.atomic import atomic_file, write_json
from ..io.clips import inside, read_clip

QUALITY = 90  # of JPEG
TAKEN = "2"  # changes when other pixels are taken of the same file
GAP = 4  # pixels between the frames of a contact sheet


@dataclass(frozen=True)
class Framing:
    """How frames are extracted from clips.

    Attributes
    ----------
    n_frames : int
        Frames per clip, from the middles of equal parts; with a rate the most that a clip has.
    size : int
        Longer side in pixels; smaller frames stay as they are.
    sheet : bool
        Whether the frames of a clip are put on one picture, row by row.
    rate : float
        Frames per second, so that longer clips have more; 0 for the same number of every clip.

    Examples
    --------
    >>> from encoding.collection import Framing
    >>> Framing(n_frames=4, size=224).sheet
    False
    """

    n_frames: int = 8
    size: int = 448
    sheet: bool = False
    rate: float = 0.0


@dataclass(frozen=True, eq=False)
class FrameTable:
    """Frames of all stimuli."""

    frames: dict[str, list[tuple[Path, str]]]  # File and hash of each frame of each stimulus
    problems: dict[str, str]  # What is wrong with the clips that have none
    durations: dict[str, float]  # Seconds


def take_frames(
    stimuli: StimulusSet, folder: str | Path, cache: str | Path, framing: Framing, *,
    watch: Callable[[int], None] | None = None,
) -> FrameTable:  # fmt: skip
    """Extract frames from every clip, with a cache.

    Parameters
    ----------
    stimuli : StimulusSet
        With the path of each.
    folder : str or Path
        The stimulus folder; files outside it are refused.
    cache : str or Path
        Where frames are kept.
    framing : Framing
        How many, how large.
    watch : callable, optional
        Is called with the number of clips that are done.

    Returns
    -------
    FrameTable
        Frames, and problems.

    Raises
    ------
    DataError
        If a path leads out of the stimulus folder.

    Examples
    --------
    >>> from encoding import StimulusSet
    >>> from encoding.collection import Framing, take_frames
    >>> from encoding.simulate.clips import write_clip
    >>> write_clip(Path("clip.mp4"), np.zeros((20, 20, 3), dtype=np.uint8), 2.0)  # two seconds of black
    >>> clips = StimulusSet(["clip"], ["clip.mp4"], [2.0], [""], [""])
    >>> found = take_frames(clips, ".", "work/frames", Framing(n_frames=4))
    >>> [file.suffix for file, digest in found.frames["clip"]]
    ['.jpg', '.jpg', '.jpg', '.jpg']
    """
    cache = Path(cache)
    table = FrameTable({}, {}, {})
    # All paths first: nothing is read if one of them leads elsewhere.
    paths = {name: _path(folder, name, path, table) for name, path in _pairs(stimuli)}
    for done, (name, path) in enumerate(paths.items(), start=1):
        if path is not None:
            entry = _entry(path, cache, framing)
            if entry["problem"]:
                table.problems[name] = entry["problem"]
            else:
                table.frames[name] = [(cache / file, key) for file, key in entry["frames"]]
                table.durations[name] = entry["duration"]
        if watch is not None:
            watch(done)
    return table


def _pairs(stimuli: StimulusSet) -> list[tuple[str, str]]:
    return list(zip(stimuli.stimulus.tolist(), stimuli.path.tolist(), strict=True))


def _path(folder: str | Path, name: str, path: str, table: FrameTable) -> Path | None:
    if not path:
        table.problems[name] = "it has no path in the table"
        return None
    try:
        return inside(folder, path)
    except DataError as error:
        if "no such file" not in str(error):
            raise
        table.problems[name] = f"there is no file {path!r}"
        return None


def _entry(path: Path, cache: Path, framing: Framing) -> dict[str, Any]:
    """Return the cached or extracted frames of one clip, keyed by its content."""
    how = f"{framing.n_frames}x{framing.size}{'-sheet' if framing.sheet else ''}"
    known = f"{fingerprint(path)}-{how}{f'-{framing.rate:g}fps' if framing.rate else ''}-{TAKEN}"
    index = cache / f"{known}.json"
    if index.is_file():
        entry = json.loads(index.read_text(encoding="utf-8"))
        if all((cache / file).is_file() for file, _ in entry["frames"]):
            return entry
    clip = read_clip(
        path, framing.n_frames, rate=framing.rate, each=lambda frame: np.asarray(_shrink(frame, framing.size))
    )
    pictures = [Image.fromarray(frame) for frame in clip.frames]
    if framing.sheet and pictures:
        pictures = [contact_sheet(pictures)]
    frames = [_write(picture, cache) for picture in pictures]
    duration = None if math.isnan(clip.duration) else clip.duration
    entry = {"frames": frames, "times": clip.times, "duration": duration, "problem": clip.problem}
    write_json(index, entry)
    return entry


def _shrink(frame: np.ndarray, size: int) -> Image.Image:
    picture = Image.fromarray(frame)
    scale = size / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return picture


def contact_sheet(pictures: list[Image.Image]) -> Image.Image:
    """Arrange pictures of one size on a grid, row by row."""
    n_columns = math.ceil(math.sqrt(len(pictures)))
    n_rows = math.ceil(len(pictures) / n_columns)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (n_columns * (width + GAP) - GAP, n_rows * (height + GAP) - GAP), "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, n_columns)
        sheet.paste(picture, (column * (width + GAP), row * (height + GAP)))
    return sheet


def _write(picture: Image.Image, cache: Path) -> tuple[str, str]:
    target = io.BytesIO()
    picture.save(target, format="JPEG", quality=QUALITY, subsampling=0)
    key = hashlib.sha256(target.getvalue()).hexdigest()
    name = f"{key[:32]}.jpg"
    if not (cache / name).is_file():
        with atomic_file(cache / name) as temporary:
            temporary.write_bytes(target.getvalue())
    return name, key
