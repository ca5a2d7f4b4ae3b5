"""How many judgments an embedding needs: balanced, random and actively chosen triplets, at two sizes.

    python benchmarks/power.py [--only small large] [--results benchmarks/results]

- small: 150 stimuli, 8 dimensions, 5 seeds, 1,000 to 16,000 judgments.
- large: 2,180 stimuli, 8 dimensions, 1 seed, 30,000 to 200,000 judgments.

Truth, judges and test triplets are those of `encoding collect power`. "needed" is the number of judgments at which a
design reaches the test cross-entropy that random triplets reach with the second largest number.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from encoding.core import versions
from encoding.io.atomic import write_json, write_text
from encoding.workflow.power import Power, needed, simulate_power

DESIGNS = ("balanced", "random", "active")
SIZES = {
    "small": Power(n_stimuli=150, numbers=(1_000, 2_000, 4_000, 8_000, 16_000), designs=DESIGNS, seeds=5),
    "large": Power(n_stimuli=2180, numbers=(30_000, 80_000, 200_000), designs=DESIGNS, rounds=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(SIZES), default=tuple(SIZES))
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    path = options.results / "power.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for size in options.only:
        start = time.process_time()
        table = simulate_power(SIZES[size], watch=print)
        numbers = sorted(SIZES[size].numbers)
        loss = table[(table["design"] == "random") & (table["judgments"] == numbers[-2])]["loss"].mean()
        mean = table.groupby(["design", "judgments"])[["accuracy", "loss", "similarity", "dims"]].mean().reset_index()
        found[size] = {
            "cpu_seconds": time.process_time() - start, "loss": loss, "best_loss": table["best_loss"].mean(),
            "best_accuracy": table["best_accuracy"].mean(), "rows": mean.to_dict("records"),
            "needed": {design: float(np.nan_to_num(needed(table, loss, design), posinf=-1)) for design in DESIGNS},
            "seeds": SIZES[size].seeds,
        }  # fmt: skip
        write_json(path, {**found, "versions": versions()})
    write_text(options.results / "power.md", written(found))


def written(found: dict) -> str:
    lines = ["# How many judgments", "", "By `benchmarks/power.py`; a judge of temperature 1, hard answers.", ""]
    for size in (name for name in SIZES if name in found):
        part, power = found[size], SIZES[size]
        lines += [
            f"## {power.n_stimuli:,} stimuli, {power.n_dims} dimensions, mean of {part['seeds']} seeds", "",
            f"The truth itself: accuracy {part['best_accuracy']:.3f}, cross-entropy {part['best_loss']:.3f}.", "",
            "| design | judgments | accuracy | cross-entropy | similarity r | dimensions |",
            "|---|---|---|---|---|---|",
            *(f"| {row['design']} | {row['judgments']:,} | {row['accuracy']:.3f} | {row['loss']:.3f} | "
              f"{row['similarity']:.3f} | {row['dims']:.1f} |" for row in part["rows"]),
            "", f"Judgments needed for a cross-entropy of {part['loss']:.3f}: " + ", ".join(
                f"{design} {n:,.0f}" if n > 0 else f"{design} more than were simulated"
                for design, n in part["needed"].items()) + ".", "",
        ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
