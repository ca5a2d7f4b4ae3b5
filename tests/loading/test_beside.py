"""Surfaces and a volume of the same runs in one analysis: vertices, then subcortical voxels."""

import json
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from factories import AFFINE, RUN, write_study

from encoding.config import parse_config
from encoding.core import AlignmentError, ConfigError, DataError
from encoding.core.axes import shared_columns, shared_places, told_unshared
from encoding.io.atlases.catalogue import load_atlas
from encoding.io.bids.index import PybidsIndex
from encoding.io.images.formats import write_labels, write_map
from encoding.loading import Scans, find_runs, load_responses, require_files
from encoding.pipeline import Job, Places
from encoding.workflow.checks import check_dataset, expected_footprint
from encoding.workflow.jobs import chosen_atlases
from encoding.workflow.new_config import propose_config

SPACE = "MNI152NLin2009cAsym"
SHAPE = (6, 5, 4)
N_VERTICES = 62
# FreeSurfer's numbers: left and right amygdala, white matter (which is no structure) and brain stem.
AMYGDALA_L, AMYGDALA_R, WHITE, STEM = 18, 54, 2, 16
BOTH = {"kind": "surface", "space": "fsaverage5", "volume_space": SPACE, "task": "video"}


def segmentation():
    """Return numbers on the grid: the outermost plane of the brain stem is not in the brain mask."""
    numbers = np.full(SHAPE, WHITE, np.int16)
    numbers[3:5, 1, 1], numbers[1:3, 1, 1] = AMYGDALA_R, AMYGDALA_L
    numbers[0:2, 3, 0:2] = STEM
    return numbers


def write_both(root, **options):
    """A study with surfaces, volumes and a segmentation beside each volume."""
    study = write_study(root, kinds=("volume", "surface"), space=SPACE, **options)
    for bold in study.derivatives.rglob("*desc-preproc_bold.nii.gz"):
        path = bold.with_name(bold.name.replace("preproc_bold", "aseg_dseg"))
        nib.save(nib.Nifti1Image(segmentation(), AFFINE), path)
    return study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_both(tmp_path_factory.mktemp("both") / "bids")


@pytest.fixture(scope="module")
def masked(study, tmp_path_factory):
    return loaded(study, tmp_path_factory.mktemp("masked"), **BOTH)


def loaded(study, folder, **settings):
    scans = Scans(**{"confound_options": {"motion": "basic"}, **settings})
    return load_responses(scans, PybidsIndex(study.root), "01", folder)


@pytest.fixture
def changed(study, tmp_path):
    """A copy that a test may damage."""
    root = tmp_path / "bids"
    shutil.copytree(study.root, root)
    return replace(study, root=root, derivatives=root / study.derivatives.relative_to(study.root))


@pytest.mark.parametrize("rows", [{"despike": 2.0}, {"per": "stimulus", "scale_rows": "all"}])
def test_each_part_has_the_very_numbers_that_it_has_alone(study, tmp_path, rows):
    both = loaded(study, tmp_path / "both", **BOTH, **rows)
    surface = loaded(study, tmp_path / "surface", kind="surface", space="fsaverage5", task="video", **rows)
    mask = np.isin(segmentation(), (AMYGDALA_L, AMYGDALA_R, STEM))
    mask[0] = False  # outside the brain mask
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), AFFINE), tmp_path / "mask.nii.gz")
    volume = loaded(
        study, tmp_path / "volume", kind="volume", space=SPACE, task="video", mask=str(tmp_path / "mask.nii.gz"), **rows
    )
    assert both.samples.same_as(surface.samples)
    assert both.samples.same_as(volume.samples)
    np.testing.assert_array_equal(both.drift, surface.drift)
    np.testing.assert_array_equal(both.values[:, :N_VERTICES], surface.values)
    place = {voxel: column for column, voxel in enumerate(volume.targets.index.tolist())}
    order = [place[voxel] for voxel in both.targets.index[N_VERTICES:].tolist()]
    assert sorted(order) == list(range(len(volume.targets)))
    np.testing.assert_array_equal(both.values[:, N_VERTICES:], volume.values[:, order])
    assert np.isfinite(both.values).all()


