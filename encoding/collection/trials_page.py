"""A page of single trials: what was shown and asked, what was replied, and where judges disagree."""

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..core.judgments import OUTCOMES
from ..io.atomic import write_text
from ..numerics.triplet_ranks import rank_triplets
from .exporting import Source
from .openai import OpenAI
from .prompts import Prompt, load_prompt
from .results import sources
from .study import Opened, name_of

COLUMNS = ("id", "first", "second", "third", "outcome", "choice", "p1", "p2", "p3", "reply", "detail", "tokens_in",
           "tokens_cached", "tokens_out", "tries", "latency", "served", "participant")  # fmt: skip
LONGEST = 2000  # characters of a reply that are shown


def write_trials(opened: Opened, path: str | Path, *, most: int = 300, seed: int = 0) -> dict[str, int]:
    """Write a page of trials: those without a valid answer, those that judges disagree about, and others by chance.

    Parameters
    ----------
    opened : Opened
        The plan.
    path : str or Path
        The HTML file.
    most : int, optional
        Trials per judge.
    seed : int, optional
        Seed of those that are taken by chance.

    Returns
    -------
    dict of str to int
        Trials on the page, per judge.

    Examples
    --------
    >>> from encoding.collection import write_trials
    >>> sorted(write_trials(opened, "trials.html", most=20))
    ['careful']
    """
    budget = opened.collection.budget
    trials: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    with opened.store(read_only=True) as store:
        found = sources(opened, store)
        doubts = _disagreement(found)
        texts = dict(zip(opened.what.contents.digests, opened.what.contents.texts, strict=True))
        known = {number: (stimulus, texts.get(key, "")) for number, (stimulus, key) in store.shown().items()}
        models, people = store.models(), store.participants()
        for source, (identifiers, doubt) in zip(found, doubts, strict=True):
            for index in _chosen(source, identifiers, doubt, most, seed):
                row = store.answer(identifiers[index], COLUMNS)
                shown = [known[row[slot]] for slot in ("first", "second", "third")]
                cost = budget.cost(row["tokens_in"], row["tokens_cached"], row["tokens_out"])
                trials.append({
                    "judge": source.annotator, "items": [name for name, _ in shown],
                    "texts": [text for _, text in shown],
                    "outcome": OUTCOMES[row["outcome"]], "choice": row["choice"], "detail": row["detail"],
                    "p": None if row["p1"] is None else [row["p1"], row["p2"], row["p3"]],
                    "reply": row["reply"][:LONGEST], "tokens": row["tokens_in"] + row["tokens_out"],
                    "cost": float(f"{cost:.3g}"), "tries": row["tries"], "latency": round(row["latency"], 2),
                    "model": models[row["served"]], "participant": people[row["participant"]],
                    "disagreement": float(doubt[index]),
                })  # fmt: skip
                counts[source.annotator] = counts.get(source.annotator, 0) + 1
    used = {name for trial in trials for name in trial["items"]}
    content = {
        "trials": trials, "pictures": _pictures(opened, used), "currency": budget.currency, "prompts": _prompts(opened),
        "about": "Trials without a valid answer first, then those about which answers to the same triplet disagree "
                 "most, then others drawn by chance. The item that was called odd has a frame; bars are probabilities.",
    }  # fmt: skip
    text = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    template = (files(__package__) / "trials.html").read_text(encoding="utf-8")
    write_text(path, template.replace("/*TRIALS*/", text))
    return counts


def _disagreement(found: list[Source]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each judge the identifiers of its answers, and how little of all answers to a triplet agree."""
    rows = []
    for source in found:
        matcher_rows, identifiers, choice = source.answers()
        rows.append((source.plan.items[matcher_rows], identifiers, choice))
    items = np.concatenate([part[0] for part in rows]) if rows else np.zeros((0, 3), np.int64)
    choice = np.concatenate([part[2] for part in rows]) if rows else np.zeros(0, np.int64)
    _, place = np.unique(rank_triplets(items), return_inverse=True)
    valid = choice >= 0
    odd = items[np.arange(len(items)), np.maximum(choice, 0)]
    which = (np.sort(items, axis=1) == odd[:, None]).argmax(axis=1)
    n = int(place.max(initial=-1)) + 1
    votes = np.bincount((place * 3 + which)[valid], minlength=3 * n).reshape(-1, 3)
    total = votes.sum(axis=1)
    doubt = np.where(total > 1, 1 - votes.max(axis=1, initial=0) / np.maximum(total, 1), 0.0)[place]
    edges = np.cumsum([0, *(len(part[1]) for part in rows)])
    return [(part[1], doubt[a:b]) for part, a, b in zip(rows, edges[:-1], edges[1:], strict=True)]


def _chosen(source: Source, identifiers: np.ndarray, doubt: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Choose rows: a third of them without a valid answer, a third the most doubtful, the rest by chance."""
    _, _, choice = source.answers()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(identifiers))
    bad = order[choice[order] < 0][: -(-most // 3)]
    doubtful = order[np.argsort(-doubt[order], kind="stable")]
    doubtful = doubtful[doubt[doubtful] > 0][: most // 3]
    chosen = np.unique(np.concatenate((bad, doubtful)))
    rest = order[~np.isin(order, chosen)][: max(most - len(chosen), 0)]
    return np.sort(np.concatenate((chosen, rest)))


def _pictures(opened: Opened, used: set[str]) -> dict[str, str]:
    contents = opened.what.contents
    found = {}
    for name, images in zip(contents.owners, contents.images, strict=True):
        if name in used and images and name not in found:
            data = images[len(images) // 2].read_bytes()
            found[name] = f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}"
    return found


def _prompts(opened: Opened) -> str:
    parts = []
    for settings in opened.collection.annotators:
        if isinstance(settings, OpenAI):
            prompt = load_prompt(settings.prompt, opened.collection.base)
            parts.append(f"{name_of(settings)}: {prompt.name}\n\n{_written(prompt)}")
    return "\n\n----\n\n".join(parts)


def _written(prompt: Prompt) -> str:
    turns = []
    for turn in prompt.turns:
        slots = [f"{{{('first', 'second', 'third')[slot]}}}" for slot in turn.slots]
        turns.append("".join(piece + slot for piece, slot in zip(turn.pieces, [*slots, ""], strict=True)))
    return "\n\n".join([prompt.system, *turns])
