"""Atlases from files, and their labels for given targets."""

import gzip
import itertools
import logging
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.core.atlas import Atlas
from encoding.core.axes import Grid, Targets
from encoding.core.errors import AlignmentError, DataError
from encoding.io.atlases.catalogue import attach_roi_sets, load_atlas, load_dseg, match_atlas, read_roi_sets
from encoding.io.atlases.roi_sets import RoiPattern, read_roi_patterns

AFFINE = np.array([[2.0, 0, 0, -9], [0, 2, 0, -11], [0, 0, 2, -7], [0, 0, 0, 1]])
SPACE = "MNI152NLin2009cAsym"
BIG_LABELS = (1, 127, 128, 255, 300, 40000, 70000)


def table_text(rows, columns=("index", "name")):
    return "\n".join("\t".join(map(str, row)) for row in (columns, *rows)) + "\n"


def write_volume(path, values, affine=AFFINE, dtype=np.int32, rows=None):
    nib.save(nib.Nifti1Image(np.asarray(values, dtype=dtype), affine, dtype=dtype), path)
    if rows is not None:
        path.with_name(path.name.split(".")[0] + ".tsv").write_text(table_text(rows))
    return path


def write_gifti(folder, labels, *, space="fsaverage5", atlas="mine", dtype=np.int32, structure=True):
    for hemi, half in labels.items():
        image = nib.gifti.GiftiImage(
            darrays=[nib.gifti.GiftiDataArray(np.asarray(half, dtype=dtype), intent="NIFTI_INTENT_LABEL")]
        )
        if structure:
            image.meta["AnatomicalStructurePrimary"] = {"L": "CortexLeft", "R": "CortexRight"}[hemi]
        nib.save(image, folder / f"tpl-{space}_hemi-{hemi}_atlas-{atlas}_dseg.label.gii")
    return folder / f"tpl-{space}_hemi-L_atlas-{atlas}_dseg.label.gii"


def write_cifti(path, *, scalar=False, factor=1):
    """Two patches of cortex and two amygdalae; returns the labels by structure."""
    shape = (8, 9, 7)
    axis = nib.cifti2.BrainModelAxis.from_surface(np.arange(5, 25), 32492, "CortexLeft")
    axis += nib.cifti2.BrainModelAxis.from_surface(np.arange(100, 110), 32492, "CortexRight")
    for name, i in (("AMYGDALA_LEFT", 2), ("AMYGDALA_RIGHT", 5)):
        mask = np.zeros(shape, dtype=bool)
        mask[i, 3:5, 2:4] = True
        axis += nib.cifti2.BrainModelAxis.from_mask(mask, f"CIFTI_STRUCTURE_{name}", AFFINE)
    labels = np.repeat([1, 2, 3, 4], [20, 10, 4, 4])
    if scalar:
        rows = nib.cifti2.ScalarAxis(["labels"])
    else:
        rows = nib.cifti2.LabelAxis(["labels"], [{key: (str(key), (0, 0, 0, 1)) for key in range(5)}])
    nib.save(nib.Cifti2Image((labels * factor)[None].astype(np.float32), (rows, axis)), path)
    regions = [(1, "ctxL"), (2, "ctxR"), (3, "amyL"), (4, "amyR")]
    path.with_name(path.name.split(".")[0] + ".tsv").write_text(table_text(regions))
    return path


def voxels(grid, index, space=SPACE):
    return Targets("voxel", space, index, np.full(len(index), "", dtype=str), grid)


def vertices(index, structure, n_vertices=10242, space="fsaverage5"):
    sizes = dict.fromkeys(("CORTEX_LEFT", "CORTEX_RIGHT"), n_vertices)
    return Targets("vertex", space, np.asarray(index), np.asarray(structure, dtype=str), n_vertices=sizes)


@pytest.fixture
def volume(rng_labels, tmp_path):
    rows = [(label, f"region{label}") for label in BIG_LABELS]
    return write_volume(tmp_path / f"space-{SPACE}_atlas-big_dseg.nii.gz", rng_labels, rows=rows)


