"""Names of 120 characters stay inside every drawing, and can be told apart."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from encoding.drawing.charts import difference_chart, network_chart, scatter_chart, split_chart
from encoding.drawing.dimensions import draw_contact_sheet, draw_correlations, draw_map
from encoding.drawing.figure import shortened, text_width
from encoding.drawing.judgments import draw_agreement, draw_drift, draw_outcomes, draw_repeats, draw_slots
from encoding.drawing.scales import WinnerScale, accuracy_scale
from encoding.drawing.surface import draw_surface, draw_winner

from .test_charts import outside as outside_chart

RNG = np.random.default_rng(0)


def long(end):
    return f"{'superior_temporal_sulcus_' * 5}"[: 120 - len(end)] + end


TITLE = long("t")
MODELS = tuple(long(f"_model_{k}") for k in range(3))
REGIONS = tuple(long(f"_region_{k}") for k in range(4))
COLORS = dict(zip(MODELS, ("#1b6ca8", "#d1495b", "#66a182"), strict=True))
TABLE = pd.DataFrame(
    [("01", "region", region, model, RNG.uniform(0, 0.4)) for region in REGIONS for model in MODELS],
    columns=["subject", "level", "region", "model", "value"],
)
N = 10242
MASKS = {name: np.arange(2 * N) // 3000 == k for k, name in enumerate(REGIONS)}


def drift():
    rows = {name: RNG.uniform(0.2, 0.5, 5) for name in ("first", "second", "third", "latency")}
    return pd.DataFrame(rows | {"valid": np.full(5, 0.98)})


DRAWINGS = {
    "correlations": lambda: draw_correlations(
        RNG.uniform(-1, 1, (4, 3)), REGIONS, MODELS, significant=np.zeros((4, 3), bool), title=long("t")
    ),
    "map": lambda: draw_map(RNG.random((8, 2)), [REGIONS[k // 2] for k in range(8)], title=long("t")),
    "outcomes": lambda: draw_outcomes({name: {"valid": 9, "error": 1} for name in MODELS}, title=long("t")),
    "slots": lambda: draw_slots(
        {name: np.full(3, 1 / 3) for name in MODELS}, dict.fromkeys(MODELS, 0.5), dict.fromkeys(MODELS, False)
    ),
    "repeats": lambda: draw_repeats(
        {name: RNG.uniform(0.4, 1, 20) for name in MODELS},
        dict.fromkeys(MODELS, (0.7, 0.6, 0.8)),
        chance=dict.fromkeys(MODELS, 0.4),
    ),
    "agreement": lambda: draw_agreement(
        pd.DataFrame({"a": MODELS[:2], "b": MODELS[1:], "agreement": 0.6, "low": 0.5, "high": 0.7, "triplets": 90})
    ),
    "drift": lambda: draw_drift({name: drift() for name in MODELS}),
}


def outside(figure):
    """Return the texts that leave the figure by more than two pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    whole = figure.bbox
    found = []
    for text in figure.findobj(lambda artist: hasattr(artist, "get_text") and artist.get_visible()):
        if len(text.get_text()) < 12 or "$" in text.get_text():  # ticks beyond the axes, which are not drawn
            continue
        box = text.get_window_extent(canvas.get_renderer())
        if box.x0 < whole.x0 - 2 or box.x1 > whole.x1 + 2 or box.y0 < whole.y0 - 2 or box.y1 > whole.y1 + 2:
            found.append(text.get_text())
    return found


CHARTS = {
    "networks": lambda: network_chart(
        TABLE, colors=COLORS, label="r", title=TITLE, alt="x", verdicts={REGIONS[0]: (MODELS[0], long("v"))}
    ),
    "differences": lambda: difference_chart(TABLE, colors=COLORS, label="difference in r", title=TITLE, alt="x"),
    "scatter": lambda: scatter_chart(RNG.random(90), RNG.random(90), MODELS[:2], label="r", title=TITLE, alt="x"),
    "splits": lambda: split_chart({name: k for k, name in enumerate(REGIONS)}, title=TITLE, alt="x"),
}


@pytest.mark.parametrize("name", CHARTS)
def test_long_names_stay_inside_charts(name):
    assert outside_chart(CHARTS[name]()) == []


@pytest.mark.parametrize("name", DRAWINGS)
def test_long_names_stay_inside(name):
    figure = DRAWINGS[name]()
    assert outside(figure) == []
    assert figure.get_size_inches().max() < 12


def test_long_names_stay_inside_maps(coarse, height):
    scale = accuracy_scale([height], "r")
    figure = draw_surface(height, scale, title=long("t"), outlines=MASKS, style=coarse)
    assert outside(figure) == []
    winner = WinnerScale(MODELS, tuple(COLORS.values()), 0.1, 0.05, "r")
    figure = draw_winner(np.arange(2 * N) % 3, height, height / 10, winner, title=long("t"), style=coarse)
    assert outside(figure) == []


def test_pictures_of_stimuli_with_long_names(tmp_path):
    assert draw_contact_sheet(REGIONS, [1.0] * 4, {}, tmp_path / "sheet.jpg").is_file()


def test_shortened_names_keep_both_ends():
    shown = [shortened(name, 2.0, 8) for name in REGIONS]
    assert len(set(shown)) == len(REGIONS)
    assert all(text_width(name, 8) <= 2.0 for name in shown)
    assert all(name.startswith("superior") for name in shown)
    assert shortened("V1", 2.0, 8) == "V1"
    assert shortened(REGIONS[0], 0.01, 8) == "s…"