def test_targets_are_vertices_then_voxels_named_by_structure(masked):
    targets = masked.targets
    assert (targets.kind, targets.space, targets.volume_space) == ("grayordinate", "fsaverage5", SPACE)
    assert repr(targets) == f"Targets(68 of kind 'grayordinate' in fsaverage5 + {SPACE})"
    names, first = np.unique(targets.structure, return_index=True)
    assert names[np.argsort(first)].tolist() == [
        "CORTEX_LEFT", "CORTEX_RIGHT", "AMYGDALA_LEFT", "AMYGDALA_RIGHT", "BRAIN_STEM",
    ]  # fmt: skip
    numbers = {"AMYGDALA_LEFT": AMYGDALA_L, "AMYGDALA_RIGHT": AMYGDALA_R, "BRAIN_STEM": STEM}
    for voxel, name in zip(targets.index[N_VERTICES:], targets.structure[N_VERTICES:], strict=True):
        assert segmentation().ravel()[voxel] == numbers[name]
    (surface, left), (volume, right) = targets.parts
    assert (surface.kind, volume.kind, volume.space) == ("vertex", "voxel", SPACE)
    assert left.tolist() + right.tolist() == list(range(68))


def in_spaces_of_cifti(study):
    """Rename files to the spaces that CIFTI joins, and return the settings that load them."""
    for path in list(study.derivatives.rglob("*space-*")):
        name = path.name.replace("space-fsaverage5", "space-fsLR_den-32k").replace(SPACE, "MNI152NLin6Asym")
        path.rename(path.with_name(name))
    return {"space": "fsLR:den-32k", "volume_space": "MNI152NLin6Asym"}


def test_spaces_of_cifti_are_written_as_cifti(changed, tmp_path):
    spaces = in_spaces_of_cifti(changed)
    targets = loaded(changed, tmp_path / "both", **BOTH | spaces).targets
    values = np.arange(len(targets), dtype=np.float32)
    (path,) = write_map(tmp_path, {"sub": "01", "stat": "r"}, values, targets)
    image = nib.load(path)
    assert path.name == "sub-01_space-fsLR_den-32k_stat-r_statmap.dscalar.nii"
    np.testing.assert_array_equal(image.get_fdata()[0], values)
    structures = [name for name, _, _ in image.header.get_axis(1).iter_structures()]
    assert structures == [
        f"CIFTI_STRUCTURE_{name}"
        for name in ("CORTEX_LEFT", "CORTEX_RIGHT", "AMYGDALA_LEFT", "AMYGDALA_RIGHT", "BRAIN_STEM")
    ]


def test_the_pair_of_spaces_of_cifti_is_two_kinds_of_files_too(changed, tmp_path):
    """Their segmentation labels the regions, and subjects whose segmentations differ share the voxels of both."""
    spaces = in_spaces_of_cifti(changed)
    first = loaded(changed, tmp_path / "first", **BOTH | spaces).targets
    config = RUN.replace('kind = "volume"', 'kind = "surface"\nvolume_space = "MNI152NLin6Asym"')
    job = Job(parse_config(config), Places(changed.root, tmp_path / "out", tmp_path / "work"), "01", "cpu")
    runs, _ = find_runs(Scans(**BOTH | spaces), PybidsIndex(changed.root), "01")
    assert [name for name, _ in chosen_atlases(job, first, runs[0].dseg)] == ["aseg"]
    for path in changed.derivatives.rglob("*aseg_dseg*"):
        numbers = segmentation()
        numbers[3, 1, 1], numbers[3, 2, 1] = WHITE, AMYGDALA_R
        nib.save(nib.Nifti1Image(numbers, AFFINE), path)
    second = loaded(changed, tmp_path / "second", **BOTH | spaces).targets
    places = shared_places([first, second])
    only_first = np.ravel_multi_index((3, 1, 1), SHAPE)
    assert first.index[places[1] < 0].tolist() == [only_first]
    for one, at in zip((first, second), places, strict=True):
        np.testing.assert_array_equal(one.index[at[at >= 0]], first.index[at >= 0])
        np.testing.assert_array_equal(at[first.on_surface], np.flatnonzero(one.on_surface))
    assert told_unshared([first, second], places) == ()
    assert len(shared_columns(first, places)) == len(first)


