"""One rule by which names of stimuli in events and in features are the same.

Names are the same if they are spelled alike; otherwise, if they are alike without the ending of a media file and with
whole numbers written plainly (``01``, ``1.0`` and ``1.png`` are ``1``); otherwise, if one of these is the end of the
path of the other (``stimuli/faces/1`` and ``faces/1``). What then has two answers is refused.
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..core import AlignmentError, FeatureSpace, Responses, Samples
from .series import in_time, placement_of

MEDIA = re.compile(
    r"\.(png|jpe?g|gif|bmp|tiff?|webp|svg|mp4|avi|mov|mkv|webm|m4v|wmv|mpe?g|wav|mp3|flac|ogg|m4a|txt|npy|h5)$",
    re.IGNORECASE,
)
WHOLE = re.compile(r"0*([0-9]+)(\.0+)?")


def plain_name(name: str) -> str:
    """Drop the ending of a media file and spell whole numbers plainly; folders stay.

    Examples
    --------
    >>> plain_name("stimuli/faces/01.png"), plain_name("1.0"), plain_name("clip_01")
    ('stimuli/faces/1', '1', 'clip_01')
    """
    *folders, last = MEDIA.sub("", name.strip().replace("\\", "/")).split("/")
    number = WHOLE.fullmatch(last)
    return "/".join([*folders, number[1] if number else last])


def match_stimuli(spaces: Sequence[FeatureSpace], responses: Responses) -> tuple[tuple[FeatureSpace, ...], Responses]:
    """Match the spelling of stimuli in events and feature spaces.

    Presentations take the names of the first space, other spaces take those. Names without a partner stay.

    Parameters
    ----------
    spaces : sequence of FeatureSpace
        One row per stimulus, or in time; those of runs stay as they are.
    responses : Responses
        What was shown.

    Returns
    -------
    spaces : tuple of FeatureSpace
        The same objects where nothing had to be renamed.
    responses : Responses
        The same object where nothing had to be renamed.

    Raises
    ------
    AlignmentError
        If a name may be one of several.

    Examples
    --------
    >>> from encoding.loading import match_stimuli
    >>> spaces, responses = match_stimuli(loaded.described, loaded.responses)
    >>> responses.samples.stimulus[:2]
    array(['video0028', 'video0026'], dtype='<U9')
    """
    renamed, named = [], False
    for space in spaces:
        if in_time(space) and placement_of(space).keys != ("stimulus",):
            renamed.append(space)
            continue
        known = space.samples.stimulus
        partner = same_names(_shown(responses), known, space.name)
        if all(name == other for name, other in partner.items()):
            renamed.append(space)
        elif not named:
            responses = _renamed(responses, partner)
            renamed.append(space)
        else:
            renamed.append(_respelled(space, {other: name for name, other in partner.items()}))
        named = True
    return tuple(renamed), responses


def _respelled(space: FeatureSpace, names: Mapping[str, str]) -> FeatureSpace:
    stimulus = np.asarray([names.get(name, name) for name in space.samples.stimulus.tolist()], dtype=str)
    return dataclasses.replace(space, samples=dataclasses.replace(space.samples, stimulus=stimulus))


def same_names(shown: Iterable[str], known: np.ndarray, space: str) -> dict[str, str]:
    """Find the known name of every name that was shown, as far as there is one."""
    exact = set(known.tolist())
    partner = {name: name for name in shown if name in exact}
    left = [name for name in shown if name not in exact]
    simple = defaultdict(list)
    for name in exact if left else ():
        simple[plain_name(name).rsplit("/", 1)[-1]].append(name)
    for name in left:
        plain = plain_name(name)
        alike = [other for other in simple.get(plain.rsplit("/", 1)[-1], []) if _one_path(plain, plain_name(other))]
        found = [other for other in alike if plain_name(other) == plain] or alike
        if len(found) > 1:
            raise AlignmentError(
                f"FeatureSpace {space!r}: {name!r} of the events may be "
                f"{' or '.join(map(repr, sorted(found)[:3]))} of its {len(exact)} stimuli. Spell the names alike."
            )
        if found:
            partner[name] = found[0]
    _require_one_folder(partner, space)
    return partner


def _one_path(name: str, other: str) -> bool:
    """Return True if one path is the end of the other."""
    return f"/{name}".endswith(f"/{other}") or f"/{other}".endswith(f"/{name}")


def _require_one_folder(partner: dict[str, str], space: str) -> None:
    """Refuse files of one name in several folders that would all become one stimulus."""
    places = defaultdict(set)
    for name, other in partner.items():
        if "/" in name.replace("\\", "/"):
            places[other].add(plain_name(name))
    for other, names in places.items():
        if len(names) > 1:
            raise AlignmentError(
                f"FeatureSpace {space!r}: {' and '.join(map(repr, sorted(names)[:3]))} of the events would both be its "
                f"stimulus {other!r}. Name the stimuli of features with their folders."
            )


def _shown(responses: Responses) -> list[str]:
    names = np.unique(np.concatenate([responses.samples.stimulus, responses.presentations.stimulus]))
    return [name for name in names.tolist() if name]


def _renamed(responses: Responses, partner: dict[str, str]) -> Responses:
    def named(axis: Samples) -> Samples:
        return dataclasses.replace(
            axis, stimulus=np.asarray([partner.get(name, name) for name in axis.stimulus.tolist()], dtype=str)
        )

    return dataclasses.replace(
        responses, samples=named(responses.samples), presentations=named(responses.presentations)
    )
