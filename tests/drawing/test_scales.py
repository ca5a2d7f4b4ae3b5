import itertools

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from encoding.core.errors import DataError
from encoding.drawing.figure import INK, MUTED, UNDERLAY
from encoding.drawing.scales import (
    BOTH,
    PALETTE,
    TIE,
    TIE_COLOR,
    ColorScale,
    PairScale,
    WinnerScale,
    accuracy_scale,
    difference_scale,
    round_up,
    space_colors,
)


def test_opacity_is_full_from_the_threshold_on_and_fades_below():
    scale = ColorScale(0.0, 1.0, "inferno", "r", threshold=0.2)
    opacity = scale.opacity(np.array([-0.5, 0.0, 0.1, np.nextafter(0.2, 0), 0.2, 0.9, 5.0, np.nan]))
    assert opacity.tolist()[:2] == [0, 0]
    assert 0 < opacity[2] < opacity[3] < 0.7
    assert opacity.tolist()[4:] == [1, 1, 1, 0]


def test_two_sided_scales_fade_towards_zero_on_both_sides():
    scale = ColorScale(-1.0, 1.0, "RdBu_r", "difference", threshold=0.2)
    values = np.linspace(-1, 1, 41)
    np.testing.assert_allclose(scale.opacity(values), scale.opacity(-values))
    np.testing.assert_array_equal(scale.opacity(values) == 1, np.abs(values) >= 0.2)


def test_colors_are_those_of_the_map_and_stop_at_its_ends():
    scale = ColorScale(0.0, 0.5, "viridis", "r")
    seen = scale.rgba(np.array([0.25, 0.5, 3.0]))
    cmap = mpl.colormaps["viridis"]
    np.testing.assert_allclose(seen[:, :3], [cmap(0.5)[:3], cmap(1.0)[:3], cmap(1.0)[:3]])


@given(st.floats(1e-12, 1e12))
def test_rounding_goes_up_and_not_far(value):
    assert value * (1 - 1e-6) <= round_up(value) <= 1.6 * value
    assert round_up(round_up(value)) == pytest.approx(round_up(value))


def test_accuracy_scale_is_shared_robust_and_starts_at_zero():
    rng = np.random.default_rng(0)
    weak, strong = rng.uniform(-0.1, 0.1, 1000), rng.uniform(0, 0.37, 1000)
    strong[:3] = np.nan, 0.99, np.inf  # one outlier must not stretch the scale
    scale = accuracy_scale([weak, strong], "r", threshold=0.1)
    assert (scale.vmin, scale.vmax, scale.threshold) == (0.0, 0.4, 0.1)
    assert accuracy_scale([weak], "r").vmax == 0.1
    assert accuracy_scale([-strong], "r").opacity(-strong).max() == 0


@pytest.mark.parametrize(("size", "n_voxels"), [(40_000, 4), (40_000, 14), (5_000, 3)])
def test_a_nucleus_of_a_few_voxels_decides_where_the_scale_ends(size, n_voxels):
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.03, size)
    planted = noise.copy()
    planted[:n_voxels] = 0.4
    assert accuracy_scale([noise, planted], "r").vmax == 0.4
    assert difference_scale([noise, -planted], "d").vmax == 0.4
    assert accuracy_scale([noise], "r").vmax <= 0.2


def test_threshold_above_all_data_still_fits_on_the_scale():
    assert accuracy_scale([np.array([0.01, 0.02])], "r", threshold=0.1).vmax == 0.15


def test_difference_scale_is_symmetric():
    scale = difference_scale([np.array([-0.19, 0.01]), np.array([0.02])], "d")
    assert (scale.vmin, scale.vmax, scale.two_sided) == (-0.2, 0.2, True)


def test_scales_without_a_finite_value_are_refused():
    with pytest.raises(DataError, match="'r': none of the 2 maps has a finite value"):
        accuracy_scale([np.full(3, np.nan), np.array([])], "r")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, 0.5, "viridis", "r"), "vmin 0.5 must be below vmax 0.5"),
        ((0.0, np.nan, "viridis", "r"), "vmax nan"),
        ((0.0, 0.5, "jetlag", "r"), "no colour map 'jetlag'"),
        ((0.0, 0.5, "viridis", "r", 0.7), "threshold 0.7 must lie between 0 and 0.5"),
    ],
)
def test_impossible_scales_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        ColorScale(*arguments)


def test_a_space_keeps_its_color_when_others_are_added():
    names = [f"space {k}" for k in range(12)]
    few, many = space_colors(names[:3]), space_colors(names)
    assert list(few.values()) == list(PALETTE[:3])
    assert all(many[name] == color for name, color in few.items())
    assert len(set(many.values())) == 12


def test_spaces_with_one_name_or_without_end_are_refused():
    with pytest.raises(DataError, match="occurs twice"):
        space_colors(["a", "a"])
    with pytest.raises(DataError, match="25 feature spaces: at most 24"):
        space_colors([str(k) for k in range(25)])


