"""What stands for a stimulus in a trial: one caption of several, or its frames."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..core import ConfigError, DataError, Plan, suggest
from ..numerics.mixing import BLOCK, hashed
from ..numerics.triplet_ranks import rank_triplets

POLICIES = ("first", "fixed", "random", "rotating")
CAPTION = 11  # stream of random numbers
MASK = "[...]"


@dataclass(frozen=True, eq=False, slots=True)
class Contents:
    """Everything that can be shown to an annotator.

    Attributes
    ----------
    stimuli : tuple of str
        Names, in the order of the plan.
    start : ndarray of int64, shape (n_stimuli + 1,)
        Contents ``start[i]`` to ``start[i + 1] - 1`` are of stimulus i.
    digests : tuple of str
        Hash of each content.
    texts : tuple of str
        Caption of each, "" if it has none.
    images : tuple of tuple of Path
        Files of the frames of each, in the order of time.
    videos : tuple of Path
        The clip itself, where it is shown as it is; empty elsewhere.

    Examples
    --------
    >>> from encoding.collection import of_captions
    >>> of_captions(["clip1", "clip2"], {"clip1": ["A dog."], "clip2": ["A cat."]}).texts
    ('A dog.', 'A cat.')
    """

    stimuli: tuple[str, ...]
    start: np.ndarray
    digests: tuple[str, ...]
    texts: tuple[str, ...]
    images: tuple[tuple[Path, ...], ...]
    videos: tuple[Path, ...] = ()

    def same(self) -> list[tuple[str, ...]]:
        """Return the stimuli that show exactly the same, in groups.

        Returns
        -------
        list of tuple of str
            Groups of two or more stimuli.
        """
        found: dict[str, list[str]] = {}
        for owner, key in zip(self.owners, self.digests, strict=True):
            found.setdefault(key, []).append(owner)
        return [tuple(names) for names in found.values() if len(set(names)) > 1]

    @property
    def owners(self) -> list[str]:
        """Name of the stimulus of each content."""
        return np.repeat(np.array(self.stimuli, dtype=str), np.diff(self.start)).tolist()

    def __len__(self) -> int:
        return len(self.digests)


def of_names(stimuli: Sequence[str]) -> Contents:
    """Make contents for annotators that identify stimuli by name.

    Parameters
    ----------
    stimuli : sequence of str
        Names.

    Returns
    -------
    Contents
        One per stimulus.

    Examples
    --------
    >>> from encoding.collection import of_names
    >>> of_names(["clip1", "clip2"]).stimuli
    ('clip1', 'clip2')
    """
    digests = tuple(_digest(["name", name]) for name in stimuli)
    nothing = ("",) * len(digests), ((),) * len(digests)
    return Contents(tuple(stimuli), np.arange(len(digests) + 1), digests, *nothing)


def of_captions(
    stimuli: Sequence[str], captions: Mapping[str, Sequence[str]], *, policy: str = "first", number: int = 1,
    masked: bool = False,
) -> Contents:  # fmt: skip
    """Make contents of captions.

    Parameters
    ----------
    stimuli : sequence of str
        Names.
    captions : mapping of str to sequence of str
        One or several per stimulus.
    policy : {"first", "fixed", "random", "rotating"}, optional
        Always the first caption, always that of one number, or any of them.
    number : int, optional
        Of the caption, from 1, for the policy "fixed".
    masked : bool, optional
        Whether words for emotions are taken out, as a control.

    Returns
    -------
    Contents
        All captions that can be shown.

    Raises
    ------
    DataError
        If a stimulus has no caption, or not as many as needed.

    Examples
    --------
    >>> from encoding.collection import of_captions
    >>> of_captions(["clip1"], {"clip1": ["A dog.", "A brown dog."]}, policy="fixed", number=2).texts
    ('A brown dog.',)
    """
    if policy not in POLICIES:
        raise ConfigError(f"[stimuli] captions_shown = {policy!r}. {suggest(str(policy), POLICIES)}")
    texts: list[str] = []
    start = [0]
    for name in stimuli:
        found = [" ".join(text.split()) for text in captions.get(name, ()) if text.strip()]
        needed = number if policy == "fixed" else 1
        if len(found) < needed:
            raise DataError(f"Stimulus {name!r} has {len(found)} captions, but {needed} were needed.")
        chosen = found if policy in ("random", "rotating") else found[needed - 1 : needed]
        texts += [mask_emotions(text) for text in chosen] if masked else chosen
        start.append(len(texts))
    digests = tuple(_digest(["caption", text]) for text in texts)
    # Two equal captions of one stimulus are one content, but keep their two places: each is shown as often.
    return Contents(tuple(stimuli), np.array(start), digests, tuple(texts), ((),) * len(texts))


def of_frames(stimuli: Sequence[str], frames: Mapping[str, Sequence[tuple[Path, str]]]) -> Contents:
    """Make contents of frames.

    Parameters
    ----------
    stimuli : sequence of str
        Names.
    frames : mapping of str to sequence of (Path, str)
        File and hash of each frame of each stimulus, in the order of time.

    Returns
    -------
    Contents
        One per stimulus.

    Raises
    ------
    DataError
        If a stimulus has no frames.

    Examples
    --------
    >>> from encoding.collection import of_frames
    >>> frames = {"clip1": [(Path("1.jpg"), "digest 1"), (Path("2.jpg"), "digest 2")]}
    >>> [image.name for image in of_frames(["clip1"], frames).images[0]]
    ['1.jpg', '2.jpg']
    """
    for name in stimuli:
        if not frames.get(name):
            raise DataError(f"Stimulus {name!r} has no frames. `encoding collect plan` lists clips that have none.")
    digests = tuple(_digest(["frames", *(key for _, key in frames[name])]) for name in stimuli)
    images = tuple(tuple(path for path, _ in frames[name]) for name in stimuli)
    return Contents(tuple(stimuli), np.arange(len(digests) + 1), digests, ("",) * len(digests), images)


def of_videos(frames: Contents, clips: Mapping[str, tuple[Path, str]]) -> Contents:
    """Make contents of whole clips (file and fingerprint of each stimulus), whose frames are kept for people to see.

    Parameters
    ----------
    frames : Contents
        Frames of the clips.
    clips : mapping of str to (Path, str)
        File and fingerprint of every clip, by stimulus.

    Returns
    -------
    Contents
        One clip per stimulus.

    Examples
    --------
    >>> from encoding.collection import of_frames, of_videos
    >>> frames = of_frames(["clip1"], {"clip1": [(Path("1.jpg"), "digest 1")]})
    >>> of_videos(frames, {"clip1": (Path("1.mp4"), "digest")}).videos[0].name
    '1.mp4'
    """
    digests = tuple(_digest(["video", clips[name][1]]) for name in frames.stimuli)
    videos = tuple(clips[name][0] for name in frames.stimuli)
    return Contents(frames.stimuli, frames.start, digests, frames.texts, frames.images, videos)


def choose(plan: Plan, contents: Contents, policy: str = "first", seed: int = 0) -> np.ndarray:
    """Choose what is shown in every trial.

    Parameters
    ----------
    plan : Plan
        Trials.
    contents : Contents
        What can be shown of each stimulus.
    policy : {"first", "fixed", "random", "rotating"}, optional
        "random": drawn for each item of each trial, whatever else is planned; "rotating": each time that a stimulus
        occurs in the plan, its next caption.
    seed : int, optional
        Seed of "random".

    Returns
    -------
    ndarray of int32, shape (n_trials, 3)
        Index into the contents.

    Examples
    --------
    >>> from encoding.collection import choose, of_names
    >>> choose(opened.plan, of_names(opened.plan.stimuli)).shape
    (320, 3)
    """
    start = contents.start[:-1].astype(np.int32)
    several = np.diff(contents.start)
    shown = np.empty((len(plan), 3), dtype=np.int32)
    turn = np.zeros(len(several), dtype=np.int64)
    for first in range(0, len(plan), BLOCK):
        part = plan.items[first : first + BLOCK]
        chosen = start[part]
        if (several > 1).any():
            if policy == "rotating":
                draw = turn[part] + _occurrence(part)
                turn += np.bincount(part.ravel(), minlength=len(turn))
            else:
                repeat = plan.repeat[first : first + BLOCK].astype(np.uint64)
                trial = rank_triplets(part).astype(np.uint64) * np.uint64(1 << 15) + repeat
                place = np.argsort(np.argsort(part, axis=1), axis=1).astype(np.uint64)
                draw = (hashed(trial[:, None] * np.uint64(3) + place, seed, CAPTION) >> np.uint64(12)).astype(np.int64)
            chosen = chosen + (draw % several[part]).astype(np.int32)
        shown[first : first + BLOCK] = chosen
    return shown


def _occurrence(part: np.ndarray) -> np.ndarray:
    """Count the occurrences of every value within an array, row after row."""
    flat = part.ravel()
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    numbers = np.arange(len(flat)) - np.repeat(starts, np.diff(np.r_[starts, len(flat)]))
    result = np.empty(len(flat), dtype=np.int64)
    result[order] = numbers
    return result.reshape(part.shape)


def mask_emotions(text: str) -> str:
    """Replace words that name an emotion.

    Parameters
    ----------
    text : str
        A caption.

    Returns
    -------
    str
        The caption with "[...]" in their place.

    Examples
    --------
    >>> mask_emotions("A scared man cries happily at home.")
    'A [...] man [...] [...] at home.'
    """
    return _emotion_words().sub(MASK, text)


@cache
def _emotion_words() -> re.Pattern[str]:
    lines = (files(__package__) / "emotion_words.txt").read_text(encoding="utf-8").splitlines()
    stems = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    parts = [re.escape(stem.removesuffix("*")) + (r"[a-z]*" if stem.endswith("*") else "") for stem in stems]
    return re.compile(rf"\b(?:{'|'.join(sorted(parts, key=len, reverse=True))})\b", re.IGNORECASE)


def _digest(parts: Sequence[str]) -> str:
    state = hashlib.sha256()
    for part in parts:
        state.update(f"{len(part)}:".encode())
        state.update(part.encode())
    return state.hexdigest()
