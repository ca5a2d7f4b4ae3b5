"""Atlases: those that are shipped, fMRIPrep's segmentations, and the user's own.

The only module that reads the data package ``roi_atlases``.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...core.atlas import Atlas
from ...core.axes import Targets
from ...core.errors import DataError, suggest
from ...core.plugins import load_plugins
from ..bdata.rois import PREFIX, bdata_atlas
from ..region_tables import RegionTable, entities, make_table, read_rows, read_table
from .fetching import described
from .files import FREESURFER, file_paths, read_bunch, read_files
from .label_images import read_labels
from .matching import match_atlas
from .moving import fit_atlas
from .packages import MOVED, PACKAGED, load_packaged
from .remote import REMOTE
from .roi_sets import RoiPattern, attach_roi_sets, read_roi_patterns
from .settings import AtlasFile, RoiGroup
from .shipped import MADE_ON, SHIPPED, read_shipped, table_path
from .user_sets import Labelled, add_roi_sets, check_roi_sets

__all__ = [
    "AtlasFile",
    "AtlasInfo",
    "RoiGroup",
    "add_user_sets",
    "attach_roi_sets",
    "available_atlases",
    "load_atlas",
    "load_bdata_atlas",
    "load_bunch",
    "load_dseg",
    "load_files",
    "load_structures",
    "match_atlas",
    "read_roi_sets",
]

logger = logging.getLogger(__name__)

DSEG_PARTS = {"aseg": ("subcortex",), "aparcaseg": ("subcortex", "cortex")}
PLUGINS = "encoding.atlases"  # entry points: functions without arguments that return an Atlas
BDATA_ATLASES = ("hcp180", "yeo17", "subcortex")
DSEG_TABLE = "atlas-FreeSurfer_dseg.tsv"


@dataclass(frozen=True, slots=True)
class AtlasInfo:
    """What is known of an atlas without loading it.

    Attributes
    ----------
    name : str
        The name to load it by.
    kind : {"shipped", "segmentation", "package", "plugin"}
        "shipped": for `load_atlas`. "segmentation": only the table is shipped; the volume is the
        user's fMRIPrep output, for `load_dseg`. "package": for `load_atlas`, if the package that carries
        it is installed. "plugin": for `load_atlas`, of a package with an entry point ``encoding.atlases``.
    space : str
        Reference space.
    n_regions : int
        Number of regions.
    licence, citation, summary : str
        Terms of use, what to cite, one sentence.
    """

    name: str
    kind: str
    space: str
    n_regions: int
    licence: str
    citation: str
    summary: str


def _folder() -> Path:
    return Path(str(files("roi_atlases")))


def _description(atlas: str, folder: Path) -> dict[str, str]:
    path = folder / f"atlas-{atlas}_description.json"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"Atlas description {path}: not JSON ({error}).") from error
    links = content.get("ReferencesAndLinks", "")
    linked = "; ".join(map(str, links)) if isinstance(links, list) else str(links)
    return {
        "citation": str(content.get("Citation", linked)),
        "licence": str(content.get("License", "")),
        "space": str(content.get("Space", "")),
        "summary": str(content.get("Summary", "")),
    }


def available_atlases() -> list[AtlasInfo]:
    """List the atlases that need no file of the user's beyond fMRIPrep's output.

    Returns
    -------
    list of AtlasInfo
        One per atlas.

    Examples
    --------
    >>> [atlas.name for atlas in available_atlases() if atlas.kind != "shipped"]
    ['aseg', 'aparcaseg', 'HCP-MMP1', 'Yeo2011-7', 'Yeo2011-17', 'DesikanKilliany']
    """
    infos = []
    for name, shipped in SHIPPED.items():
        n_regions = len(read_table(table_path(name, _folder())).index)
        told = _description(shipped.atlas, _folder()) | {"space": ", ".join(shipped.spaces)}
        infos.append(AtlasInfo(name, "shipped", n_regions=n_regions, **told))
    for name in DSEG_PARTS:
        n_regions = len(_dseg_rows(DSEG_PARTS[name]))
        infos.append(AtlasInfo(name, "segmentation", n_regions=n_regions, **_description("FreeSurfer", _folder())))
    for name, about in PACKAGED.items():
        spaces = ", ".join(dict.fromkeys((about.space, "fsLR", "fsaverage")))
        infos.append(AtlasInfo(name, "package", spaces, about.n_regions, about.licence, about.citation, about.summary))
    for name in load_plugins(PLUGINS):
        atlas = _of_plugin(name)
        infos.append(
            AtlasInfo(name, "plugin", atlas.targets.space, len(atlas.region), atlas.licence, atlas.citation, "")
        )
    return infos


def read_roi_sets(*, as_released: bool = False) -> tuple[RoiPattern, ...]:
    """Read the shipped table of ROI sets.

    Parameters
    ----------
    as_released : bool, optional
        Whether to take the groups of areas of Horikawa et al. 2020 as in their released file, in which the areas of
        ACC and Insula stand under each other's name, in place of the corrected ones.

    Returns
    -------
    tuple of RoiPattern
        One per row; `attach_roi_sets` adds those that fit to an atlas.
    """
    sets = read_roi_patterns(_folder() / "roi_sets.tsv")
    if not as_released:
        return sets
    instead = read_roi_patterns(_folder() / "roi_sets_as_released.tsv")
    replaced = {row.set.removesuffix("_as_released") for row in instead}
    return (*(row for row in sets if row.set not in replaced), *instead)


def add_user_sets(
    groups: Sequence[RoiGroup],
    labelled: Sequence[Labelled],
    targets: Targets | None,
    *,
    base: str | Path = ".",
    subject: str = "",
    voxels: Targets | None = None,
) -> list[Labelled]:
    """Add ROI sets of the user to the atlases of some targets.

    Parameters
    ----------
    groups : sequence of RoiGroup
        The sets, as ``[[roi_set]]`` tables describe them.
    labelled : sequence of (Atlas or None, ndarray)
        Atlases, each with the label of every target (see `match_atlas`).
    targets : Targets or None
        The targets; None only checks names, files and regions, and adds nothing.
    base : str or Path, optional
        Folder that files are relative to.
    subject : str, optional
        Label that takes the place of ``{subject}``.
    voxels : Targets, optional
        Where `targets` is None: the voxels among the targets, in which spheres of atlases of voxels must lie.

    Returns
    -------
    list of (Atlas or None, ndarray)
        Groups of regions are ROI sets of their atlas. Spheres and masks are new regions of it, or of an atlas of their
        own.

    Raises
    ------
    ConfigError
        If an atlas or a region is not there, or coordinates say nothing in the space of the targets.
    DataError
        If a file is missing or wrong, or no target lies in a sphere.
    """
    shipped = _folder() / "roi_sets_on_request.tsv"
    if targets is None:
        check_roi_sets(groups, labelled, voxels, base=Path(base), shipped=shipped, subject=subject)
        return list(labelled)
    return add_roi_sets(groups, labelled, targets, base=Path(base), shipped=shipped, subject=subject)


def load_structures(targets: Targets, *, as_released: bool = False) -> Atlas:
    """Make an atlas of the structures that grayordinates name: amygdala, hippocampus and others, by FreeSurfer's names.

    Parameters
    ----------
    targets : Targets
        Grayordinates, or voxels of a CIFTI file.
    as_released : bool, optional
        See `read_roi_sets`.

    Returns
    -------
    Atlas
        Named "structures"; the cortex has no region.

    Raises
    ------
    DataError
        If no target lies in a structure outside the cortex.
    """
    table = make_table(_dseg_rows(DSEG_PARTS["aseg"]), DSEG_TABLE)
    of_name = {structure_of(name): number for name, number in zip(table.region, table.index, strict=True)}
    labels = np.array([of_name.get(name, 0) for name in targets.structure.tolist()], dtype=np.int32)
    if not labels.any():
        raise DataError(
            f"Atlas 'structures': {targets!r} have no structure outside the cortex. It is for CIFTI files of fMRIPrep "
            f"(--cifti-output), whose grayordinates name theirs; in volumes, use 'aseg'."
        )
    path = _folder() / "atlas-FreeSurfer_dseg"
    return _assemble("structures", labels, targets, table, path, as_released=as_released)


def structure_of(name: str) -> str:
    """Return the CIFTI structure of one of FreeSurfer's names ("Left-Amygdala" is AMYGDALA_LEFT)."""
    side, _, rest = name.partition("-") if name.startswith(("Left-", "Right-")) else ("", "", name)
    known = {"Accumbens-area": "ACCUMBENS", "Cerebellum-Cortex": "CEREBELLUM", "VentralDC": "DIENCEPHALON_VENTRAL"}
    return "_".join(filter(None, (known.get(rest, rest.upper().replace("-", "_")), side.upper())))


