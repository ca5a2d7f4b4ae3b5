"""Time the four-view figure beside nilearn, in CPU seconds: ``python benchmarks/maps.py``.

Both draw one smooth map on fsaverage5 (left and right, lateral and medial, on the inflated surface with sulci and a
colour bar) and write a PNG of 150 dpi. Imports and the first figure, which fills caches, are not counted.
"""

import platform
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from encoding.drawing.figure import save_figure
from encoding.drawing.mesh import HEMISPHERES, fsaverage
from encoding.drawing.scales import ColorScale
from encoding.drawing.surface import SurfaceStyle, draw_surface

N_FIGURES = 3
RESULTS = Path(__file__).parent / "results" / "maps.md"
VIEWS = ("lateral", "medial")


def smooth_map() -> np.ndarray:
    """Make a map with waves of 6 cm, from 0 to 0.5."""
    places = np.concatenate([fsaverage().load("pial", side).coordinates for side in HEMISPHERES])
    return 0.25 + 0.25 * np.sin(places[:, 1] / 10) * np.cos(places[:, 2] / 10)


def ours(values: np.ndarray, path: Path) -> None:
    """Draw with this package."""
    scale = ColorScale(0.0, 0.5, "inferno", "r", 0.1)
    save_figure(draw_surface(values, scale, style=SurfaceStyle(dpi=150, width=9.0)), path, dpi=150)


def nilearn(values: np.ndarray, path: Path) -> None:
    """Draw with nilearn's matplotlib engine."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from nilearn.datasets import load_fsaverage, load_fsaverage_data
    from nilearn.plotting import plot_surf_stat_map
    from nilearn.surface import SurfaceImage

    mesh, sulci = load_fsaverage("fsaverage5")["inflated"], load_fsaverage_data(mesh="fsaverage5", data_type="sulcal")
    left, right = np.split(values.astype(np.float32), 2)
    image = SurfaceImage(mesh=mesh, data={"left": left, "right": right})
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), subplot_kw={"projection": "3d"})
    for row, view in enumerate(VIEWS):
        for column, side in enumerate(HEMISPHERES):
            plot_surf_stat_map(
                surf_mesh=mesh, stat_map=image, hemi=side, view=view, bg_map=sulci, threshold=0.1, vmin=0, vmax=0.5,
                cmap="inferno", colorbar=row == 0 and column == 1, axes=axes[row, column], figure=figure,
            )  # fmt: skip
    figure.savefig(path, dpi=150)
    plt.close(figure)


def seconds(draw, values: np.ndarray, folder: Path) -> list[float]:  # type: ignore[no-untyped-def]
    """CPU seconds of each figure after the first."""
    found = []
    for number in range(N_FIGURES + 1):
        start = time.process_time()
        draw(values, folder / f"{draw.__name__}-{number}.png")
        found.append(time.process_time() - start)
    return found[1:]


def main() -> None:
    """Time both and write the table."""
    values = smooth_map()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours_s, nilearn_s = (seconds(draw, values, Path(folder)) for draw in (ours, nilearn))
    from importlib.metadata import version

    lines = [
        "# Four views of fsaverage5, PNG at 150 dpi",
        "",
        "`python benchmarks/maps.py`; median CPU seconds per figure after the first, smallest and largest in brackets.",
        "",
        "| map | this package | nilearn | versions |",
        "|---|---|---|---|",
        f"| lateral and medial, both hemispheres, inflated | {_told(ours_s)} | {_told(nilearn_s)} | nilearn "
        f"{version('nilearn')}, matplotlib {version('matplotlib')}, Python {platform.python_version()} |",
        "",
    ]
    RESULTS.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


def _told(found: list[float]) -> str:
    return f"{np.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


if __name__ == "__main__":
    main()
