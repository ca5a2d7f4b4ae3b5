"""The command atlases: what it lists, shows and draws."""

import re

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

from encoding.cli import main
from encoding.drawing.atlases import draw_label_slices, draw_parcels
from encoding.io.atlases.catalogue import available_atlases, load_atlas
from encoding.io.atlases.remote import REMOTE
from encoding.io.atlases.showing import label_volume, labels_on_fsaverage5


def test_the_list_names_every_atlas_with_its_terms(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ENCODING_ATLASES", str(tmp_path))
    assert main(["atlases"]) == 0
    said = capsys.readouterr().out
    for name in [info.name for info in available_atlases()] + list(REMOTE):
        assert f"\n{name}  (" in f"\n{said}"
    assert said.count("licence: ") == len(available_atlases()) + len(REMOTE)


def test_regions_centroids_and_sets_of_one_atlas_are_shown_and_drawn(capsys, tmp_path):
    picture = tmp_path / "tian.png"
    assert main(["atlases", "show", "Tian2020-S1", "-o", str(picture)]) == 0
    said = capsys.readouterr().out
    row = re.search(r"^2 +AMY-rh +R +([\d.-]+) +([\d.-]+) +([\d.-]+) +(\d+)$", said, re.M)
    np.testing.assert_allclose([float(row[k]) for k in (1, 2, 3)], [24, -4, -19], atol=1)
    assert int(row[4]) == int((load_atlas("Tian2020-S1").labels == 2).sum())
    assert "Melbourne Subcortex Atlas License" in said
    assert "horikawa2020_subcortical / amygdala (approx): AMY-rh, AMY-lh" in said
    assert imread(picture).std() > 0.05


def test_a_label_image_of_the_user_is_shown_with_its_table(capsys, tmp_path):
    labels = np.zeros((5, 6, 7), np.uint8)
    labels[1:3, 2, 3] = 4
    nib.save(nib.Nifti1Image(labels, np.diag([2.0, 2, 2, 1])), tmp_path / "mine.nii.gz")
    (tmp_path / "names.txt").write_text("4 thing\n")
    arguments = ["atlases", "show", str(tmp_path / "mine.nii.gz"), "--table", str(tmp_path / "names.txt")]
    assert main([*arguments, "--space", "T1w"]) == 0
    assert re.search(r"^4 +thing +3.0 +4.0 +6.0 +2$", capsys.readouterr().out, re.M)
    assert main(arguments) == 1
    assert "its reference space is not known" in capsys.readouterr().err


def test_regions_are_painted_in_their_colours_and_places():
    atlas = load_atlas("Schaefer2018-100")
    colors = dict.fromkeys(atlas.index.tolist(), "#000000") | {1: "#ff0000"}
    figure = draw_parcels(labels_on_fsaverage5(atlas), colors)
    assert len(figure.axes) == 8
    red = [np.asarray(axes.images[0].get_array())[..., :3] for axes in figure.axes]
    shares = [np.mean((one[..., 0] > 150) & (one[..., 1] < 100)) for one in red]
    # Parcel 1 lies under the left temporal lobe: seen from below on the left, never on the right.
    assert shares[4] > 0.01
    assert max(shares[1], shares[3], shares[5], shares[7]) == 0


@pytest.mark.parametrize("flip", [False, True])
def test_slices_show_left_on_the_left(flip):
    atlas = load_atlas("Tian2020-S1")  # its file runs from right to left
    volume, affine = label_volume(atlas)
    assert (np.diag(affine)[:3] > 0).all()
    left = atlas.index[[name.endswith("lh") for name in atlas.region]]
    colors = {number: "#ff0000" if number in left else "#0000ff" for number in atlas.index.tolist()}
    names = list(zip(atlas.index.tolist(), atlas.region, strict=True))
    figure = draw_label_slices(volume[::-1] if flip else volume, affine, colors, names)
    axial = np.asarray(figure.axes[14].images[0].get_array())
    half = axial.shape[1] // 2
    red = (axial[..., 0] > 0.9) & (axial[..., 2] < 0.1)
    assert (red[:, :half].sum() > red[:, half:].sum()) != flip
