import nibabel as nib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from encoding.core.errors import DataError
from encoding.drawing.scales import ColorScale, WinnerScale
from encoding.drawing.slices import choose_slices
from encoding.drawing.volume import draw_slices, draw_winner_slices

from .conftest import pixels_of

SCALE = ColorScale(0.0, 1.0, "viridis", "Pearson r")
# A slab such as one gets from a single slice: first axis to the left, as in many scanners' files.
SLAB = np.array([[-3.1, 0, 0, 60.45], [0, 3.75, 0, -35.625], [0, 0, 3.75, -12.0], [0, 0, 0, 1]])


def slices_of(figure):
    return [axes for axes in figure.axes if " " in str(axes.get_label()) and axes.images]


def color_at(axes, x, y):
    """Colour of the uppermost picture of a panel at a place in mm."""
    image = axes.images[-1]
    left, right, bottom, top = image.get_extent()
    array = np.asarray(image.get_array())
    assert image.origin == "lower"
    row = int((y - bottom) / (top - bottom) * array.shape[0])
    column = int((x - left) / (right - left) * array.shape[1])
    return array[row, column]


def spot_in_slab(value=0.9):
    volume = np.full((40, 20, 1), np.nan)
    volume[5:35, 3:18] = 0.0
    volume[10, 15, 0] = value
    return volume


def test_voxels_of_a_tiny_slab_lie_where_the_affine_says():
    figure = draw_slices(spot_in_slab(), SLAB, SCALE, title="category\nsub-01")
    (axes,) = slices_of(figure)
    assert axes.get_label() == "axial -12"
    x, y, _ = nib.affines.apply_affine(SLAB, (10, 15, 0))
    assert x > 0  # a small index along an axis that runs to the left
    for dx, dy in ((-1.5, -1.8), (0, 0), (1.5, 1.8)):
        np.testing.assert_allclose(color_at(axes, x + dx, y + dy)[:3], SCALE.rgba(np.array([0.9]))[0, :3], atol=1e-6)
    for dx, dy in ((-1.6, 0), (1.6, 0), (0, -1.9), (0, 1.9)):
        assert np.ptp(color_at(axes, x + dx, y + dy)[:3]) < 0.01
    assert np.ptp(color_at(axes, -x, y)[:3]) < 0.01  # left and right are not swapped


def test_left_is_left_on_the_page():
    picture = pixels_of(draw_slices(spot_in_slab(), SLAB, SCALE))
    colored = np.ptp(picture, axis=2) > 0.2
    colored[int(0.7 * len(colored)) :] = False  # without the colour bar
    columns = np.flatnonzero(colored.any(axis=0))
    assert columns.mean() > picture.shape[1] / 2
    figure = draw_slices(spot_in_slab(), SLAB, SCALE)
    (axes,) = slices_of(figure)
    letters = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert letters["L"] < letters["R"]
    assert axes.get_xlim()[0] < axes.get_xlim()[1]


@pytest.mark.parametrize("codes", ["LPI", "PSR", "ARS", "SLA"])
def test_orientation_of_the_file_does_not_matter(codes):
    rng = np.random.default_rng(0)
    volume = rng.uniform(0.2, 1, (6, 7, 5))
    volume[0] = np.nan
    affine = np.diag([3.0, 4.0, 5.0, 1.0])
    affine[:3, 3] = -7, -11, -9
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(codes))
    turned = nib.apply_orientation(volume, turn)
    new_affine = affine @ nib.orientations.inv_ornt_aff(turn, volume.shape)
    before, after = (slices_of(draw_slices(v, a, SCALE)) for v, a in ((volume, affine), (turned, new_affine)))
    assert len(before) == 5
    for one, other in zip(before, after, strict=True):
        assert one.get_label() == other.get_label()
        np.testing.assert_allclose(one.images[0].get_extent(), other.images[0].get_extent())
        np.testing.assert_array_equal(one.images[0].get_array(), other.images[0].get_array())


@pytest.mark.parametrize(("cut", "expected"), [("axial", (0, 1)), ("coronal", (0, 2)), ("sagittal", (1, 2))])
def test_every_cut_shows_its_two_axes(cut, expected):
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = -10, -20, -30
    volume = np.zeros((9, 10, 11))
    volume[6, 2, 8] = 0.9
    figure = draw_slices(volume, affine, SCALE, cut=cut, n_slices=20)
    place = nib.affines.apply_affine(affine, (6, 2, 8))
    cut_axis = ({0, 1, 2} - set(expected)).pop()
    (axes,) = [axes for axes in slices_of(figure) if axes.get_label() == f"{cut} {place[cut_axis]:g}"]
    seen = color_at(axes, place[expected[0]], place[expected[1]])
    np.testing.assert_allclose(seen[:3], SCALE.rgba(np.array([0.9]))[0, :3], atol=1e-6)


