"""How many judgments an embedding needs: balanced, random and actively chosen triplets, at two sizes.

    python benchmarks/power.py [--only small large] [--results benchmarks/results]

- small: 150 stimuli, 8 dimensions, 5 seeds, 1,000 to 16,000 judgments, two rounds of "active" for each doubling.
- large: 2,180 stimuli, 8 dimensions, 1 seed, 30,000 to 200,000 judgments; active from 30,000 to 80,000 in one round.

Truth, judges and test triplets are those of `encoding collect power`. "needed" is the number of judgments at which a
design reaches the test cross-entropy that random triplets reach with their largest number, between two numbers on a
logarithmic scale; "equals random" is the number of random triplets that reach what the design reaches with its largest.
Of several seeds, the mean curve and the range over seeds. A run that is interrupted keeps what it has: one entry per
size, design and seed, and per number of judgments where those take long.
"""

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from encoding.core import versions
from encoding.io.atomic import write_json, write_text
from encoding.workflow.power import Power, needed, simulate_power

SIZES = {
    "small": Power(n_stimuli=150, numbers=(1_000, 2_000, 4_000, 8_000, 16_000), seeds=5, rounds=2,
                   designs=("random", "balanced", "active", "uncertain")),
    "large": Power(n_stimuli=2180, numbers=(30_000, 80_000, 200_000), designs=("random", "active", "balanced"),
                   rounds=1),
}  # fmt: skip
ORDER = ("random", "balanced", "active", "uncertain")
COLOURS = dict(zip(ORDER, ("#555555", "#1f77b4", "#d62728", "#e0a030"), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(SIZES), default=tuple(SIZES))
    parser.add_argument("--designs", nargs="+", choices=ORDER, default=ORDER)
    parser.add_argument("--most", type=int, default=10**6, metavar="N", help="new entries in this run")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    path = options.results / "power.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"cells": {}}
    for size in options.only:
        power = SIZES[size]
        for seed in range(power.seeds):
            for design in (name for name in power.designs if name in options.designs):
                for numbers in parts_of(power, design):
                    whole = f"{size}/{design}/{seed}"
                    name = whole if numbers == power.numbers else f"{whole}/{numbers[0]}"
                    if name in found["cells"] or options.most <= 0:
                        continue
                    options.most -= 1
                    start = time.process_time()
                    how = {"designs": (design,), "numbers": numbers, "seeds": 1, "first_seed": seed}
                    table = simulate_power(replace(power, **how))
                    cpu = time.process_time() - start
                    found["cells"][name] = {"cpu_seconds": cpu, "rows": table.to_dict("records")}
                    write_json(path, {**found, "versions": versions()})
                    print(f"{name}: {cpu:.0f} s of processor", flush=True)
    write_text(options.results / "power.md", written(found["cells"]))
    draw(found["cells"], options.results / "power.svg")


def parts_of(power: Power, design: str) -> list[tuple[int, ...]]:
    """Return the numbers of judgments that are simulated at once: many stimuli take a minute for each number."""
    if power.n_stimuli < 1000:
        return [power.numbers]
    if design in ("active", "uncertain"):  # eight fits of two minutes for the third number
        return [power.numbers[:2]]
    return [(number,) for number in power.numbers]


def rows_of(cells: dict, size: str) -> pd.DataFrame:
    rows = [row for name, cell in cells.items() if name.startswith(f"{size}/") for row in cell["rows"]]
    return pd.DataFrame(rows)


def number(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "more than were simulated"


def written(cells: dict) -> str:
    lines = ["# How many judgments", "", "By `benchmarks/power.py`; a judge of temperature 1, hard answers. \"active\" "
             "is what `encoding collect next` does: triplets that three embeddings, each of 70 % of the judgments, "
             "disagree about, and 30 % by chance. \"uncertain\" takes those of which one embedding is least certain.",
             "", "Their penalties are chosen by a quarter of the triplets drawn by chance: chosen by all, one of five "
             "seeds ended at a cross-entropy of .646 instead of .554.", "",
             "![Test cross-entropy against judgments](power.svg)", ""]  # fmt: skip
    for size, power in SIZES.items():
        table = rows_of(cells, size)
        if not len(table):
            continue
        mean = table.groupby(["design", "judgments"])[["accuracy", "loss", "similarity", "dims"]].mean()
        spread = table.groupby(["design", "judgments"])["loss"].std()
        most = max(power.numbers)
        cpu = sum(cell["cpu_seconds"] for name, cell in cells.items() if name.startswith(f"{size}/"))
        designs = [design for design in ORDER if design in set(table["design"])]
        seeds = {design: sorted(table.loc[table["design"] == design, "seed"].unique()) for design in designs}
        lines += [
            f"## {power.n_stimuli:,} stimuli, {power.n_dims} dimensions", "",
            f"The truth itself: accuracy {table['best_accuracy'].mean():.3f}, cross-entropy "
            f"{table['best_loss'].mean():.3f}. {cpu / 60:.1f} minutes of processor.", "",
            "| design | seeds | judgments | accuracy | cross-entropy | SD over seeds | similarity r | dimensions |",
            "|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for design in designs:
            for n, row in mean.loc[design].iterrows():
                sd = spread.loc[(design, n)]
                lines.append(
                    f"| {design} | {len(seeds[design])} | {n:,} | {row['accuracy']:.3f} | {row['loss']:.4f} | "
                    f"{f'{sd:.4f}' if math.isfinite(sd) else '-'} | {row['similarity']:.3f} | {row['dims']:.1f} |"
                )
        random = table[table["design"] == "random"]
        goal = random[random["judgments"] == most].groupby("seed")["loss"].mean()
        lines += [
            "", f"Judgments needed for the cross-entropy of {most:,} random ones, and random ones needed for that of a "
            "design's largest number, by the mean of the same seeds:", "",
            "| design | seeds | judgments | share of random | range over seeds | its largest number | equals random |",
            "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for design in designs:
            own = table[(table["design"] == design) & table["seed"].isin(goal.index)]
            if not len(own):
                continue
            same = sorted(own["seed"].unique())
            n = needed(own, goal[same].mean(), design)
            each = [needed(own[own["seed"] == seed], goal[seed], design) for seed in same]
            span = f"{number(min(each))} to {number(max(each))}" if len(each) > 1 else "-"
            share = f"{n / most:.2f}" if math.isfinite(n) else "-"
            last = own[own["judgments"] == own["judgments"].max()]
            equal = needed(random[random["seed"].isin(same)], last["loss"].mean(), "random")
            lines.append(
                f"| {design} | {len(each)} | {number(n)} | {share} | {span} | {int(last['judgments'].max()):,} | "
                f"{number(equal)} |"
            )
        lines.append("")
    for size in (name for name in SIZES if not len(rows_of(cells, name))):
        lines += [f"{SIZES[size].n_stimuli:,} stimuli were not simulated; a fit takes a minute of processor there.", ""]
    return "\n".join(lines)


def draw(cells: dict, path: Path) -> None:
    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "power"
    sizes = [size for size in SIZES if len(rows_of(cells, size))]
    figure, axes = plt.subplots(1, len(sizes), figsize=(4.6 * len(sizes), 3.6), squeeze=False, layout="constrained")
    for axis, size in zip(axes[0], sizes, strict=True):
        table = rows_of(cells, size)
        for design in (design for design in ORDER if design in set(table["design"])):
            part = table[table["design"] == design]
            mean = part.groupby("judgments")["loss"].mean()
            axis.plot(mean.index, mean, "o-", color=COLOURS[design], label=design, ms=4)
            for _, one in part.groupby("seed") if part["seed"].nunique() > 1 else ():
                axis.plot(one["judgments"], one["loss"], color=COLOURS[design], lw=0.5, alpha=0.4)
        axis.axhline(table["best_loss"].mean(), color="k", ls=":", lw=1, label="truth")
        axis.set(
            xscale="log", xlabel="judgments", ylabel="test cross-entropy", title=f"{SIZES[size].n_stimuli:,} stimuli"
        )
        axis.set_xticks(SIZES[size].numbers, [f"{number:,}" for number in SIZES[size].numbers], fontsize=8)
        axis.minorticks_off()
        axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
