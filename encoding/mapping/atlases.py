"""Which atlases a set of targets is summarised with."""

from collections.abc import Sequence
from pathlib import Path

from ..core import ConfigError, Targets
from .settings import BDATA

SEGMENTATIONS = ("aseg", "aparcaseg")
DEFAULT_SURFACE_ATLAS = "Schaefer2018-200"


def choose_atlases(
    wanted: Sequence[str], targets: Targets, dseg: Sequence[Path], base: Path
) -> list[tuple[str, Path | str]]:
    """Turn the names of the configuration into names and files of atlases.

    Parameters
    ----------
    wanted : sequence of str
        Names, paths relative to the dataset, or "auto".
    targets : Targets
        What is labelled.
    dseg : sequence of Path
        Segmentations that fMRIPrep wrote on the grid of the first run.
    base : Path
        The dataset.

    Returns
    -------
    list of (str, Path or str)
        "aseg", "aparcaseg" or another name, and the file or the name of a shipped atlas.

    Raises
    ------
    ConfigError
        If a segmentation is asked for that is not there.
    """
    chosen: list[tuple[str, Path | str]] = []
    for name in wanted:
        if name.startswith(BDATA):
            chosen.append((name, name))
        elif name == "auto":
            chosen += _automatic(targets, dseg)
        elif name in SEGMENTATIONS:
            found = _segmentation(name, dseg)
            if found is None:
                raise ConfigError(
                    f"[map] atlases: fMRIPrep wrote no desc-{name}_dseg beside the first run in space "
                    f"{targets.space!r}. Leave {name!r} out, or run fMRIPrep with surface reconstruction."
                )
            chosen.append((name, found))
        elif "/" in name or "." in name:
            chosen.append((Path(name).name, base / name))
        else:
            chosen.append((name, name))
    return chosen


def _automatic(targets: Targets, dseg: Sequence[Path]) -> list[tuple[str, Path | str]]:
    if targets.kind == "vertex" and targets.space == "fsaverage5":
        return [(DEFAULT_SURFACE_ATLAS, DEFAULT_SURFACE_ATLAS)]
    found = _segmentation("aseg", dseg) if targets.kind == "voxel" else None
    return [("aseg", found)] if found is not None else []


def _segmentation(kind: str, dseg: Sequence[Path]) -> Path | None:
    found = [path for path in dseg if f"_desc-{kind}_" in path.name]
    return found[0] if found else None