@pytest.fixture
def rng_labels():
    return np.random.default_rng(0).choice((0, *BIG_LABELS), size=(9, 11, 7))


# Three faults that have silently spoilt region analyses elsewhere.


@pytest.mark.parametrize("regrid", [False, True])
def test_labels_above_127_do_not_wrap(volume, rng_labels, regrid):
    atlas = load_atlas(volume)
    assert atlas.labels.dtype == np.int32
    grid = Grid(rng_labels.shape, AFFINE)
    if regrid:  # twice as many voxels, each wholly inside one of the old
        affine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
        affine[:3, 3] -= 0.5
        grid = Grid(tuple(2 * n for n in rng_labels.shape), affine)
        rng_labels = rng_labels.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    matched = match_atlas(atlas, voxels(grid, np.arange(rng_labels.size)))
    assert matched.dtype == np.int32
    np.testing.assert_array_equal(matched, rng_labels.ravel())


def test_names_stay_with_their_labels_whatever_the_order_of_the_table(volume, tmp_path):
    first = load_atlas(volume)
    rows = [(label, f"region{label}") for label in BIG_LABELS]
    for number, order in enumerate(itertools.islice(itertools.permutations(rows), 0, 5040, 700)):
        table = tmp_path / f"order{number}.tsv"
        table.write_text(table_text(order))
        atlas = load_atlas(volume, table=table)
        assert dict(zip(atlas.region, atlas.index.tolist(), strict=True)) == {name: i for i, name in rows}
        np.testing.assert_array_equal(atlas.labels, first.labels)


def test_negative_labels_are_kept_or_refused_never_dropped(tmp_path):
    values = np.zeros((9, 11, 7))
    values[2:4], values[6] = -5, 3
    path = write_volume(tmp_path / f"space-{SPACE}_dseg.nii", values, rows=[(-5, "minus"), (3, "plus")])
    atlas = load_atlas(path)
    matched = match_atlas(atlas, voxels(Grid(values.shape, AFFINE), np.arange(values.size)))
    np.testing.assert_array_equal(matched, values.ravel())
    path.with_name(f"space-{SPACE}_dseg.tsv").write_text(table_text([(3, "plus")]))
    with pytest.raises(DataError, match=r"label -5 has no row in its table \(1 such"):
        load_atlas(path)


# Loading.


