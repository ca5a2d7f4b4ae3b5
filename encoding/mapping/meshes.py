"""Which cortical surface the maps of a participant are drawn on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core import ConfigError, DataError, Targets
from ..drawing.mesh import FLAT, FSAVERAGE, MAKE_MESH, N_VERTICES, Meshes, fs_lr_32k, fsaverage, meshes_of_files
from .settings import Maps

FSLR_32K = 32492
LEFT = "CORTEX_LEFT"
# Shapes that fMRIPrep writes in the subject's own space, the one to draw on first
NATIVE = ("inflated", "pial", "midthickness", "white", "smoothwm")


@dataclass(frozen=True, slots=True)
class Surfaces:
    """Meshes to draw on, or the reason why there are none.

    Attributes
    ----------
    meshes : Meshes or None
        Both hemispheres.
    projected : bool
        Whether volumes are sampled onto them.
    missing : str
        What is not drawn, why, and what helps.

    Examples
    --------
    >>> from encoding.mapping import Surfaces
    >>> Surfaces(missing="no mesh").missing
    'no mesh'
    """

    meshes: Meshes | None = None
    projected: bool = False
    missing: str = ""


def find_surfaces(
    settings: Maps, targets: Targets, subject: str = "", base: Path | None = None, derivatives: Sequence[Path] = ()
) -> Surfaces:
    """Find the meshes for the targets of a participant.

    Parameters
    ----------
    settings : Maps
        What is asked for.
    targets : Targets
        What the maps are about.
    subject : str, optional
        Label without ``sub-``.
    base : Path, optional
        Folder that files are relative to.
    derivatives : sequence of Path, optional
        Where fMRIPrep's surfaces may be.

    Returns
    -------
    Surfaces
        Meshes with as many vertices as the targets have, or the reason why there are none.

    Raises
    ------
    ConfigError
        If files are named that do not exist or do not fit.

    Examples
    --------
    >>> from encoding.mapping import find_surfaces
    >>> find_surfaces(study.maps, loaded.responses.targets).meshes is None
    True
    """
    size = targets.n_vertices.get(LEFT)
    wanted = settings.mesh
    if size is None and (targets.kind != "voxel" or not settings.project):
        return Surfaces()
    if "/" in wanted or "." in wanted or "{" in wanted:
        meshes = _of_files(settings, subject, base or Path())
    elif wanted != "auto":
        meshes = named_meshes(wanted)
    elif size is None:
        return _projected(targets, subject, derivatives)
    else:
        try:
            found = known_meshes(targets.space, size) or native_meshes(subject, derivatives, targets.space)
        except DataError as error:
            return Surfaces(missing=f"The cortex is not drawn: {error}")
        if found is None:
            return Surfaces(missing=_missing(targets, size, derivatives))
        meshes = found
    if size is None:
        return Surfaces(meshes, projected=True)
    expected = size, targets.n_vertices.get("CORTEX_RIGHT", size)
    if meshes.n_vertices != expected:
        raise ConfigError(
            f"[map] mesh = {wanted!r}: has {meshes.n_vertices} vertices (left, right), but the responses in space "
            f"{targets.space!r} have {expected}. Name the mesh that they were sampled onto."
        )
    return Surfaces(meshes)


def named_meshes(name: str) -> Meshes:
    """Return a mesh by name: one of fsaverage, or fsLR with 32k vertices."""
    if name.lower().startswith("fslr"):
        return fs_lr_32k()
    if name not in (*FSAVERAGE, "fsaverage7"):
        raise ConfigError(
            f"[map] mesh = {name!r} is unknown: needed is auto, {', '.join(FSAVERAGE)}, fsLR-32k, or GIFTI files with "
            f"{{hemi}} in their name."
        )
    return fsaverage(name)


def known_meshes(space: str, size: int) -> Meshes | None:
    """Return the mesh of a template with so many vertices per hemisphere; None if there is none."""
    if space.startswith("fsLR") or size == FSLR_32K:
        return fs_lr_32k() if size == FSLR_32K else None
    sizes = {(N_VERTICES - 2) * 4**n // 1 + 2: name for name, n in FSAVERAGE.items() if n >= 0}
    sizes |= {642: "fsaverage3", 2562: "fsaverage4"}
    native = "native" in space
    return None if native or size not in sizes else fsaverage(sizes[size])


def native_meshes(subject: str, derivatives: Sequence[Path], name: str = "fsnative") -> Meshes | None:
    """Find a subject's own surfaces as fMRIPrep names them; None if there are none."""
    for folder in derivatives:
        places = [path for path in folder.glob(f"sub-{subject}/**/anat") if path.is_dir()]
        for place in sorted(places):
            files = {shape: _pair(place, subject, shape, "surf.gii") for shape in NATIVE}
            there = {shape: pair for shape, pair in files.items() if pair is not None}
            if there:
                sulc = _pair(place, subject, "sulc", "shape.gii")
                return meshes_of_files(f"{name} of sub-{subject}", there, sulc=sulc)
    return None


def _pair(place: Path, subject: str, shape: str, extension: str) -> tuple[Path, Path] | None:
    """Files of both hemispheres, without a space entity; fMRIPrep has used two suffixes for the same."""
    found = []
    for hemi in "LR":
        paths = sorted(place.glob(f"sub-{subject}_*hemi-{hemi}_*{shape}.{extension}"))
        paths += sorted(place.glob(f"sub-{subject}_hemi-{hemi}_{shape}.{extension}"))
        own = [path for path in dict.fromkeys(paths) if "_space-fs" not in path.name and "_den-" not in path.name]
        found += own[:1]
    return (found[0], found[1]) if len(found) == 2 else None


def _of_files(settings: Maps, subject: str, base: Path) -> Meshes:
    files = {"mesh": _files(settings.mesh, "mesh", subject, base)}
    if settings.flat:
        files[FLAT] = _files(settings.flat, FLAT, subject, base)
    sulc = tuple(
        path.with_name(path.name.replace(f"{shape}.surf.gii", "sulc.shape.gii"))
        for path in files["mesh"]
        for shape in NATIVE
        if path.name.endswith(f"{shape}.surf.gii")
    )
    there = len(sulc) == 2 and all(path.is_file() for path in sulc)
    name = files["mesh"][0].name
    return meshes_of_files(name, files, sulc=(sulc[0], sulc[1]) if there else None)


def _files(pattern: str, setting: str, subject: str, base: Path) -> tuple[Path, Path]:
    if "{hemi}" not in pattern:
        raise ConfigError(f"[map] {setting} = {pattern!r}: {{hemi}} must stand where files say L and R.")
    left, right = (base / pattern.replace("{hemi}", hemi).replace("{subject}", subject) for hemi in "LR")
    for path in (left, right):
        if not path.is_file():
            raise ConfigError(f"[map] {setting} = {pattern!r}: there is no file {path}.")
    return left, right


def _projected(targets: Targets, subject: str, derivatives: Sequence[Path]) -> Surfaces:
    if targets.space.startswith("MNI"):
        return Surfaces(fsaverage(), projected=True)
    own = native_meshes(subject, derivatives) if targets.space in ("T1w", "anat") else None
    return Surfaces(own, projected=own is not None)


def _missing(targets: Targets, size: int, derivatives: Sequence[Path]) -> str:
    looked = f" fMRIPrep's surfaces were looked for in {', '.join(map(str, derivatives))}." if derivatives else ""
    return (
        f"The cortex is not drawn: no installed package has a mesh of {size:,} vertices for space "
        f"{targets.space!r}.{looked} {MAKE_MESH}."
    )
