"""What has been collected: how far it is, as files, and whether it can be trusted."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from ..core import DataError, Judgments, Provenance
from ..io.atomic import atomic_file, write_text
from ..io.judgments.answers import AnswerStore
from ..io.judgments.files import read_judgments
from ..io.judgments.triplets import read_triplets
from .exporting import Source, export
from .openai import OpenAI
from .prompts import load_prompt
from .quality import Quality
from .ratings_judge import Cosine, read_ratings
from .study import STORE, Opened, name_of
from .tabled import Table, TableAnnotator, check_convention

EXTRA = ("answered", "latency", "mass", "reaction_time")


def status(opened: Opened) -> pd.DataFrame:
    """Return progress and spending of every annotator.

    Parameters
    ----------
    opened : Opened
        The plan.

    Returns
    -------
    DataFrame
        One row per annotator with answers.

    Examples
    --------
    >>> from encoding.collection import status
    >>> status(opened)[["annotator", "planned", "answered"]]
      annotator  planned  answered
    0   careful      320       320
    """
    rows = []
    budget = opened.collection.budget
    with opened.store(read_only=True) as store:
        for settings in opened.collection.annotators:
            annotator = opened.annotator(name_of(settings))
            setting = store.find_setting(annotator.identity())
            if setting is None:
                continue
            spent, counts = store.spent(setting), store.counts(setting)
            rows.append(
                {
                    "annotator": annotator.name,
                    "planned": len(annotator.answers.items if isinstance(annotator, TableAnnotator) else opened.plan),
                    "answered": sum(counts.values()),
                    **counts,
                    "requests": int(spent["requests"]),
                    "tokens in": int(spent["tokens_in"]),
                    "cached": spent["tokens_cached"] / spent["tokens_in"] if spent["tokens_in"] else 0.0,
                    "tokens out": int(spent["tokens_out"]),
                    "money": budget.cost(spent["tokens_in"], spent["tokens_cached"], spent["tokens_out"]),
                    "hours": spent["hours"],
                }
            )
    return pd.DataFrame(rows)


def sources(opened: Opened, store: AnswerStore) -> list[Source]:
    """Find the annotators that have given answers."""
    found = []
    for settings in opened.collection.annotators:
        annotator = opened.annotator(name_of(settings))
        number = store.find_setting(annotator.identity())
        if number is not None:
            plan, shown = opened.trials(annotator)
            excluded = annotator.excluded() if isinstance(annotator, TableAnnotator) else None
            contents = opened.what.contents
            found.append(Source(plan, shown, contents, store, number, annotator.name, excluded))
    return found


def export_collection(
    opened: Opened, name: str = "", *, soft: bool = False, average: bool = False
) -> dict[str, dict[str, int]]:
    """Write the answers of one or all annotators as Parquet and as files of triplets, and a picture of every clip.

    Parameters
    ----------
    opened : Opened
        The plan.
    name : str, optional
        Annotator; all that have answers if left out.
    soft, average : bool, optional
        As for `export`.

    Returns
    -------
    dict of str to dict of str to int
        Rows per file, per folder.

    Raises
    ------
    DataError
        If nobody has answered.

    Examples
    --------
    >>> from encoding.collection import export_collection
    >>> list(export_collection(opened).values())
    [{'judgments.parquet': 320, 'train_90.txt': 278, 'train_90.npy': 278, 'test_10.txt': 22, 'test_10.npy': 22}]
    """
    written = {}
    wanted = name_of(opened.collection.annotator(name)) if name else ""
    with opened.store(read_only=True) as store:
        for source in sources(opened, store):
            if wanted in ("", source.annotator):
                folder = opened.collection.folder / "export" / file_name(source.annotator)
                written[str(folder)] = export(source, folder, soft=soft, average=average)
                written[str(folder)] |= _write_participants(opened, source.annotator, folder)
    if not written:
        raise DataError(f"{opened.collection.folder / STORE}: no answers of {name or 'anybody'} yet.")
    _write_pictures(opened)
    return written


def _write_participants(opened: Opened, name: str, folder: Path) -> dict[str, int]:
    """Write a row per participant: quality, why left out, and what is known about them."""
    annotator = opened.annotator(name)
    if not isinstance(annotator, TableAnnotator) or not any(annotator.answers.participant):
        return {}
    table = annotator.participants()
    write_text(folder / "participants.tsv", table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n"))
    return {"participants.tsv": len(table)}


def _write_pictures(opened: Opened) -> None:
    """Copy the middle frame of every clip to a file with the name of the stimulus, for pages of embeddings."""
    contents = opened.what.contents
    names = [Path(name).stem for name in contents.owners]
    for name, frames in zip(names, contents.images, strict=True):
        if frames and names.count(name) == 1:  # videos of one name in different folders cannot be told apart
            with atomic_file(opened.collection.folder / "pictures" / f"{name}.jpg") as temporary:
                shutil.copyfile(frames[len(frames) // 2], temporary)


def file_name(annotator: str) -> str:
    """Make a name of a folder from that of an annotator.

    Examples
    --------
    >>> file_name("Qwen/Qwen2-VL-7B")
    'Qwen-Qwen2-VL-7B'
    """
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in annotator)
    return kept.strip(".-") or "annotator"


def check_collection(opened: Opened) -> tuple[Path, list[Quality]]:
    """Write the quality report.

    Parameters
    ----------
    opened : Opened
        The plan.

    Returns
    -------
    path : Path
        The HTML file.
    found : list of Quality
        What is in it, per annotator.

    Examples
    --------
    >>> from encoding.collection import check_collection
    >>> report, found = check_collection(opened)
    >>> report.name, found[0].annotator
    ('quality.html', 'careful')
    """
    from .quality_report import write_quality  # figures are not needed to plan and ask, and take memory

    parts: list[Judgments] = []
    extra: dict[str, list[np.ndarray]] = {key: [] for key in EXTRA}
    who: list[np.ndarray] = []
    for folder in export_collection(opened):
        path = Path(folder) / "judgments.parquet"
        parts.append(read_judgments(path))
        table = pq.read_table(path, columns=[*EXTRA, "participant"])
        who.append(table["participant"].to_numpy().astype(str))
        for key in EXTRA:
            extra[key].append(table[key].to_numpy().astype(np.float64))
    human = opened.collection.collecting.human
    if human:
        people = _aligned(read_judgments(opened.collection.base / human), parts[0].stimuli, human)
        parts.append(people)
        for key in EXTRA:
            extra[key].append(np.full(len(people), np.nan))
        who.append(np.full(len(people), ""))
    path = opened.collection.folder / "quality.html"
    columns = {key: np.concatenate(values) for key, values in (extra | {"participant": who}).items()}
    found = write_quality(
        path, Judgments.concat(parts), extra=columns,
        costs=status(opened), facts=_facts(opened),
        warnings=[*conventions(opened), *changed_models(opened), *unknown_participants(opened)],
    )  # fmt: skip
    return path, found


def _facts(opened: Opened) -> list[tuple[str, str]]:
    facts = [("planned trials", f"{len(opened.plan):,}"), ("design", opened.collection.design.kind)]
    prompts = [settings.prompt for settings in opened.collection.annotators if isinstance(settings, OpenAI)]
    base = opened.collection.base
    return facts + [("prompt", f"{name} ({load_prompt(name, base).digest[:8]})") for name in dict.fromkeys(prompts)]


def _aligned(people: Judgments, stimuli: tuple[str, ...], file: str) -> Judgments:
    """Count the stimuli of people's judgments as the plan does, leaving out triplets that it does not know."""
    place = {name: number for number, name in enumerate(stimuli)}
    codes = np.array([place.get(name, -1) for name in people.stimuli], dtype=np.int32)
    items = codes[people.items]
    known = (items >= 0).all(axis=1)
    if not known.any():
        raise DataError(f"{file}: none of its judgments is about three stimuli of the plan.")
    kept = people.take(known)
    annotator = np.where(kept.annotator == "", "people", kept.annotator)
    return replace(kept, stimuli=stimuli, items=items[known], annotator=annotator, provenance=Provenance("judgments/1"))


