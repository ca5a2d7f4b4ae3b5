"""Charts of the report hold the values they are given: read back from the marks of the SVG."""

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from encoding.core.errors import DataError
from encoding.drawing.charts import (
    alpha_chart,
    difference_chart,
    network_chart,
    save_svg,
    scatter_chart,
    split_chart,
)
from encoding.drawing.figure import text_width
from encoding.drawing.scales import space_colors

from .conftest import MODELS

SVG = "{http://www.w3.org/2000/svg}"
COLORS = space_colors(MODELS)
HELD_OUT = "#0B3C5D"


def marks(svg, tag):
    return list(ElementTree.fromstring(svg).iter(SVG + tag))


def words(svg):
    return [text.text for text in marks(svg, "text")]


def number(text):
    try:
        return float(text.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return None


def scale_of(svg, *, after=-np.inf, before=np.inf):
    """Values by place along x, from the labels of the ticks."""
    ticks = {
        float(text.get("x")): number(text.text)
        for text in marks(svg, "text")
        if text.get("text-anchor") == "middle" and number(text.text) is not None
        and after <= float(text.get("x")) <= before
    }  # fmt: skip
    slope, offset = np.polyfit(list(ticks), list(ticks.values()), 1)
    return lambda x: slope * float(x) + offset


def dots(svg, **part):
    scale = scale_of(svg, **part)
    return np.array([scale(dot.get("cx")) for dot in marks(svg, "circle")])


def outside(svg):
    """List marks that leave the chart, texts by their measured width."""
    root = ElementTree.fromstring(svg)
    width, height = float(root.get("width")), float(root.get("height"))
    found = []
    for mark in marks(svg, "circle"):
        x, y, r = (float(mark.get(name)) for name in ("cx", "cy", "r"))
        found += [mark.attrib] if not (r <= x <= width - r and r <= y <= height - r) else []
    for mark in marks(svg, "rect"):
        x, y, w, h = (float(mark.get(name)) for name in ("x", "y", "width", "height"))
        found += [mark.attrib] if x < 0 or y < 0 or x + w > width or y + h > height else []
    for mark in marks(svg, "text"):
        if mark.get("transform"):
            continue
        bold = mark.get("font-weight") is not None
        long = 100 * text_width(mark.text, float(mark.get("font-size")) * 0.72, bold=bold)
        x = float(mark.get("x")) - {None: 0, "middle": long / 2, "end": long}[mark.get("text-anchor")]
        y = float(mark.get("y"))
        found += [mark.text] if x < -2 or x + long > width + 2 or not 0 <= y <= height else []
    return found


def test_every_subject_is_a_dot_at_its_value(table):
    svg = network_chart(table, colors=COLORS, label="mean r", alt="accuracy")
    np.testing.assert_allclose(np.sort(dots(svg)), np.sort(table["value"]), atol=1e-3)
    assert {"V1", "FFA", "mean r", *MODELS} <= set(words(svg))
    assert ElementTree.fromstring(svg).get("aria-label") == "accuracy"


def test_bars_end_at_the_means_and_the_named_one_is_strong(table):
    verdicts = {"V1": ("video", "+0.1, p 0.01"), "FFA": ("", "no difference")}  # video is not the highest in V1
    svg = network_chart(table, colors=COLORS, label="r", alt="x", verdicts=verdicts)
    scale = scale_of(svg)
    bars = [bar for bar in marks(svg, "rect") if bar.get("fill-opacity")]
    ends = [(scale(bar.get("x")), scale(float(bar.get("x")) + float(bar.get("width")))) for bar in bars]
    ends = [max(pair, key=abs) for pair in ends]
    np.testing.assert_allclose(sorted(ends), sorted(table.groupby(["region", "model"])["value"].mean()), atol=1e-3)
    (strong,) = [end for bar, end in zip(bars, ends, strict=True) if bar.get("fill-opacity") == "0.6"]
    mean = table[(table["region"] == "V1") & (table["model"] == "video")]["value"].mean()
    assert strong == pytest.approx(mean, abs=1e-3)
    assert {"+0.1, p 0.01", "no difference", "what can be claimed"} <= set(words(svg))
    with pytest.raises(DataError, match=r"'vidoe' is named in 'V1'\. Did you mean 'video'"):
        network_chart(table, colors=COLORS, label="r", alt="x", verdicts={"V1": ("vidoe", "")}, title="t")


def test_intervals_are_drawn_where_they_are_known(table):
    known = pd.DataFrame({"region": ["V1", "FFA"], "model": "video", "low": [0.1, np.nan], "high": [0.9, np.nan]})
    svg = network_chart(table, colors=COLORS, label="r", alt="x", intervals=known)
    scale = scale_of(svg)
    lines = [line.get("d")[1:].split("L") for line in marks(svg, "path") if line.get("stroke-width") == "1.2"]
    assert [[scale(point.split()[0]) for point in line] for line in lines] == [pytest.approx([0.1, 0.9], abs=1e-3)]


def test_one_subject_and_missing_rows_are_drawn(table):
    part = table[(table["subject"] == "01") & ~((table["region"] == "FFA") & (table["model"] == "video"))]
    assert len(marks(network_chart(part, colors=COLORS, label="r", alt="x"), "circle")) == len(part) == 5


def test_differences_are_paired_within_subjects(table):
    svg = difference_chart(table, colors=COLORS, label="difference", alt="x", pairs=[("categories", "video")])
    wide = table.pivot(index=["region", "subject"], columns="model", values="value")
    np.testing.assert_allclose(np.sort(dots(svg)), np.sort(wide["categories"] - wide["video"]), atol=1e-3)
    assert {"categories \N{RIGHTWARDS ARROW}", "\N{LEFTWARDS ARROW} video"} <= set(words(svg))
    assert len(marks(difference_chart(table, colors=COLORS, label="d", alt="x"), "circle")) == 18


def test_all_pairs_are_drawn_on_one_scale(table):
    svg = difference_chart(table, colors=COLORS, label="difference", alt="x")
    assert words(svg).count("difference") == 3
    panels = sorted(float(text.get("x")) for text in marks(svg, "text") if text.text == "difference")
    wide = (panels[1] - panels[0]) / 2
    slopes = [np.diff([scale_of(svg, after=x - wide, before=x + wide)(at) for at in (0, 1)])[0] for x in panels]
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-3)
    centres = [scale_of(svg, after=x - wide, before=x + wide)(x) for x in panels]
    np.testing.assert_allclose(centres, 0, atol=1e-3)