def test_background_on_its_own_grid_lies_under_the_right_voxels():
    volume = np.full((10, 10, 3), 0.0)
    affine = np.diag([6.0, 6.0, 6.0, 1.0])
    fine = np.full((60, 60, 18), 40.0)
    fine[30:36, 12:18, 6:12] = 100.0  # world 30-36, 12-18, 6-12 with the affine below
    own = np.eye(4)
    own[:3, 3] = 0.5
    figure = draw_slices(volume, affine, SCALE, background=(fine, own))
    axes = next(axes for axes in slices_of(figure) if axes.get_label() == "axial 6")
    under = axes.images[0]

    def tone(x, y):
        left, right, bottom, top = under.get_extent()
        array = np.asarray(under.get_array())
        return array[
            int((y - bottom) / (top - bottom) * len(array)), int((x - left) / (right - left) * array.shape[1]), 0
        ]

    assert tone(33, 15) > tone(20, 15) + 0.1
    assert tone(33, 15) > tone(33, 30) + 0.1


def test_mask_and_nan_are_not_colored_and_counted():
    volume = np.full((8, 8, 1), 0.9)
    mask = np.zeros((8, 8, 1))
    mask[2:4, 2:4] = 1
    figure = draw_slices(volume, np.eye(4), SCALE, mask=mask)
    assert any(text.get_text().startswith("4 voxels of 1") for text in figure.texts)
    (axes,) = slices_of(figure)
    picture = np.asarray(axes.images[0].get_array())
    assert (np.ptp(picture[..., :3], axis=2) > 0.1).sum() == 4


def test_slices_are_evenly_spread_over_the_data():
    covered = np.zeros(40, dtype=int)
    covered[10:30] = 100
    for n in (1, 3, 7, 20, 50):
        chosen = choose_slices(covered, n)
        assert len(chosen) <= n
        assert covered[chosen].all()
        assert len(set(np.diff(chosen))) <= 1
    assert choose_slices(covered, 20).tolist() == list(range(10, 30))


def test_winner_slices_have_the_color_of_the_winner():
    scale = WinnerScale(("a", "b"), ("#0072B2", "#D55E00"), margin=0.1, threshold=0.1)
    accuracy = np.where(np.isnan(spot_in_slab()), np.nan, 0.3)
    winner = np.where(np.arange(40)[:, None, None] < 20, 0, 1) * np.ones((1, 20, 1), dtype=int)
    figure = draw_winner_slices(winner, np.full((40, 20, 1), 0.2), accuracy, SLAB, scale, title="t\nsub-01")
    (axes,) = slices_of(figure)
    for index, color in ((10, "#0072B2"), (30, "#D55E00")):
        x, y, _ = nib.affines.apply_affine(SLAB, (index, 10, 0))
        np.testing.assert_allclose(color_at(axes, x, y)[:3], to_rgb(color), atol=1e-6)
    with pytest.raises(DataError, match="indices reach from 0 to 1, but there are 1 names"):
        draw_winner_slices(winner, accuracy, accuracy, SLAB, WinnerScale(("a",), ("#000000",), 0.1, 0.1))


@pytest.mark.parametrize(
    ("volume", "options", "message"),
    [
        (np.full((3, 3, 3), np.nan), {}, "no voxel of .3, 3, 3. is covered"),
        (np.zeros((3, 3)), {}, r"map has shape \(3, 3\)"),
        (np.zeros((3, 3, 3)), {"mask": np.ones((3, 3, 2))}, r"the mask \(3, 3, 2\)"),
        (np.zeros((3, 3, 3)), {"cut": "axail"}, "'axail' is unknown. Did you mean 'axial'"),
        (np.zeros((3, 3, 3)), {"background": np.zeros((3, 3))}, "Background of the slices has shape"),
    ],
)
def test_volumes_that_cannot_be_drawn_are_named(volume, options, message):
    with pytest.raises(DataError, match=message):
        draw_slices(volume, np.eye(4), SCALE, **options)
