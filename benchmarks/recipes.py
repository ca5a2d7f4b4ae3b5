"""Recipes on one simulated subject of the size of the emotion-video study: time, memory, planted winners.

    python benchmarks/recipes.py [--preset study] [--millimetres 4.5] [--threads 1] [--folder F] [--results F]

Simulates the first subject of a preset in volumes (study: 61 runs, 2,196 presentations, some 20,600 voxels) and runs
`encoding run ... participant` with the recipes `horikawa2020` and `du2023`, each in a process of its own, from
fMRIPrep-like files to the subject's report; `--before CHECKOUT` runs an earlier version of this package on the same
files, too. There are no videos, so that the motion-energy band of `du2023` is a table
of 6,555 made-up channels, as many as the paper has: it costs what the real one costs, and must win nowhere.

Winners: with `horikawa2020` the planted space must have the highest mean pooled r of the four spaces in its region.
With `du2023`, in regions that are planted with the emotion or the semantic band, that band must bring the largest part
of R2.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from encoding.core import versions
from encoding.io.atomic import write_json, write_text
from encoding.simulate import PRESETS, simulate

HERE_IS = Path(__file__).resolve().parents[1]
N_CHANNELS = 6555
# Spaces of the simulated study that stand in for the bands of the paper: 34 and 30 features.
BANDS = {"emotion": "category", "semantic": "llm"}
HERE = """[load]
task = "video"
space = "MNI152NLin2009cAsym"
res = "{res}"
stimulus = "stim_id"
stimuli = "none"

[map]
atlases = ["truth/tpl-MNI152NLin2009cAsym_res-{res}_atlas-Planted_dseg.nii.gz"]

"""
SMALL = {
    "horikawa2020": '[split]\ngroups = [["1"], ["2"], ["3"], ["4"]]\nn_inner = 3\n\n',
    "du2023": '[split]\ntest_runs = ["4"]\nn_inner = 4\n\n',
}


def simulate_subject(root: Path, preset: str, millimetres: float) -> None:
    """Write the first subject of a preset only, in volumes of a size of their own."""
    whole = PRESETS[preset]
    PRESETS[preset] = replace(whole, sessions=whole.sessions[:1], cifti=False)
    try:
        simulate(root, preset=preset, volume_mm=millimetres)
    finally:
        PRESETS[preset] = whole


def write_channels(root: Path) -> None:
    """Make up channels that go together in groups, as those of motion energy do, and know nothing of the responses."""
    table = pd.read_csv(root / "stimuli" / "stimuli.tsv", sep="\t")
    rng = np.random.default_rng([17, len(table)])
    common = rng.standard_normal((len(table), 60)) @ rng.standard_normal((60, N_CHANNELS)) / 8
    values = (common + rng.standard_normal((len(table), N_CHANNELS))).astype(np.float32)
    np.save(root / "stimuli" / "channels.npy", values)
    write_text(root / "stimuli" / "channels.txt", "\n".join(table["stim_id"]) + "\n")


def config_of(recipe: str, preset: str, millimetres: float, memory: str) -> str:
    if recipe == "horikawa2020":
        spaces = {name: f"stimuli/feature-{name}.tsv" for name in ("category", "dimension", "mllm", "llm")}
    else:
        spaces = {band: f"stimuli/feature-{space}.tsv" for band, space in BANDS.items()}
        spaces["motion_energy"] = "stimuli/channels.npy"
    text = f'recipe = "{recipe}"\n\n'
    for name, file in spaces.items():
        text += f'[[features]]\nname = "{name}"\nfile = "{file}"\n\n'
    text += HERE.format(res=f"{millimetres:g}".replace(".", "p"))
    text += SMALL[recipe] if PRESETS[preset].n_runs < 61 else ""
    return text + f'[compute]\nmemory = "{memory}"\n'


def run(command: Sequence[str], threads: int, checkout: Path) -> dict:
    """Run a command with the package of a checkout; how long it takes, and the most memory that it holds."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONPATH": str(checkout)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, env=environment, cwd=checkout)
    peak = {"RssAnon": 0, "VmHWM": 0}

    def watch() -> None:
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
            except OSError:
                return
            for line in status.splitlines():
                name = line.split(":")[0]
                if name in peak:
                    peak[name] = max(peak[name], int(line.split()[1]) * 1024)
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {code}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_gb": round(peak["VmHWM"] / 1e9, 2),
        "peak_anonymous_gb": round(peak["RssAnon"] / 1e9, 2),
    }


def winners_of(recipe: str, root: Path, out: Path) -> list[dict]:
    """Name the winner of every planted region, and its lead."""
    planted = pd.read_csv(root / "truth" / "planted.tsv", sep="\t").set_index("roi")["winner"].dropna()
    rows = pd.read_csv(out / "sub-01" / "regions.tsv", sep="\t", keep_default_na=False, na_values=["n/a"])
    rows = rows[(rows["level"] == "region") & rows["region"].isin(planted.index)]
    if recipe == "horikawa2020":
        rows = rows[rows["metric"] == "pooled_r"].assign(space=lambda frame: frame["model"])
    else:
        rows = rows[rows["metric"] == "split_r2"].assign(space=lambda frame: frame["feature"].replace(BANDS))
        planted = planted[planted.isin(list(BANDS.values()))]
    found = []
    for region, space in planted.items():
        values = rows[rows["region"] == region].set_index("space")["value"].sort_values(ascending=False)
        best = str(values.index[0])
        lead = float(values[space] - values.drop(space).max())
        found.append({"region": region, "planted": space, "winner": best, "value": float(values.iloc[0]), "lead": lead})
    return found


