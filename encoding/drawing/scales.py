"""Colour scales shared by several figures, and one fixed colour per feature space."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb

from ..core.errors import DataError

# Each has a contrast of at least 3 with white, as marks and letters need. Of such colours they are far apart in normal,
# deutan and protan vision (CIELAB), in the order that keeps the smallest distance of the first few large.
PALETTE = ("#0072B2", "#D55E00", "#0F8F68", "#3B0F4F", "#8C1C13", "#4764FA", "#DA3FD0", "#3028D2")
BOTH = "#3B0F4F"  # where both maps of a pair are high; on light brains darker than either
TIE_COLOR = "#9C8FA5"
TIE = -2  # in winner maps: above chance, and no space is ahead
OUTLIERS = 2  # values of a large map that may exceed the scale, so that one damaged target cannot stretch it
LARGE = 100  # targets
NICE = np.array([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10])
BELOW_THRESHOLD = 0.65  # largest opacity below the threshold: the step at the threshold stays visible
FADE = 0.1  # without a threshold, the part of the scale over which colour fades in
FADED = 0.3  # opacity of what did not pass a test, as a part of what it would be


@dataclass(frozen=True)
class ColorScale:
    """Colour scale of a map.

    Examples
    --------
    >>> scale = ColorScale(0.0, 0.5, "inferno", "Pearson r, held-out runs", 0.1)
    >>> scale.opacity(np.array([-0.2, 0.0, 0.1, 0.4])).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """

    vmin: float  # Value at the lower end of the colour map; below 0, with vmax above, the scale is two-sided
    vmax: float  # Value at the upper end of the colour map
    cmap: str  # Name of a matplotlib colour map
    label: str  # Quantity, with unit and split, as it stands at the colour bar
    # Absolute value from which on colours are opaque. Below it they fade towards 0 (two-sided scales) or `vmin`; at
    # or below that, nothing is coloured. None fades over the first tenth of the scale
    threshold: float | None = None

    def __post_init__(self):
        if not (np.isfinite([self.vmin, self.vmax]).all() and self.vmin < self.vmax):
            raise DataError(f"Colour scale {self.label!r}: vmin {self.vmin} must be below vmax {self.vmax}.")
        if self.cmap not in mpl.colormaps:
            raise DataError(f"Colour scale {self.label!r}: matplotlib has no colour map {self.cmap!r}.")
        if self.threshold is not None and not 0 < self.threshold < self.vmax:
            raise DataError(
                f"Colour scale {self.label!r}: threshold {self.threshold} must lie between 0 and {self.vmax}."
            )

    @property
    def two_sided(self) -> bool:
        """True where negative and positive values have colours of their own."""
        return self.vmin < 0 < self.vmax

    def opacity(self, values: np.ndarray) -> np.ndarray:
        """Return the opacity of values: 1 from the threshold up, a quadratic fade below it."""
        floor = 0.0 if self.two_sided else max(self.vmin, 0.0)
        size = np.abs(values) if self.two_sided else np.asarray(values)
        with np.errstate(invalid="ignore"):
            if self.threshold is None:
                fade = np.clip((size - floor) / (FADE * (self.vmax - floor)), 0, 1) ** 2
            else:
                below = BELOW_THRESHOLD * np.clip((size - floor) / (self.threshold - floor), 0, 1) ** 2
                fade = np.where(size >= self.threshold, 1.0, below)
        return np.where(np.isnan(values), 0.0, fade)

    def rgba(self, values: np.ndarray) -> np.ndarray:
        """Colour values.

        Returns (*values.shape, 4).
        """
        place = (np.nan_to_num(values) - self.vmin) / (self.vmax - self.vmin)
        colors = mpl.colormaps[self.cmap](np.clip(place, 0, 1))
        colors[..., 3] = self.opacity(values)
        return colors


@dataclass(frozen=True)
class WinnerScale:
    """Colour scale of a map of the best feature space.

    Hue names the best space, saturation shows its margin to the runner-up, opacity its accuracy.
    """

    names: tuple[str, ...]  # Feature spaces; a map's integers index them
    colors: tuple[str, ...]  # Their colours (see `space_colors`)
    margin: float  # Margin from which on a colour is fully saturated, in the unit of the accuracy
    threshold: float  # Accuracy from which on a colour is opaque; at or below 0 nothing is coloured
    label: str = "r"  # Quantity, as it stands at the legend

    def __post_init__(self):
        if len(self.names) != len(self.colors) or not self.names:
            raise DataError(f"Winner scale: {len(self.names)} names and {len(self.colors)} colours must match.")
        if not (self.margin > 0 and self.threshold > 0):
            raise DataError(f"Winner scale: margin {self.margin} and threshold {self.threshold} must exceed 0.")

    def rgba(self, winner: np.ndarray, margin: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
        """Colour a winner map.

        Returns (*winner.shape, 4).
        """
        palette = np.array([to_rgb(color) for color in self.colors])
        pale = 0.22 * palette + 0.78 * 0.93  # a small lead keeps a hint of its hue
        part = np.clip(np.nan_to_num(margin) / self.margin, 0, 1)[..., None]
        index = np.maximum(winner, 0)
        colors = np.empty((*np.shape(winner), 4))
        colors[..., :3] = (1 - part) * pale[index] + part * palette[index]
        colors[winner == TIE, :3] = to_rgb(TIE_COLOR)
        fade = ColorScale(0.0, 2 * self.threshold, "gray", self.label, self.threshold).opacity(accuracy)
        colors[..., 3] = np.where(winner == -1, 0.0, fade)
        return colors


@dataclass(frozen=True)
class PairScale:
    """Colours of two maps at once: one square, with the same limit on both axes.

    Where both are low there is no colour, where one is high its own, where both are high a dark one.
    """

    names: tuple[str, str]  # Map along each axis
    colors: tuple[str, str]  # Colour of each
    vmax: float  # End of both axes
    label: str  # Quantity of both, as it stands at the legend

    def __post_init__(self):
        if not (np.isfinite(self.vmax) and self.vmax > 0):
            raise DataError(f"Scale of {' and '.join(self.names)}: vmax {self.vmax} must exceed 0.")

    def rgba(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Colour pairs of values.

        Returns (*first.shape, 4).
        """
        one, two = (np.clip(np.nan_to_num(values) / self.vmax, 0, 1)[..., None] for values in (first, second))
        a, b = (np.array(to_rgb(color)) for color in self.colors)
        high = np.maximum(one, two)
        one, two = (part / np.maximum(high, 1e-9) for part in (one, two))  # hue by direction, opacity by height
        mixed = one * (1 - two) * a + two * (1 - one) * b + one * two * np.array(to_rgb(BOTH))
        total = one * (1 - two) + two * (1 - one) + one * two
        colors = np.empty((*np.shape(first), 4))
        colors[..., :3] = np.clip(mixed / np.maximum(total, 1e-9), 0, 1)
        colors[..., 3] = np.where(np.isfinite(first) & np.isfinite(second), high[..., 0] ** 0.75, 0.0)
        return colors


