"""What stands beside a learned feature space: tables and the page, and the key of all that they show."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..core import DataError, FeatureSpace, Judgments, PairRatings, digest, fingerprint, fingerprint_array, versions
from ..io.atomic import write_json, write_tsv
from .consensus import Consensus
from .meaning import weigh
from .page import write_page
from .page_scores import Context
from .sparse import SparseEmbedding

STEP = "page/1"
RECORD = "_drawn.json"  # the key of what was drawn, and its files
TABLES = ("_path.tsv", "_dimensions.tsv", "_choices.tsv", "_intervals.tsv", "_curve.tsv")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def find_frames(name: str, folder: Path, related: Mapping[str, FeatureSpace]) -> dict[str, Path]:
    """Find pictures by the stimuli that they are named after, with or without the suffix of the stimulus."""
    if not folder.is_dir():
        raise DataError(f"Feature space {name!r}: frames {folder} is not a folder.")
    frames = {file.stem: file for file in sorted(folder.iterdir()) if file.suffix.lower() in PICTURES}
    named = {
        Path(stimulus).stem: stimulus for space in related.values() for stimulus in space.samples.stimulus.tolist()
    }
    return frames | {named[stem]: file for stem, file in frames.items() if stem in named}


def page_key(fit: str, context: Context, shares: Sequence[float] | None) -> str:
    """Identify a page by all that it shows: the fit, shares of a learning curve, and what the fit is compared with."""
    spaces = {**{f"as {kind}": space for kind, space in context.ratings.items()}, **context.others}
    shown = {
        name: [space.name, space.features, fingerprint_array(space.values), space.samples.stimulus.tolist()]
        for name, space in spaces.items()
    }
    frames = {file: fingerprint(file) for file in dict.fromkeys(context.frames.values())}
    pictures = sorted((name, frames[file]) for name, file in context.frames.items())
    return digest(
        [
            *(STEP, versions()["brain-encoding"], fit, shares, list(shown), shown, pictures),
            *(context.n_permutations, context.n_bootstrap),
        ]
    )


def is_drawn(folder: Path, name: str, key: str) -> bool:
    """Return True if every file that was drawn for a key exists."""
    record = folder / f"{name}{RECORD}"
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        return bool(found["key"] == key) and all((folder / file).is_file() for file in found["files"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or not whole: it is drawn again
        return False


def clear(folder: Path, name: str) -> None:
    """Remove what was drawn: no page may stand beside what it does not show, or after its drawing failed."""
    for left in (folder / f"{name}{RECORD}", *_drawn(folder, name)):
        left.unlink(missing_ok=True)


def draw(
    folder: Path,
    name: str,
    key: str,
    result: SparseEmbedding | Consensus,
    judgments: Judgments | PairRatings,
    context: Context,
) -> None:
    """Write tables and the page, and last the key of what they show."""
    first = result.runs[0] if isinstance(result, Consensus) else result
    write_tsv(folder / f"{name}_path.tsv", first.path_)
    if isinstance(result, Consensus):
        write_tsv(folder / f"{name}_dimensions.tsv", result.dimensions)
        write_tsv(folder / f"{name}_choices.tsv", result.choices)
    if first.scale_ is not None:
        rows = first.judged_
        whole = result.to_feature_space(name)
        table = weigh(whole, first.embedding_[rows], *(part[rows] for part in first.interval()))
        write_tsv(folder / f"{name}_intervals.tsv", table)
    if context.curve is not None:
        write_tsv(folder / f"{name}_curve.tsv", context.curve)
    write_page(folder / f"{name}.html", name, result, judgments, context)
    files = sorted(file.relative_to(folder).as_posix() for file in _drawn(folder, name))
    write_json(folder / f"{name}{RECORD}", {"key": key, "files": files})


def _drawn(folder: Path, name: str) -> Iterator[Path]:
    """Find tables, page and its figures; names such as ``samples.tsv``, of a space called ``<name>_files``, are not."""
    yield from (file for end in (*TABLES, ".html") if (file := folder / f"{name}{end}").is_file())
    for place, pattern in (("files", "*-[0-9]*.svg"), ("files", "*-[0-9]*.tsv"), ("stimuli", f"{name}_[0-9]*.jpg")):
        yield from (folder / f"{name}_{place}").glob(pattern)