def load_bdata_atlas(path: str | Path, what: str, *, space: str, as_released: bool = False) -> Atlas:
    """Load masks of regions from a bdata file.

    Parameters
    ----------
    path : str or Path
        The file.
    what : str
        "bdata:hcp180", "bdata:yeo17", "bdata:subcortex", or ``bdata:`` and a shell pattern of names of masks.
    space : str
        BIDS label of the space of the voxels.
    as_released : bool, optional
        See `read_roi_sets`.

    Returns
    -------
    Atlas
        On the voxels of the file; hcp180 with the groups of areas as ROI sets.

    Raises
    ------
    DataError
        If a mask is missing, or its name tells another hemisphere than the coordinates of its voxels.
    """
    atlas = bdata_atlas(Path(path), what, space)
    if what.removeprefix(PREFIX) not in BDATA_ATLASES:
        return atlas
    return attach_roi_sets(atlas, read_roi_sets(as_released=as_released))


def load_atlas(
    name_or_path: str | Path,
    *,
    table: str | Path | None = None,
    space: str | None = None,
    as_released: bool = False,
) -> Atlas:
    """Load a shipped atlas by name, or the user's own from files.

    Parameters
    ----------
    name_or_path : str or Path
        A name that `available_atlases` lists as "shipped", "package" or "plugin", or a label image: NIfTI or MGH, a
        GIFTI or ``.annot`` pair (the file with ``hemi-L`` or ``lh.`` in its name, or a path with ``{hemi}`` where L and
        R, or lh and rh, go), CIFTI ``.dlabel.nii`` or ``.dscalar.nii``. `load_files` takes two files and more choices.
    table : str or Path, optional
        TSV with the columns index and name, and optionally hemi, network and color, or another table of labels (see
        `AtlasFile`). If not given, it is looked for beside the image by the naming rule of BIDS, then in the image.
    space : str, optional
        Reference space of the user's image, if its name has neither ``space-`` nor ``tpl-``. Of an atlas by name: the
        space that is wanted, if it has several, as `available_atlases` lists them; the first unless given.
    as_released : bool, optional
        See `read_roi_sets`.

    Returns
    -------
    Atlas
        With the ROI sets that are defined on it. A user's atlas is called by the entities atlas, seg, scale and
        desc of its name, or by its file name.

    Raises
    ------
    DataError
        If the name is unknown, a file or the table is missing or wrong, or a label has no row in the table.

    Examples
    --------
    >>> load_atlas("Schaefer2018-100")
    Atlas('Schaefer2018-100', 100 regions, Targets(20484 of kind 'vertex' in fsaverage5))
    """
    name = str(name_or_path)
    if name in PACKAGED:
        return attach_roi_sets(
            load_packaged(name, space or PACKAGED[name].space), read_roi_sets(as_released=as_released)
        )
    if name in SHIPPED and not Path(name).exists():
        description = _folder() / f"atlas-{SHIPPED[name].atlas}_dseg"
        atlas = _assemble(name, *read_shipped(name, space, _folder()), description, as_released=as_released)
        made = atlas.targets.space == MADE_ON
        return replace(atlas, confidence=(MOVED.format(space="fsLR"),) * len(atlas.region)) if made else atlas
    if name in REMOTE and not Path(name).exists():
        fetched, base = described(name, space)
        return load_files(fetched, base=base, as_released=as_released)
    if not _is_file(name) and name in load_plugins(PLUGINS):
        return attach_roi_sets(_of_plugin(name), read_roi_sets(as_released=as_released))
    file = _user_file(name)
    name = _name_of(file)
    about = AtlasFile(name, str(file), labels=None if table is None else str(table), space=space)
    return load_files(about, as_released=as_released)


