"""A page of single trials: what was shown, asked and replied, where judges disagree, and how they drift."""

import base64
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..core import Judgments
from ..core.judgments import OUTCOMES
from ..io.atomic import write_text
from ..numerics.triplet_ranks import rank_triplets
from .exporting import Source
from .openai import OpenAI
from .prompts import Prompt, load_prompt
from .quality import drift_of, judge_agreement
from .results import sources
from .study import Opened, name_of

COLUMNS = ("id", "first", "second", "third", "outcome", "choice", "p1", "p2", "p3", "reply", "detail", "tokens_in",
           "tokens_cached", "tokens_out", "tries", "latency", "served", "participant")  # fmt: skip
LONGEST = 2000  # characters of a reply that are shown
FRAMES = 4  # of a clip
COMPARED = 1_000_000  # answers by which judges are compared; of more, those to some of the triplets


def write_trials(opened: Opened, path: str | Path, *, most: int = 300, seed: int = 0) -> dict[str, int]:
    """Write a page of trials: those without a valid answer, those that judges disagree on, and random others.

    What is shown of one judge is shown of the others too, as far as they have answered it.

    Parameters
    ----------
    opened : Opened
        The plan.
    path : str or Path
        The HTML file.
    most : int, optional
        Trials that are chosen per judge.
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
        drift, agreement = _judges(found)
        chosen = [_chosen(source, *doubt, most, seed) for source, doubt in zip(found, doubts, strict=True)]
        for source, (identifiers, doubt), rows in zip(found, doubts, _shared(found, chosen), strict=True):
            for index in rows:
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
        "drift": drift, "agreement": agreement,
        "about": "A choice of all trials: those without a valid answer, those about which answers to the same triplet "
                 "disagree most, others drawn by chance, and what other judges answered to all these. The item that "
                 "was called odd has a frame; bars are probabilities.",
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


def _shared(found: list[Source], chosen: list[np.ndarray]) -> list[np.ndarray]:
    """Add to the chosen answers of every judge those to what is chosen of others: the same trial, else the triplet."""
    items = [source.plan.items[source.answers()[0]] for source in found]
    ranks = [rank_triplets(part) for part in items]
    orders = [np.argsort(part, axis=1) for part in items]
    keys = [rank * 9 + order[:, 0] * 3 + order[:, 1] for rank, order in zip(ranks, orders, strict=True)]
    result = []
    for own, (rank, key, rows) in enumerate(zip(ranks, keys, chosen, strict=True)):
        others = [k for k in range(len(found)) if k != own]
        wanted = np.concatenate([np.empty(0, np.int64), *(keys[k][chosen[k]] for k in others)])
        same = _first_of(key, np.setdiff1d(wanted, key[rows]))
        covered = np.concatenate((rank[rows], rank[same]))
        result.append(np.union1d(rows, np.union1d(same, _first_of(rank, np.setdiff1d(wanted // 9, covered)))))
    return [rows.astype(np.int64) for rows in result]


def _first_of(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the place of the first of each wanted value."""
    places = np.flatnonzero(np.isin(values, wanted))
    return places[np.unique(values[places], return_index=True)[1]]


def _judges(found: list[Source]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return drift of every judge and agreement of pairs, as JSON."""
    several = math.ceil(sum(len(source.answers()[0]) for source in found) / COMPARED)
    drift: list[dict[str, Any]] = []
    parts: list[Judgments] = []
    for source in found:
        pieces = list(source.parts())
        if not pieces:
            continue
        names = ("row", "choice", "outcome", "p1", "p2", "p3", "answered", "latency", "participant")
        whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in names}
        items = source.plan.items[whole["row"]]
        some = rank_triplets(items) % max(several, 1) == 0
        items, choice = items[some], whole["choice"][some]
        n = len(items)
        parts.append(Judgments(
            source.plan.stimuli, items, choice, np.stack([whole[f"p{slot}"][some] for slot in (1, 2, 3)], axis=1),
            np.array(OUTCOMES)[whole["outcome"][some]], np.ones(n), source.plan.repeat[whole["row"][some]],
            np.full(n, ""), np.full(n, source.annotator),
        ))  # fmt: skip
        table, p = drift_of(items, choice, {name: whole[name][some] for name in ("answered", "latency")},
                            people if (people := whole["participant"][some]).any() else None)  # fmt: skip
        if len(table) > 1:
            rows = table[["first", "second", "third", "valid"]].to_dict("records")
            rows = [{key: value if math.isfinite(value) else None for key, value in row.items()} for row in rows]
            drift.append({"judge": source.annotator, "parts": rows, "p": p if math.isfinite(p) else None})
    agreement = judge_agreement(Judgments.concat(parts)) if len(parts) > 1 else None
    pairs = [] if agreement is None else agreement.fillna(0).to_dict("records")
    return drift, [{str(key): value for key, value in row.items()} for row in pairs]


def _pictures(opened: Opened, used: set[str]) -> dict[str, list[str]]:
    contents = opened.what.contents
    found = {}
    for name, images in zip(contents.owners, contents.images, strict=True):
        if name in used and images and name not in found:
            places = np.unique(np.linspace(0, len(images) - 1, min(FRAMES, len(images))).round().astype(int))
            frames = [images[place].read_bytes() for place in places]
            found[name] = [f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}" for data in frames]
    return found


def _prompts(opened: Opened) -> str:
    parts = []
    for settings in opened.collection.annotators:
        if isinstance(settings, OpenAI):
            prompt = load_prompt(settings.prompt, opened.collection.base)
            persona = f"{settings.persona}\n\n" if settings.persona else ""
            parts.append(f"{name_of(settings)}: {prompt.name}\n\n{persona}{_written(prompt)}")
    return "\n\n----\n\n".join(parts)


def _written(prompt: Prompt) -> str:
    turns = []
    for turn in prompt.turns:
        slots = [f"{{{('first', 'second', 'third')[slot]}}}" for slot in turn.slots]
        turns.append("".join(piece + slot for piece, slot in zip(turn.pieces, [*slots, ""], strict=True)))
    return "\n\n".join([prompt.system, *turns])