def test_shipped_atlas_is_on_both_hemispheres():
    atlas = load_atlas("Schaefer2018-200")
    assert (atlas.name, atlas.targets.space, atlas.targets.kind) == ("Schaefer2018-200", "fsaverage5", "vertex")
    np.testing.assert_array_equal(atlas.targets.index, np.tile(np.arange(10242), 2))
    np.testing.assert_array_equal(atlas.targets.hemi, np.repeat(["L", "R"], 10242))
    assert "MIT" in atlas.licence
    assert "Schaefer" in atlas.citation
    assert atlas.color[0].startswith("#7812")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Schaefer2018-300", r"not known. Did you mean 'Schaefer2018-\d00'\?"),
        ("aseg", r"\*_desc-aseg_dseg.nii.gz in fMRIPrep's output. Load that file with load_dseg"),
        ("/nowhere/space-T1w_dseg.nii.gz", "no table beside it"),
        ("/nowhere/atlas.nii.gz", "no table beside it"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(DataError, match=message):
        load_atlas(name)


@pytest.mark.parametrize("way", ["left file", "right file", "placeholder"])
def test_gifti_pair(tmp_path, way):
    halves = {"L": np.repeat([0, 7, 8], 3414), "R": np.repeat([9, 0, 8], 3414)}
    path = write_gifti(tmp_path, halves)
    table = tmp_path / "tpl-fsaverage5_atlas-mine_dseg.tsv"
    table.write_text(table_text([(8, "both"), (9, "right"), (7, "left")]))
    given = {"left file": "hemi-L", "right file": "hemi-R", "placeholder": "hemi-{hemi}"}[way]
    atlas = load_atlas(str(path).replace("hemi-L", given))
    np.testing.assert_array_equal(atlas.labels, np.concatenate([halves["L"], halves["R"]]))
    assert atlas.name == "mine"
    assert dict(zip(atlas.region, atlas.hemi, strict=True)) == {"left": "L", "right": "R", "both": ""}
    assert len(set(atlas.color)) == 3


def test_gifti_faults(tmp_path):
    good = np.ones(10242)
    path = write_gifti(tmp_path, {"L": good, "R": good})
    (tmp_path / "tpl-fsaverage5_atlas-mine_dseg.tsv").write_text(table_text([(1, "a", "L")], ("index", "name", "hemi")))
    with pytest.raises(DataError, match=r"region 'a' \(index 1\) is L in the table, but .* hemisphere R"):
        load_atlas(path)
    write_gifti(tmp_path, {"L": np.ones(10000), "R": good})
    with pytest.raises(DataError, match="10000 vertices, but fsaverage5 has 10242"):
        load_atlas(path)
    write_gifti(tmp_path, {"L": good * 1.5, "R": good}, dtype=np.float32)
    with pytest.raises(DataError, match=r"10242 values are not whole numbers .* first is 1.5"):
        load_atlas(path)
    right = path.with_name(path.name.replace("hemi-L", "hemi-R"))
    right.rename(path)
    with pytest.raises(DataError, match="named as hemi-L, but the file says CortexRight"):
        load_atlas(path)
    write_gifti(tmp_path, {"L": good})
    with pytest.raises(DataError, match=r"hemi-R_atlas-mine_dseg.label.gii: no such file"):
        load_atlas(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="cannot be read"):
        load_atlas(path)
    with pytest.raises(DataError, match="a surface atlas is a pair of files"):
        load_atlas(write_one_sided(tmp_path), table=tmp_path / "tpl-fsaverage5_atlas-mine_dseg.tsv")


def write_one_sided(folder):
    path = folder / "space-fsaverage5_dseg.label.gii"
    path.write_text("")
    return path


def test_templateflow_density_names_the_coarser_mesh(tmp_path):
    halves = {hemi: np.ones(10242, dtype=np.int32) for hemi in "LR"}
    for hemi in "LR":
        write_gifti(tmp_path, {hemi: halves[hemi]}).with_name(
            f"tpl-fsaverage5_hemi-{hemi}_atlas-mine_dseg.label.gii"
        ).rename(tmp_path / f"tpl-fsaverage_hemi-{hemi}_den-10k_atlas-mine_dseg.label.gii")
    (tmp_path / "tpl-fsaverage_atlas-mine_dseg.tsv").write_text(table_text([(1, "a")]))
    atlas = load_atlas(tmp_path / "tpl-fsaverage_hemi-{hemi}_den-10k_atlas-mine_dseg.label.gii")
    assert atlas.targets.space == "fsaverage5"


@pytest.mark.parametrize("ending", ["dlabel.nii", "dscalar.nii"])
def test_cifti(tmp_path, ending):
    path = write_cifti(tmp_path / f"space-fsLR_den-91k_atlas-c_dseg.{ending}", scalar=ending.startswith("dscalar"))
    atlas = load_atlas(path)
    assert atlas.targets.kind == "grayordinate"
    where = {
        name: set(np.asarray(atlas.targets.structure)[atlas.labels == index])
        for name, index in zip(atlas.region, atlas.index, strict=True)
    }
    assert where == {
        "ctxL": {"CORTEX_LEFT"},
        "ctxR": {"CORTEX_RIGHT"},
        "amyL": {"AMYGDALA_LEFT"},
        "amyR": {"AMYGDALA_RIGHT"},
    }
    assert atlas.hemi == ("L", "R", "L", "R")
    np.testing.assert_array_equal(atlas.targets.index[atlas.labels == 1], np.arange(5, 25))
    amygdala = np.unravel_index(atlas.targets.index[atlas.labels == 4], atlas.targets.grid.shape)
    np.testing.assert_array_equal(amygdala, [[5] * 4, [3, 3, 4, 4], [2, 3, 2, 3]])


def test_cifti_faults(tmp_path):
    path = write_cifti(tmp_path / "space-fsLR_dseg.dscalar.nii", scalar=True, factor=0.5)
    with pytest.raises(DataError, match=r"24 values are not whole numbers.* first is 0.5"):
        load_atlas(path)
    path = write_cifti(tmp_path / "nospace.dlabel.nii")
    with pytest.raises(DataError, match=r"reference space is not known. Give `space`"):
        load_atlas(path)
    assert load_atlas(path, space="fsLR").targets.space == "fsLR"
    (tmp_path / "space-fsLR_other.dlabel.nii").write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot be read"):
        load_atlas(tmp_path / "space-fsLR_other.dlabel.nii", table=tmp_path / "nospace.tsv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table_text([(1, "a"), (2, "b"), (1, "c")]), r"index 1 occurs twice \(1 such values\)"),
        (table_text([(1, "a"), (2, "a")]), "name 'a' occurs twice .* Add the hemisphere"),
        (table_text([(1, "a"), ("2.5", "b")]), "index '2.5' is not a whole number"),
        (table_text([(1, "a")], ("index", "label")), "column 'name' is missing; it has index, label"),
        (table_text([(1, "a", "up")], ("index", "name", "hemi")), "hemi 'up' is not understood"),
        (table_text([(1, "a", "red")], ("index", "name", "color")), "color 'red' is not understood"),
        (table_text([]), "no rows"),
        ("index\tname\n1\n", "line 2: not 2 fields"),
        (table_text([(1, "a")]), r"label 127 has no row in its table \(6 such labels\)"),
    ],
)
def test_table_faults(volume, tmp_path, text, message):
    table = tmp_path / "given.tsv"
    table.write_text(text)
    with pytest.raises(DataError, match=message):
        load_atlas(volume, table=table)


