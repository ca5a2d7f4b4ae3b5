"""Embeddings of planted truth and of people's judgments, cell by cell.

    python benchmarks/embedding_cells.py PART ... [--minutes 20] [--things PATH] [--results DIR] [--backwards]

Every cell is a process of its own and one line of `embedding_cells.jsonl`; cells that are there are not run again, so
that a run that was stopped goes on. `embedding_cells.md` is written from all lines. Parts:

- grid: planted truth (`embedding_shapes.py`) of 300 and 1,000 items, 8, 20 and 49 dimensions, 5,000 to 100,000
  judgments, choices and probabilities, three data sets, and three cells of a million: all settings the default, beside
  plain L1.
- human: odd-one-out judgments of people in a file that you supply (--things, or ENCODING_THINGS; three numbers per row,
  the odd one last); five divisions into 80 percent to learn from and 20 percent to score by; all settings the default.
- trust: dimensions that a consensus calls reliable, against the planted ones.
- coverage: posterior intervals against planted coordinates; empty where all were refused. The prior and the limit at
  which intervals are refused were chosen on these cells.
- coverage_new: the same on 200 items, 6 and 10 dimensions, other seeds and one more shape: nothing was chosen on them.
- ratings: ratings of pairs by participants who use the scale differently, with Gaussian noise, which is not that of the
  likelihood; held-out pairs, beside the true coordinates with thresholds of their own.
"""

import argparse
import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from embedding_shapes import ALL_SHAPES, SHAPES, judge, plant, rate

from encoding.core import DataError, PairRatings
from encoding.embedding import SparseEmbedding, evaluate_ratings, fit_consensus
from encoding.embedding.evaluation import evaluate
from encoding.embedding.triplets import Triplets, as_triplets, divide
from encoding.io.atomic import write_text
from encoding.io.judgments.files import read_numbers
from encoding.numerics.choices import choice_logits, log_probabilities
from encoding.numerics.matching import correlate_columns, match_columns

Cell = dict[str, Any]
BALANCED = 36  # cells of the grid that are run before those of a million judgments


def grid_cells() -> list[Cell]:
    """All cells, in an order in which a run that is stopped has seen all levels, and all pairs of levels, evenly."""
    sizes = itertools.product(SHAPES, (300, 1000), (8, 20, 49), (5_000, 30_000, 100_000), (False, True), range(3))
    cells = [dict(zip(("shape", "n_items", "n_dims", "n", "soft", "seed"), size, strict=True)) for size in sizes]
    million = [
        {"shape": shape, "n_items": 1000, "n_dims": n_dims, "n": 1_000_000, "soft": False, "seed": 0}
        for shape, n_dims in (("correlated", 8), ("lognormal", 20), ("categorical", 49))
    ]
    pairs = [list(itertools.combinations(cell.items(), 2)) for cell in cells]
    cost = [np.log(2_000 + c["n"] * (1 + c["n_dims"] / 20) * (1 + c["n_items"] / 1000)) for c in cells]
    seen: dict[Any, int] = {}
    order, left = [], set(range(len(cells)))
    while left:
        # The pairs that were seen least; of those cells the cheapest, in the order of the list.
        best = min(left, key=lambda k: (sum(seen.get(pair, 0) for pair in pairs[k]) + 0.3 * cost[k], k))
        left.remove(best)
        order.append(cells[best])
        for pair in pairs[best]:
            seen[pair] = seen.get(pair, 0) + 1
    return [*order[:BALANCED], *million, *order[BALANCED:]]


def planted(cell: Cell) -> tuple[np.ndarray, Triplets]:
    truth = plant(cell["shape"], cell["n_items"], cell["n_dims"], cell["seed"])
    rows, p = judge(truth, cell["n"], cell["seed"] + 1, soft=cell.get("soft", False))
    data = as_triplets(rows, n_items=cell["n_items"])
    if p is None:
        return truth, data
    return truth, Triplets(data.items, p.argmax(axis=1).astype(np.int8), p.astype(np.float32), None, data.names)


def grid(cell: Cell) -> Cell:
    truth, data = planted(cell)
    unseen = judge(truth, 50_000, cell["seed"] + 100)[0]
    best = loss_of(truth, unseen)
    row: Cell = {"chance": float(np.log(3)) - best}
    for name, settings in (("", {}), ("plain_", {"ridges": (0.0,), "reweight": 0})):
        if row.get("kept"):  # the same fit, to the byte (a test of the package holds that)
            row |= {f"plain_{key}": row[key] for key in ("found", "above", "r")}
            break
        before = time.process_time()
        try:
            model = SparseEmbedding(random_state=cell["seed"], **settings).fit(data)
        except DataError:  # no better than chance
            row[f"{name}found"] = 0
            continue
        seconds = time.process_time() - before
        row |= {f"{name}found": model.embedding_.shape[1],
                f"{name}above": loss_of(model.embedding_, unseen) - best,
                f"{name}r": float(match_columns(truth, model.embedding_)[1].mean()),
                f"{name}cpu": seconds}  # fmt: skip
        if not name:
            row |= {"kept": model.plain_, "ridge": model.ridge_, "rounds": model.rounds_}
    return row


