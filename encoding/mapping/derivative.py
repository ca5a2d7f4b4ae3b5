"""Write dataset_description.json, .bidsignore and the log of a run; record what was drawn."""

import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..core import digest, versions
from ..io.atomic import write_json, write_text
from ..io.bids.sidecars import read_json
from .figures import Canvas
from .results import Result
from .settings import Maps

# Without slashes at the end, which the present validator does not take as folders
IGNORED = (
    "work",
    "logs",
    "*.html",
    "*_statmap.*",
    "*_dseg.*",
    "scores",
    "weights*",
    "inference*",
    "figures",
    "group",
    "embedding",
    "parcels.npz",
    "sub-*/*.tsv",
    "sub-*/*.json",
)
README = """Encoding models fitted by brain-encoding {version}; docs: the README of that package.

report.html, sub-*.html    reports
sub-*/func                 maps: *_model-<name>_feature-<space>_stat-<statistic>_statmap, each with a JSON sidecar
sub-*/*.tsv                regions, claims of tests, named spaces
group                      tables and maps of all participants
code/pybids.json           entities stat, feature and model for pybids:
                           BIDSLayout(folder, validate=False, config=["bids", folder + "/code/pybids.json"])
"""
# Given to pybids in place of its "derivatives", which knows no statistic and no feature space
PYBIDS = {
    "name": "brain-encoding",
    "entities": [
        {"name": name, "pattern": f"[_/\\\\]+{name}-([a-zA-Z0-9+]+)"}
        for name in ("hemi", "res", "den", "model", "feature", "stat", "desc")
    ],
    "default_path_patterns": [
        "sub-{subject}/[ses-{session}/]func/sub-{subject}[_ses-{session}]_task-{task}[_hemi-{hemi}][_space-{space}]"
        "[_res-{res}][_den-{den}]_model-{model}_feature-{feature}_stat-{stat}[_desc-{desc}]_{suffix<statmap|dseg>}"
        "{extension}"
    ],
}
RECORD = "drawn.json"


def prepare_derivative(
    output: Path, source: Path, *, text: str, settings: Mapping[str, Any], command: Sequence[str]
) -> None:
    """Write the files that every run shares.

    Parameters
    ----------
    output : Path
        The derivative.
    source : Path
        The dataset it comes from.
    text : str
        The configuration as given.
    settings : mapping
        Every setting with its default.
    command : sequence of str
        Arguments of the program.

    Examples
    --------
    >>> from encoding.mapping import prepare_derivative
    >>> folders = Path("derived").resolve(), Path("my_study").resolve()
    >>> prepare_derivative(*folders, text=study.text, settings=study.resolved(), command=["encoding"])
    >>> Path("derived/dataset_description.json").is_file()
    True
    """
    description = source / "dataset_description.json"
    source_name = read_json(description).get("Name", source.name) if description.is_file() else source.name
    write_json(
        output / "dataset_description.json",
        {
            "Name": f"Encoding models of {source_name}",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "brain-encoding", "Version": versions().get("brain-encoding", "unknown")}],
            "SourceDatasets": [{"URL": source.as_uri()}],
        },
    )
    write_text(output / ".bidsignore", "\n".join(IGNORED) + "\n")
    write_text(output / "README", README.format(version=versions().get("brain-encoding", "unknown")))
    write_json(output / "code" / "pybids.json", PYBIDS)
    about = {"command": list(command), "settings": dict(settings), "versions": versions()}
    write_text(output / "logs" / "run.toml", text)
    write_json(output / "logs" / "run.json", about)
    # Of every run one more that no other run replaces: on a cluster, many begin in the same second.
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    write_json(output / "logs" / f"run-{now}-{secrets.token_hex(4)}.json", {**about, "config": text})


def drawing_key(
    results: Sequence[Result],
    settings: Maps,
    weights: Sequence[str] = (),
    *,
    canvases: Mapping[str, Canvas] | None = None,
) -> str:
    """Identify the maps and the report of some participants.

    Parameters
    ----------
    results : sequence of Result
        What they show.
    settings : Maps
        How.
    weights : sequence of str, optional
        Keys of the weights that are mapped too.
    canvases : mapping of str to Canvas, optional
        What each participant is drawn on.

    Returns
    -------
    str
        Equal for equal pictures.

    Examples
    --------
    >>> from encoding.mapping import drawing_key
    >>> len(drawing_key([result], study.maps))
    16
    """
    shown = [result.summary.key for result in results]
    drawn_on = [canvas.identity for canvas in (canvases or {}).values()]
    mapped = [list(weights)] if weights else []
    return digest(["map/4", versions()["brain-encoding"], shown, asdict(settings), drawn_on, *mapped])


def is_drawn(folder: Path, key: str) -> bool:
    """Return True if every file that was drawn for a key exists.

    Parameters
    ----------
    folder : Path
        Where `note_drawn` left its record.
    key : str
        Of `drawing_key`.

    Returns
    -------
    bool
        False if the key is another or a file is gone.

    Examples
    --------
    >>> from encoding.mapping import is_drawn
    >>> is_drawn(result.folder, "another key")
    False
    """
    record = _read(folder)
    return record["key"] == key and all((folder / name).is_file() for name in record["files"])


def note_drawn(folder: Path, key: str, files: Iterable[Path]) -> None:
    """Record what was drawn, and remove files that only an earlier run drew.

    Parameters
    ----------
    folder : Path
        Where the record goes.
    key : str
        Of `drawing_key`.
    files : iterable of Path
        Everything that was written.

    Examples
    --------
    >>> from encoding.mapping import is_drawn, note_drawn
    >>> Path("drawn").mkdir()
    >>> Path("drawn/map.svg").touch()
    >>> note_drawn(Path("drawn"), "key", [Path("drawn/map.svg")])
    >>> is_drawn(Path("drawn"), "key")
    True
    """
    names = sorted(Path(os.path.relpath(path, folder)).as_posix() for path in files)
    for name in set(_read(folder)["files"]) - set(names):
        for path in (folder / name, (folder / name).with_name(f"{Path(name).name.split('.')[0]}.json")):
            path.unlink(missing_ok=True)  # sidecars go with their images
    write_json(folder / RECORD, {"key": key, "files": names})


def _read(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"key": "", "files": []}