def load_files(
    about: AtlasFile,
    *,
    base: str | Path = ".",
    subject: str = "",
    targets: Targets | None = None,
    as_released: bool = False,
) -> Atlas:
    """Load an atlas from the files that an ``[[atlas]]`` table describes.

    Parameters
    ----------
    about : AtlasFile
        The table: ``AtlasFile("HO", "HarvardOxford-cort-maxprob-thr25-2mm.nii.gz", "HarvardOxford-Cortical.xml",
        space="MNI152NLin6Asym")``.
    base : str or Path, optional
        Folder that its paths are relative to.
    subject : str, optional
        Label that takes the place of ``{subject}`` in them.
    targets : Targets, optional
        The responses' targets: with ``resample``, the atlas is moved onto their grid or mesh; otherwise it is refused
        if it does not fit.
    as_released : bool, optional
        See `read_roi_sets`.

    Returns
    -------
    Atlas
        With the ROI sets that are defined on it.

    Raises
    ------
    DataError
        If a file or the table is missing or wrong, or a label has no row in the table.
    AlignmentError
        If it does not fit the targets.
    """
    base = Path(base)
    if isinstance(about.file, str) and about.file in REMOTE:
        fetched, base = described(about.file, about.space)
        own = {"name": about.name, "resample": about.resample, "both_sides": about.both_sides or fetched.both_sides}
        about = replace(fetched, **own)  # type: ignore[arg-type]
    paths = file_paths(about.file, base, subject)
    grid = None
    if about.resample and about.threshold is not None and targets is not None:
        grid = targets.grid
    freesurfer = _dseg_rows(("subcortex", "cortex", "none")) if about.labels == FREESURFER else ()
    found = read_files(about, base, subject, freesurfer=freesurfer, grid=grid)
    left = Path(str(paths[0]).replace("{hemi}", "L"))
    atlas = _assemble(about.name, *found, left, as_released=as_released)
    atlas = replace(atlas, licence=about.licence or atlas.licence, citation=about.citation or atlas.citation)
    return atlas if targets is None else fit_atlas(atlas, targets, resample=about.resample)


