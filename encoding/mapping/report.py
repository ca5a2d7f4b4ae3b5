"""Put maps, charts and tables of one or many participants on one page."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..drawing import report as page
from .appendix import about, diagnostics, tables
from .composer import Composer, Progress
from .results import Result
from .rsa_section import similarity_sections
from .settings import Maps
from .warnings import find_warnings

KINDS = {"voxel": "voxels", "vertex": "vertices", "grayordinate": "grayordinates", "column": "columns"}


def write_report(
    results: Sequence[Result],
    settings: Maps,
    path: Path,
    figures: Path,
    *,
    progress: Progress,
    tests: pd.DataFrame | None = None,
) -> list[Path]:
    """Draw a report of one or many participants.

    Parameters
    ----------
    results : sequence of Result
        Participants, all made with the same settings.
    settings : Maps
        What to show.
    path : Path
        The HTML file.
    figures : Path
        Folder for its pictures.
    progress : callable
        Called with a name and the share done.
    tests : pandas.DataFrame, optional
        Tests of differences over participants.

    Returns
    -------
    list of Path
        The HTML file and its pictures.
    """
    composer = Composer(results, settings, figures, path.parent, progress)
    sections = (
        composer.glance(), composer.winners(), composer.accuracy(), composer.differences(), composer.parts(),
        composer.partition(), *similarity_sections(composer), tables(composer, tests), diagnostics(composer),
        about(composer),
    )  # fmt: skip
    facts = results[0].facts
    who = ", ".join(f"sub-{result.subject}" for result in results)
    usable = ", ".join(str(result.facts["n_usable"]) for result in results)
    shown = (
        ("participants", who),
        ("task", str(facts["task"])),
        ("space", f"{facts['space']} ({KINDS[facts['kind']]})"),
        ("usable targets", usable),
        ("samples", f"{facts['n_samples']}, one per {'presentation' if facts['clock'] == 'stimulus' else 'volume'}"),
        ("runs, outer folds", f"{len(facts['runs'])}, {facts['n_folds']}"),
        ("models", ", ".join(facts["models"]) or "none"),
        ("analyses of similarity", ", ".join(facts["rsa"]) or "none"),
        ("device", facts["device"]),
        ("seed", str(facts["settings"]["seed"])),
    )
    what = "Encoding models" if facts["models"] else "Representational similarity"
    title = what if len(results) > 1 else f"{what} of sub-{results[0].subject}"
    report = page.Report(
        title, f"{len(results)} participant{'s' if len(results) > 1 else ''}, task {facts['task']}", shown,
        find_warnings(results), tuple(section for section in sections if section is not None and section.blocks),
    )  # fmt: skip
    return [page.write_report(report, path), *composer.pictures]
