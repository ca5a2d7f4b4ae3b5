"""Label files of the user: the settings that describe them, and how they become labels and a table of regions."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...core.axes import Grid, Targets
from ...core.errors import DataError
from ..label_tables import KNOWN, Row, is_region, read_label_rows
from ..region_tables import RegionTable, find_table, make_table
from .label_images import LabelImage, hemi_files, labels_of_volume, read_label_image
from .settings import AtlasFile
from .sides import only_present, require_true_sides, separate_sides, without_background

NUMBERS, FREESURFER = "numbers", "FreeSurfer"
ANSWER = (
    f'In TOML: an [[atlas]] table with file, and labels = the path of {KNOWN}, or labels = "{NUMBERS}" to call regions '
    "by their numbers; it takes the place of the file in [map]."
)
MANY = 1000  # numbers without names: more are no atlas but an image of something else


class ReadFiles(NamedTuple):
    """What the files of an atlas hold."""

    labels: np.ndarray
    targets: Targets
    table: RegionTable


def file_paths(files: str | Path | Sequence[str | Path], base: Path = Path(), subject: str = "") -> tuple[Path, ...]:
    """Resolve one or two paths of settings, relative to a folder, for a participant."""
    given = [files] if isinstance(files, str | Path) else list(files)
    return tuple(base / str(file).replace("{subject}", subject) for file in given)


def require_files(about: AtlasFile, base: Path = Path(), subject: str = "") -> tuple[Path, ...]:
    """Raise `DataError` unless the image and the tables are there; return the paths of the image."""
    paths = file_paths(about.file, base, subject)
    images = paths if len(paths) == 2 or not _is_pair(paths[0]) else tuple(hemi_files(paths[0]).values())
    tables = () if about.labels in (None, NUMBERS, FREESURFER) else file_paths(about.labels or "", base, subject)
    for path in (*images, *tables):
        if not path.is_file():
            raise DataError(f"[[atlas]] {about.name!r}: {path}: no such file (relative to the dataset).")
    return paths


def _is_pair(path: Path) -> bool:
    return path.name.endswith((".gii", ".gii.gz", ".annot"))


def read_files(
    about: AtlasFile,
    base: Path = Path(),
    subject: str = "",
    *,
    freesurfer: Sequence[Row] = (),
    grid: Grid | None = None,
) -> ReadFiles:
    """Read the files that settings describe.

    Parameters
    ----------
    about : AtlasFile
        The settings.
    base : Path
        What paths are relative to.
    subject : str
        Label that takes the place of ``{subject}``.
    freesurfer : sequence of dict
        Rows of FreeSurfer's names.
    grid : Grid, optional
        Grid to which probabilities are resampled.
    """
    paths = file_paths(about.file, base, subject)
    tables = () if about.labels in (None, NUMBERS, FREESURFER) else file_paths(about.labels or "", base, subject)
    if about.labels is None:
        tables = _beside(paths[0])
    found = read_label_image(paths, about.space, threshold=about.threshold, chosen=about.map, grid=grid)
    if about.labels == NUMBERS:
        return _numbered(about.name, found, about.both_sides)
    if about.labels == FREESURFER:
        names, strict = {"": [row for row in freesurfer if row["part"] != "none"]}, False
        nothing = [int(row["index"]) for row in freesurfer if row["part"] == "none"]
        found = dataclasses.replace(found, labels=np.where(np.isin(found.labels, nothing), 0, found.labels))
    else:
        names, strict = _names(paths, found, tables)
    return _joined(about.name, found, names, strict, about.both_sides, probabilities=about.threshold is not None)


def _beside(path: Path) -> tuple[Path, ...]:
    """Find the table beside an image; none where the image may hold the names itself."""
    try:
        return (find_table(Path(str(path).replace("{hemi}", "L"))),)
    except DataError as error:
        if not _may_hold_names(path):
            raise DataError(f"{error} {ANSWER}") from None
        return ()


def _may_hold_names(path: Path) -> bool:
    return _is_pair(path) or path.name.endswith((".dlabel.nii", ".dscalar.nii"))


def _names(paths: Sequence[Path], found: LabelImage, tables: Sequence[Path]) -> tuple[dict[str, list[Row]], bool]:
    """Find the names of the labels by hemisphere, and whether every one of them is a region of the image."""
    if len(tables) == 2:
        return {hemi: read_label_rows(path) for hemi, path in zip("LR", tables, strict=True)}, False
    if tables:
        return {"": read_label_rows(tables[0])}, tables[0].suffix == ".tsv"
    if not found.names:
        raise DataError(f"Atlas {paths[0].name}: no table beside it and no names inside. {ANSWER}")
    return {hemi: list(rows) for hemi, rows in found.names.items()}, False


def _joined(
    name: str,
    found: LabelImage,
    names: dict[str, list[Row]],
    strict: bool,
    both_sides: str | None,
    *,
    probabilities: bool = False,
) -> ReadFiles:
    """Join labels and names; background is no region, and unless `strict`, rows without a label are left out."""
    labels = found.labels
    if probabilities:
        names = {key: _by_volume(name, rows, found.n_volumes) for key, rows in names.items()}
    else:
        labels = without_background(labels, names, found.targets.hemi)
        names = {key: [row for row in rows if is_region(row["name"])] for key, rows in names.items()}
    require_true_sides(name, labels, found.targets, names)
    labels, rows = separate_sides(name, labels, found.targets, names, both_sides)
    rows = rows if strict else only_present(rows, labels)
    if not rows:
        raise DataError(
            f"Atlas {name!r}: no label of the image has a name in its table. The image has "
            f"{', '.join(map(str, np.unique(labels[labels != 0])[:5].tolist()))}, ...; table and image do not belong "
            f"together."
        )
    return ReadFiles(labels, found.targets, make_table(rows, name))


def read_bunch(bunch: Any, about: AtlasFile) -> ReadFiles:
    """Read what a function of `nilearn.datasets` returned: maps, a file or an image, and lut, a table."""
    maps, lut = bunch.get("maps"), bunch.get("lut")
    if maps is None or lut is None or not {"index", "name"} <= set(lut.columns):
        raise DataError(
            f"Atlas {about.name!r}: the bunch has no lut with columns index and name, or no maps (nilearn 0.12)."
        )
    if isinstance(maps, str | Path):
        found = read_label_image((Path(maps),), about.space, threshold=about.threshold)
    else:
        found = labels_of_volume(maps, Path(about.name), str(about.space), threshold=about.threshold)
    rows = [{"index": str(row["index"]), "name": str(row["name"])} for row in lut.to_dict("records")]
    probabilities = about.threshold is not None
    return _joined(about.name, found, {"": rows}, False, about.both_sides, probabilities=probabilities)


def _by_volume(name: str, rows: list[Row], n_volumes: int) -> list[Row]:
    """Renumber the rows of a probabilistic atlas by volume, 1..n, in the order of the table."""
    rows = [row for row in rows if not (row["index"] == "0" and row["name"].lower().startswith("background"))]
    if len(rows) != n_volumes:
        raise DataError(
            f"Atlas {name!r}: {n_volumes} volumes, but {len(rows)} rows in its table. Give one row for each volume, in "
            f"their order."
        )
    ordered = sorted(rows, key=lambda row: int(row["index"]))
    return [{**row, "index": str(number)} for number, row in enumerate(ordered, start=1)]


def _numbered(name: str, found: LabelImage, both_sides: str | None) -> ReadFiles:
    """Name regions by their numbers."""
    numbers = np.setdiff1d(found.labels, 0).tolist()
    if len(numbers) > MANY:
        raise DataError(f"Atlas {name!r}: {len(numbers)} different values; this is no label image.")
    return _joined(name, found, {"": [{"index": str(n), "name": str(n)} for n in numbers]}, False, both_sides)