def test_the_table_is_found_by_its_entities(volume, tmp_path):
    own = volume.with_name(volume.name.replace(".nii.gz", ".tsv"))
    text = own.read_text()
    own.unlink()
    with pytest.raises(DataError, match=r"no table beside it .*Give `table`"):
        load_atlas(volume)
    (tmp_path / "atlas-other_dseg.tsv").write_text(table_text([(1, "wrong")]))
    (tmp_path / "atlas-big_probseg.tsv").write_text(table_text([(1, "wrong")]))
    (tmp_path / "atlas-big_dseg.tsv").write_text(text)
    assert load_atlas(volume).region[0] == "region1"
    (tmp_path / f"space-{SPACE}_dseg.tsv").write_text(text)
    with pytest.raises(DataError, match="fit equally well"):
        load_atlas(volume)


def test_a_row_for_the_background_is_no_region(volume):
    table = volume.with_name(volume.name.replace(".nii.gz", ".tsv"))
    table.write_text(table.read_text() + "0\tbackground\n")
    assert "background" not in load_atlas(volume).region


def test_volume_faults(tmp_path, rng_labels):
    rows = [(label, f"region{label}") for label in BIG_LABELS]
    path = tmp_path / f"space-{SPACE}_dseg.nii.gz"
    write_volume(path, rng_labels * 0, rows=rows)
    with pytest.raises(DataError, match="every label is 0"):
        load_atlas(path)
    write_volume(path, np.where(rng_labels, rng_labels, np.nan), dtype=np.float64)
    with pytest.raises(DataError, match="not whole numbers of 32 bits, the first is nan"):
        load_atlas(path)
    write_volume(path, np.stack([rng_labels] * 2, axis=-1))
    with pytest.raises(DataError, match=r"shape is \(9, 11, 7, 2\), but one volume"):
        load_atlas(path)
    write_volume(path, rng_labels[..., None])
    assert load_atlas(path).targets.grid.shape == (9, 11, 7)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:900]))
    with pytest.raises(DataError, match="values cannot be read"):
        load_atlas(path)


