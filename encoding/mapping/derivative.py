"""The frame of a BIDS derivative: what it is, what is not BIDS in it, and how it was made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core import versions
from ..io.atomic import write_json, write_text
from ..io.bids.sidecars import read_json

IGNORED = (
    "work/",
    "logs/",
    "*.html",
    "**/*_statmap.*",
    "**/scores/",
    "**/figures/",
    "group/",
    "embedding/",
    "sub-*/*.tsv",
    "sub-*/*.json",
)


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
    write_text(output / "logs" / "run.toml", text)
    write_json(
        output / "logs" / "run.json", {"command": list(command), "settings": dict(settings), "versions": versions()}
    )