def test_subjects_on_other_grids_share_their_vertices(masked, tmp_path):
    first = replace(masked.targets, volume_space="T1w")
    moved = AFFINE.copy()
    moved[0, 3] += 1
    second = replace(first, grid=replace(first.grid, affine=moved))
    places = shared_places([first, second])
    for at in places:
        assert at.tolist() == [*range(N_VERTICES), *[-1] * 6]
    columns = shared_columns(first, places)
    assert columns.tolist() == list(range(N_VERTICES))
    (text,) = told_unshared([first, second], places)
    assert "hold vertices alone: the voxels of participants in T1w lie on different grids" in text
    apart = [first[first.on_surface | (first.structure == name)] for name in ("BRAIN_STEM", "AMYGDALA_LEFT")]
    assert "have none in common" in told_unshared(apart, shared_places(apart))[0]
    written = write_map(tmp_path, {"stat": "r"}, np.zeros(N_VERTICES), first[columns])
    assert [path.name.split(".", 1)[1] for path in written] == ["shape.gii", "shape.gii"]
    native = replace(first[1:], space="fsnative")
    assert shared_places([first, native]) is None
    assert "the vertices of participants in fsaverage5 differ" in told_unshared([first, native], None)[0]
    assert told_unshared([first], None) == told_unshared([first.parts[0][0]] * 2, None) == ()


def test_native_volumes_have_no_space_in_their_names(changed, tmp_path):
    for path in list(changed.derivatives.rglob(f"*space-{SPACE}*")):
        path.rename(path.with_name(path.name.replace(f"_space-{SPACE}", "")))
    targets = loaded(changed, tmp_path / "both", **BOTH | {"volume_space": "func"}).targets
    assert (targets.volume_space, len(targets)) == ("func", 68)
    with pytest.raises(AlignmentError, match="values have shape"):
        write_map(tmp_path, {"sub": "01"}, np.zeros(3), targets)
    labels = write_labels(tmp_path, {"sub": "01", "stat": "winner"}, np.ones(68, int), targets, [(1, "a", "#0072B2")])
    assert [path.name.split("_")[-1] for path in labels] == [
        "dseg.label.gii", "dseg.label.gii", "dseg.nii.gz", "dseg.tsv",
    ]  # fmt: skip
    assert "space-func" in labels[2].name


def test_what_the_brain_mask_leaves_out_is_told(study, masked, tmp_path):
    whole = loaded(study, tmp_path / "whole", **BOTH, mask="none")
    notes = [(note.n, note.reason) for note in masked.exclusions if note.what == "targets"]
    assert notes == [(2, "sub-01: subcortical voxels outside the brain mask of at least one run")]
    assert len(whole.targets) == len(masked.targets) + 2


def test_voxels_by_a_mask_by_an_atlas_and_by_a_segmentation_of_ones_own(study, tmp_path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 2, 2] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE), study.root / "deep.nii.gz")
    own = loaded(study, tmp_path / "own", **BOTH, subcortex="deep.nii.gz").targets
    assert own.index[N_VERTICES:].tolist() == np.flatnonzero(mask).tolist()
    assert set(own.structure[N_VERTICES:].tolist()) == {"OTHER"}
    numbers = np.zeros((12, 10, 8), np.int16)  # half the edges: every voxel of the images is eight of these
    numbers[4:8, 4:6, 4:6] = AMYGDALA_R
    fine = np.diag([1.5, 1.5, 1.5, 1.0])
    fine[:3, 3] = -0.75
    nib.save(nib.Nifti1Image(numbers, fine), study.root / "mine_aseg_dseg.nii.gz")
    with pytest.raises(AlignmentError, match="resample_mask = true in \\[load\\] for a subcortex of your own"):
        loaded(study, tmp_path / "grid", **BOTH, subcortex="mine_aseg_dseg.nii.gz")
    found = loaded(study, tmp_path / "fine", **BOTH, subcortex="mine_aseg_dseg.nii.gz", resample_mask=True).targets
    assert set(found.structure[N_VERTICES:].tolist()) == {"AMYGDALA_RIGHT"}
    assert found.index[N_VERTICES:].tolist() == np.flatnonzero(mask).tolist()


