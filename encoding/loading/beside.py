"""Subcortical voxels of a volume, loaded behind the vertices of the surfaces of the same runs."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core import AlignmentError, Atlas, DataError, Exclusion, Targets, digest, fingerprint, fingerprint_array
from ..core.axes import VOLUME_BESIDE
from ..io.atlases.catalogue import load_atlas, load_dseg, structure_of
from ..io.atlases.matching import match_atlas
from ..io.bids.entities import LONG, RUN_ENTITIES, EntityFile, run_key
from ..io.bids.runs import BidsIndex, RunFiles, RunQuery
from ..io.images.formats import RunImage, length_of_run, read_run
from ..io.images.volumes import grid_of, open_volume, read_mask, told_forms, voxel_targets
from ..io.tables import read_table
from .loader import Scans, dataset_path
from .masks import check_grid, common_brain, resample_mask
from .runs import T_R_TOLERANCE, RunRows, agreed_t_r

ASEG = ("aseg", "aparcaseg")
OTHER = "OTHER"  # CIFTI's name of a structure that has none


@dataclass(frozen=True, eq=False, slots=True)
class Voxels:
    """The voxels that are loaded beside surfaces."""

    targets: Targets  # Voxels alone, as they are read: in the order of the grid
    structure: np.ndarray  # (n_voxels,) CIFTI names of their structures
    exclusions: tuple[Exclusion, ...]  # What was left out

    @property
    def order(self) -> np.ndarray:
        """Columns in the order in which they are kept: structure by structure, as in CIFTI files."""
        return np.argsort(self.structure, kind="stable")

    def beside(self, surface: Targets) -> Targets:
        """Append the voxels to vertices."""
        order, volume = self.order, self.targets
        standard = VOLUME_BESIDE.get(surface.space) == volume.space  # as in CIFTI, as which maps are then written
        return Targets(
            "grayordinate",
            surface.space,
            np.concatenate([surface.index, volume.index[order]]),
            np.concatenate([surface.structure, self.structure[order]]),
            volume.grid,
            surface.n_vertices,
            surface.density,
            volume_space="" if standard else volume.space,
            resolution="" if standard else volume.density,
        )


def pair_runs(surfaces: Sequence[RunFiles], volumes: Sequence[RunFiles]) -> tuple[list[RunFiles], dict[str, str]]:
    """Join the files of both kinds of the same recordings.

    Also returns what recordings lack that have one kind only, by their names.
    """
    of_key = {_key(run): run for run in volumes}
    paired, lacking = [], {}
    for run in surfaces:
        volume = of_key.pop(_key(run), None)
        if volume is None:
            lacking[_name(run)] = f"{_name(run)} (no volume)"
            continue
        # What only one of both sidecars says is true of the run, and truer than what that of the raw image says.
        metadata = {**volume.metadata, **run.metadata, **volume.derived, **run.derived}
        derived = run.derived_t_r if run.derived_t_r is not None else volume.derived_t_r
        paired.append(dataclasses.replace(run, metadata=metadata, derived_t_r=derived, dseg=volume.dseg, volume=volume))
    return paired, lacking | {_name(run): f"{_name(run)} (no surfaces)" for run in of_key.values()}


def _key(run: RunFiles) -> tuple[str, ...]:
    return run_key(EntityFile(run.bold[0], dict(run.entities)))


def _name(run: RunFiles) -> str:
    return EntityFile(run.bold[0], dict(run.entities)).run_name


def volume_query(query: RunQuery, space: str | None, res: str | None) -> RunQuery:
    """Ask for the volumes of the runs that a query asks for; filters of versions are those of surfaces."""
    names = (*RUN_ENTITIES, "echo", "part")
    filters = {name: value for name, value in query.filters.items() if LONG.get(name, name) in names}
    return dataclasses.replace(
        query, kind="volume", space=space, res=res, density=None, desc="preproc", filters=filters
    )


def segmentation_of(run: RunFiles, where: str) -> Path:
    """Find FreeSurfer's segmentation on the grid of the volume of a run."""
    found = [path for kind in ASEG for path in run.dseg if f"_desc-{kind}_" in path.name]
    if not found:
        assert run.volume is not None
        raise DataError(
            f"{where}: fMRIPrep wrote no desc-aseg_dseg or desc-aparcaseg_dseg beside {run.volume.bold[0].name}, so "
            f'that its subcortical voxels are not known. Set subcortex in [load] to an atlas ("Tian2020-S1"), or to '
            f"a mask or segmentation of your own."
        )
    return found[0]