def test_description_beside_a_user_atlas_gives_citation_and_licence(volume, tmp_path):
    assert load_atlas(volume).citation == ""
    about = tmp_path / "atlas-big_description.json"
    about.write_text('{"License": "CC0", "ReferencesAndLinks": ["Someone 2020", "doi:1"]}')
    atlas = load_atlas(volume)
    assert (atlas.licence, atlas.citation) == ("CC0", "Someone 2020; doi:1")
    about.write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        load_atlas(volume)


# fMRIPrep's segmentations.


@pytest.fixture
def dseg(tmp_path):
    values = np.zeros((9, 11, 7))
    values[0], values[1], values[2], values[3], values[4] = 2, 18, 54, 1035, 2035
    return write_volume(tmp_path / "sub-01_task-x_space-T1w_desc-aparcaseg_dseg.nii.gz", values)


def test_dseg_names_freesurfer_labels(dseg):
    aseg, both = load_dseg(dseg), load_dseg(dseg, "aparcaseg")
    assert (aseg.name, len(aseg.region), both.name, len(both.region)) == ("aseg", 19, "aparcaseg", 87)
    assert aseg.targets.space == "T1w"
    names = dict(zip(both.index.tolist(), both.region, strict=True))
    assert {index: names[index] for index in (18, 54, 1035, 2035, 16, 10)} == {
        18: "Left-Amygdala",
        54: "Right-Amygdala",
        1035: "ctx-lh-insula",
        2035: "ctx-rh-insula",
        16: "Brain-Stem",
        10: "Left-Thalamus",
    }
    assert set(np.unique(aseg.labels)) == {18, 54}
    assert set(np.unique(both.labels)) == {18, 54, 1035, 2035}
    assert "Desikan" in both.citation
    matched = match_atlas(both, voxels(Grid((9, 11, 7), AFFINE), np.arange(9 * 11 * 7), "T1w"))
    np.testing.assert_array_equal(np.unique(matched), [0, 18, 54, 1035, 2035])
    for atlas in (aseg, both):
        sets = {roi.roi: roi.regions for roi in atlas.roi_sets}
        assert sets["amygdala"] == ("Left-Amygdala", "Right-Amygdala")
        assert len(sets) == 9
        assert {roi.confidence for roi in atlas.roi_sets} == {"approx"}


def test_dseg_faults(dseg, tmp_path):
    with pytest.raises(DataError, match="kind 'asg': Did you mean 'aseg'"):
        load_dseg(dseg, "asg")
    with pytest.raises(DataError, match="looks like desc-aseg_dseg"):
        load_dseg(write_volume(tmp_path / "space-T1w_a_dseg.nii", np.full((2, 2, 2), 18)), "aparcaseg")
    with pytest.raises(DataError, match="label 11101 is not one of fMRIPrep's"):
        load_dseg(write_volume(tmp_path / "space-T1w_b_dseg.nii", np.full((2, 2, 2), 11101)))
    with pytest.raises(DataError, match="no voxel of any region"):
        load_dseg(write_volume(tmp_path / "space-T1w_c_dseg.nii", np.full((2, 2, 2), 41)))
    with pytest.raises(DataError, match="reference space is not known"):
        load_dseg(write_volume(tmp_path / "sub-01_desc-aseg_dseg.nii", np.full((2, 2, 2), 18)))


# ROI sets.


def small_atlas(name):
    region = ("A_LH_1", "A_RH_1", "B_LH_1")
    targets = vertices([0, 1, 2], ["CORTEX_LEFT", "CORTEX_RIGHT", "CORTEX_LEFT"])
    return Atlas(name, [1, 2, 3], targets, [1, 2, 3], region, ("L", "R", "L"), ("",) * 3, ("#000000",) * 3)


def test_roi_patterns_respect_hemispheres_and_order():
    rows = [
        RoiPattern("s", "a", "B", "X-100", ("A_*",), "src", "exact"),
        RoiPattern("s", "left", "L", "X-100", ("B_*", "A_*"), "src", "approx"),
        RoiPattern("s", "elsewhere", "B", "Y", ("*",), "src", "exact"),
    ]
    sets = attach_roi_sets(small_atlas("X-100"), rows).roi_sets
    assert [(roi.roi, roi.regions) for roi in sets] == [("a", ("A_LH_1", "A_RH_1")), ("left", ("A_LH_1", "B_LH_1"))]


