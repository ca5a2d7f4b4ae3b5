import numpy as np
import pandas as pd
import pytest

from encoding.core.errors import DataError
from encoding.drawing.charts import draw_alphas, draw_differences, draw_networks, draw_scatter, draw_splits
from encoding.drawing.scales import space_colors

from .conftest import MODELS, pixels_of

COLORS = space_colors(MODELS)


def texts_of(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [t.get_text() for t in figure.texts]


def dots_of(axes):
    return np.concatenate([np.asarray(group.get_offsets()) for group in axes.collections])


def test_every_subject_is_a_dot_at_its_value(table):
    figure = draw_networks(table, colors=COLORS, label="mean r")
    (axes,) = figure.axes
    dots = dots_of(axes)
    np.testing.assert_allclose(np.sort(dots[:, 0]), np.sort(table["value"]))
    in_first = dots[dots[:, 1] < 0.5]
    np.testing.assert_allclose(np.sort(in_first[:, 0]), np.sort(table.loc[table["region"] == "V1", "value"]))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["V1", "FFA"]
    assert axes.get_xlim()[0] < -0.02
    assert axes.get_xlabel() == "mean r"


def test_bars_end_at_the_means(table):
    (axes,) = draw_networks(table, colors=COLORS, label="r").figure.axes
    bars = sorted(bar.get_width() + bar.get_x() for bar in axes.patches if bar.get_height() < 0.5)
    means = sorted(table.groupby(["region", "model"])["value"].mean())
    np.testing.assert_allclose(bars, means, atol=1e-12)


def test_the_margin_repeats_the_verdicts_and_ranks_nothing_itself(table):
    plain = draw_networks(table, colors=COLORS, label="r")
    assert not any(name in texts_of(plain)[: -len(MODELS) - 1] for name in MODELS)
    verdicts = {"V1": ("video", "+0.1, p 0.01"), "FFA": ("", "no difference")}  # video is not the highest in V1
    figure = draw_networks(table, colors=COLORS, label="r", verdicts=verdicts)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ["\N{BLACK SQUARE}", "video", "+0.1, p 0.01", "no difference", "what can be claimed"]
    strong = [bar for bar in figure.axes[0].patches if bar.get_alpha() == 0.6]
    assert len(strong) == 1
    mean = table[(table["region"] == "V1") & (table["model"] == "video")]["value"].mean()
    assert strong[0].get_width() + strong[0].get_x() == pytest.approx(mean)
    with pytest.raises(DataError, match=r"'vidoe' is named in 'V1'\. Did you mean 'video'"):
        draw_networks(table, colors=COLORS, label="r", verdicts={"V1": ("vidoe", "")}, title="t")


def test_intervals_are_drawn_where_they_are_known(table):
    known = pd.DataFrame({"region": ["V1", "FFA"], "model": "video", "low": [0.1, np.nan], "high": [0.9, np.nan]})
    figure = draw_networks(table, colors=COLORS, label="r", intervals=known)
    lines = [line.get_xdata() for line in figure.axes[0].lines if line.get_linewidth() == 0.8]
    assert [list(line) for line in lines] == [[0.1, 0.9]]
    assert figure.axes[0].get_xlim()[1] >= 0.9


def test_one_subject_and_missing_rows_are_drawn(table):
    part = table[(table["subject"] == "01") & ~((table["region"] == "FFA") & (table["model"] == "video"))]
    figure = draw_networks(part, colors=COLORS, label="r")
    assert len(dots_of(figure.axes[0])) == len(part) == 5


def test_differences_are_paired_within_subjects(table):
    figure = draw_differences(table, colors=COLORS, label="difference", pairs=[("categories", "video")])
    (axes,) = figure.axes
    wide = table.pivot(index=["region", "subject"], columns="model", values="value")
    np.testing.assert_allclose(np.sort(dots_of(axes)[:, 0]), np.sort(wide["categories"] - wide["video"]), atol=1e-12)
    low, high = axes.get_xlim()
    assert low == -high
    titles = texts_of(figure)
    assert "categories \N{RIGHTWARDS ARROW}" in titles
    assert "\N{LEFTWARDS ARROW} video" in titles


def test_all_pairs_are_drawn_on_one_axis(table):
    figure = draw_differences(table, colors=COLORS, label="difference")
    assert len(figure.axes) == 3
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


@pytest.mark.parametrize("draw", [draw_networks, draw_differences])
def test_tables_that_cannot_be_drawn_are_named(draw, table):
    def refuse(changed, message, **options):
        with pytest.raises(DataError, match=message):
            draw(changed, **({"colors": COLORS, "label": "r", "title": "t"} | options))

    refuse(table.drop(columns="region"), r"Chart 't': the table lacks columns \['region'\]")
    refuse(table.assign(level=["a", "b"] * 9), "one level of regions is drawn at a time")
    refuse(table, r"model 'video' has no colour. Known: categories, dimensions", colors=space_colors(MODELS[:2]))
    refuse(table.loc[[0, 0, 1]], r"1 rows are doubled, the first is \['01', 'V1', 'categories'\]")
    refuse(table.assign(value=np.nan), "none of 18 values is finite")


def test_differences_need_two_known_models(table):
    with pytest.raises(DataError, match=r"no rows of model 'vidoe'\. Did you mean 'video'"):
        draw_differences(table, colors=COLORS, label="d", pairs=[("categories", "vidoe")])
    with pytest.raises(DataError, match="differences need two models"):
        draw_differences(table[table["model"] == "video"], colors=COLORS, label="d")


def test_many_networks_and_models_fit_without_touching_the_edge(table):
    names = ["emotion_categories", "affective_dimensions", "multimodal_llm_video", "llm_text", "banded_ridge_of_all"]
    rows = [
        (f"{s:02d}", "roi", f"Salience / ventral attention {k}", name, 0.01 * (s + k))
        for s in range(5)
        for k in range(12)
        for name in names
    ]
    big = pd.DataFrame(rows, columns=table.columns)
    for draw in (draw_networks, draw_differences):
        picture = pixels_of(draw(big, colors=space_colors(names), label="r", title="T", subtitle="s"), dpi=60)
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edge == 1).all()


