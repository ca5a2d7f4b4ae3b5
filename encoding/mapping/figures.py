"""Draw maps on the surface or as slices, depending on the targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..core import Targets
from ..drawing.scales import ColorScale, WinnerScale
from ..drawing.surface import SurfaceStyle, draw_surface, draw_winner
from ..drawing.volume import draw_slices, draw_winner_slices
from ..io.images.backgrounds import background_of
from ..io.images.formats import surface_of
from ..io.images.volumes import volume_of

DRAWN_SURFACE = "fsaverage5"


@dataclass(frozen=True, eq=False, slots=True)
class Canvas:
    """Draws maps of one set of targets."""

    targets: Targets  # What the maps are about
    # Image to draw slices on; the MNI template is used in its space, plain grey elsewhere
    background: Path | None = None

    @property
    def on_surface(self) -> bool:
        """Whether the cortex can be drawn."""
        return self.targets.kind == "vertex" and self.targets.space == DRAWN_SURFACE

    @property
    def in_volume(self) -> bool:
        """Whether there are voxels to draw."""
        return self.targets.grid is not None

    @property
    def drawable(self) -> bool:
        """Whether there is anything to draw."""
        return self.on_surface or self.in_volume

    def accuracy(self, values: np.ndarray, scale: ColorScale, title: str, passed: np.ndarray | None = None) -> Figure:
        """Draw a map of numbers.

        Shapes: `values` (n_targets,), `passed` (n_targets,).
        """
        mask = None if passed is None else passed.astype(np.float32)
        if self.on_surface:
            shown = None if mask is None else surface_of(mask, self.targets)
            return draw_surface(surface_of(values, self.targets), scale, title=title, style=_STYLE, passed=shown)
        volume, affine = volume_of(values, self.targets)
        shown = None if mask is None else volume_of(mask, self.targets)[0]
        return draw_slices(volume, affine, scale, background=self._ground(), title=title, passed=shown)

    def winner(
        self, winner: np.ndarray, margin: np.ndarray, accuracy: np.ndarray, scale: WinnerScale, title: str
    ) -> Figure:
        """Draw the best model of every target.

        Shapes: `winner` (n_targets,), `margin, accuracy` (n_targets,).
        """
        parts = (winner.astype(np.float32), margin, accuracy)
        if self.on_surface:
            best, lead, score = (surface_of(part, self.targets) for part in parts)
            return draw_winner(_whole(best), lead, score, scale, title=title, style=_STYLE)
        (best, affine), (lead, _), (score, _) = (volume_of(part, self.targets) for part in parts)
        return draw_winner_slices(_whole(best), lead, score, affine, scale, background=self._ground(), title=title)

    def _ground(self) -> Any:
        return background_of(self.background, self.targets)


_STYLE = SurfaceStyle(px_per_mm=2.5)


def _whole(numbers: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(numbers), numbers, -1).astype(int)


def group_mean(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Average maps of several subjects on the same targets.

    Shapes: `maps` (n_targets,); returns (n_targets,).
    """
    return np.mean(np.stack(list(maps)), axis=0)