def test_a_pattern_must_match_at_its_own_scale_and_is_left_out_visibly_at_another(caplog):
    rows = [
        RoiPattern("s", "gone", "B", "X-400", ("C_*",), "src", "exact"),
        RoiPattern("s", "part", "B", "X-400", ("A_*", "C_*"), "src", "exact"),
    ]
    with pytest.raises(DataError, match="ROI 'gone' of set 's': pattern 'C_\\*' matches no region of 'X-400'"):
        attach_roi_sets(small_atlas("X-400"), rows)
    with caplog.at_level(logging.WARNING):
        atlas = attach_roi_sets(small_atlas("X-100"), rows)
    assert [(roi.roi, roi.regions) for roi in atlas.roi_sets] == [("part", ("A_LH_1", "A_RH_1"))]
    assert "leaves out: s/gone (C_*), s/part (C_*)" in caplog.text


def test_roi_table_is_read(tmp_path):
    assert {row.set for row in read_roi_sets()} == {
        "schaefer_networks",
        "schaefer_emotion",
        "horikawa2020_subcortical",
        "horikawa2020_cortical",
        "du2025_cortical",
    }
    path = tmp_path / "sets.tsv"
    columns = ("set", "roi", "hemi", "atlas", "labels", "source", "confidence")
    path.write_text(table_text([("s", "r", "both", "X", "a*, b*", "src", "exact")], columns))
    with pytest.raises(DataError, match="ROI 'r' has hemi 'both'; use L, R or B"):
        read_roi_patterns(path)
    path.write_text(path.read_text().replace("both", "B"))
    assert read_roi_patterns(path)[0].patterns == ("a*", "b*")


def bounded(where):
    return [RoiPattern("s", "r", "B", "X-100", ("A_*",), "src", "approx", where)]


def test_bounds_choose_regions_by_their_centroids():
    placed = replace(small_atlas("X-100"), centroids=np.array([[-10.0, 0, 1], [12, 0, 1], [-30, 5, 40]]))
    rows = [
        RoiPattern("s", "near", "B", "X-100", ("*",), "src", "approx", (("|x|", "<=", 12.0),)),
        RoiPattern("s", "low", "L", "X-100", ("*",), "src", "approx", (("z", "<=", 1.0),)),
        RoiPattern("s", "high", "L", "X-100", ("*",), "src", "approx", (("z", ">=", 2.0), ("y", ">=", 5.0))),
        RoiPattern("s", "none", "L", "X-100", ("*",), "src", "approx", (("z", ">=", 41.0),)),
    ]
    found = {roi.roi: roi.regions for roi in attach_roi_sets(placed, rows).roi_sets}
    assert found == {"near": ("A_LH_1", "A_RH_1"), "low": ("A_LH_1",), "high": ("B_LH_1",)}


def test_half_of_a_bounded_roi_is_left_out(caplog):
    atlas = small_atlas("X-100")
    centroids = np.where(np.asarray(atlas.hemi) == "L", -10.0, 10.0)[:, None] * [1, 0, 0]
    with caplog.at_level(logging.WARNING):
        halved = attach_roi_sets(replace(atlas, centroids=centroids), bounded((("x", "<=", 0.0),)))
    assert halved.roi_sets == ()
    assert "s/r (no region within its bounds in R)" in caplog.text
    with caplog.at_level(logging.WARNING):
        assert attach_roi_sets(atlas, bounded((("x", "<=", 0.0),))).roi_sets == ()
    assert "s/r (its table has no columns x, y, z)" in caplog.text


def test_bounds_that_are_not_understood_are_refused(tmp_path):
    path = tmp_path / "sets.tsv"
    columns = ("set", "roi", "hemi", "atlas", "labels", "source", "confidence", "where")
    path.write_text(table_text([("s", "r", "B", "X", "a*", "src", "exact", "x < 18")], columns))
    with pytest.raises(DataError, match=r"ROI 'r' has where = 'x < 18'; use bounds such as '\|x\|<=18 y>=20'"):
        read_roi_patterns(path)


