"""Frames out of video files, in one pass forward, with a word on what is wrong with a file."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core import DataError
from .fetched import is_unfetched, require_content, unfetched_error

CLOCK = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
LEAST = 0.9  # of the duration in the header that must be there; headers are a little off in files that are whole


@dataclass(frozen=True, eq=False, slots=True)
class ClipFrames:
    """Some frames of a clip."""

    frames: tuple[np.ndarray, ...]  # (height, width, 3) RGB, in the order of time; none if the clip has a problem
    times: tuple[float, ...]  # When each is shown, seconds from the beginning
    duration: float  # Seconds; NaN if unknown
    problem: str = ""  # What is wrong with the clip, "" if nothing is


def inside(folder: str | Path, name: str) -> Path:
    """Find a file that must lie inside a folder."""
    top = Path(folder).resolve()
    path = (top / name).resolve()
    if not path.is_relative_to(top) or path == top:
        raise DataError(
            f"Stimulus path {name!r} leads out of the stimulus folder {top}. Only files inside it are read."
        )
    if not path.is_file():
        if is_unfetched(top / name):
            raise unfetched_error([top / name])
        raise DataError(f"Stimulus path {name!r}: there is no such file in {top}.")
    require_content(path)
    return path


def read_clip(
    path: str | Path, n_frames: int, *, rate: float = 0.0, each: Callable[[np.ndarray], np.ndarray] | None = None
) -> ClipFrames:
    """Read frames from the middles of equal parts of a clip.

    With a `rate` there are as many parts as frames at so many per second (at least one, at most `n_frames`). The clip
    is decoded once from its beginning, which is several times faster than a seek to each frame, and exact where a seek
    may miss.
    """
    try:
        import av
    except ImportError as error:
        raise DataError("Frames of videos need PyAV: pip install 'brain-encoding[collect]'.") from error
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                return ClipFrames((), (), float("nan"), "it has no video")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            duration = stated_duration(container, stream)
            found = _take(container, _count(n_frames, rate, duration), duration, each)
        end = found.end
        if end is not None and found.short and end < LEAST * duration:
            return ClipFrames((), (), duration, f"it breaks off at {end:.2f} of {duration:.2f} s")
        if end is not None and (np.isnan(duration) or found.short):
            # The header is silent or wrong; now the end is known.
            with av.open(str(path)) as container:
                found, duration = _take(container, _count(n_frames, rate, end), end, each), end
    except (av.error.FFmpegError, OSError) as error:
        return ClipFrames((), (), float("nan"), f"it cannot be decoded ({error})")
    if not found.frames:
        return ClipFrames((), (), duration, found.problem or "it has no frames")
    if found.problem:
        return ClipFrames((), (), duration, found.problem)
    return ClipFrames(tuple(found.frames), tuple(found.times), duration)


def _count(most: int, rate: float, duration: float) -> int:
    """Count the frames to take of a clip: one while its duration is not known."""
    if not rate:
        return most
    return 1 if np.isnan(duration) else min(most, max(1, round(rate * duration)))


class _Found:
    def __init__(self, each: Callable[[np.ndarray], np.ndarray] | None = None) -> None:
        self.each = each
        self.frames: list[np.ndarray] = []
        self.times: list[float] = []
        self.end: float | None = None
        self.short = False
        self.problem = ""


def stated_duration(container: Any, stream: Any) -> float:
    """Seconds from the first picture to the end of the video as its file says; NaN where it does not.

    Matroska and WebM count from the beginning of the file, before which audio may run or after which it may go on: the
    duration of the file is that of the video only where nothing else is in it.
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    lead = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
    tags = [value for key, value in stream.metadata.items() if key.upper().startswith("DURATION")]
    found = CLOCK.fullmatch(tags[0].strip()) if tags else None
    if found:
        return max(3600 * int(found[1]) + 60 * int(found[2]) + float(found[3]) - lead, 0.0) or float("nan")
    if container.duration and len(container.streams) == 1:
        return container.duration / 1e6 - lead
    return float("nan")


def upright(frame: Any) -> np.ndarray:
    """Decode a frame to RGB, turned as a player turns it."""
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))


def _take(
    container: Any, n_frames: int, duration: float, each: Callable[[np.ndarray], np.ndarray] | None = None
) -> _Found:
    """Decode forward and keep the frames that are shown at the middles; without a duration, only find the end."""
    import av

    found = _Found(each)
    aspect = container.streams.video[0].sample_aspect_ratio
    middles = (np.arange(n_frames) + 0.5) / n_frames * duration
    shown: Any = None
    rate = container.streams.video[0].average_rate
    start, now = None, 0.0
    try:
        for number, frame in enumerate(container.decode(video=0)):
            # Streams without a container (.h264) have no times: frames are counted.
            time = frame.time if frame.time is not None else number / float(rate or 25)
            start = time if start is None else start
            now = time - start
            if frame.is_corrupt:
                found.problem = f"it has a damaged frame at {now:.2f} s"
            # A frame is shown until the next one comes.
            while len(found.frames) < n_frames and now > middles[len(found.frames)]:
                _keep(found, shown if shown is not None else (frame, now), aspect)
            shown = (frame, now)
            if len(found.frames) == n_frames:
                return found
    except av.error.FFmpegError as error:
        found.problem = f"it breaks off at {now:.2f} s ({error})"
        return found
    if shown is None:
        return found
    found.end = shown[1] + (1.0 / float(rate) if rate else 0.0)
    missing = n_frames - len(found.frames)
    found.short = not np.isnan(duration) and missing > 0 and middles[-1] > found.end
    if not found.short and not np.isnan(duration):
        for _ in range(missing):
            _keep(found, shown, aspect)
    return found


def _keep(found: _Found, shown: tuple[Any, float], aspect: Any) -> None:
    frame, time = shown
    pixels = upright(frame)
    if aspect and aspect != 1:
        # Pixels of DV and DVD are not square; a player widens or narrows the picture.
        turned = pixels.shape[0] != frame.height
        height, width = pixels.shape[:2]
        size = (width, round(height * float(aspect))) if turned else (round(width * float(aspect)), height)
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    found.frames.append(found.each(pixels) if found.each else pixels)
    found.times.append(float(time))