# Machado et al. (2009, doi:10.1109/TVCG.2009.113), full deuteranopia and protanopia, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
}


def lab(color, kind):
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    scaled = np.cbrt(xyz @ np.clip(BLINDNESS[kind] @ linear, 0, 1) / [0.9505, 1.0, 1.089])
    return np.array([116 * scaled[1] - 16, 500 * (scaled[0] - scaled[1]), 200 * (scaled[1] - scaled[2])])


def contrast(color, other):
    """Ratio of luminances (WCAG 2, 1.4.11: marks need 3, small letters 4.5)."""
    light = []
    for rgb in (np.array(to_rgb(color)), np.array(to_rgb(other))):
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        light.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("color", [*PALETTE, TIE_COLOR, BOTH])
def test_marks_stand_out_from_white_paper(color):
    assert contrast(color, "white") >= 3
    assert contrast("#F0E442", "white") < 1.5  # what yellow would be


@pytest.mark.parametrize("color", [INK, MUTED])
def test_small_letters_stand_out_from_white_paper(color):
    assert contrast(color, "white") >= 4.5


@pytest.mark.parametrize("kind", BLINDNESS)
def test_ties_and_both_look_like_no_space_of_a_pair(kind):
    for color in (TIE_COLOR, BOTH):
        assert min(np.linalg.norm(lab(color, kind) - lab(other, kind)) for other in PALETTE[:3]) > 19
    for color in (*PALETTE[:2], BOTH):
        assert np.linalg.norm(lab(color, kind) - lab(UNDERLAY, kind)) > 25


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize("cmap", ["inferno", "RdBu_r"])
def test_steps_of_the_scales_are_steps_for_color_blind_readers(kind, cmap):
    colors = [mpl.colormaps[cmap](place)[:3] for place in np.linspace(0, 1, 9)]
    steps = [np.linalg.norm(lab(a, kind) - lab(b, kind)) for a, b in itertools.pairwise(colors)]
    assert min(steps) > 5


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize(("n", "distance"), [(3, 30), (5, 28), (8, 15)])
def test_colors_can_be_told_apart_by_color_blind_readers(kind, n, distance):
    pairs = itertools.combinations(PALETTE[:n], 2)
    assert min(np.linalg.norm(lab(a, kind) - lab(b, kind)) for a, b in pairs) > distance


def test_winner_colors_pale_with_the_margin_and_vanish_without_accuracy():
    scale = WinnerScale(("a", "b"), ("#0072B2", "#D55E00"), margin=0.1, threshold=0.2)
    clear, tie, weak, none, empty = scale.rgba(
        np.array([0, 0, 0, -1, 1]), np.array([0.2, 0.0, 0.2, 0.2, 0.2]), np.array([0.3, 0.3, 0.1, 0.3, np.nan])
    )
    np.testing.assert_allclose(clear, [*to_rgb("#0072B2"), 1])
    assert np.ptp(tie[:3]) < 0.5 * np.ptp(clear[:3])
    assert tie[3] == 1
    assert 0 < weak[3] < 0.5
    assert none[3] == empty[3] == 0


def test_ties_have_a_color_of_their_own_and_none_has_no_color():
    scale = WinnerScale(("a", "b"), PALETTE[:2], margin=0.1, threshold=0.2)
    tie, none = scale.rgba(np.array([TIE, -1]), np.array([0.3, 0.3]), np.array([0.4, 0.4]))
    np.testing.assert_allclose(tie, [*to_rgb(TIE_COLOR), 1])
    assert none[3] == 0


def test_a_pair_has_the_color_of_the_higher_map_and_a_dark_one_where_both_are_high():
    scale = PairScale(("a", "b"), PALETTE[:2], 0.4, "r")
    first, second = np.array([0.4, 0.0, 0.4, 0.0, 0.9, np.nan, -0.2]), np.array([0.0, 0.4, 0.4, 0.0, 0.0, 0.4, -0.1])
    one, two, both, none, beyond, unknown, below = scale.rgba(first, second)
    np.testing.assert_allclose(one, [*to_rgb(PALETTE[0]), 1])
    np.testing.assert_allclose(two, [*to_rgb(PALETTE[1]), 1])
    np.testing.assert_allclose(both, [*to_rgb(BOTH), 1])
    np.testing.assert_allclose(beyond, one)
    assert none[3] == unknown[3] == below[3] == 0
    with pytest.raises(DataError, match="vmax 0 must exceed 0"):
        PairScale(("a", "b"), PALETTE[:2], 0, "r")


def test_winner_scale_needs_a_color_per_name():
    with pytest.raises(DataError, match="2 names and 1 colours"):
        WinnerScale(("a", "b"), ("#000000",), margin=0.1, threshold=0.1)
    with pytest.raises(DataError, match="margin 0"):
        WinnerScale(("a",), ("#000000",), margin=0, threshold=0.1)