def test_a_schaefer_atlas_of_the_user_takes_centroids_by_parcel_number(tmp_path):
    shipped = load_atlas("Schaefer2018-100")
    rows = [
        (str(i), name.replace("_FrOperIns", "_FrOper"))  # as named before release 0.14.3
        for i, name in zip(shipped.index, shipped.region, strict=True)
    ]
    table = tmp_path / "old_names.tsv"
    table.write_text(table_text(rows, ("index", "name")))
    folder = Path(str(files("roi_atlases")))
    for hemi in ("L", "R"):
        name = f"tpl-fsaverage5_hemi-{hemi}_atlas-Schaefer2018_seg-7n_scale-100_dseg.label.gii"
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    own = load_atlas(
        tmp_path / "tpl-fsaverage5_hemi-{hemi}_atlas-Schaefer2018_seg-7n_scale-100_dseg.label.gii", table=table
    )
    np.testing.assert_array_equal(own.centroids, shipped.centroids)
    table.write_text(
        table_text(
            [(*rows[0], "1", "x", "3"), *((*row, "1", "2", "3") for row in rows[1:])], ("index", "name", "x", "y", "z")
        )
    )
    with pytest.raises(DataError, match="has x, y, z = '1', 'x', '3'; use millimetres"):
        load_atlas(
            tmp_path / "tpl-fsaverage5_hemi-{hemi}_atlas-Schaefer2018_seg-7n_scale-100_dseg.label.gii", table=table
        )


# Matching.


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(200, 20484))
def test_any_part_of_the_targets_in_any_order_gets_its_own_labels(seed, n):
    atlas = load_atlas("Schaefer2018-400")
    chosen = np.random.default_rng(seed).permutation(20484)[:n]
    np.testing.assert_array_equal(match_atlas(atlas, atlas.targets[chosen]), atlas.labels[chosen])


def test_hemispheres_are_joined_by_structure_not_position():
    atlas = load_atlas("Schaefer2018-100")
    right_first = np.r_[10242:20484, 0:10242]
    matched = match_atlas(atlas, atlas.targets[right_first])
    assert matched[:10242].max() == 100
    assert matched[10242:].max() == 50


@pytest.mark.parametrize(("zoom", "offset"), [(3.0, 0.3), (1.3, -0.23), (2.0, 0.9)])
def test_resampling_is_nearest_neighbour(volume, rng_labels, zoom, offset):
    affine = np.diag([zoom, zoom, zoom, 1.0])
    affine[:3, 3] = AFFINE[:3, 3] + offset
    shape = (8, 6, 5)
    ijk = np.indices(shape).reshape(3, -1)
    world = affine[:3, :3] @ ijk + affine[:3, 3:]
    back = np.rint(np.linalg.inv(AFFINE)[:3, :3] @ (world - AFFINE[:3, 3:])).astype(int)
    inside = np.all((back >= 0) & (back < np.array(rng_labels.shape)[:, None]), axis=0)
    expected = np.where(inside, rng_labels[tuple(np.clip(back, 0, np.array(rng_labels.shape)[:, None] - 1))], 0)
    matched = match_atlas(load_atlas(volume), voxels(Grid(shape, affine), np.arange(ijk.shape[1])))
    np.testing.assert_array_equal(matched, expected)
    assert len(np.unique(matched)) > 5


def test_regions_lost_in_resampling_are_named(tmp_path, caplog):
    values = np.zeros((9, 11, 7))
    values[:, :, :3], values[1, 1, 5] = 1, 2
    path = write_volume(tmp_path / f"space-{SPACE}_dseg.nii", values, rows=[(1, "large"), (2, "tiny")])
    affine = np.diag([6.0, 6, 6, 1])
    affine[:3, 3] = AFFINE[:3, 3]
    match_atlas(load_atlas(path), voxels(Grid((3, 3, 2), affine), np.arange(18)))
    assert "no voxel left on the targets' grid for tiny" in caplog.messages[-1]
    assert "large" not in caplog.messages[-1]
    assert "one number and one name stand for both hemispheres in 1 regions (large)" in caplog.messages[0]