def changed_models(opened: Opened) -> list[str]:
    """Warn where the model or fingerprint behind a name changed during collection."""
    said = []
    with opened.store(read_only=True) as store:
        for source in sources(opened, store):
            served = store.served(source.setting)
            if len(served) > 1:
                listed = ", ".join(
                    f"{' '.join(filter(None, (model, fingerprint)))} ({n:,} answers from "
                    f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(first))} UTC)"
                    for model, fingerprint, n, first, _ in served[:5]
                )
                said.append(f"{source.annotator}: {len(served)} models or fingerprints answered: {listed}.")
    return said


def unknown_participants(opened: Opened) -> list[str]:
    """Warn of participants that a table about participants does not know, and say who is left out."""
    said = []
    for settings in opened.collection.annotators:
        if not isinstance(settings, Table) or not settings.demographics:
            continue
        annotator = opened.annotator(name_of(settings))
        table = annotator.about if isinstance(annotator, TableAnnotator) else None
        if table is None:
            continue
        unknown = table.loc[table.drop(columns="participant").isna().all(axis=1), "participant"].tolist()
        if unknown:
            said.append(f"{settings.demographics}: {len(unknown)} of {len(table)} participants are not in it: "
                        f"{', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}.")  # fmt: skip
    return said


def conventions(opened: Opened) -> list[str]:
    """Check the odd-item column of people's tables against the ratings of another annotator."""
    base, stimuli = opened.collection.base, opened.plan.stimuli
    tables = [settings for settings in opened.collection.annotators if isinstance(settings, Table)
              and settings.source == "table" and settings.odd != "named"]  # fmt: skip
    rated = [settings for settings in opened.collection.annotators if isinstance(settings, Cosine)]
    said = []
    for table in tables:
        if not rated:
            said.append(
                f"{table.file}: no ratings are given by which it could be checked that the odd one is {table.odd}."
            )
            continue
        ratings = read_ratings(base / rated[0].file, stimuli, rated[0].stimulus, rated[0].columns)
        items, _ = read_triplets(base / table.file, stimuli, columns=table.columns)
        found = check_convention(items, ratings)
        if table.odd != found.odd:
            said.append(f"{table.file}: said to hold the odd one {table.odd}, but {found.message}.")
    return said
