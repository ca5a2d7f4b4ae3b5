"""What is coloured how: arrays of one value per target, and the function that turns them into colours.

A layer knows nothing of surfaces or slices. Arrays of numbers may be interpolated, those of labels are voted on;
colours are made after that, so that a threshold is a smooth line and no colour is mixed with another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.colors import to_rgb

from .scales import TIE, ColorScale, PairScale, WinnerScale, fade_failed

SLIGHT = 1e-9  # strength of a tie: shown, after every lead

Colors = Callable[[Mapping[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class Layer:
    """One map in colours."""

    arrays: Mapping[str, np.ndarray]  # (n,) or (x, y, z) By name; the first says by NaN what was not measured
    color: Colors  # Arrays of one shape to RGBA of the shape (..., 4)
    strength: np.ndarray  # (n,) or (x, y, z) Where the map is high; peaks of this are shown
    above: np.ndarray | None = None  # True above the line: what passed a test, or a threshold
    labels: frozenset[str] = frozenset()  # Arrays of whole numbers, of which none is averaged

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> "Layer":
        """Apply a function, such as one that lays targets out on a surface, to all arrays."""
        arrays = {name: change(array) for name, array in self.arrays.items()}
        above = None if self.above is None else np.nan_to_num(change(self.above.astype(np.float32))) > 0.5
        return replace(self, arrays=arrays, strength=change(self.strength), above=above)

    @property
    def measured(self) -> np.ndarray:
        """True where something was measured."""
        return np.isfinite(next(iter(self.arrays.values())))

    def paint(self, sampled: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Colour sampled arrays; return RGBA and where something was measured."""
        return self.color(sampled), np.isfinite(next(iter(sampled.values())))


def number_layer(values: np.ndarray, scale: ColorScale, passed: np.ndarray | None = None) -> Layer:
    """Layer of a map of numbers; what did not pass a test is faded."""
    values = np.asarray(values, dtype=float)
    arrays = {"map": values} | ({} if passed is None else {"passed": np.asarray(passed, dtype=float)})

    def color(sampled: Mapping[str, np.ndarray]) -> np.ndarray:
        colors = scale.rgba(sampled["map"])
        return colors if passed is None else fade_failed(colors, sampled["passed"])

    strength = np.abs(values) if scale.two_sided else values
    with np.errstate(invalid="ignore"):
        line = np.nan_to_num(np.asarray(passed, float)) > 0.5 if passed is not None else None
        if line is None and scale.threshold is not None:
            line = strength >= scale.threshold
    return Layer(arrays, color, strength, line)


def winner_layer(winner: np.ndarray, margin: np.ndarray, accuracy: np.ndarray, scale: WinnerScale) -> Layer:
    """Layer of the best space of every target; -1 stands for none, `TIE` for a tie."""
    accuracy, margin = np.asarray(accuracy, dtype=float), np.nan_to_num(np.asarray(margin, dtype=float))
    named = np.asarray(winner, dtype=float)

    def color(sampled: Mapping[str, np.ndarray]) -> np.ndarray:
        return scale.rgba(np.nan_to_num(sampled["winner"], nan=-1).astype(int), sampled["margin"], sampled["accuracy"])

    arrays = {"accuracy": accuracy, "margin": margin, "winner": named}
    tied = named == TIE
    strength = np.where(tied, SLIGHT, np.where(named >= 0, np.maximum(margin, SLIGHT), np.nan))
    return Layer(arrays, color, strength, (named >= 0) | tied, frozenset({"winner"}))


def pair_layer(first: np.ndarray, second: np.ndarray, scale: PairScale) -> Layer:
    """Layer of two maps at once, on one square of colours."""
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)

    def color(sampled: Mapping[str, np.ndarray]) -> np.ndarray:
        return scale.rgba(sampled["first"], sampled["second"])

    return Layer({"first": first, "second": second}, color, np.fmax(first, second))


def label_layer(labels: np.ndarray, colors: Mapping[int, str]) -> Layer:
    """Layer of parcels; 0 and what has no colour is left blank."""
    values = np.asarray(labels, dtype=float)
    numbers = np.array(sorted(colors), dtype=int)
    palette = np.array([to_rgb(colors[number]) for number in numbers])

    def color(sampled: Mapping[str, np.ndarray]) -> np.ndarray:
        found = np.nan_to_num(sampled["label"]).astype(int)
        place = np.clip(np.searchsorted(numbers, found), 0, len(numbers) - 1)
        rgba = np.empty((*found.shape, 4))
        rgba[..., :3] = palette[place]
        rgba[..., 3] = (numbers[place] == found) & (found != 0)
        return rgba

    here = np.isin(values, numbers) & (values != 0)
    return Layer({"label": values}, color, here.astype(float), here, frozenset({"label"}))
