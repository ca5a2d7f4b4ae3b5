"""Which region every target of a participant lies in, kept beside its scores for outlines and names."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core import Atlas
from ..io.atomic import atomic_file

LABELS = "scores/labels.npz"


@dataclass(frozen=True, eq=False, slots=True)
class Labels:
    """Regions of one atlas on the targets of a participant.

    Attributes
    ----------
    atlas : str
        Name of the atlas.
    numbers : ndarray of int32, shape (n_targets,)
        Number of the region of each target; 0 for none.
    regions : dict of int to str
        Name of each number.
    rois : tuple of (str, str, str, tuple of int)
        Of every ROI: its set, its name, how far it can be trusted, and the numbers of its regions.
    """

    atlas: str
    numbers: np.ndarray
    regions: dict[int, str]
    rois: tuple[tuple[str, str, str, tuple[int, ...]], ...]


def write_labels(folder: Path, atlases: Sequence[tuple[Atlas | None, np.ndarray]]) -> Path | None:
    """Write which region every target lies in.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>``.
    atlases : sequence of (Atlas or None, ndarray of int, shape (n_targets,))
        Atlases with their label of each target; None stands for all targets as one.

    Returns
    -------
    Path or None
        The file; None where there is no atlas.
    """
    found = [(atlas, labels) for atlas, labels in atlases if atlas is not None]
    if not found:
        (folder / LABELS).unlink(missing_ok=True)
        return None
    told = []
    for atlas, _ in found:
        of = dict(zip(atlas.region, atlas.index.tolist(), strict=True))
        rois = [
            (roi.set, roi.roi, roi.confidence, _numbers(atlas, [of[r] for r in roi.regions])) for roi in atlas.roi_sets
        ]
        told.append({"atlas": atlas.name, "regions": _names(atlas), "rois": rois})
    arrays = {f"atlas_{k}": labels.astype(np.int32) for k, (_, labels) in enumerate(found)}
    with atomic_file(folder / LABELS) as temporary, temporary.open("wb") as target:
        np.savez_compressed(target, allow_pickle=False, about=np.array(json.dumps(told, sort_keys=True)), **arrays)
    return folder / LABELS


def _names(atlas: Atlas) -> dict[str, str]:
    """Name every label, those of overlaps after all regions that share them."""
    names = {str(number): name for number, name in zip(atlas.index.tolist(), atlas.region, strict=True)}
    shared = {str(label): " + ".join(names[str(part)] for part in parts) for label, parts in atlas.overlaps}
    return names | shared


def _numbers(atlas: Atlas, wanted: Sequence[int]) -> list[int]:
    return [*wanted, *(label for label, parts in atlas.overlaps if set(wanted) & set(parts))]


def read_labels(folder: Path) -> tuple[Labels, ...]:
    """Read which region every target lies in.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>``.

    Returns
    -------
    tuple of Labels
        One per atlas; none where an earlier version made the results.
    """
    path = folder / LABELS
    if not path.is_file():
        return ()
    with np.load(path, allow_pickle=False) as stored:
        told = json.loads(str(stored["about"]))
        arrays = [stored[f"atlas_{k}"] for k in range(len(told))]
    return tuple(
        Labels(
            one["atlas"], array, {int(number): name for number, name in one["regions"].items()},
            tuple((name, roi, level, tuple(numbers)) for name, roi, level, numbers in one["rois"]),
        )
        for one, array in zip(told, arrays, strict=True)
    )  # fmt: skip
