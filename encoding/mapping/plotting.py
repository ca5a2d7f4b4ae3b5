"""Figures of any map files: the same painters as in reports, for files of this package and of others."""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..core import ConfigError, DataError, suggest
from ..drawing.figure import save_figure, styled
from ..drawing.layers import Layer, label_layer, number_layer
from ..drawing.legend import labels_footer, number_footer
from ..drawing.panels import EDGE, Block, Drawn, heading_block, note_block, stack
from ..drawing.scales import ColorScale, accuracy_scale, difference_scale
from ..io.images.maps import StoredMap, read_maps
from .figures import WIDTH, Canvas, canvas_of
from .meshes import find_surfaces
from .settings import Maps

MOST_MAPS = 24
PRINT_DPI = 300


def plot_files(
    files: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    *,
    vmax: float | None = None,
    two_sided: bool | None = None,
    label: str = "",
    title: str = "",
    **settings: Any,
) -> Figure:
    """Draw NIfTI, GIFTI or CIFTI maps, made by this package or not, on one scale.

    Parameters
    ----------
    files : path or sequence of path
        Maps of numbers or labels. Of a pair of GIFTI files one is enough; of files with several maps all are drawn.
        Surfaces need a mesh: fsaverage3 to fsaverage and fsLR-32k are found by the number of vertices.
    output : path, optional
        PNG, PDF or SVG to write.
    vmax : float, optional
        End of the colour scale; that of the strongest structure of all maps unless given.
    two_sided : bool, optional
        Whether colours diverge from 0; unless given, for differences and where negative values are as strong as half
        of the positive ones.
    label : str, optional
        Quantity at the colour bar; taken from the sidecar unless given.
    title : str, optional
        Title of the figure; the name of a single map unless given.
    **settings
        Keys of ``[map]``: mesh, flat, views, slices, glass, project, threshold (below which colours fade; nothing is
        tested) and dpi (300 unless given).

    Returns
    -------
    matplotlib.figure.Figure
        Also where it was written.

    Raises
    ------
    DataError
        If a file cannot be read, or there is nothing to draw it on.
    ConfigError
        If a setting, view, position or mesh is unknown.

    Examples
    --------
    >>> import nibabel as nib, numpy as np, tempfile, pathlib
    >>> values = np.random.default_rng(0).random((8, 9, 7)).astype(np.float32)
    >>> path = pathlib.Path(tempfile.mkdtemp(), "map.nii.gz")
    >>> nib.save(nib.Nifti1Image(values, np.diag([3.0, 3.0, 3.0, 1.0])), path)
    >>> figure = plot_files(path, slices=6, dpi=50)
    """
    named = [files] if isinstance(files, str | Path) else list(files)
    maps = read_maps([Path(path) for path in named])
    if not 0 < len(maps) <= MOST_MAPS:
        raise DataError(
            f"{len(maps)} maps in {len(named)} files: between 1 and {MOST_MAPS} can be drawn in one figure."
        )
    chosen = map_settings(**settings)
    threshold = None if isinstance(chosen.threshold, str) else float(chosen.threshold) or None
    figure = _draw(maps, chosen, _scale(maps, label, threshold, vmax, two_sided=two_sided), title)
    if output is not None:
        save_figure(figure, output, dpi=chosen.dpi)
    return figure


def map_settings(**settings: Any) -> Maps:
    """Make settings of ``[map]`` out of keywords, for print; lists may stand for tuples."""
    known = [field.name for field in fields(Maps)]
    for name in settings:
        if name not in known:
            raise ConfigError(f"{name!r} is no key of [map]. {suggest(name, known)}")
    plain: dict[str, Any] = {"dpi": PRINT_DPI}
    plain |= {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return Maps(**plain)


def _scale(
    maps: Sequence[StoredMap], label: str, threshold: float | None, vmax: float | None, *, two_sided: bool | None
) -> ColorScale | None:
    """One scale for all maps of numbers; None if there are only labels."""
    numbers = [one for one in maps if not one.is_labels]
    if not numbers:
        return None
    values = [one.values for one in numbers]
    low, high = (max(float(np.nanmax(sign * array, initial=0)) for array in values) for sign in (-1, 1))
    difference = any("minus" in one.entities.get("model", "") for one in numbers)
    diverging = difference or low > 0.5 * high if two_sided is None else two_sided
    label = label or _label(numbers)
    scale = (difference_scale if diverging else accuracy_scale)(values, label, threshold=threshold)
    return scale if vmax is None else replace(scale, vmax=vmax, vmin=-vmax if diverging else 0.0)


def _label(maps: Sequence[StoredMap]) -> str:
    """Name what the numbers are, if all maps agree."""
    stats = list(dict.fromkeys(one.entities.get("stat", "") for one in maps))
    units = list(dict.fromkeys(str(one.sidecar.get("Units", "")) for one in maps))
    unit = units[0] if len(units) == 1 and units[0] not in ("", "arbitrary") else ""
    if len(stats) == 1 and stats[0]:
        return f"{stats[0]} ({unit})" if unit else stats[0]
    return unit or "value"


@styled
def _draw(maps: Sequence[StoredMap], settings: Maps, scale: ColorScale | None, title: str) -> Figure:
    blocks: list[Block] = []
    for one in maps:
        canvas = canvas_for(one, settings)
        layer, footer = _layer(one, scale)
        if len(maps) > 1:
            blocks.append(heading_block(one.name, WIDTH - 2 * EDGE))
        found, notes, warning = canvas.blocks(layer, WIDTH)
        blocks += found
        if footer is not None:
            blocks.append(footer("\n".join(notes)))
        if warning:
            blocks.append(note_block(f"{warning}.", WIDTH - 2 * EDGE))
    if scale is not None:
        pooled = np.concatenate([one.values for one in maps if not one.is_labels])
        blocks.append(number_footer(pooled, scale, WIDTH, "\n".join(notes) if len(maps) == 1 else ""))
    return stack(blocks, title=title or (maps[0].name if len(maps) == 1 else "Maps"), width=WIDTH)


def _layer(one: StoredMap, scale: ColorScale | None) -> tuple[Layer, Callable[[str], Drawn] | None]:
    if one.is_labels:
        layer = label_layer(one.values, one.colors)
        there = [number for number in one.colors if (one.values == number).any()]
        entries = [(one.names.get(number, str(number)), one.colors[number]) for number in there]
        return layer, lambda note: labels_footer(entries, WIDTH, note)
    assert scale is not None
    return number_layer(one.values, scale), None


def canvas_for(one: StoredMap, settings: Maps) -> Canvas:
    """Prepare the drawing of a stored map; refuse what has no place."""
    surfaces = find_surfaces(settings, one.targets, one.entities.get("sub", ""), Path())
    canvas = canvas_of(one.targets, None, surfaces, settings)
    if not canvas.drawable:
        raise DataError(f"{one.files[0]}: cannot be drawn. {surfaces.missing or 'It has neither voxels nor vertices.'}")
    if surfaces.missing and not canvas.in_volume:
        raise DataError(f"{one.files[0]}: {surfaces.missing}")
    return canvas