def inputs_of(loader: Scans, runs: Sequence[RunFiles], index: BidsIndex, subject: str) -> dict[str, str]:
    """Identify by content what chooses the voxels, but for brain masks, which are inputs of runs."""
    if loader.subcortex == ASEG[0]:
        paths = [segmentation_of(run, f"sub-{subject}, {run.label}") for run in runs]
        return {f"{run.label} subcortex": fingerprint(path) for run, path in zip(runs, paths, strict=True)}
    if loader.subcortex_file:
        return {"subcortex": fingerprint(dataset_path(index, loader.subcortex, subject))}
    atlas = _atlas(loader.subcortex, _space(loader, _volumes(runs)))
    grid = atlas.targets.grid
    where = None if grid is None else [list(grid.shape), grid.affine.tolist()]
    return {"subcortex": digest([fingerprint_array(atlas.labels), fingerprint_array(atlas.targets.index), where])}


def subcortical_voxels(loader: Scans, runs: Sequence[RunFiles], index: BidsIndex, subject: str) -> Voxels:
    """Choose the voxels that every run has.

    Raises where there is no segmentation, atlas or mask for them, or none of its voxels is in the brain masks.
    """
    volumes = _volumes(runs)
    grid, res = grid_of(open_volume(volumes[0].bold[0])), volumes[0].entities.get("res", "")
    for volume in volumes:
        advice = "Choose runs of one resolution with volume_space in [load]."
        check_grid(volume.bold[0], grid_of(open_volume(volume.bold[0])), volumes[0].bold[0], grid, advice=advice)
    targets = voxel_targets(np.ones(grid.shape, bool), grid, _space(loader, volumes), res)
    names, exclusions = np.full(len(targets), "", dtype="U64"), []
    if loader.subcortex == ASEG[0]:
        paths: dict[str, Path] = {}
        for run in runs:
            path = segmentation_of(run, f"sub-{subject}, {run.label}")
            paths.setdefault(fingerprint(path), path)
        for path in paths.values():
            advice = "Preprocess the run again, or set subcortex in [load] to an atlas or to a file of your own."
            check_grid(path, grid_of(open_volume(path)), volumes[0].bold[0], grid, advice=advice)
        every = [_structures(path, targets) for path in paths.values()]
        names = np.where(np.all([one == every[0] for one in every], axis=0), every[0], "")
        lost = int(np.sum(np.any([one != "" for one in every], axis=0) & (names == "")))
        if lost:
            text = f"sub-{subject}: subcortical voxels that segmentations of runs name differently"
            exclusions.append(Exclusion("targets", lost, text))
    elif loader.subcortex_file:
        names = _of_file(loader, dataset_path(index, loader.subcortex, subject), targets, volumes[0].bold[0])
    else:
        names[match_atlas(_atlas(loader.subcortex, targets.space), targets) > 0] = OTHER
    chosen = names != ""
    if loader.mask == "brain":
        brain, _ = common_brain(volumes, grid, subject)
        lost = int(np.sum(chosen & ~brain.ravel()))
        if lost:
            text = f"sub-{subject}: subcortical voxels outside the brain mask of at least one run"
            exclusions.append(Exclusion("targets", lost, text))
        chosen &= brain.ravel()
    if not chosen.any():
        raise DataError(
            f"sub-{subject}: no voxel of {volumes[0].bold[0].name} lies in subcortex = {loader.subcortex!r}"
            f"{' and in all brain masks' if loader.mask == 'brain' else ''}. Are both in one space? Give another "
            f"subcortex in [load]."
        )
    return Voxels(targets[chosen], names[chosen], tuple(exclusions))


def _volumes(runs: Sequence[RunFiles]) -> list[RunFiles]:
    return [run.volume for run in runs if run.volume is not None]


def _space(loader: Scans, volumes: Sequence[RunFiles]) -> str:
    """Name the space of the voxels; the run's own stands in no name of a file."""
    return volumes[0].entities.get("space") or str(loader.volume_space).partition(":")[0]


def _atlas(name: str, space: str) -> Atlas:
    try:
        return load_atlas(name, space=space)
    except DataError as error:
        raise DataError(
            f'[load] subcortex = {name!r} in volume_space {space!r}: {error} "aseg" stands for fMRIPrep\'s '
            f"segmentation, and the path of a .nii or .nii.gz file for a mask."
        ) from error


