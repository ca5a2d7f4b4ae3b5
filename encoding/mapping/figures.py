"""Draw maps on the surface, as slices, or both, depending on the targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..core import Targets
from ..core.axes import moved_to
from ..drawing.composed import compose
from ..drawing.figure import styled
from ..drawing.layers import Layer, number_layer, pair_layer, winner_layer
from ..drawing.legend import number_footer, pair_footer, winner_footer
from ..drawing.mesh import FLAT
from ..drawing.panels import EDGE, Block, Drawn, below, note_block, stack
from ..drawing.projection import project, ribbon
from ..drawing.scales import TIE, ColorScale, PairScale, WinnerScale
from ..drawing.surface import SurfaceStyle, coverage, surface_block
from ..drawing.volume import VolumeStyle, glass_block, volume_blocks
from ..io.images.backgrounds import background_of
from ..io.images.formats import surface_of
from ..io.images.volumes import volume_of
from .meshes import Surfaces
from .settings import Maps

WIDTH = 7.2  # inch, two columns of a journal: letters keep their size in print
NARROW = 4.6  # inch, of brains alone: two beside each other in a report have letters that can be read
PROJECTED = "projected: the volume sampled onto the surface, for display only; numbers are those of the slices"


@dataclass(frozen=True, eq=False, slots=True)
class MapFigure:
    """A figure, and what it does not show."""

    blocks: tuple[Block, ...]
    title: str
    subtitle: str
    width: float  # inch
    warning: str = ""  # Which clusters are on no slice

    @property
    @styled
    def figure(self) -> Figure:
        """The figure of matplotlib, with lines and letters for print."""
        return stack(self.blocks, title=self.title, subtitle=self.subtitle, width=self.width)

    def pixels(self, dpi: float) -> np.ndarray:
        """Paint the same as RGB, (rows, columns, 3), in a quarter of the time."""
        return compose(self.blocks, title=self.title, subtitle=self.subtitle, width=self.width, dpi=dpi)


@dataclass(frozen=True, eq=False, slots=True)
class Canvas:
    """Draws maps of one set of targets.

    Attributes
    ----------
    targets : Targets
        What the maps are about.
    background : Path or None
        Image to draw slices on; the MNI template is used in its space, plain grey elsewhere.
    surfaces : Surfaces
        Meshes.
    settings : Maps
        Views, slices and resolution.
    outlines : mapping of str to ndarray of bool, shape (n_targets,)
        Regions to outline, by name.

    Examples
    --------
    >>> from encoding.mapping import Maps, Surfaces, canvas_of
    >>> type(canvas_of(loaded.responses.targets, None, Surfaces(), Maps())).__name__
    'Canvas'
    """

    targets: Targets
    background: Path | None = None
    surfaces: Surfaces = field(default_factory=Surfaces)
    settings: Maps = field(default_factory=Maps)
    outlines: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def identity(self) -> list[str]:
        """What else than targets, settings and scores decides how maps look: meshes and outlines, by content."""
        key = "" if self.surfaces.meshes is None else self.surfaces.meshes.key
        masks = (f"{name} {sha256(mask.tobytes()).hexdigest()[:16]}" for name, mask in self.outlines.items())
        return [key, str(self.surfaces.projected), *masks]

    @property
    def on_surface(self) -> bool:
        """Whether the cortex can be drawn."""
        return self.surfaces.meshes is not None

    @property
    def in_volume(self) -> bool:
        """Whether there are voxels to draw."""
        on_cortex = np.isin(self.targets.structure, list(self.targets.n_vertices))
        return self.targets.grid is not None and not on_cortex.all()

    @property
    def width(self) -> float:
        """Width of figures in inches; slices need more of it than brains."""
        return WIDTH if self.in_volume else NARROW

    @property
    def drawable(self) -> bool:
        """Whether there is anything to draw."""
        return self.on_surface or self.in_volume

    def accuracy(
        self, values: np.ndarray, scale: ColorScale, title: str, passed: np.ndarray | None = None
    ) -> MapFigure:
        """Draw a map of numbers.

        Parameters
        ----------
        values : ndarray, shape (n_targets,)
            One number per target.
        scale : ColorScale
            Colours.
        title : str
            Title; a second line is a subtitle.
        passed : ndarray of bool, shape (n_targets,), optional
            Targets that passed a test; the others are faded.

        Returns
        -------
        MapFigure
            Figure, and what it does not show.
        """
        footer = partial(number_footer, values, scale, self.width, faded=passed is not None)
        return self.draw(number_layer(values, scale, passed), footer, title)

    def winner(
        self, winner: np.ndarray, margin: np.ndarray, accuracy: np.ndarray, scale: WinnerScale, title: str
    ) -> MapFigure:
        """Draw the best model of every target.

        Parameters
        ----------
        winner : ndarray of int, shape (n_targets,)
            Position among the names of the scale; -1 for none, -2 for a tie.
        margin, accuracy : ndarray, shape (n_targets,)
            Lead over the second, and what decides how opaque a target is.
        scale : WinnerScale
            Names and colours.
        title : str
            Title.

        Returns
        -------
        MapFigure
            Figure, and what it does not show.
        """
        footer = partial(winner_footer, scale, self.width, ties=bool((winner == TIE).any()))
        return self.draw(winner_layer(winner, margin, accuracy, scale), footer, title)

    def pair(self, first: np.ndarray, second: np.ndarray, scale: PairScale, title: str) -> MapFigure:
        """Draw two maps at once.

        Parameters
        ----------
        first, second : ndarray, shape (n_targets,)
            The maps.
        scale : PairScale
            Names and colours.
        title : str
            Title.

        Returns
        -------
        MapFigure
            Figure, and what it does not show.
        """
        footer = partial(pair_footer, scale, self.width)
        return self.draw(pair_layer(first, second, scale), footer, title)

    @styled
    def draw(self, layer: Layer, footer: Any, title: str) -> MapFigure:
        """Draw any layer.

        Parameters
        ----------
        layer : Layer
            Arrays of one value per target.
        footer : callable
            Makes the legend, a block, from a note on what is covered.
        title : str
            Title; a second line is a subtitle.

        Returns
        -------
        MapFigure
            Figure, and what it does not show.
        """
        blocks, notes, warning = self.blocks(layer, self.width)
        head, _, subtitle = title.partition("\n")
        blocks.append(footer("\n".join(notes)))
        if warning:
            blocks.append(note_block(f"{warning}.", self.width - 2 * EDGE))
        return MapFigure(tuple(blocks), head, subtitle, self.width, warning)

    def blocks(self, layer: Layer, width: float) -> tuple[list[Block], list[str], str]:
        """Lay out brains and slices.

        Parameters
        ----------
        layer : Layer
            Arrays of one value per target.
        width : float
            Width in inches.

        Returns
        -------
        blocks : list of Block
            To be stacked.
        notes : list of str
            What is covered.
        warning : str
            Which clusters are on no slice; empty if all are on one.
        """
        blocks: list[Block] = []
        notes: list[str] = []
        warning = ""
        meshes = self.surfaces.meshes
        if meshes is not None:
            shown = self._on_vertices(layer)
            there = tuple(view for view in self.settings.views if view != FLAT or FLAT in meshes.surfaces)
            style = SurfaceStyle(width=width, dpi=self.settings.dpi, wide=True, meshes=meshes)
            outlines = {
                name: np.nan_to_num(self._vertices(mask.astype(float))) > 0.5 for name, mask in self.outlines.items()
            }
            blocks.append(surface_block(shown, style, views=there, outlines=outlines))
            if not self.surfaces.projected:
                notes.append(coverage(shown, meshes))
            told = [PROJECTED] if self.surfaces.projected else []
            told += [meshes.note] if meshes.note else []
            if told:
                blocks.append(note_block("; ".join(told), width - 2 * EDGE))
        if self._has_slices(layer):
            affine = np.array(self.targets.grid.affine)  # type: ignore[union-attr]
            cifti = self.targets.kind == "grayordinate" and not self.targets.volume_space
            mni = cifti or self.targets.voxel_space.startswith("MNI")
            ground = background_of(self.background, self.targets)
            masks = {name: volume_of(mask.astype(float), self.targets)[0] for name, mask in self.outlines.items()}
            regions = {name: np.nan_to_num(mask) > 0.5 for name, mask in masks.items()}
            regions = {name: mask for name, mask in regions.items() if mask.any()}
            style_ = VolumeStyle(self.settings.slices, self.settings.glass, mni, width, ground, regions)
            inside = layer.map(lambda values: volume_of(values, self.targets)[0].astype(float))
            found, cuts, voxels = volume_blocks(inside, affine, style_)
            blocks += found
            notes.append(voxels)
            warning = cuts.warning()
        return blocks, notes, warning

    def compact(self, layer: Layer, width: float, dpi: float) -> Drawn:
        """Lay out a small picture of a layer: both sides of both hemispheres, and a glass brain of voxels.

        Parameters
        ----------
        layer : Layer
            Arrays of one value per target.
        width : float
            Width in inches.
        dpi : float
            Dots per inch.

        Returns
        -------
        Block
            The picture.
        """
        blocks: list[Block] = []
        if self.surfaces.meshes is not None:
            style = SurfaceStyle(width=width, dpi=dpi, meshes=self.surfaces.meshes)
            blocks.append(surface_block(self._on_vertices(layer), style, letters=False, captions=False, gap=0.03))
        if self._has_slices(layer):
            affine = np.array(self.targets.grid.affine)  # type: ignore[union-attr]
            inside = layer.map(lambda values: volume_of(values, self.targets)[0].astype(float))
            blocks.append(glass_block(inside, affine, width))
        return below(blocks, gap=0.04)

    def _has_slices(self, layer: Layer) -> bool:
        """Whether voxels are drawn: none of a group whose participants share vertices alone."""
        return self.in_volume and (not self.on_surface or bool(layer.measured[~self.targets.on_surface].any()))

    def _on_vertices(self, layer: Layer) -> Layer:
        moved = {name: self._vertices(array, labels=name in layer.labels) for name, array in layer.arrays.items()}
        if "label" in moved:  # where there is no parcel, nothing is missing
            moved["label"] = np.nan_to_num(moved["label"])
        return replace(layer, arrays=moved, above=None, strength=self._vertices(layer.strength))

    def _vertices(self, values: np.ndarray, *, labels: bool = False) -> np.ndarray:
        """One value per vertex of both hemispheres, NaN where there is none."""
        if not self.surfaces.projected:
            return surface_of(values, self.targets).astype(float)
        volume, affine = volume_of(values, self.targets)
        assert self.surfaces.meshes is not None
        return project(volume, affine, self.surfaces.meshes, labels=labels)


def canvas_of(
    targets: Targets,
    background: Path | None,
    surfaces: Surfaces,
    settings: Maps,
    outlines: Mapping[str, np.ndarray] | None = None,
) -> Canvas:
    """Prepare the drawing of maps.

    Parameters
    ----------
    targets : Targets
        What the maps are about.
    background : Path or None
        Image to draw slices on.
    surfaces : Surfaces
        Meshes, as `find_surfaces` finds them.
    settings : Maps
        Views, slices and resolution.
    outlines : mapping of str to ndarray of bool, shape (n_targets,), optional
        Regions to outline, by name.

    Returns
    -------
    Canvas
        Without meshes where those cannot show a volume, for want of a pial and a white surface.

    Examples
    --------
    >>> from encoding.mapping import Maps, Surfaces, canvas_of
    >>> type(canvas_of(loaded.responses.targets, None, Surfaces(), Maps())).__name__
    'Canvas'
    """
    if surfaces.projected and surfaces.meshes is not None and ribbon(surfaces.meshes) is None:
        surfaces = Surfaces()
    return Canvas(targets, background, surfaces, settings, outlines or {})


def group_mean(maps: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> np.ndarray:
    """Average maps of several subjects on the targets of the first; NaN where one has none.

    Shapes: `maps` (n_targets,) and `places` (n_targets of the first,), as of `shared_places`; returns as of the first.
    """
    return np.mean(np.stack([moved_to(at, values) for at, values in zip(places, maps, strict=True)]), axis=0)