def loss_of(X: np.ndarray, rows: np.ndarray) -> float:
    X = np.asarray(X, dtype=np.float64)
    return float(-log_probabilities(choice_logits(X @ X.T, rows))[:, 2].mean())


def human_cells() -> list[Cell]:
    return [{"seed": seed} for seed in range(5)]


def human(cell: Cell) -> Cell:
    data = as_triplets(read_numbers(Path(os.environ["ENCODING_THINGS"])))
    test = divide(data, 0.2, np.random.default_rng(cell["seed"]))
    before, wall = time.process_time(), time.perf_counter()
    model = SparseEmbedding(random_state=cell["seed"]).fit(data[~test])
    seconds, wall = time.process_time() - before, time.perf_counter() - wall
    score = evaluate({"x": model.embedding_}, data[test], n_bootstrap=200).iloc[0]
    names = ("accuracy", "accuracy_low", "cross_entropy", "cross_entropy_high")
    return {"n_train": int((~test).sum()), "n_dims": model.embedding_.shape[1], "lambda": model.lambda_,
            "ridge": model.ridge_, "rounds": model.rounds_, "n_start": model.n_start_,
            **{name: float(score[name]) for name in names}, "cpu": seconds, "seconds": wall}  # fmt: skip


def trust_cells() -> list[Cell]:
    return [
        {"shape": shape, "n_items": 150, "n_dims": 6, "n": n, "seed": seed}
        for seed, n, shape in itertools.product(range(3), (4_000, 10_000, 30_000), SHAPES)
    ]


def trust(cell: Cell) -> Cell:
    truth, data = planted(cell)
    before = time.process_time()
    found = fit_consensus(SparseEmbedding(), data, seeds=range(3), resamples=6, halves=False)
    table = found.dimensions
    kept = ("reproducibility", "found", "resampled", "low", "found_resampled", "reliable")
    return {"r": correlate_columns(found.embedding, truth).max(axis=1).tolist(),
            **{name: table[name].tolist() for name in kept},
            "n_dims_of_fits": found.choices["n_dims"].tolist(), "cpu": time.process_time() - before}  # fmt: skip


def coverage_cells() -> list[Cell]:
    return [
        {"shape": shape, "n_items": 120, "n_dims": 4, "n": n, "seed": seed}
        for seed, n, shape in itertools.product(range(3), (15_000, 40_000), SHAPES)
    ]


def coverage_new_cells() -> list[Cell]:
    return [
        {"shape": shape, "n_items": 200, "n_dims": n_dims, "n": n, "seed": seed}
        for seed, (n_dims, n), shape in itertools.product((10, 11, 12), ((6, 30_000), (10, 60_000)), ALL_SHAPES)
    ]


def coverage(cell: Cell) -> Cell:
    truth, data = planted(cell)
    before = time.process_time()
    model = SparseEmbedding("variational", random_state=cell["seed"]).fit(data)
    partner, r = match_columns(truth, model.embedding_)
    matched = (partner >= 0) & (r > 0.8)  # coordinates of a dimension that was not found have no interval
    kept = matched & model.determined_[partner]
    row: Cell = {
        "found": model.embedding_.shape[1],
        "matched": int(matched.sum()),
        "refused": int((~model.determined_).sum()),
        "with_interval": int(kept.sum()),
        "turning_cost": model.turning_cost_.tolist(),
        "inflation": model.inflation_,
        "cpu": time.process_time() - before,
    }
    for level in (0.5, 0.95):
        low, high = (part[:, partner[kept]] for part in model.interval(level))
        inside = (low <= truth[:, kept]) & (truth[:, kept] <= high)
        some = truth[:, kept] > 0.1
        row |= {f"inside_{level:g}": int(inside.sum()), f"inside_above_zero_{level:g}": int(inside[some].sum()),
                "n": int(inside.size), "n_above_zero": int(some.sum())}  # fmt: skip
    return row


def ratings_cells() -> list[Cell]:
    sizes = ((60, 3, 3_000, 1), (60, 3, 3_000, 8), (150, 6, 10_000, 20))
    return [
        {"shape": shape, "n_items": n_items, "n_dims": n_dims, "n": n, "participants": people, "seed": 0}
        for (n_items, n_dims, n, people), shape in itertools.product(sizes, ALL_SHAPES)
    ]