def test_an_atlas_by_name_chooses_voxels_that_are_the_same_in_all_subjects(changed, tmp_path):
    """The middle of the study's grid is put at the left hippocampus and amygdala of Tian's atlas."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-34, -24, -22]
    for path in changed.derivatives.rglob("*.nii.gz"):
        image = nib.load(path)
        moved = nib.Nifti1Image(np.asarray(image.dataobj), affine)
        moved.header.set_zooms((4, 4, 4, 2.0)[: image.ndim])
        moved.header.set_xyzt_units("mm", "sec")
        nib.save(moved, path)
    targets = loaded(changed, tmp_path / "tian", **BOTH, subcortex="Tian2020-S1", mask="none").targets
    atlas = load_atlas("Tian2020-S1", space=SPACE)
    inside = np.zeros(atlas.targets.grid.shape, bool)
    inside.ravel()[atlas.targets.index] = True
    points = np.stack(np.unravel_index(np.arange(np.prod(SHAPE)), SHAPE)) * 4.0 + affine[:3, 3:]
    inverse = np.linalg.inv(atlas.targets.grid.affine)
    nearest = np.rint(inverse[:3, :3] @ points + inverse[:3, 3:]).astype(int)
    expected = np.flatnonzero(inside[tuple(nearest)])
    assert len(expected) > 10
    assert targets.index[N_VERTICES:].tolist() == expected.tolist()
    config = RUN.replace('kind = "volume"', f'kind = "surface"\nvolume_space = "{SPACE}"\nsubcortex = "Tian2020-S1"')
    places = Places(changed.root, tmp_path / "out", tmp_path / "work")
    job = Job(parse_config(config), places, "01", "cpu")
    names = [name for name, _ in chosen_atlases(job, targets, [])]
    assert names == ["Schaefer2018-200", "Tian2020-S1"]
    with pytest.raises(DataError, match=r"subcortex = 'Tian2020-S9' in volume_space .*Tian2020-S"):
        loaded(changed, tmp_path / "wrong", **BOTH, subcortex="Tian2020-S9")


def test_segmentations_that_differ_between_runs_leave_voxels_out(changed, tmp_path):
    numbers = segmentation()
    numbers[4, 1, 1] = WHITE
    path = changed.find("*run-2*aseg_dseg.nii.gz")
    nib.save(nib.Nifti1Image(numbers, AFFINE), path)
    found = loaded(changed, tmp_path / "both", **BOTH)
    assert (found.targets.structure == "AMYGDALA_RIGHT").sum() == 1
    notes = [(note.n, note.reason) for note in found.exclusions if note.what == "targets"]
    assert notes[0] == (1, "sub-01: subcortical voxels that segmentations of runs name differently")


def test_every_file_is_in_the_key(changed, tmp_path):
    keys = [loaded(changed, tmp_path / "both", **BOTH).provenance.key]
    for pattern in ("*run-2*desc-aseg_dseg*", "*run-2*brain_mask*", "*run-2*preproc_bold*"):
        path = changed.find(pattern)
        image = nib.load(path)
        values = np.asarray(image.dataobj).copy()
        values[4, 1, 1] = 0
        nib.save(nib.Nifti1Image(values, image.affine, image.header), path)
        keys.append(loaded(changed, tmp_path / "both", **BOTH).provenance.key)
    assert len(set(keys)) == 4


def test_keys_of_surfaces_alone_are_what_they_were(study):
    settings = Scans(kind="surface", task="video").resolved()
    assert not {"volume_space", "subcortex"} & settings.keys()
    assert Scans(**BOTH, subcortex="Tian2020-S1").resolved()["subcortex"] == "Tian2020-S1"


def test_runs_that_lack_one_kind_are_missing(changed, tmp_path):
    for path in changed.derivatives.rglob("*run-2*desc-preproc_bold*"):
        path.unlink()
    for path in changed.derivatives.rglob("*run-3*hemi-*"):
        path.unlink()
    told = (
        r"2 runs have no preprocessed surface and volume as asked for: task-video_run-2 \(no volume\), "
        r"task-video_run-3 \(no surfaces\)"
    )
    with pytest.raises(DataError, match=told):
        loaded(changed, tmp_path / "both", **BOTH)
    with pytest.raises(DataError, match=told):
        find_runs(Scans(**BOTH), PybidsIndex(changed.root), "01")
    left = loaded(changed, tmp_path / "both", **BOTH, missing_runs="exclude")
    assert left.samples.runs == ("run-1",)
    notes = [(note.n, note.reason) for note in left.exclusions if note.what == "runs"]
    assert notes == [(2, "sub-01: not there: task-video_run-2 (no volume), task-video_run-3 (no surfaces)")]
    for path in changed.derivatives.rglob("*run-1*hemi-*"):
        shutil.move(path, path.with_name(path.name.replace("run-1", "run-3")))
    (changed.derivatives / "sub-01" / "func" / "sub-01_task-video_run-3_space-x_bold.txt").touch()
    volume = changed.find("*run-3*desc-preproc_bold*")
    volume.unlink()
    with pytest.raises(DataError, match="no run has both surfaces and a volume"):
        loaded(changed, tmp_path / "none", **BOTH, missing_runs="exclude")


def test_lengths_and_repetition_times_must_agree(changed, tmp_path):
    path = changed.find("*run-2*desc-preproc_bold.nii.gz")
    image = nib.load(path)
    values = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(values[..., :-1], image.affine, image.header), path)
    with pytest.raises(AlignmentError, match=r"run-2: .*preproc_bold.nii.gz has 59 volumes, but .*func.gii has 60"):
        loaded(changed, tmp_path / "both", **BOTH)
    header = image.header.copy()
    header.set_zooms((3, 3, 3, 2.5))
    nib.save(nib.Nifti1Image(values, image.affine, header), path)
    (changed.root / "sub-01" / "func" / "sub-01_task-video_run-2_bold.json").unlink()
    with pytest.raises(
        AlignmentError, match=r"run-2: the repetition time is 2 s by the surfaces, but 2\.5 s by sub-01_"
    ):
        loaded(changed, tmp_path / "both", **BOTH)
    assert loaded(changed, tmp_path / "both", **BOTH, t_r=2.0).warnings == (
        "sub-01, run-2, volume: the repetition time is 2 s by t_r in [load], but 2.5 s by the header of "
        f"sub-01_task-video_run-2_space-{SPACE}_desc-preproc_bold.nii.gz",
    )


def test_slices_must_be_shifted_to_the_same_moment(changed, tmp_path):
    for name, start in (("hemi-L_space-fsaverage5", 1.0), ("hemi-R_space-fsaverage5", 1.0), (f"space-{SPACE}", 0.5)):
        bold = f"{name}_desc-preproc_bold" if SPACE in name else f"{name}_bold"
        path = changed.func() / f"sub-01_task-video_run-1_{bold}.json"
        path.write_text(json.dumps({"RepetitionTime": 2.0, "StartTime": start}))
    with pytest.raises(AlignmentError, match=r"StartTime is 1 s by the sidecar of the surfaces, but 0\.5 s"):
        loaded(changed, tmp_path / "both", **BOTH)


def test_times_that_differ_by_rounding_are_the_same(changed, tmp_path):
    for name, start in (("hemi-L_space-fsaverage5", 0.975), (f"space-{SPACE}_desc-preproc", 0.9750001)):
        path = changed.func() / f"sub-01_task-video_run-1_{name}_bold.json"
        path.write_text(json.dumps({"RepetitionTime": 2.0, "StartTime": start}))
    assert len(loaded(changed, tmp_path / "both", **BOTH).targets) == 68


def test_a_sidecar_of_the_volume_overrules_the_raw_one_and_that_of_the_surfaces_both(changed):
    def metadata():
        (run, *_), _ = find_runs(Scans(**BOTH), PybidsIndex(changed.root), "01")
        return run.metadata

    raw = changed.root / "sub-01" / "func" / "sub-01_task-video_run-1_bold.json"
    raw.write_text(json.dumps({"RepetitionTime": 2.0, "SliceTimingCorrected": False, "Manufacturer": "raw"}))
    path = changed.func() / f"sub-01_task-video_run-1_space-{SPACE}_desc-preproc_bold.json"
    path.write_text(json.dumps({"RepetitionTime": 2.0, "SliceTimingCorrected": True, "StartTime": 0.5}))
    assert (metadata()["SliceTimingCorrected"], metadata()["StartTime"]) == (True, 0.5)
    path = changed.func() / "sub-01_task-video_run-1_hemi-L_space-fsaverage5_bold.json"
    path.write_text(json.dumps({"StartTime": 0.25}))
    assert (metadata()["SliceTimingCorrected"], metadata()["StartTime"]) == (True, 0.25)
    assert metadata()["Manufacturer"] == "raw"


def test_files_of_the_voxels_are_looked_for_before_any_work(changed, tmp_path):
    def missing(scans):
        require_files(scans, changed.root, None, ("01",))

    def unfetch(path):
        path.unlink(missing_ok=True)
        path.symlink_to("../../.git/annex/objects/zz/a.nii.gz")

    missing(Scans(**BOTH))
    aseg = changed.find("*run-2*aseg_dseg*")
    coarse = aseg.with_name(aseg.name.replace("-aseg_", "-aparcaseg_"))
    unfetch(coarse)
    missing(Scans(**BOTH))  # is not read
    unfetch(aseg)
    with pytest.raises(DataError, match=r"1 file of the dataset was not fetched.*desc-aseg_dseg\.nii\.gz"):
        missing(Scans(**BOTH))
    aseg.unlink()
    with pytest.raises(DataError, match=r"1 file of the dataset was not fetched.*desc-aparcaseg_dseg\.nii\.gz"):
        missing(Scans(**BOTH))
    missing(Scans(kind="surface", space="fsaverage5", task="video"))
    unfetch(changed.root / "deep.nii.gz")
    own = BOTH | {"subcortex": "deep.nii.gz"}
    with pytest.raises(DataError, match=r"1 file of the dataset was not fetched.*deep\.nii\.gz"):
        missing(Scans(**own))
    with pytest.raises(DataError, match=r"1 file of the dataset was not fetched.*deep\.nii\.gz"):
        loaded(changed, tmp_path / "own", **own)


def test_a_segmentation_on_another_grid_comes_with_what_helps(changed, tmp_path):
    path = changed.find("*run-2*aseg_dseg*")
    nib.save(nib.Nifti1Image(segmentation()[1:], AFFINE), path)
    with pytest.raises(AlignmentError, match=r"set subcortex in \[load\] to an atlas or to a file") as caught:
        loaded(changed, tmp_path / "both", **BOTH)
    assert "resample_mask" not in str(caught.value)


def test_what_is_missing_for_the_voxels_is_told(changed, tmp_path):
    changed.find("*run-3*aseg_dseg*").unlink()
    with pytest.raises(
        DataError, match=r"run-3: fMRIPrep wrote no desc-aseg_dseg .* subcortex in \[load\] to an atlas"
    ):
        loaded(changed, tmp_path / "both", **BOTH)
    with pytest.raises(DataError, match=r"no volume BOLD file .*'space': 'MNI152NLin6Asym'"):
        loaded(changed, tmp_path / "space", **BOTH | {"volume_space": "MNI152NLin6Asym"})
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.uint8), AFFINE), changed.root / "empty.nii.gz")
    with pytest.raises(DataError, match=r"no voxel of .* lies in subcortex = 'empty.nii.gz' and in all brain masks"):
        loaded(changed, tmp_path / "empty", **BOTH, subcortex="empty.nii.gz")
    with pytest.raises(DataError, match=r"nowhere\.nii\.gz: no such file"):
        loaded(changed, tmp_path / "nowhere", **BOTH, subcortex="nowhere.nii.gz")


def test_a_volume_that_is_a_copy_of_another_runs_is_refused(changed, tmp_path):
    first, second = (changed.find(f"*run-{k}*desc-preproc_bold.nii.gz") for k in (1, 2))
    shutil.copy(first, second)
    with pytest.raises(DataError, match="run-2 and run-1 have the same image, byte by byte"):
        loaded(changed, tmp_path / "both", **BOTH)
    image = nib.load(first)
    values = np.asarray(image.dataobj).copy()
    values[5, 4, 3] += 1  # another file, of the same voxels inside
    nib.save(nib.Nifti1Image(values, image.affine, image.header), second)
    with pytest.raises(DataError, match="60 of its 60 volumes are, number by number, volumes of run-1"):
        loaded(changed, tmp_path / "both", **BOTH)


def test_voxels_that_no_run_measured_are_refused(changed, tmp_path):
    path = changed.find("*run-2*desc-preproc_bold.nii.gz")
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.full(image.shape, 5, np.int16), image.affine, image.header), path)
    with pytest.raises(DataError, match=r"all 6 voxels are constant or not finite in at least one run \(run-2: 6\)"):
        loaded(changed, tmp_path / "both", **BOTH)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "volume"}, "belongs to kind = \"surface\", not to 'volume'"),
        ({"kind": "cifti"}, "CIFTI files hold both already"),
        ({"volume_space": None, "subcortex": "aseg.nii.gz"}, "does nothing without volume_space"),
        ({"file": "{subject}_{hemi}.func.gii"}, "volume_space finds images by their BIDS names"),
        ({"mask": "mine.nii.gz"}, "Name it in subcortex, for voxels"),
        ({"resample_mask": True}, "resample_mask does nothing with subcortex = 'aseg'"),
    ],
)
def test_settings_that_contradict_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Scans(**BOTH | settings)


def test_a_density_is_none_of_a_volume(study, tmp_path):
    with pytest.raises(ConfigError, match="volumes have a resolution"):
        loaded(study, tmp_path / "density", **BOTH | {"volume_space": f"{SPACE}:den-91k"})
    with pytest.raises(ConfigError, match=r"volume_space = .*'x' is not understood"):
        loaded(study, tmp_path / "density", **BOTH | {"volume_space": f"{SPACE}:x"})


def test_filters_of_versions_are_those_of_surfaces(study):
    filters = {"bold": {"space": "fsaverage5", "run": ["1", "2"]}}
    runs, _ = find_runs(Scans(**BOTH), PybidsIndex(study.root), "01", bids_filters=filters)
    assert [run.label for run in runs] == ["run-1", "run-2"]
    assert [run.volume.entities["space"] for run in runs] == [SPACE, SPACE]


def test_surfaces_and_volumes_of_other_numbering_are_one_run(changed):
    for path in changed.derivatives.rglob("*run-1_*desc-*"):
        shutil.move(path, path.with_name(path.name.replace("run-1_", "run-01_")))
    runs, _ = find_runs(Scans(**BOTH), PybidsIndex(changed.root), "01")
    assert "run-01" in runs[0].volume.bold[0].name
    assert "run-1_" in runs[0].bold[0].name


def test_the_command_init_proposes_both_and_check_finds_what_is_wrong(changed):
    proposal = propose_config(changed.root)
    line = next(line for line in proposal.text.splitlines() if "volume_space" in line)
    assert line.startswith(f'# volume_space = "{SPACE}"')
    assert any("a line of [load] that is commented out adds their subcortical voxels" in one for one in proposal.found)
    assert "subcortex =" not in proposal.text
    text = proposal.text.replace(line, line.removeprefix("# "))
    study, places = parse_config(text), Places(changed.root, changed.root.parent / "out", changed.root.parent / "work")
    assert study.load.volume_space == SPACE
    assert check_dataset(study, places, ["01"]).failed == {}
    sphere = '\n[[roi_set]]\nname = "deep"\natlas = "aseg"\nspheres = { near = [12, 3, 3, 2], far = [99, 3, 3, 2] }\n'
    with pytest.raises(DataError, match=r"sphere of 'far' .* nearest of 6 is 87\.0 mm away"):
        check_dataset(parse_config(text + sphere), places, ["01"])
    job = Job(study, places, "01", "cpu")
    footprint = expected_footprint(job)
    assert footprint is not None
    assert footprint.responses == 4 * 24 * 68  # float32, presentations, targets
    bold = changed.find("*run-2*desc-preproc_bold.nii.gz")
    image = nib.load(bold)
    values = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(values[..., :-2], image.affine, image.header), bold)
    failed = check_dataset(study, places, ["01"]).failed["01"]
    assert "preproc_bold.nii.gz has 58 volumes, but" in failed
    assert "desc-confounds_timeseries.tsv, one row per volume, has 60" in failed
    nib.save(nib.Nifti1Image(values, image.affine, image.header), bold)
    changed.find("*run-3*aseg_dseg*").unlink()
    assert "run-3: fMRIPrep wrote no desc-aseg_dseg" in check_dataset(study, places, ["01"]).failed["01"]
    for path in changed.derivatives.rglob("*aseg_dseg*"):
        path.unlink()
    assert '# subcortex = "Tian2020-S1"' in propose_config(changed.root).text
    for path in list(changed.derivatives.rglob(f"*run-3*space-{SPACE}*bold*")):
        path.unlink()
    assert "volume_space" not in propose_config(changed.root).text
