"""The ``[stimuli]`` table: which stimuli there are, and what of them is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval

from ..core import DataError, StimulusSet, fingerprint
from ..core.settings import Count, CountOrZero, NotNegative, OneOf, Text, Unit, settings
from ..core.stimuli import number_name
from ..io.clips import inside
from ..io.stimulus_lists import LISTS, list_path, read_list
from ..io.tables import STIMULUS_COLUMNS, read_stimuli, read_table, require_plain_names, stimulus_column
from .contents import POLICIES, Contents, of_captions, of_frames, of_names, of_videos
from .frames import FrameTable, Framing, take_frames

SHOWN = ("names", "captions", "frames", "videos")
TEXTS = ("caption", "description", "text")


@settings("[stimuli]")
class Stimuli:
    """The stimuli, and what annotators are shown of them.

    Examples
    --------
    >>> from encoding.collection import Stimuli
    >>> Stimuli("stimuli.tsv", show="captions").show
    'captions'
    """

    table: Text
    """Table with a stimulus column, and as needed ``path``, ``caption`` (or ``caption_1``, ``caption_2``, ...),
    ``duration``, ``duplicate_of``, ``split``. Or the list "cowen2017", whose stimuli are named by numbers; a table of
    captions then names them in the same way (``video_id``)."""
    show: Annotated[str, OneOf(SHOWN)] = "names"
    """What annotators are shown: the name alone (tables, ratings), captions, frames, or whole videos."""
    folder: str = ""
    """Folder of the clips; that of the table if left out. No file outside it is read."""
    captions: str = ""
    """Table of captions, one or several rows per stimulus; the columns of `table` if left out."""
    captions_shown: Annotated[str, OneOf(POLICIES)] = "first"
    """Which of several captions is shown."""
    caption: Count = 1
    """Number of the caption, from 1, for "fixed"."""
    captions_each: CountOrZero = 0
    """Captions that every stimulus must have; 0 for any number."""
    mask_emotions: bool = False
    """Whether words that name emotions are removed from captions, as a control."""
    n_frames: Annotated[int, Interval(ge=1, le=1000)] = 8
    """Frames per clip, from the middles of equal parts; with `frames_per_second`, the largest number."""
    frames_per_second: Annotated[NotNegative, Unit("frames per second")] = 0.0
    """Frames per second of a clip, so that longer clips have more frames; 0 for `n_frames` of every clip."""
    size: Annotated[int, Interval(ge=1, le=100_000), Unit("pixels")] = 448
    """Longer side of a frame in pixels; smaller frames are not enlarged."""
    sheet: bool = False
    """Whether the frames of a clip are joined into one picture, row by row."""
    split: str = ""
    """Only stimuli of this split are used; all if left out."""


@dataclass(frozen=True, eq=False)
class Shown:
    """Stimuli that are asked about, and what is shown of them."""

    stimuli: StimulusSet  # Originals; duplicates are left out
    contents: Contents  # What can be shown
    problems: dict[str, str]  # Clips that are left out, and why


def read_shown(
    settings: Stimuli, base: str | Path, cache: str | Path, *, watch: Callable[[int], None] | None = None
) -> Shown:
    """Read stimuli, and captions or frames."""
    path = list_path(settings.table) if settings.table in LISTS else Path(base) / settings.table
    stimuli = read_list(settings.table) if settings.table in LISTS else read_stimuli(path)
    use = stimuli.duplicate_of == ""
    if settings.split:
        use &= stimuli.split == settings.split
    if use.sum() < 3:
        raise DataError(
            f"{path}: {use.sum()} stimuli of split {settings.split!r} that are no duplicates; 3 are needed."
        )
    stimuli = take(stimuli, use)
    names = stimuli.stimulus.tolist()
    if settings.show == "names":
        return Shown(stimuli, of_names(names), {})
    if settings.show == "captions":
        captions = read_captions(settings, base)
        _check_captions(settings, names, captions)
        contents = of_captions(
            names, captions, policy=settings.captions_shown, number=settings.caption, masked=settings.mask_emotions
        )
        return Shown(stimuli, contents, {})
    folder = Path(base) / settings.folder if settings.folder else path.parent
    framing = Framing(settings.n_frames, settings.size, settings.sheet, settings.frames_per_second)
    frames: FrameTable = take_frames(stimuli, folder, cache, framing, watch=watch)
    stimuli = take(stimuli, ~np.isin(stimuli.stimulus, list(frames.problems)))
    contents = of_frames(stimuli.stimulus.tolist(), frames.frames)
    if settings.show == "videos":
        # Frames were taken all the same: a clip that cannot be decoded is found before anybody is paid to see it.
        clips = [inside(folder, name) for name in stimuli.path.tolist()]
        keys = [(clip, fingerprint(clip)) for clip in clips]
        contents = of_videos(contents, dict(zip(contents.stimuli, keys, strict=True)))
    return Shown(stimuli, contents, frames.problems)


def _check_captions(settings: Stimuli, names: list[str], captions: dict[str, list[str]]) -> None:
    if settings.table in LISTS:
        read_list(settings.table).canonical(np.asarray(list(captions), dtype=str))  # raises if one is not listed
    if not settings.captions_each:
        return
    for name in names:
        n = len(captions.get(name, []))
        if n != settings.captions_each:
            raise DataError(
                f"{settings.captions or settings.table}: {n} captions of stimulus {name!r}, but captions_each = "
                f"{settings.captions_each} were needed."
            )


def take(stimuli: StimulusSet, rows: np.ndarray) -> StimulusSet:
    """Return a subset; duplicates whose original is dropped become originals."""
    kept = stimuli.stimulus[rows]
    original = np.where(np.isin(stimuli.duplicate_of[rows], kept), stimuli.duplicate_of[rows], "")
    return StimulusSet(kept, stimuli.path[rows], stimuli.duration[rows], original, stimuli.split[rows])


def read_captions(settings: Stimuli, base: str | Path) -> dict[str, list[str]]:
    """Read the captions of all stimuli."""
    if settings.table in LISTS and not settings.captions:
        raise DataError(f"[stimuli] table = {settings.table!r} has no captions; name their table as captions.")
    path = Path(base) / (settings.captions or settings.table)
    columns = [str(name) for name in read_table(path).columns]
    texts = [name for name in columns if name in TEXTS or name.startswith("caption_")]
    if not texts:
        raise DataError(f"{path}: no column of captions ({', '.join(TEXTS)}, caption_1, ...). There is: {columns}.")
    frame = read_table(path, text=(*texts, *STIMULUS_COLUMNS))
    key = stimulus_column(columns, None, str(path))
    require_plain_names(frame[key].tolist(), str(path))
    captions: dict[str, list[str]] = {}
    names = [number_name(name) if settings.table in LISTS else name for name in frame[key].tolist()]
    for name, row in zip(names, frame[texts].to_numpy().tolist(), strict=True):
        captions.setdefault(name, []).extend(text for text in row if text)
    return captions