def test_spaces_must_agree(volume):
    grid = Grid((9, 11, 7), AFFINE)
    with pytest.raises(AlignmentError, match=rf"volume in '{SPACE}', the targets are in 'T1w'"):
        match_atlas(load_atlas(volume), voxels(grid, [0, 1], "T1w"))
    schaefer = load_atlas("Schaefer2018-100")
    with pytest.raises(AlignmentError, match="on the surface 'fsaverage5', the targets on 'fsaverage6'"):
        match_atlas(schaefer, vertices([5], ["CORTEX_LEFT"], 40962, "fsaverage6"))
    with pytest.raises(AlignmentError, match="CORTEX_LEFT has 10242 vertices, that of the targets 40962"):
        match_atlas(schaefer, vertices([5], ["CORTEX_LEFT"], 40962))
    with pytest.raises(AlignmentError, match="labels vertex targets in 'fsaverage5', but the targets are voxel"):
        match_atlas(schaefer, voxels(grid, [0, 1]))
    with pytest.raises(AlignmentError, match="table columns have no place"):
        match_atlas(schaefer, Targets.of_columns(["a"]))
    wall = np.flatnonzero(schaefer.labels == 0)[:3]
    with pytest.raises(AlignmentError, match="none of the 3 targets lies in a region"):
        match_atlas(schaefer, schaefer.targets[wall])


def test_grayordinates_take_a_volume_atlas_in_their_volume_only(tmp_path, caplog):
    targets = load_atlas(write_cifti(tmp_path / "space-fsLR_dseg.dlabel.nii")).targets
    values = np.ones((8, 9, 7))
    values[4:] = 2
    path = write_volume(tmp_path / "space-MNI152NLin6Asym_dseg.nii.gz", values, rows=[(1, "left"), (2, "right")])
    with caplog.at_level(logging.INFO):
        matched = match_atlas(load_atlas(path), targets)
    np.testing.assert_array_equal(matched, np.repeat([0, 1, 2], [30, 4, 4]))
    assert "has no surface: 30 targets there have no region" in caplog.text
    other = write_volume(tmp_path / f"space-{SPACE}_dseg.nii.gz", values, rows=[(1, "left"), (2, "right")])
    with pytest.raises(AlignmentError, match="the targets are in 'MNI152NLin6Asym'"):
        match_atlas(load_atlas(other), targets)


def test_grayordinates_and_surfaces_meet_on_the_same_mesh(tmp_path, caplog):
    cifti = load_atlas(write_cifti(tmp_path / "space-fsLR_dseg.dlabel.nii"))
    shuffled = np.random.default_rng(1).permutation(len(cifti.labels))
    np.testing.assert_array_equal(match_atlas(cifti, cifti.targets[shuffled]), cifti.labels[shuffled])
    on_mesh = vertices([5, 30, 104, 5], ["CORTEX_LEFT", "CORTEX_LEFT", "CORTEX_RIGHT", "CORTEX_RIGHT"], 32492, "fsLR")
    np.testing.assert_array_equal(match_atlas(cifti, on_mesh), [1, 0, 2, 0])
    halves = {"L": np.arange(32492) % 7, "R": np.arange(32492) % 5 + 7}
    path = write_gifti(tmp_path, halves, space="fsLR")
    (tmp_path / "tpl-fsLR_atlas-mine_dseg.tsv").write_text(table_text([(i, f"r{i}") for i in range(1, 12)]))
    with caplog.at_level(logging.INFO):
        matched = match_atlas(load_atlas(path), cifti.targets)
    np.testing.assert_array_equal(matched[:30], np.r_[np.arange(5, 25) % 7, np.arange(100, 110) % 5 + 7])
    assert not matched[30:].any()
    assert "has no volume: 8 targets there have no region" in caplog.text