def ratings(cell: Cell) -> Cell:
    truth = plant(cell["shape"], cell["n_items"], cell["n_dims"], cell["seed"])
    pairs, rating, who = rate(truth, cell["n"], cell["participants"], cell["seed"] + 1)
    key = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)[1].ravel()
    test = (np.random.default_rng(cell["seed"]).random(key.max() + 1) < 0.1)[key]
    whole = PairRatings(tuple(map(str, range(len(truth)))), pairs, rating, who.astype(str), np.ones(len(pairs)),
                        np.where(test, "test", "train"), (1, 7))  # fmt: skip
    before = time.process_time()
    try:
        model = SparseEmbedding(task="rate", random_state=cell["seed"]).fit(whole)
    except DataError:  # no better than chance
        return {"found": 0}
    seconds = time.process_time() - before
    both = {"found": model.embedding_, "true": truth}
    scores = evaluate_ratings(both, whole.take(test), whole.take(~test), n_bootstrap=50)
    row: Cell = {"found": model.embedding_.shape[1], "matched": float(match_columns(truth, model.embedding_)[1].mean()),
                 "ridge": model.ridge_, "cpu": seconds}  # fmt: skip
    for k, name in enumerate(("", "true_", "none_")):
        row |= {f"{name}{key}": float(scores.iloc[k][key]) for key in ("r", "cross_entropy")}
    return row


PARTS: dict[str, tuple[Callable[[], Iterable[Cell]], Callable[[Cell], Cell]]] = {
    "human": (human_cells, human),
    "trust": (trust_cells, trust),
    "coverage": (coverage_cells, coverage),
    "coverage_new": (coverage_new_cells, coverage),
    "ratings": (ratings_cells, ratings),
    "grid": (grid_cells, grid),
}


def describe(lines: list[Cell]) -> str:
    text = ["# Embedding, cell by cell", "", "`python benchmarks/embedding_cells.py`; see there for what each part is.",
            "Processor seconds are of one thread, on a machine with two cores that others used too.", ""]  # fmt: skip
    for part in PARTS:
        rows = [line for line in lines if line["part"] == part]
        n_cells = len(list(PARTS[part][0]()))
        text += [f"## {part}", "", f"{len(rows)} of {n_cells} cells were run.", ""]
        if rows:
            text += SUMMARIES[part](rows)
    return "\n".join(text).rstrip() + "\n"


def flat(rows: list[Cell]) -> pd.DataFrame:
    return pd.DataFrame([{**row["cell"], **row["result"]} for row in rows])


def summarise_human(rows: list[Cell]) -> list[str]:
    table = flat(rows).drop(columns=["seconds"]).sort_values("seed")
    mean = table[["accuracy", "cross_entropy", "cpu"]].mean()
    spread = table[["accuracy", "cross_entropy"]].std()
    return [*markdown(table), "",
            f"Mean accuracy {mean['accuracy']:.4f} (standard deviation over divisions {spread['accuracy']:.4f}), "
            f"cross-entropy {mean['cross_entropy']:.4f} ({spread['cross_entropy']:.4f}), {mean['cpu']:.0f} processor "
            f"seconds.", ""]  # fmt: skip


def summarise_trust(rows: list[Cell]) -> list[str]:
    keys = ("r", "reproducibility", "found", "resampled", "low", "found_resampled", "reliable")
    each = pd.DataFrame([
        {**row["cell"], **{key: row["result"][key][k] for key in keys}}
        for row in rows for k in range(len(row["result"]["r"]))
    ])  # fmt: skip
    each["true"] = each["r"] > 0.8
    lines = []
    for shape, part in [*each.groupby("shape", sort=False), ("all", each)]:
        for n, cell in [*part.groupby("n"), ("all", part)]:
            yes, no = cell[cell["reliable"]], cell[~cell["reliable"]]
            seeds = cell[cell["reproducibility"] > 0.8]
            lines.append({"shape": shape, "n": n, "dimensions": len(cell), "reliable": len(yes),
                          "of them r > .8": share(yes["true"]), "not reliable": len(no),
                          "of those r > .8": share(no["true"]),
                          "agreed by seeds alone": len(seeds), "of those r > .8 ": share(seeds["true"])})  # fmt: skip
    return [*markdown(pd.DataFrame(lines)), ""]


def share(values: pd.Series) -> float:
    return float(values.mean()) if len(values) else float("nan")


