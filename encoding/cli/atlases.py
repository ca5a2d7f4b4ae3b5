"""The command atlases: list them, show one, fetch one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import DataError
from .options import add_command

if TYPE_CHECKING:
    from ..core import Atlas

COLUMNS = ("index", "name", "hemi", "network", "x", "y", "z", "targets", "confidence")


def add_atlases(commands: Any) -> None:
    """Add the command."""
    about = "list atlases with licence and citation, show the regions of one, or fetch one"
    atlases = add_command(commands, "atlases", _atlases, about)
    atlases.add_argument(
        "action", nargs="?", choices=("list", "show", "get"), default="list",
        help="list all (default), show regions, centroids, terms and ROI sets of one, or get (fetch) it",
    )  # fmt: skip
    atlases.add_argument("atlas", nargs="?", metavar="NAME", help="name of an atlas; for show, also a label image")
    atlases.add_argument("--space", metavar="SPACE", help="reference space, if the atlas has several")
    atlases.add_argument("--table", type=Path, metavar="FILE", help="show: table of the labels of a label image")
    atlases.add_argument("-o", "--output", type=Path, metavar="FILE", help="show: draw the atlas (.png, .pdf or .svg)")
    atlases.add_argument("--again", action="store_true", help="get: download again even if it is there")


def _atlases(options: argparse.Namespace) -> int:
    if options.action == "list":
        return _list()
    if options.atlas is None:
        raise DataError(f"encoding atlases {options.action}: NAME is missing. `encoding atlases` lists them.")
    return _show(options) if options.action == "show" else _get(options)


def _list() -> int:
    from ..io.atlases.catalogue import available_atlases
    from ..io.atlases.fetching import cached
    from ..io.atlases.remote import REMOTE

    for atlas in available_atlases():
        print(f"{atlas.name}  ({atlas.kind}, {atlas.space}, {atlas.n_regions} regions)")
        print(f"    {atlas.summary}\n    licence: {atlas.licence}\n    cite: {atlas.citation}")
    for name, about in REMOTE.items():
        where = "fetched" if cached(name) is not None else f"fetch it with: encoding atlases get {name}"
        print(f"{name}  ({where}; {', '.join(about.spaces)})")
        print(f"    {about.summary}\n    licence: {about.licence}\n    cite: {about.citation}\n    {about.checked}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from ..io.atlases.catalogue import load_atlas
    from ..io.atlases.showing import region_rows

    atlas = load_atlas(options.atlas, table=options.table, space=options.space)
    targets = atlas.targets
    print(f"{atlas.name}: {len(atlas.region)} regions, {len(targets)} {targets.kind} targets in {targets.space}")
    print(f"licence: {atlas.licence or 'not stated'}\ncite: {atlas.citation or 'not stated'}\n")
    rows = region_rows(atlas)
    shown = [column for column in COLUMNS if any(row[column] for row in rows)]
    widths = {column: max(len(column), *(len(row[column]) for row in rows)) for column in shown}
    for row in ({column: column for column in COLUMNS}, *rows):
        print("  ".join(row[column].ljust(widths[column]) for column in shown).rstrip())
    if atlas.roi_sets:
        print("\nROI sets:")
    for roi in atlas.roi_sets:
        print(f"  {roi.set} / {roi.roi} ({roi.confidence or 'not stated'}): {', '.join(roi.regions)}")
    if options.output is not None:
        _draw(atlas, options.output)
        print(f"\n{options.output} is written")
    return 0


def _draw(atlas: "Atlas", path: Path) -> None:
    """Draw an atlas: on fsaverage5 where it is a surface, in slices where it is a volume."""
    from ..drawing.atlases import draw_label_slices, draw_parcels
    from ..drawing.figure import save_figure
    from ..io.atlases.showing import label_volume, labels_on_fsaverage5

    colors = dict(zip(atlas.index.tolist(), atlas.color, strict=True))
    subtitle = f"{len(atlas.region)} regions, {atlas.targets.space}"
    if atlas.targets.grid is not None:
        volume, affine = label_volume(atlas)
        names = list(zip(atlas.index.tolist(), atlas.region, strict=True))
        figure = draw_label_slices(volume, affine, colors, names, title=atlas.name, subtitle=subtitle)
    else:
        figure = draw_parcels(labels_on_fsaverage5(atlas), colors, title=atlas.name, subtitle=subtitle)
    save_figure(figure, path)


def _get(options: argparse.Namespace) -> int:
    from ..io.atlases.fetching import check_cached, fetch_atlas

    folder = fetch_atlas(options.atlas, options.space, again=options.again)
    facts = check_cached(folder)
    print(f"{facts['name']} in {facts['space']}: {folder}")
    for source in facts["sources"]:
        print(f"    {source['file']}  sha256 {source['sha256']}\n        from {source['address']}")
    print(f"    licence: {facts['licence']}\n    cite: {facts['citation']}\n    {facts['checked']}")
    print(f'Use it by name: atlases = ["{facts["name"]}"] in [map], or file = "{facts["name"]}" in an [[atlas]] table.')
    return 0