def test_many_networks_and_models_fit_inside(table):
    names = ["emotion_categories", "affective_dimensions", "multimodal_llm_video", "llm_text", "banded_ridge_of_all"]
    rows = [
        (f"{s:02d}", "roi", f"Salience / ventral attention {k}", name, 0.01 * (s + k))
        for s in range(5)
        for k in range(12)
        for name in names
    ]
    big = pd.DataFrame(rows, columns=table.columns)
    for draw in (network_chart, difference_chart):
        assert outside(draw(big, colors=space_colors(names), label="r", alt="x", title="T")) == []


@pytest.mark.parametrize("draw", [network_chart, difference_chart])
def test_tables_that_cannot_be_drawn_are_named(draw, table):
    def refuse(changed, message, **options):
        with pytest.raises(DataError, match=message):
            draw(changed, **({"colors": COLORS, "label": "r", "alt": "x", "title": "t"} | options))

    refuse(table.drop(columns="region"), r"Chart 't': the table lacks columns \['region'\]")
    refuse(table.assign(level=["a", "b"] * 9), "one level of regions is drawn at a time")
    refuse(table, r"model 'video' has no colour. Known: categories, dimensions", colors=space_colors(MODELS[:2]))
    refuse(table.loc[[0, 0, 1]], r"1 rows are doubled, the first is \['01', 'V1', 'categories'\]")
    refuse(table.assign(value=np.nan), "none of 18 values is finite")


def test_differences_need_two_known_models(table):
    with pytest.raises(DataError, match=r"no rows of model 'vidoe'\. Did you mean 'video'"):
        difference_chart(table, colors=COLORS, label="d", alt="x", pairs=[("categories", "vidoe")])
    with pytest.raises(DataError, match="differences need two models"):
        difference_chart(table[table["model"] == "video"], colors=COLORS, label="d", alt="x")


def test_names_are_text_and_not_markup(table):
    svg = network_chart(table.replace("V1", "<b>V1 & V2</b>"), colors=COLORS, label="r", alt='a "b" <c>')
    assert "<b>V1 & V2</b>" in words(svg)
    assert ElementTree.fromstring(svg).get("aria-label") == 'a "b" <c>'


def test_scatter_counts_every_finite_target():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-0.1, 0.4, 500), rng.uniform(-0.1, 0.4, 500)
    b[:3] = np.nan
    svg = scatter_chart(a, b, ("one", "two"), label="r", alt="x")
    assert {f"one higher in {np.mean(a[3:] > b[3:]):.0%}", "497 targets", "r, one", "r, two"} <= set(words(svg))
    (image,) = marks(svg, "image")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(image.get("href").partition(",")[2]))))
    assert 0 < (pixels[..., 3] > 0).sum() <= 497
    with pytest.raises(DataError, match="500 and 3 targets"):
        scatter_chart(a, b[:3], ("one", "two"), label="r", alt="x")
    with pytest.raises(DataError, match="no target is finite"):
        scatter_chart(np.full(3, np.nan), np.zeros(3), ("one", "two"), label="r", alt="x")