def _structures(path: Path, targets: Targets) -> np.ndarray:
    """Name the structure of every voxel of a grid by FreeSurfer's segmentation; "" outside, (n_voxels,)."""
    atlas = load_dseg(path, "aseg", space=targets.space)
    of_label = {number: structure_of(name) for number, name in zip(atlas.index.tolist(), atlas.region, strict=True)}
    of_label[0] = ""
    return np.array([of_label[label] for label in match_atlas(atlas, targets).tolist()])


def _of_file(loader: Scans, path: Path, targets: Targets, bold: Path) -> np.ndarray:
    """Name the structure of every voxel by a file of the user."""
    assert targets.grid is not None
    if not loader.resample_mask:
        check_grid(path, grid_of(open_volume(path)), bold, targets.grid, key="subcortex")
    if any(f"{kind}_dseg" in path.name for kind in ASEG):
        return _structures(path, targets)
    return np.where(resample_mask(*read_mask(path), targets.grid).ravel(), OTHER, "")


def read_beside(
    run: RunFiles, n_volumes: int, voxels: Voxels, t_r: float, where: str, given: float | None = None
) -> tuple[RunImage, tuple[str, ...]]:
    """Read the voxels of a run, and refuse them if they are not of the same recording as its surfaces.

    Returns the image, and what the report must warn of.
    """
    volume = run.volume
    assert volume is not None
    image = read_run("volume", volume.bold, voxels.targets)
    _require_frames(len(image.values), n_volumes, run, where)
    told = _require_t_r(run, image.t_r, t_r, where, given)
    return image, (*told, *told_forms(open_volume(volume.bold[0]), where))


def _require_frames(n_volume: int, n_surface: int, run: RunFiles, where: str, told: str = "") -> None:
    if n_volume != n_surface:
        assert run.volume is not None
        raise AlignmentError(
            f"{where}: {run.volume.bold[0].name} has {n_volume} volumes, but {told or run.bold[0].name} has "
            f"{n_surface}. Surfaces and volume must be of one recording, preprocessed alike; make the shorter one "
            f"again, or leave volume_space out of [load]."
        )


def _require_t_r(
    run: RunFiles, header: float | None, t_r: float, where: str, given: float | None = None
) -> tuple[str, ...]:
    """Refuse a volume of another repetition time or another moment of slices than its surfaces have."""
    volume = run.volume
    assert volume is not None
    theirs = t_r
    told: tuple[str, ...] = ()
    if header is not None or volume.t_r is not None:
        theirs, told = agreed_t_r(volume, header, f"{where}, volume", given)
    if abs(theirs - t_r) > T_R_TOLERANCE:
        raise AlignmentError(
            f"{where}: the repetition time is {t_r:g} s by the surfaces, but {theirs:g} s by {volume.bold[0].name}. "
            f"Surfaces and volume must be of one recording; correct the sidecar or header that is wrong."
        )
    begin, other = run.start_time, volume.start_time
    if begin is not None and other is not None and abs(begin - other) > T_R_TOLERANCE:
        raise AlignmentError(
            f"{where}: StartTime is {begin:g} s by the sidecar of the surfaces, but {other:g} s "
            f"by that of {volume.bold[0].name}. Preprocess both with one correction of slice timing."
        )
    return told


def check_beside(loader: Scans, runs: Sequence[RunFiles], index: BidsIndex, subject: str) -> Voxels | None:
    """Choose the voxels, and compare volumes with tables and sidecars, before a series is read; None of other kinds."""
    if not loader.volume_space:
        return None
    for run in runs:
        assert run.volume is not None
        where = f"sub-{subject}, {run.label}"
        n_volumes, header = length_of_run("volume", run.volume.bold)
        if run.confounds is not None and run.confounds.suffix == ".tsv" and n_volumes is not None:
            n_rows = len(read_table(run.confounds))
            _require_frames(n_volumes, n_rows, run, where, f"{run.confounds.name}, one row per volume,")
        stated = loader.t_r or run.t_r
        if stated is not None:
            _require_t_r(run, header, stated, where, loader.t_r)
    return subcortical_voxels(loader, runs, index, subject)


def join_rows(surface: RunRows, volume: RunRows, order: np.ndarray) -> RunRows:
    """Append the cleaned rows of voxels, in their order, to those of vertices."""
    return dataclasses.replace(
        surface,
        values=np.concatenate([surface.values, volume.values[:, order]], axis=1),
        unusable=np.concatenate([surface.unusable, volume.unusable[order]]),
    )
