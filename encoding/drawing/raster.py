"""Which three vertices lie under each pixel of a view, and with which weights.

The table depends only on mesh, view and resolution. It is made once; after that, every map is a look-up and a
weighted sum, and thresholds and borders can be drawn between vertices.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import DataError, suggest
from .figure import write_atomically
from .mesh import FLAT, Mesh, Meshes, fsaverage

# Right and up of the picture, as anatomical axes (right, anterior, superior), for the left hemisphere. The right
# one is its mirror image. Left lateral faces left; from below and above, each half faces the way it does laterally.
VIEWS = {
    "lateral": ((0, -1, 0), (0, 0, 1)),
    "medial": ((0, 1, 0), (0, 0, 1)),
    "ventral": ((0, -1, 0), (-1, 0, 0)),
    "dorsal": ((0, -1, 0), (1, 0, 0)),
}
ALL_VIEWS = (*VIEWS, FLAT)
STEPS = 65535  # weights are whole multiples of 1 / STEPS, so that tables from disk equal fresh ones
MOST_TABLES = 64  # of a few megabytes each
_TABLES: dict[tuple, "PixelTable"] = {}


@dataclass(frozen=True)
class PixelTable:
    """What lies under each pixel of one view of one hemisphere."""

    shape: tuple[int, int]  # Rows and columns of the picture; row 0 is on top
    corner: tuple[float, float]  # Left and top edge of the picture, in mm along its axes
    px_per_mm: float  # Resolution
    pixel: np.ndarray  # (n_pixels,) Flat index of each pixel that shows brain
    vertex: np.ndarray  # (n_pixels, 3) Corners of the triangle there
    weight: np.ndarray  # (n_pixels, 3) Their barycentric weights, which sum to 1
    facing: np.ndarray  # (n_pixels,) Cosine between the surface's normal and the line of sight

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top edge of the picture, in mm along its axes."""
        left, top = self.corner
        rows, columns = self.shape
        return left, left + columns / self.px_per_mm, top - rows / self.px_per_mm, top

    def interpolate(self, values: np.ndarray) -> np.ndarray:
        """Interpolate vertex values linearly to pixels.

        Shapes: `values` (n_vertices,); returns (n_pixels,).
        """
        corners = values[self.vertex].astype(np.float32)
        known = ~np.isnan(corners)
        if known.all():
            return np.einsum("ij,ij->i", corners, self.weight)
        share = np.where(known, self.weight, 0)
        covered = share.sum(axis=1)
        total = np.einsum("ij,ij->i", np.where(known, corners, 0), share)
        return np.where(covered > 0.5, total / np.maximum(covered, 0.5), np.nan)

    def image(self, of_pixels: np.ndarray, background: float) -> np.ndarray:
        """Arrange pixel values as an image.

        Shapes: `of_pixels` (n_pixels, ...); returns (rows, columns, ...).
        """
        flat = np.full((self.shape[0] * self.shape[1], *of_pixels.shape[1:]), background, dtype=of_pixels.dtype)
        flat[self.pixel] = of_pixels
        return flat.reshape(*self.shape, *of_pixels.shape[1:])


