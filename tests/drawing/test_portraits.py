"""Portraits of embeddings show the weights they are given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Wedge
from PIL import Image
from scipy.cluster.hierarchy import linkage

from encoding.drawing.portraits import draw_graph, draw_hue_map, draw_roses, draw_tree, hue_colors

HUE = np.array([0.0, 0.5, 0.25, 0.75])
LABELS = ["1 awe", "2 fear", "3 joy", "4 calm"]


def words(axes):
    return [text.get_text() for text in axes.texts]


def test_hues_are_equally_light_and_turn_grey():
    rgb = hue_colors(np.linspace(0, 1, 60, endpoint=False))
    assert ((rgb >= 0) & (rgb <= 1)).all()
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert 0.2 < luminance.min() < luminance.max() < 0.42
    grey = hue_colors(np.array([0.0, 0.4]), np.zeros(2))
    assert np.allclose(grey[0], grey[1])
    np.testing.assert_allclose(hue_colors(np.array([0.3])), hue_colors(np.array([1.3])), atol=1e-9)


def test_areas_of_petals_are_weights():
    figure = draw_roses(np.array([[1.0, 4.0, 0.0, 2.0]]), ["clip"], LABELS, HUE)
    petals = [patch for patch in figure.axes[0].patches if isinstance(patch, Wedge) and patch.fill]
    areas = sorted(patch.r**2 for patch in petals)
    assert areas == pytest.approx([0.25, 0.5, 1.0])
    assert {"clip", "1 awe", "2 fear", "4 calm"} == set(words(figure.axes[0]))
    widths = {round(patch.theta2 - patch.theta1) for patch in petals}
    assert widths == {90}


def test_roses_carry_their_pictures(tmp_path):
    Image.new("RGB", (80, 45), "red").save(tmp_path / "a.png")
    figure = draw_roses(np.eye(4)[:2], ["a", "b"], LABELS, HUE, frames={"a": tmp_path / "a.png"})
    assert [len(axes.images) for axes in figure.axes] == [1, 0]


def test_a_map_has_its_wheel():
    places = np.random.default_rng(0).random((30, 2))
    figure = draw_hue_map(places, np.zeros(30), np.ones(30), (LABELS, HUE))
    assert set(LABELS) <= set(words(figure.axes[1]))
    np.testing.assert_allclose(figure.axes[0].collections[0].get_facecolors()[0, :3], hue_colors(np.zeros(1))[0])


def test_bars_beside_a_tree_belong_to_its_leaves():
    tree = linkage(np.array([[0.0], [5.0], [0.1], [5.2]]), "average")
    table = pd.DataFrame({"cross_entropy_gained": [0.1, 0.2, 0.3, 0.4]})
    for end, shift in (("low", -0.01), ("high", 0.01)):
        table[f"cross_entropy_gained_{end}"] = table["cross_entropy_gained"] + shift
    figure = draw_tree(tree, LABELS, HUE, table)
    order = [text.get_text() for text in figure.texts if text.get_text() in LABELS]
    height = {text.get_text(): text.get_position()[1] for text in figure.texts}
    bars = [bar.get_width() for bar in figure.axes[1].patches]
    assert bars == pytest.approx([0.1 * (LABELS.index(label) + 1) for label in order])
    assert sorted(order, key=height.get) == order, "the first bar is the lowest"


def test_lines_of_a_graph_are_edges():
    edges = pd.DataFrame({"first": [0], "second": [2], "r": [0.4], "p": [0.001]})
    figure = draw_graph(np.eye(4)[:, :2], edges, np.array([0, 1, 0, 2]), LABELS, np.arange(4.0))
    lines, dots = figure.axes[0].collections
    np.testing.assert_allclose(lines.get_segments(), [[[1, 0], [0, 0]]])
    colors = dots.get_facecolors()
    assert np.allclose(colors[0], colors[2])
    assert np.allclose(colors[1], colors[3]), "dimensions without edges are grey"
    assert not np.allclose(colors[0], colors[1])
    draw_graph(np.eye(4)[:, :2], edges.iloc[:0], np.arange(4), LABELS, np.ones(4))