def summarise_coverage(rows: list[Cell]) -> list[str]:
    own = [{"judgments": row["cell"]["n"], "coordinates": row["result"]["n"]} for row in rows]
    table = pd.concat([flat(rows).drop(columns="n"), pd.DataFrame(own)], axis=1)
    lines = []
    for shape, part in [*table.groupby("shape", sort=False), ("all", table)]:
        for n, cell in [*part.groupby("judgments"), ("all", part)]:
            line = {"shape": shape, "n": n, "data sets": len(cell),
                    "matched (r > .8)": f"{cell['matched'].sum()} of {cell['n_dims'].sum()}",
                    "of these with intervals": cell["with_interval"].sum()}  # fmt: skip
            for level in ("0.95", "0.5"):
                some = cell[cell["with_interval"] > 0]
                line[f"{level}: all"] = (some[f"inside_{level}"] / some["coordinates"]).mean()
                line[f"{level}: above zero"] = (some[f"inside_above_zero_{level}"] / some["n_above_zero"]).mean()
            lines.append(line)
    return [*markdown(pd.DataFrame(lines)), ""]


def summarise_ratings(rows: list[Cell]) -> list[str]:
    return [*markdown(flat(rows).drop(columns=["seed", "none_r"], errors="ignore")), ""]


def summarise_grid(rows: list[Cell]) -> list[str]:
    table = flat(rows)
    table["kind"] = np.where(table["soft"], "probabilities", "choices")
    keys = ["shape", "kind", "n_items", "n_dims", "n"]
    lines = []
    table["excess"] = excess = table["above"] - table["plain_above"]
    for values, cell in table.groupby(keys):
        lines.append({
            **dict(zip(keys, values, strict=True)),
            "found": " ".join(map(str, cell["found"])), "plain found": " ".join(map(str, cell["plain_found"])),
            "r": cell["r"].mean(), "plain r": cell["plain_r"].mean(),
            "above truth": cell["above"].mean(), "plain above truth": cell["plain_above"].mean(),
            "chance above truth": cell["chance"].mean(), "largest excess over plain L1": cell["excess"].max(),
            "cpu": cell["cpu"].mean(), "plain cpu": cell["plain_cpu"].mean(),
        })  # fmt: skip
    table["kept"] = [row["result"].get("kept", False) for row in rows]
    known = table["above"].notna()
    near = {name: int(((table[name] - table["n_dims"]).abs() <= 0.1 * table["n_dims"])[known].sum())
            for name in ("found", "plain_found")}  # fmt: skip
    text = [
        f"{len(table)} data sets; in {int(table['kept'].sum())} plain L1 was kept, and not fitted again by itself. "
        f"Refused as no better than chance: {int((table['found'] == 0).sum())} (plain L1: "
        f"{int((table['plain_found'] == 0).sum())}). Worse than chance: "
        f"{int((table['above'] > table['chance']).sum())}. Worse than plain L1 by more than .002: "
        f"{int((excess > 0.002).sum())} of {int(excess.notna().sum())} (largest excess {excess.max():.4f}); better by "
        f"more than .002: {int((excess < -0.002).sum())}. Number of dimensions "
        f"within 10 percent of the planted one: {near['found']} of {int(known.sum())} (plain L1: "
        f"{near['plain_found']}).",
        "",
    ]
    return [*text, *markdown(pd.DataFrame(lines)), ""]


SUMMARIES = {"human": summarise_human, "trust": summarise_trust, "coverage": summarise_coverage,
             "coverage_new": summarise_coverage, "ratings": summarise_ratings, "grid": summarise_grid}  # fmt: skip


def markdown(table: pd.DataFrame) -> list[str]:
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    return lines + ["| " + " | ".join(text_of(v) for v in row) + " |" for row in table.itertuples(index=False)]


def text_of(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)


def read(file: Path) -> list[Cell]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; none: write the table only")
    parser.add_argument("--things", type=Path, help="file of people's judgments")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="of processor time; no cell begins after it"
    )
    parser.add_argument(
        "--backwards", action="store_true", help="from the last cell on, beside a process that began with the first"
    )
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    if unknown := set(arguments.part) - set(PARTS):
        parser.error(f"no part {sorted(unknown)[0]!r}; there is {', '.join(PARTS)}")
    torch.set_num_threads(1)
    if arguments.things:
        os.environ["ENCODING_THINGS"] = str(arguments.things.resolve())
    file = arguments.results / "embedding_cells.jsonl"
    for part in arguments.part:
        if part == "human" and "ENCODING_THINGS" not in os.environ:
            raise SystemExit("The part human needs --things PATH or ENCODING_THINGS.")
        for cell in list(PARTS[part][0]())[:: -1 if arguments.backwards else 1]:
            if any(line["part"] == part and line["cell"] == cell for line in read(file)):
                continue
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            if used.ru_utime + used.ru_stime > 60 * arguments.minutes:
                break
            # Forked, since imports take as long as small cells.
            with ProcessPoolExecutor(1, mp_context=get_context("fork")) as process:
                result = process.submit(PARTS[part][1], cell).result()
            with file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"part": part, "cell": cell, "result": result}) + "\n")
            write_text(file.with_suffix(".md"), describe(read(file)))
    write_text(file.with_suffix(".md"), describe(read(file)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
