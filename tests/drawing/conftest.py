import numpy as np
import pandas as pd
import pytest

from encoding.drawing.mesh import N_VERTICES, load_mesh
from encoding.drawing.surface import SurfaceStyle

MODELS = ("categories", "dimensions", "video")


@pytest.fixture(scope="session")
def coarse():
    """One pixel per mm: enough for every fact that is tested, and fast."""
    return SurfaceStyle(width=6.0, px_per_mm=1.0)


@pytest.fixture(scope="session")
def height():
    """A smooth map with known values: height above the base of the brain, in 0-1."""
    z = np.concatenate([load_mesh("inflated", side).coordinates[:, 2] for side in ("left", "right")])
    return (z - z.min()) / (z.max() - z.min())


@pytest.fixture
def table():
    """Three subjects, two regions, three models; `categories` wins V1 in all, FFA is won by `video` in two."""
    values = {
        ("V1", "categories"): (0.30, 0.32, 0.28),
        ("V1", "dimensions"): (0.10, 0.12, 0.11),
        ("V1", "video"): (0.20, 0.21, 0.19),
        ("FFA", "categories"): (0.10, 0.11, 0.20),
        ("FFA", "dimensions"): (-0.02, 0.00, -0.01),
        ("FFA", "video"): (0.18, 0.19, 0.17),
    }
    return pd.DataFrame(
        [
            (f"{subject + 1:02d}", "network", region, model, value)
            for (region, model), row in values.items()
            for subject, value in enumerate(row)
        ],
        columns=["subject", "level", "region", "model", "value"],
    )


def half(hemisphere):
    return slice(0, N_VERTICES) if hemisphere == "left" else slice(N_VERTICES, None)


def pixels_of(figure, dpi=100):
    """Rows x columns x 3 of the drawn figure, 0-1, row 0 on top."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def axes_of(figure, label):
    return next(axes for axes in figure.axes if axes.get_label() == label)