def test_alphas_mark_the_edges_of_the_grid():
    counts = {"categories": np.array([0, 6, 4]), "video": np.array([9, 1, 0])}
    svg = alpha_chart(counts, np.array([0.1, 1, 10]), colors=COLORS, alt="x")
    heights = [float(bar.get("height")) for bar in marks(svg, "rect")]
    np.testing.assert_allclose(np.array(heights) / heights[3], np.array([0, 0.6, 0.4, 0.9, 0.1, 0]) / 0.9, atol=2e-3)
    loud = {text.text for text in marks(svg, "text") if text.get("font-weight") and "edge" in text.text}
    assert loud == {"40% at the edge", "90% at the edge"}
    with pytest.raises(DataError, match="'video': 2 counts for 3 alphas"):
        alpha_chart({"video": np.ones(2)}, np.array([0.1, 1, 10]), colors=COLORS, alt="x")
    with pytest.raises(DataError, match="rising grid above 0"):
        alpha_chart({"video": np.ones(2)}, np.array([1.0, 0.1]), colors=COLORS, alt="x")


def test_splits_show_each_run_in_its_fold():
    svg = split_chart({"01": 0, "02": 1, "03": 0, "04": -1}, title="folds", alt="x")
    held = np.array([cell.get("fill") == HELD_OUT for cell in marks(svg, "rect")]).reshape(2, 4)
    np.testing.assert_array_equal(held, [[True, False, True, False], [False, True, False, False]])
    assert {"01", "02", "03", "04"} <= set(words(svg))
    with pytest.raises(DataError, match="none of which is ever tested"):
        split_chart({}, alt="x")


def test_names_of_runs_that_would_touch_stand_upright():
    runs = [f"ses-0{k // 4 + 1}_run-{k % 4 + 1}" for k in range(12)]
    svg = split_chart({run: k % 3 for k, run in enumerate(runs)}, alt="x")
    turned = [text for text in marks(svg, "text") if text.get("transform")]
    assert [text.text for text in turned] == runs
    height = float(ElementTree.fromstring(svg).get("height"))
    longest = 100 * max(text_width(run, 7) for run in runs)
    assert all(float(text.get("y")) + longest < height - 10 for text in turned)
    assert not any(text.get("transform") for text in marks(split_chart({"1": 0, "2": 1}, alt="x"), "text"))


def test_a_file_stands_alone(tmp_path, table):
    path = save_svg(network_chart(table, colors=COLORS, label="r", alt="x"), tmp_path / "a.svg")
    assert "var(" not in path.read_text()
    assert marks(path.read_text(), "rect")[0].get("fill") == "white"


def test_more_than_twelve_regions_stand_in_two_columns_on_one_scale():
    rng = np.random.default_rng(0)
    rows = [("01", "roi", f"region {k}", name, rng.uniform(-0.2, 0.5)) for k in range(13) for name in MODELS]
    table = pd.DataFrame(rows, columns=["subject", "level", "region", "model", "value"])
    svg = network_chart(table, colors=COLORS, label="r", alt="x", title="T")
    assert float(ElementTree.fromstring(svg).get("width")) == 900
    assert outside(svg) == []
    halves = [scale_of(svg, before=450), scale_of(svg, after=450)]
    centres = np.array([float(dot.get("cx")) for dot in marks(svg, "circle")])
    found = [halves[int(x > 450)](x) for x in centres]
    np.testing.assert_allclose(np.sort(found), np.sort(table["value"]), atol=2e-3)
    assert (centres < 450).sum() == 7 * len(MODELS)
    np.testing.assert_allclose(*(scale(100) - scale(0) for scale in halves), rtol=1e-3)
    few = network_chart(table[table["region"] != "region 12"], colors=COLORS, label="r", alt="x")
    assert float(ElementTree.fromstring(few).get("width")) == 440


def test_letters_are_large_enough_for_paper(table):
    """Charts stand at five sixths of their size there."""
    counts = {"categories": np.array([0, 6, 4]), "video": np.array([9, 1, 0])}
    verdicts = {"V1": ("video", "+0.1, p 0.01"), "FFA": ("", "no difference")}
    for svg in (
        network_chart(table, colors=COLORS, label="r", alt="x", verdicts=verdicts),
        difference_chart(table, colors=COLORS, label="difference", alt="x"),
        scatter_chart(np.arange(9.0), np.arange(9.0), ("one", "two"), label="r", alt="x"),
        alpha_chart(counts, np.array([0.1, 1, 10]), colors=COLORS, alt="x"),
        split_chart({"01": 0, "02": 1}, alt="x"),
    ):
        assert min(float(text.get("font-size")) for text in marks(svg, "text")) * 0.72 * 5 / 6 >= 6
