"""Commands that draw: any map file, and the panel of a paper."""

import argparse
from pathlib import Path
from typing import Any

from .options import add_command

VIEWS = ("lateral", "medial", "ventral", "dorsal", "flat")


def add_plotting(commands: Any) -> None:
    """Add the commands that draw figures."""
    plot = add_command(commands, "plot", _plot, "draw NIfTI, GIFTI or CIFTI maps, from this program or others")
    plot.add_argument("files", type=Path, nargs="+", metavar="FILE", help="maps; of a GIFTI pair, one is enough")
    _add_output(plot)
    plot.add_argument("--views", nargs="+", choices=VIEWS, metavar="VIEW", help=f"{', '.join(VIEWS)} (default: four)")
    plot.add_argument(
        "--slices", nargs="+", metavar="N|POSITION",
        help="largest number of slices, or positions such as z=-9 x=4 (default: 18, through the peaks)",
    )  # fmt: skip
    plot.add_argument("--threshold", type=float, metavar="X", help="colours fade below this; nothing is tested")
    plot.add_argument(
        "--vmax", type=float, metavar="X", help="end of the colour scale (default: from the strongest structure)"
    )
    plot.add_argument(
        "--two-sided",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="colours diverge from 0 (or not)",
    )
    plot.add_argument("--label", default="", help="label of the colour bar (default: from the sidecar)")
    plot.add_argument("--title", default="", help="(default: name of the map)")
    figure = add_command(commands, "figure", _figure, "draw a figure for a paper: group, participants, winner, ceiling")
    figure.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR", help="results of encoding run")
    _add_output(figure)
    figure.add_argument("--models", nargs="+", default=[], metavar="NAME", help="at most five (default: single spaces)")


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", type=Path, required=True, metavar="FIG", help="a .png, .pdf or .svg file")
    command.add_argument("--mesh", help="mesh of surfaces, as [map] mesh: a name, or files with {hemi}")
    command.add_argument("--dpi", type=int, help="resolution of the maps, in dots per inch (default: 300)")


def _plot(options: argparse.Namespace) -> int:
    from ..mapping import plot_files

    slices = options.slices
    if slices is not None and len(slices) == 1 and slices[0].isdigit():
        slices = int(slices[0])
    plot_files(
        options.files, options.output, vmax=options.vmax, two_sided=options.two_sided, label=options.label,
        title=options.title, **_given(options, "mesh", "dpi", "views", "threshold"),
        **({} if slices is None else {"slices": slices}),
    )  # fmt: skip
    print(options.output)
    return 0


def _figure(options: argparse.Namespace) -> int:
    from ..mapping import plot_results

    plot_results(options.output_dir, options.output, models=options.models, **_given(options, "mesh", "dpi"))
    print(options.output)
    return 0


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}