def fade_failed(colors: np.ndarray, passed: np.ndarray) -> np.ndarray:
    """Lower the opacity of RGBA colours, shape (..., 4), wherever `passed`, shape (...), is below one half."""
    colors[..., 3] *= np.where(np.nan_to_num(passed) >= 0.5, 1.0, FADED)
    return colors


def space_colors(names: Sequence[str]) -> dict[str, str]:
    """Assign each feature space a colour by its position in the report.

    Examples
    --------
    >>> space_colors(["categories", "dimensions"])
    {'categories': '#0072B2', 'dimensions': '#D55E00'}
    """
    names = list(names)
    if len(set(names)) < len(names):
        raise DataError(f"Feature spaces {names}: a name occurs twice, each needs one colour.")
    shades = [*PALETTE, *(_mix(color, 0.0, 0.45) for color in PALETTE), *(_mix(color, 1.0, 0.5) for color in PALETTE)]
    if len(names) > len(shades):
        raise DataError(f"{len(names)} feature spaces: at most {len(shades)} have colours. Draw them in groups.")
    return dict(zip(names, shades, strict=False))


def accuracy_scale(
    maps: Iterable[np.ndarray],
    label: str,
    *,
    threshold: float | None = None,
    cmap: str = "inferno",
) -> ColorScale:
    """Return one scale, starting at 0, for all accuracy maps that are compared; the strongest structure fits on it."""
    parts = _finite(maps, label)
    peak = max(_highest(part) for part in parts)
    if peak <= 0:
        peak = max(float(np.abs(part).max()) for part in parts) or 1.0
    if threshold is not None:
        peak = max(peak, 1.5 * threshold)
    return ColorScale(0.0, round_up(peak), cmap, label, threshold)


def difference_scale(
    maps: Iterable[np.ndarray],
    label: str,
    *,
    threshold: float | None = None,
    cmap: str = "RdBu_r",
) -> ColorScale:
    """Return one scale, symmetric about 0, for all difference maps that are compared."""
    peak = max(_highest(np.abs(part)) for part in _finite(maps, label)) or 1.0
    if threshold is not None:
        peak = max(peak, 1.5 * threshold)
    limit = round_up(peak)
    return ColorScale(-limit, limit, cmap, label, threshold)


def round_up(value: float) -> float:
    """Round a positive number up to a convenient axis limit.

    Examples
    --------
    >>> round_up(0.3217)
    0.4
    """
    power = 10.0 ** np.floor(np.log10(value))
    step = NICE[np.searchsorted(NICE, value / power - 5e-7)]  # 0.4 stored in 32 bits is a little more
    return float(f"{step * power:.6g}")


def _finite(maps: Iterable[np.ndarray], label: str) -> list[np.ndarray]:
    parts = [np.asarray(values, dtype=float).ravel() for values in maps]
    finite = [part[np.isfinite(part)] for part in parts]
    if not sum(part.size for part in finite):
        raise DataError(f"Colour scale {label!r}: none of the {len(parts)} maps has a finite value.")
    return [part for part in finite if part.size]


def _highest(values: np.ndarray) -> float:
    """Return the largest value that more than a few targets reach: a nucleus of a few voxels decides, one voxel not."""
    n = OUTLIERS if values.size >= LARGE else 0
    return float(np.partition(values, -1 - n)[-1 - n])


def _mix(color: str, grey: float, part: float) -> str:
    mixed = (1 - part) * np.array(to_rgb(color)) + part * grey
    return "#" + "".join(f"{round(255 * channel):02X}" for channel in mixed)
