"""Maps of any origin read back: NIfTI, GIFTI and CIFTI, numbers or labels, with their names and colours."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from ...core import DataError, Targets
from ..bids.sidecars import entities_of, read_json
from .cifti import targets_of_axis
from .surfaces import GIFTI_NAMES, HEMISPHERES
from .volumes import grid_of, readable, voxel_targets

# How names of files tell hemispheres apart, left and right
SIDES = (("hemi-L", "hemi-R"), (".L.", ".R."), ("_L.", "_R."), ("lh.", "rh."), ("left", "right"))
DRAWN = (".nii", ".nii.gz", ".gii", ".gii.gz")
LABEL_INTENT = "NIFTI_INTENT_LABEL"


@dataclass(frozen=True, eq=False, slots=True)
class StoredMap:
    """One map of a file."""

    name: str  # As the file or its name says
    values: np.ndarray  # (n_targets,) NaN where there is none
    targets: Targets
    files: tuple[Path, ...]
    colors: Mapping[int, str] = field(default_factory=dict)  # Of labels, by number; empty for numbers
    names: Mapping[int, str] = field(default_factory=dict)  # Of labels, by number
    sidecar: Mapping[str, Any] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_labels(self) -> bool:
        """Whether values are numbers of labels."""
        return bool(self.colors)


def read_maps(paths: Sequence[Path]) -> list[StoredMap]:
    """Read all maps of some files; hemispheres of one map are joined, whether one or both are named."""
    found: list[StoredMap] = []
    done: set[Path] = set()
    for path in (Path(path) for path in paths):
        if path in done:
            continue
        if path.is_dir():
            raise DataError(f"{path}: is a folder. Name files in it; encoding figure draws a folder of results.")
        if not path.is_file():
            raise DataError(f"{path}: no such file.")
        if not path.name.endswith(DRAWN):
            raise DataError(
                f"{path}: is no map by its name. Drawn are NIfTI (.nii, .nii.gz), GIFTI (.gii, .gii.gz; one of a pair "
                f"is enough) and CIFTI (.dscalar.nii, .dlabel.nii). encoding atlases show NAME draws atlases."
            )
        files = _hemispheres(path) if path.name.endswith((".gii", ".gii.gz")) else (path,)
        done |= set(files)
        with readable(path):
            found += _read(files)
    return found


def _read(files: tuple[Path, ...]) -> list[StoredMap]:
    image: Any = nib.load(files[0])
    known = _known(files[0])
    if isinstance(image, nib.Cifti2Image):
        maps = _read_cifti(image, files)
    elif isinstance(image, nib.GiftiImage):
        maps = _read_gifti([nib.load(path) for path in files], files)
    elif isinstance(image, nib.Nifti1Image | nib.Nifti2Image):
        maps = _read_volume(image, files[0], known)
    else:
        raise DataError(f"{files[0]}: is a {type(image).__name__}; NIfTI, GIFTI or CIFTI was needed.")
    return [replace(one, **known) for one in maps]


def _known(path: Path) -> dict[str, Any]:
    """Read the name and the sidecar of a file."""
    stem = path.name.split(".")[0]
    sidecar = path.with_name(f"{stem}.json")
    return {
        "entities": entities_of(path.name)[0],
        "sidecar": read_json(sidecar) if sidecar.is_file() else {},
    }


def _space(path: Path, default: str) -> str:
    entities = entities_of(path.name)[0]
    return str(entities.get("space") or entities.get("tpl") or default)


def _read_volume(image: Any, path: Path, known: Mapping[str, Any]) -> list[StoredMap]:
    data = np.asarray(image.dataobj, dtype=np.float32)
    data = data.reshape(*data.shape[:3], -1)
    is_mni = 4 in (int(image.header["sform_code"]), int(image.header["qform_code"]))
    space = _space(path, "MNI152" if is_mni else "")
    table = path.with_name(f"{path.name.split('.')[0]}.tsv")
    is_labels = image.header.get_intent()[0] == "label" or table.is_file()
    # Where NaN says what was not measured, 0 is a value; elsewhere 0 is outside, as most tools write it.
    inside = np.asarray((np.isfinite(data) if np.isnan(data).any() else data != 0).any(axis=3))
    targets = voxel_targets(inside, grid_of(image), space)
    described = bytes(image.header["descrip"]).decode("latin-1").strip("\0 ")
    # Tools leave their own name in this field.
    ours = f"{known['entities'].get('model', '?')}: " in described
    maps = []
    for number in range(data.shape[3]):
        values = data[..., number].ravel()[targets.index]
        name = _title(path, number, data.shape[3], described if ours else "")
        colors, names = _table(table, values) if is_labels else ({}, {})
        maps.append(StoredMap(name, values, targets, (path,), colors, names))
    return maps


def _table(path: Path, values: np.ndarray) -> tuple[dict[int, str], dict[int, str]]:
    numbers = [int(number) for number in np.unique(values[np.isfinite(values)]) if number != 0]
    if not path.is_file():
        return color_wheel(numbers), {}
    frame = pd.read_csv(path, sep="\t", keep_default_na=False)
    if not {"index", "name"} <= set(frame.columns):
        return color_wheel(numbers), {}
    names = {int(number): str(name) for number, name in zip(frame["index"], frame["name"], strict=True)}
    wheel = color_wheel(numbers)
    given = dict(zip(frame["index"].astype(int), frame["color"].astype(str), strict=True)) if "color" in frame else {}
    fits = {number: color for number, color in given.items() if re.fullmatch(r"#[0-9A-Fa-f]{6}", color)}
    return {number: fits.get(number, wheel[number]) for number in numbers}, names


def _read_gifti(images: Sequence[Any], files: tuple[Path, ...]) -> list[StoredMap]:
    sides = [_side(image, path) for image, path in zip(images, files, strict=True)]
    sizes = dict(zip(sides, (len(image.darrays[0].data) for image in images), strict=True))
    size = next(iter(sizes.values()))
    sizes = {name: sizes.get(name, size) for name in HEMISPHERES}
    index = np.concatenate([np.arange(n) for n in sizes.values()])
    space = _space(files[0], "")
    targets = Targets("vertex", space, index, np.repeat(list(sizes), list(sizes.values())), n_vertices=sizes)
    n_maps = min(len(image.darrays) for image in images)
    maps = []
    for number in range(n_maps):
        halves = {name: np.full(n, np.nan, dtype=np.float32) for name, n in sizes.items()}
        for side, image in zip(sides, images, strict=True):
            data = np.asarray(image.darrays[number].data, dtype=np.float32)
            if data.shape != (sizes[side],):
                raise DataError(f"{image.get_filename()}: data of shape {data.shape}; one value per vertex was needed.")
            halves[side] = data
        first = images[0].darrays[number]
        own = first.meta.get("Name", "") if first.meta else ""
        colors, names = _gifti_labels(images) if first.intent == nib.nifti1.intent_codes[LABEL_INTENT] else ({}, {})
        name = own if own and not own.startswith("#") else _title(files[0], number, n_maps, "")
        maps.append(StoredMap(name, np.concatenate(list(halves.values())), targets, files, colors, names))
    return maps


def _gifti_labels(images: Sequence[Any]) -> tuple[dict[int, str], dict[int, str]]:
    colors, names = {}, {}
    for image in images:
        for label in image.labeltable.labels:
            names[int(label.key)] = str(label.label)
            if label.alpha != 0 and label.key != 0:
                colors[int(label.key)] = _hex((label.red, label.green, label.blue))
    return colors, names


def _hex(rgb: Sequence[float | None]) -> str:
    return "#" + "".join(f"{round(255 * (channel or 0)):02X}" for channel in rgb)


def _side(image: Any, path: Path) -> str:
    first = image.darrays[0].meta if image.darrays else {}
    stated = image.meta.get("AnatomicalStructurePrimary") or first.get("AnatomicalStructurePrimary")
    for structure, name in GIFTI_NAMES.items():
        if stated == name:
            return structure
    for left, right in SIDES:
        if (left in path.name) != (right in path.name):
            return HEMISPHERES[0] if left in path.name else HEMISPHERES[1]
    raise DataError(
        f"{path}: neither its header nor its name says which hemisphere it is. Put hemi-L or hemi-R into the name."
    )


def _hemispheres(path: Path) -> tuple[Path, ...]:
    """Return the files of both hemispheres, as far as they are there, left first."""
    for left, right in SIDES:
        if (left in path.name) != (right in path.name):
            pair = [path.with_name(path.name.replace(left, side).replace(right, side)) for side in (left, right)]
            return tuple(file for file in pair if file.is_file())
    return (path,)


def _read_cifti(image: Any, files: tuple[Path, ...]) -> list[StoredMap]:
    axis, rows = image.header.get_axis(1), image.header.get_axis(0)
    if not isinstance(axis, nib.cifti2.BrainModelAxis):
        raise DataError(f"{files[0]}: its columns are no grayordinates (BrainModelAxis).")
    targets = targets_of_axis(axis, _space(files[0], "fsLR"))
    data = np.asarray(image.dataobj, dtype=np.float32)
    maps = []
    for number, values in enumerate(data):
        colors: dict[int, str] = {}
        names: dict[int, str] = {}
        if isinstance(rows, nib.cifti2.LabelAxis):
            names = {int(key): name for key, (name, _) in rows.label[number].items()}
            colors = {int(key): _hex(rgba[:3]) for key, (_, rgba) in rows.label[number].items() if key and rgba[3]}
        own = str(rows.name[number]) if hasattr(rows, "name") else ""
        maps.append(StoredMap(own or _title(files[0], number, len(data), ""), values, targets, files, colors, names))
    return maps


def _title(path: Path, number: int, n: int, described: str) -> str:
    stem = described or re.sub(r"[_.]?hemi-[LR]", "", path.name.split(".")[0])
    return stem if n == 1 else f"{stem}, map {number + 1}"


def color_wheel(numbers: Sequence[int]) -> dict[int, str]:
    """Choose colours for labels that have none: neighbours in number differ much in hue."""
    wheel = {}
    for rank, number in enumerate(numbers):
        hue, light = (rank * 0.618034) % 1.0, (0.55, 0.75, 0.4)[rank % 3]
        channels = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
        wheel[number] = _hex(((light + (channels - 0.5) * 0.7 * min(light, 1 - light) * 2).clip(0, 1)).tolist())
    return wheel