def load_bunch(
    bunch: Any,
    name: str,
    *,
    space: str | None = None,
    licence: str = "",
    threshold: float | None = None,
    both_sides: Literal["split", "join"] | None = None,
) -> Atlas:
    """Load an atlas that a function of `nilearn.datasets` fetched.

    Parameters
    ----------
    bunch : sklearn.utils.Bunch
        With ``maps`` and ``lut``, as ``fetch_atlas_harvard_oxford`` and others return it.
    name : str
        Name of the atlas.
    space : str, optional
        Reference space, if the bunch has no ``template``.
    licence : str, optional
        Terms of use.
    threshold : float, optional
        Of probabilistic atlases: the smallest probability that counts, in the unit of the maps.
    both_sides : {"split", "join"}, optional
        See `AtlasFile`.

    Returns
    -------
    Atlas
        With the ROI sets that are defined on it.

    Raises
    ------
    DataError
        If the bunch has no maps or table, or its space is not known.
    """
    stated = space or bunch.get("template")
    if not stated:
        raise DataError(f"Atlas {name!r}: the bunch has no template. Give `space`.")
    about = AtlasFile(name, "bunch.nii", space=str(stated), threshold=threshold, both_sides=both_sides, licence=licence)
    found = _assemble(name, *read_bunch(bunch, about), Path(name))
    return replace(found, licence=licence or found.licence)


def _user_file(name: str) -> Path:
    if name in DSEG_PARTS:
        raise DataError(
            f"Atlas {name!r} is not shipped: it is a file of each run, *_desc-{name}_dseg.nii.gz in fMRIPrep's output. "
            f"Load that file with load_dseg."
        )
    path = Path(name)
    if not _is_file(name):
        known = [*SHIPPED, *PACKAGED, *REMOTE, *load_plugins(PLUGINS)]
        raise DataError(
            f"Atlas {name!r} is not known. {suggest(name, known)} Or give the path of a label image (in TOML: an "
            f"[[atlas]] table with name, file, labels and space)."
        )
    return path


def _is_file(name: str) -> bool:
    """Return True if a name is that of a file, there or not, and not that of an atlas."""
    return "{hemi}" in name or name.endswith((".nii", ".nii.gz", ".gii", ".annot", ".mgz")) or Path(name).exists()


def _of_plugin(name: str) -> Atlas:
    """Call the function of another package that makes an atlas."""
    atlas = load_plugins(PLUGINS)[name]()
    if not isinstance(atlas, Atlas) or atlas.name != name:
        raise DataError(
            f"Atlas {name!r} (entry point {PLUGINS!r}): its function returned {atlas!r}, but an Atlas of that name is "
            f"needed."
        )
    return atlas


def _name_of(path: Path) -> str:
    named = entities(path)
    if "atlas" not in named:
        return re.sub(r"[^\w+-]", "_", path.name.split(".")[0])[:60]
    return "-".join(named[entity] for entity in ("atlas", "seg", "scale", "desc") if entity in named)


def _assemble(
    name: str, labels: np.ndarray, targets: Targets, table: RegionTable, path: Path, *, as_released: bool = False
) -> Atlas:
    about = _description(entities(path).get("atlas", ""), path.parent)
    atlas = Atlas(
        name=name,
        labels=labels,
        targets=targets,
        index=np.asarray(table.index, dtype=np.int32),
        region=table.region,
        hemi=_hemispheres(name, labels, targets, table),
        network=table.network,
        color=table.color,
        citation=about.get("citation", ""),
        licence=about.get("licence", ""),
        centroids=_centroids(name, table),
    )
    return attach_roi_sets(atlas, read_roi_sets(as_released=as_released))