def measure(recipe: str, root: Path, folder: Path, options: argparse.Namespace) -> dict:
    config, out = folder / f"{recipe}.toml", folder / recipe
    write_text(config, config_of(recipe, options.preset, options.millimetres, options.memory))

    def timed(checkout: Path, out: Path) -> dict:
        command = [sys.executable, "-m", "encoding", "run", str(root), str(out), "participant", "--config", str(config)]
        return run([*command, "--participant-label", "01"], options.threads, checkout)

    load = os.getloadavg()[0]
    used = timed(HERE_IS, out)
    before = {}
    if options.before:
        named = ["git", "-C", str(options.before), "log", "-1", "--format=%h, %as"]
        version = subprocess.run(named, capture_output=True, text=True, check=True).stdout.strip()
        before = {"before": {"version": version, **timed(options.before.resolve(), folder / f"{recipe}-before")}}
    facts = json.loads((out / "sub-01" / "facts.json").read_text(encoding="utf-8"))
    winners = winners_of(recipe, root, out)
    return {
        "recipe": recipe,
        "processor": processor(),
        "threads": options.threads,
        "load": round(load, 1),
        **used,
        **before,
        **{name: facts[name] for name in ("n_samples", "n_targets", "n_usable", "n_folds", "features")},
        "n_regions": len(winners),
        "n_recovered": sum(row["lead"] > 0 for row in winners),
        "significant": facts["significant"],
        "winners": winners,
    }


def markdown(how: dict, found: Sequence[dict]) -> str:
    lines = [
        "# Recipes",
        "",
        f"One subject of the simulated study `{how['preset']}`, voxels of {how['millimetres']:g} mm, from files to the "
        f"report, memory budget of fits {how['memory']} "
        f"(brain-encoding {how['versions']['brain-encoding']}, numpy "
        f"{how['versions']['numpy']}, scipy {how['versions']['scipy']}). Made by `python benchmarks/recipes.py`.",
        "",
        "| recipe | processor | threads | voxels | presentations | features | load before | minutes "
        "| processor seconds | peak memory | of it not files | planted winners |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        features = " + ".join(f"{n:,}" for n in row["features"].values())
        lines.append(
            f"| `{row['recipe']}` | {row['processor']} | {row['threads']} | {row['n_usable']:,} | {row['n_samples']:,} "
            f"| {features} | {row['load']:.1f} | {row['seconds'] / 60:.1f} | {row['cpu_seconds']:.0f} "
            f"| {row['peak_gb']:.2f} GB | {row['peak_anonymous_gb']:.2f} GB "
            f"| {row['n_recovered']} of {row['n_regions']} |"
        )
    for row in found:
        if "before" in row:
            was = row["before"]
            lines += [
                "",
                f"An earlier version ({was['version']}) took {was['cpu_seconds']:.0f} processor seconds for "
                f"`{row['recipe']}` on the same files right after, "
                f"{was['cpu_seconds'] / row['cpu_seconds']:.1f} "
                f"times as many ({was['seconds'] / 60:.1f} minutes, {was['peak_gb']:.2f} GB).",
            ]
    lines += ["", "| recipe | region | planted | winner | value | lead |", "|---|---|---|---|---|---|"]
    lines += [
        f"| `{row['recipe']}` | {one['region']} | {one['planted']} | {one['winner']} | {one['value']:.3f} "
        f"| {one['lead']:.3f} |"
        for row in found
        for one in row["winners"]
    ]
    counted = [
        f"{row['recipe']}, {model}: {many['n']:,} voxels ({many['share']:.1%}), from r = {many['critical'] or 0:.3f}"
        for row in found
        for model, many in row["significant"].items()
    ]
    loaded = (
        "The load average before the start says what else was running; beside other programs everything takes longer."
    )
    text = "Values are the mean pooled r (`horikawa2020`) and the part of R² (`du2023`) over the voxels of a region."
    return "\n".join(
        [*lines, "", text, "", loaded, "", f"Significant at the recipe's level: {'; '.join(counted) or 'none'}.", ""]
    )


def kept_rows(path: Path, measured: Sequence[str]) -> list[dict]:
    """Read the rows of recipes that are not measured again."""
    if not path.is_file():
        return []
    known = json.loads(path.read_text(encoding="utf-8"))
    rows = [row for row in known["recipes"] if row["recipe"] not in measured]
    return [{"threads": known["how"].get("threads")} | row for row in rows]


def processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--preset", choices=tuple(PRESETS), default="study")
    parser.add_argument("--millimetres", type=float, default=4.5, help="edge of the voxels")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--before", type=Path, help="checkout of an earlier version, which is timed beside this one")
    parser.add_argument("--memory", default="3 GB", help="budget of fits")
    parser.add_argument("--recipes", nargs="+", default=["horikawa2020", "du2023"])
    parser.add_argument("--folder", type=Path, help="keep study and results here; a study that is there is used again")
    parser.add_argument("--results", type=Path, default=Path(__file__).resolve().parent / "results")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        root = folder / "study"
        simulate_subject(root, options.preset, options.millimetres)
        write_channels(root)
        how = {name: getattr(options, name) for name in ("preset", "millimetres", "memory")}
        how |= {"versions": versions()}
        found = kept_rows(options.results / "recipes.json", options.recipes)
        for recipe in options.recipes:
            found.append(measure(recipe, root, folder, options))
            sys.stdout.write(json.dumps({key: value for key, value in found[-1].items() if key != "winners"}) + "\n")
            sys.stdout.flush()
            write_json(options.results / "recipes.json", {"how": how, "recipes": found})
            write_text(options.results / "recipes.md", markdown(how, found))
    return 0 if all(row["n_recovered"] == row["n_regions"] for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