def view_axes(hemisphere: str, view: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the axes of a view.

    Returns right, up, towards (3,).
    """
    if view == FLAT:  # flat maps are made as they are shown
        return np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0])
    if view not in VIEWS:
        raise DataError(f"View {view!r} of the surface is unknown. {suggest(view, ALL_VIEWS)}")
    right, up = (np.array(axis, dtype=float) for axis in VIEWS[view])
    if hemisphere == "right":
        # A mirror image in the sagittal plane, seen again with right-handed axes.
        right = -right * (-1, 1, 1)
        up = up * (-1, 1, 1)
    return right, up, np.cross(right, up)


def pixel_table(
    surface: str,
    hemisphere: str,
    view: str,
    *,
    px_per_mm: float = 4.0,
    cache_folder: Path | None = None,
    meshes: Meshes | None = None,
) -> PixelTable:
    """Compute the pixel table of a view, or load it from memory or disk; fsaverage5 unless `meshes` are given."""
    meshes = meshes or fsaverage()
    surface = FLAT if view == FLAT else surface
    key = (meshes.key, surface, hemisphere, view, float(px_per_mm))
    if key in _TABLES:
        return _TABLES[key]
    view_axes(hemisphere, view)
    file = None if cache_folder is None else Path(cache_folder, f"{'_'.join(map(str, key))}.npz")
    table = _read(file) if file is not None and file.exists() else None
    if table is None:
        table = rasterise(meshes.load(surface, hemisphere), *view_axes(hemisphere, view), px_per_mm=px_per_mm)
        if file is not None:
            _write(table, file)
    while len(_TABLES) >= MOST_TABLES:  # a mesh of every subject would fill the memory
        del _TABLES[next(iter(_TABLES))]
    _TABLES[key] = table
    return table


def rasterise(mesh: Mesh, right: np.ndarray, up: np.ndarray, towards: np.ndarray, *, px_per_mm: float) -> PixelTable:
    """Project a mesh along a direction and find the nearest triangle under every pixel.

    Shapes: `right, up, towards` (3,).
    """
    place = np.column_stack([mesh.coordinates @ right, mesh.coordinates @ up])
    drawn = place[np.unique(mesh.faces)]  # a flat map has vertices in no triangle, anywhere
    depth = mesh.coordinates @ towards
    corner = (drawn[:, 0].min() - 2 / px_per_mm, drawn[:, 1].max() + 2 / px_per_mm)
    columns, rows = (int(np.ceil(side * px_per_mm)) + 4 for side in np.ptp(drawn, axis=0))
    # Pixel units: the centre of pixel (row, column) is at whole numbers.
    x = (place[:, 0] - corner[0]) * px_per_mm - 0.5
    y = (corner[1] - place[:, 1]) * px_per_mm - 0.5
    nearest = np.full(rows * columns, -np.inf)
    face = np.full(rows * columns, -1)
    weights = np.zeros((rows * columns, 2), dtype=np.uint16)
    a, b, c = mesh.faces.T
    # Rows count downwards, so triangles that face the viewer have a negative area; only those can be seen.
    area = (x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a])
    flat = np.ptp(depth[np.unique(mesh.faces)]) < 1e-6  # seen from whichever side it was cut
    seen = np.flatnonzero(np.abs(area) > 1e-9 if flat else area < -1e-9)
    for part in np.array_split(seen, max(1, len(seen) // 2000)):
        rank, pixel, first, second = _cover(x[mesh.faces[part]], y[mesh.faces[part]], area[part], columns)
        corners = depth[mesh.faces[part[rank]]]
        height = first * corners[:, 0] + second * corners[:, 1] + (1 - first - second) * corners[:, 2]
        order = np.argsort(height, kind="stable")
        order = order[height[order] > nearest[pixel[order]]]
        target = pixel[order]  # the last of equal indices is the highest triangle, and it stays
        nearest[target] = height[order]
        face[target] = part[rank[order]]
        one = np.round(first[order] * STEPS)
        weights[target, 0] = one
        weights[target, 1] = np.minimum(np.round(second[order] * STEPS), STEPS - one)
    pixel = np.flatnonzero(face >= 0)
    vertex = mesh.faces[face[pixel]]
    weight = _three_weights(weights[pixel])
    cosine = np.abs(mesh.normals @ towards) if flat else mesh.normals @ towards
    facing = np.einsum("ij,ij->i", cosine[vertex], weight).astype(np.float32)
    corners = vertex.astype(np.uint16 if len(place) <= 65536 else np.int32)
    return PixelTable((rows, columns), corner, px_per_mm, pixel.astype(np.int32), corners, weight, facing)


def view_span(mesh: Mesh, hemisphere: str, view: str) -> np.ndarray:
    """Width and height of a view in mm, shape (2,), without rasterising it."""
    right, up, _ = view_axes(hemisphere, view)
    drawn = mesh.coordinates[np.unique(mesh.faces)]
    return np.array([np.ptp(drawn @ right), np.ptp(drawn @ up)])


def _cover(x, y, area, columns):
    """Find the pixel centres inside triangles: rank of the triangle, flat pixel, first two weights."""
    low_x, low_y = np.ceil(x.min(axis=1)).astype(int), np.ceil(y.min(axis=1)).astype(int)
    wide = np.floor(x.max(axis=1)).astype(int) - low_x + 1
    high = np.floor(y.max(axis=1)).astype(int) - low_y + 1
    count = wide * high
    rank = np.repeat(np.arange(len(area)), count)
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    column = low_x[rank] + step % np.maximum(wide, 1)[rank]
    row = low_y[rank] + step // np.maximum(wide, 1)[rank]
    dx, dy = column - x[rank, 2], row - y[rank, 2]
    edge = x - x[:, [2]], y - y[:, [2]]
    first = (dx * edge[1][rank, 1] - dy * edge[0][rank, 1]) / area[rank]
    second = (dy * edge[0][rank, 0] - dx * edge[1][rank, 0]) / area[rank]
    inside = (first >= -1e-9) & (second >= -1e-9) & (first + second <= 1 + 1e-9)
    rank, first, second = rank[inside], np.clip(first[inside], 0, 1), np.clip(second[inside], 0, 1)
    return rank, (row * columns + column)[inside], first, np.minimum(second, 1 - first)


def _three_weights(steps: np.ndarray) -> np.ndarray:
    steps = steps.astype(np.int64)
    return (np.column_stack([steps, STEPS - steps.sum(axis=1)]) / STEPS).astype(np.float32)


def _write(table: PixelTable, file: Path) -> None:
    write_atomically(
        file,
        lambda target: np.savez_compressed(
            target,
            shape=table.shape,
            corner=table.corner,
            px_per_mm=table.px_per_mm,
            pixel=table.pixel,
            vertex=table.vertex,
            steps=np.round(table.weight[:, :2] * STEPS).astype(np.uint16),
            facing=table.facing,
        ),
    )


def _read(file: Path) -> PixelTable | None:
    """Read a cached table; a damaged file is treated as missing, since it can be computed again."""
    try:
        with file.open("rb") as source, np.load(source) as saved:
            parts = dict(saved)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
    rows, columns = (int(n) for n in parts["shape"])
    left, top = (float(edge) for edge in parts["corner"])
    weight, scale = _three_weights(parts["steps"]), float(parts["px_per_mm"])
    return PixelTable((rows, columns), (left, top), scale, parts["pixel"], parts["vertex"], weight, parts["facing"])