def _centroids(name: str, table: RegionTable) -> np.ndarray | None:
    """Return the centroids of regions, (n_regions, 3) in mm; by number for a Schaefer atlas of the user."""
    if table.centroids is not None:
        return np.asarray(table.centroids)
    shipped = f"Schaefer2018-{len(table.index)}"
    # Parcel numbers are the same in all releases with seven networks, names are not.
    if not name.startswith("Schaefer2018") or shipped not in SHIPPED or not table.region[0].startswith("7Networks"):
        return None
    ours = read_table(table_path(shipped, _folder()))
    if ours.centroids is None or set(ours.index) != set(table.index):
        return None
    of_number = dict(zip(ours.index, ours.centroids, strict=True))
    return np.asarray([of_number[index] for index in table.index])


def _hemispheres(name: str, labels: np.ndarray, targets: Targets, table: RegionTable) -> tuple[str, ...]:
    """Check the table's hemispheres against where the labels lie, or find them there if it states none."""
    sides = {hemi: set(np.unique(labels[targets.hemi == hemi]).tolist()) for hemi in ("L", "R")}
    if not table.states_hemi:
        found = {index: [hemi for hemi in ("L", "R") if index in sides[hemi]] for index in table.index}
        return tuple(found[index][0] if len(found[index]) == 1 else "" for index in table.index)
    for index, region, hemi in zip(table.index, table.region, table.hemi, strict=True):
        other = {"L": "R", "R": "L"}.get(hemi)
        if other is not None and index in sides[other]:
            raise DataError(
                f"Atlas {name!r}: region {region!r} (index {index}) is {hemi} in the table, but its label "
                f"also lies in hemisphere {other}. Table and image do not belong together."
            )
    return table.hemi


def _dseg_rows(parts: tuple[str, ...]) -> list[dict[str, str]]:
    rows = read_rows(_folder() / DSEG_TABLE, ("index", "name", "hemi", "part", "color"))
    return [row for row in rows if row["part"] in parts]


def load_dseg(path: str | Path, kind: str = "aseg", *, space: str | None = None) -> Atlas:
    """Load a segmentation that fMRIPrep wrote.

    Labels that are no region (white matter, ventricles, and in "aseg" the cerebral cortex) become 0. Regions
    that no voxel has stay in the table and are logged. A segmentation in the space T1w belongs to one
    subject only.

    Parameters
    ----------
    path : str or Path
        ``sub-01_task-video_space-T1w_desc-aseg_dseg.nii.gz``, or ``desc-aparcaseg_dseg``.
    kind : {"aseg", "aparcaseg"}
        "aseg": structures outside cerebral cortex. "aparcaseg": these and the Desikan-Killiany areas.
    space : str, optional
        Reference space, if the name has no ``space-``.

    Returns
    -------
    Atlas
        Named `kind`; its targets are the voxels of its regions.

    Raises
    ------
    DataError
        If the kind is unknown, the file is missing or unreadable or has a label that FreeSurfer's
        segmentations do not have, or "aparcaseg" is asked of a file without cortical areas.
    """
    if kind not in DSEG_PARTS:
        raise DataError(f"Segmentation kind {kind!r}: {suggest(kind, DSEG_PARTS)}")
    path = Path(path)
    table = make_table(_dseg_rows(DSEG_PARTS[kind]), DSEG_TABLE)
    labels, targets = read_labels(path, space)
    _check_dseg(path, kind, labels)
    kept = np.isin(labels, table.index)
    empty = [region for region, index in zip(table.region, table.index, strict=True) if index not in labels]
    if not kept.any():
        raise DataError(f"Segmentation {path.name}: no voxel of any region of {kind!r}.")
    if empty:
        logger.info("Segmentation %s: no voxel of %s.", path.name, ", ".join(empty))
    return _assemble(kind, labels[kept], targets[kept], table, _folder() / "atlas-FreeSurfer_dseg")


def _check_dseg(path: Path, kind: str, labels: np.ndarray) -> None:
    allowed = {part: {int(row["index"]) for row in _dseg_rows((part,))} for part in ("subcortex", "cortex", "none")}
    found = set(np.unique(labels).tolist())
    unknown = sorted(found.difference({0}, *allowed.values()))
    if unknown:
        raise DataError(
            f"Segmentation {path.name}: label {unknown[0]} is not one of fMRIPrep's aseg or aparcaseg "
            f"({len(unknown)} such labels). Load another kind of segmentation with load_atlas and a table."
        )
    if kind == "aparcaseg" and not found & allowed["cortex"]:
        raise DataError(f"Segmentation {path.name}: no cortical area (1001 and up); it looks like desc-aseg_dseg.")