def test_scatter_counts_every_finite_target_on_equal_axes():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-0.1, 0.4, 500), rng.uniform(-0.1, 0.4, 500)
    b[:3] = np.nan
    figure = draw_scatter(a, b, ("one", "two"), label="r")
    axes = figure.axes[0]
    assert np.ma.sum(axes.collections[0].get_array()) == 497
    assert axes.get_xlim() == axes.get_ylim()
    better = np.mean(a[3:] > b[3:])
    assert f"one higher in {better:.0%}" in texts_of(figure)
    assert axes.get_xlabel() == "r, one"
    with pytest.raises(DataError, match="500 and 3 targets"):
        draw_scatter(a, b[:3], ("one", "two"), label="r")
    with pytest.raises(DataError, match="no target is finite"):
        draw_scatter(np.full(3, np.nan), np.zeros(3), ("one", "two"), label="r")


def test_alphas_mark_the_edges_of_the_grid():
    counts = {"categories": np.array([0, 6, 4]), "video": np.array([9, 1, 0])}
    figure = draw_alphas(counts, np.array([0.1, 1, 10]), colors=COLORS)
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0.0, 0.6, 0.4]
    red = {text.get_text() for axes in figure.axes for text in axes.texts if text.get_color() == "#B3261E"}
    assert red == {"40% at the edge", "90% at the edge"}
    with pytest.raises(DataError, match="'video': 2 counts for 3 alphas"):
        draw_alphas({"video": np.ones(2)}, np.array([0.1, 1, 10]), colors=COLORS)
    with pytest.raises(DataError, match="rising grid above 0"):
        draw_alphas({"video": np.ones(2)}, np.array([1.0, 0.1]), colors=COLORS)


def test_splits_show_each_run_in_its_fold():
    figure = draw_splits({"01": 0, "02": 1, "03": 0, "04": -1}, title="folds")
    tones = np.asarray(figure.axes[0].collections[0].get_array()).reshape(2, 4)
    np.testing.assert_array_equal(tones == 0, [[True, False, True, False], [False, True, False, False]])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["01", "02", "03", "04"]
    for nothing in ({}, [-1, -1]):
        with pytest.raises(DataError, match="none of which is ever tested"):
            draw_splits(nothing)
