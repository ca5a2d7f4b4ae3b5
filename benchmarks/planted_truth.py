"""Planted truth comes back from simulated studies: every winner wins, and null regions hold nothing.

    python benchmarks/planted_truth.py [--preset demo] [--n-studies 3] [--n-shifts 200] [--folder F] [--results F]

Simulates studies with the seeds 0, 1, ...; the first one is what `make demo` makes. Learns the two embeddings of the
surface configuration from judgments of its clips and captions, as the demo does; takes every subject through loading,
fitting and comparison with the configurations that come with the study (surface and volume), and asks:

- In how many planted regions has the planted feature space the highest held-out r of the four?
- Is the mean held-out r of the regions without a signal within the central 95% of the same mean after circular shifts
  of the responses within runs? Every shift goes through the whole fit, choice of penalties included.

- How many planted regions are named by the tests, of each subject and of the group, and is any named wrongly, or a null
  region?
- What share of the targets without signal is coloured, by the masks of the report: of each space's map (false discovery
  rate at most `[compare] level`), and of the winner map?

The second question is asked of the mean over the subjects of a study, and of each subject. It is answered with no in
one of twenty cases where all is well: studies beyond the first show whether it is more. The same mean of the planted
regions, each by its planted space, shows that it is answered with no where there is a signal.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from encoding.collection import collect_judgments
from encoding.comparison import evaluate, group_verdicts, read_tests
from encoding.config import Study, read_config
from encoding.config.collect import read_collection
from encoding.core import Grid, Responses, Targets, versions
from encoding.fitting import Compute, choose_device, cross_predict
from encoding.io.atlases.catalogue import load_atlas
from encoding.io.atlases.matching import match_atlas
from encoding.io.atomic import write_json, write_text
from encoding.mapping import INFERENCE, Result, named_winner, rank_spaces
from encoding.numerics.resampling import circular_shift
from encoding.pipeline import Job, Places, compare_subject, fit_subject, load_subject, subjects_of
from encoding.simulate import PRESETS, simulate

CONFIGS = ("run.toml", "run_volume.toml")
# Neighbouring blocks share part of their haemodynamic response; a shift by one would leave some of it in place.
SMALLEST_SHIFT = 2


@dataclasses.dataclass(frozen=True)
class Recovery:
    """What came back of one subject.

    Attributes
    ----------
    winners : pandas.DataFrame
        One row per planted region: region, planted, winner, value, runner_up, margin, lead (negative where another
        space wins).
    null, planted : ndarray, shape (1 + n_shifts,)
        Mean held-out r as the responses are (first), and after each shift; over all targets of null regions and all
        four spaces, and over all targets of planted regions and the space that is planted there.
    n_null, n_planted : int
        How many targets these are.
    claims : dict
        Counts of named regions and shares of coloured targets, see `claimed`.
    """

    winners: pd.DataFrame
    null: np.ndarray
    planted: np.ndarray
    n_null: int
    n_planted: int
    claims: dict[str, float]


def essential(study: Study) -> Study:
    """Leave out what neither question needs: joint models and other atlases."""
    models = tuple(model for model in study.models if model.name in study.single)
    own = tuple(path for path in study.maps.atlases if path.startswith("truth/"))
    return dataclasses.replace(study, models=models, maps=dataclasses.replace(study.maps, atlases=own))


def recover(job: Job, n_shifts: int, seed: int) -> Recovery:
    """Analyse one subject from files to winners and null distributions."""
    table = pd.read_csv(job.places.bids_dir / "truth" / "planted.tsv", sep="\t").set_index("roi")
    truth = table["winner"].fillna("").to_dict()
    loaded = load_subject(job)
    fitted = fit_subject(job, loaded)
    result = compare_subject(job, loaded, fitted)
    single = job.study.single
    own = next(path for path in job.study.maps.atlases if path.startswith("truth/"))
    atlas = load_atlas(job.places.bids_dir / own)
    rows = result.regions.query("atlas == @atlas.name and level == 'region' and metric == 'r'")
    won = rank_spaces(rows, list(single)).rename(columns={"highest": "winner"})
    won["planted"] = won["region"].map(truth)
    won["lead"] = won["margin"].where(won["winner"] == won["planted"], -won["margin"])
    names = dict(zip(atlas.index.tolist(), atlas.region, strict=True))
    labels = match_atlas(atlas, loaded.responses.targets).tolist()
    planted = np.array([truth[names[label]] if label else "nothing known" for label in labels])
    rng = np.random.default_rng([seed, int(job.subject)])
    orders = shifts_within_runs(loaded.responses.samples.run, n_shifts, rng)
    null = np.flatnonzero(planted == "")
    null_r, planted_r = [], []
    for model in essential(job.study).models:
        columns = np.concatenate([null, np.flatnonzero(planted == model.name)])
        found = cross_predict(
            model,
            loaded.spaces,
            in_every_order(loaded.responses, columns, orders),
            fitted.folds,
            job.work / f"shifted-{model.name}",
            seed=job.study.seed,
            compute=Compute(choose_device(job.device)[0], keep_bytes=0),
        )
        r = evaluate([found], "r").values[0].reshape(len(orders), len(columns)).astype(np.float64)
        # The first order is the true one, and gives what the pipeline gave; where two penalties are equally good, sums
        # in another order may prefer the other one.
        apart = np.abs(r[0] - result.scores["r"].row(model.name)[columns])
        if (apart > 1e-4).mean() > 0.002 or apart.max() > 0.01:
            raise RuntimeError(
                f"{model.name}: the unshifted fit differs from the pipeline's by up to {apart.max():.4f}."
            )
        null_r.append(r[:, : len(null)])
        planted_r.append(r[:, len(null) :])
    own_r = np.concatenate(planted_r, axis=1)
    return Recovery(
        won.loc[won["planted"] != "", ["region", "planted", "winner", "value", "runner_up", "margin", "lead"]],
        np.concatenate(null_r, axis=1).mean(1),
        own_r.mean(1),
        len(null),
        own_r.shape[1],
        claimed(result, atlas.name, truth, planted),
    )


def names_of(verdicts: pd.DataFrame, atlas: str, truth: dict[str, str]) -> dict[str, int]:
    """Count the regions that are named as planted, otherwise, and without signal."""
    rows = verdicts[(verdicts["atlas"] == atlas) & (verdicts["level"] == "region")]
    best, planted = rows["best"].fillna("").to_numpy(), rows["region"].map(truth).to_numpy()
    return {
        "planted regions": int((planted != "").sum()),
        "named as planted": int(((best == planted) & (planted != "")).sum()),
        "named wrongly": int(((best != planted) & (best != "") & (planted != "")).sum()),
        "null regions": int((planted == "").sum()),
        "null regions named": int(((best != "") & (planted == "")).sum()),
    }


def claimed(result: Result, atlas: str, truth: dict[str, str], planted: np.ndarray) -> dict[str, float]:
    """Count what one report names and colours, in regions; outside of them mixtures of all spaces are planted."""
    tests, level = result.tests, result.summary.settings["compare"]["level"]
    usable = np.isfinite(tests.q).all(axis=0)
    empty, real = usable & (planted == ""), usable & np.isin(planted, tests.spaces)
    found: dict[str, float] = names_of(result.verdicts, atlas, truth)
    coloured = np.nan_to_num(tests.q, nan=1.0) <= level
    own = np.stack([planted == space for space in tests.spaces]) & usable
    found["share of targets of null regions coloured, mean of spaces"] = float(coloured[:, empty].mean())
    found["share of planted targets coloured, by their space"] = float(coloured[own].mean())
    winner = named_winner(tests)
    right = np.array(
        [number >= 0 and tests.spaces[number] == true for number, true in zip(winner, planted, strict=True)]
    )
    said = (winner >= 0) & (empty | real)
    found["winner map: targets of null regions coloured"] = int((winner[empty] >= 0).sum())
    found["winner map: share wrong of the coloured in regions"] = float((said & ~right).sum() / max(said.sum(), 1))
    found["winner map: share of planted targets coloured"] = float((winner[real] >= 0).mean())
    return found


def shifts_within_runs(run: np.ndarray, n_shifts: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Orders of rows: as they are, then circular shifts by an amount of its own in every run."""
    return [np.arange(len(run)), *(circular_shift(run, rng, minimum=SMALLEST_SHIFT) for _ in range(n_shifts))]


def in_every_order(responses: Responses, columns: np.ndarray, orders: Sequence[np.ndarray]) -> Responses:
    """Stack targets in every order of rows, as if each were a target of its own."""
    values = np.asarray(responses.values[:, columns])
    wide = np.concatenate([values[order] for order in orders], axis=1)
    n = wide.shape[1]
    # Made-up voxels in a row: targets of the kind "column" would need a name each.
    targets = Targets("voxel", "", np.arange(n), np.full(n, ""), Grid((n, 1, 1), np.eye(4)))
    return dataclasses.replace(responses, values=wide, targets=targets)


def place_of(r: np.ndarray) -> dict:
    """Where the first value stands among the others."""
    low, high = np.quantile(r[1:], [0.025, 0.975])
    percentile = 100 * float((r[1:] < r[0]).mean())
    return {"r": r[0], "low": low, "high": high, "percentile": percentile, "inside": bool(low <= r[0] <= high)}


def summary_of(found: Recovery) -> dict:
    won = found.winners
    return {
        "n_regions": len(won),
        "n_recovered": int((won["lead"] > 0).sum()),
        "claims": found.claims,
        "smallest_lead": float(won["lead"].min()),
        "closest_region": str(won.loc[won["lead"].idxmin(), "region"]),
        "planted": place_of(found.planted) | {"n_targets": found.n_planted},
        "null": place_of(found.null) | {"n_targets": found.n_null},
    }


def measure(root: Path, out: Path, n_shifts: int, seed: int, *, whole: bool) -> list[dict]:
    """Ask of every subject of a study, and of all together; one dict per kind of data."""
    kinds = []
    for config in CONFIGS:
        start = time.perf_counter()
        study = read_config(root / config) if whole else essential(read_config(root / config))
        places = Places(root, out / study.load.kind, out / f"work-{study.load.kind}")
        jobs = [Job(study, places, subject) for subject in subjects_of(places, ())]
        found = {job.subject: recover(job, n_shifts, seed) for job in jobs}
        facts = json.loads((jobs[0].folder / "facts.json").read_text())
        table = pd.read_csv(root / "truth" / "planted.tsv", sep="\t").set_index("roi")["winner"].fillna("").to_dict()
        own = next(path for path in study.maps.atlases if path.startswith("truth/"))
        group = group_verdicts([read_tests(job.folder / INFERENCE) for job in jobs])
        kinds.append(
            {
                "seed": seed,
                "kind": study.load.kind,
                "sizes": {name: facts[name] for name in ("n_samples", "n_targets", "n_usable", "n_folds")},
                "subjects": {subject: summary_of(recovery) for subject, recovery in found.items()},
                "group": names_of(group, load_atlas(root / own).name, table),
                "null": place_of(np.mean([recovery.null for recovery in found.values()], axis=0)),
                "regions": regions_of(pd.concat([recovery.winners for recovery in found.values()])),
                "seconds": round(time.perf_counter() - start, 1),
            }
        )
        sys.stdout.write(f"seed {seed}, {study.load.kind}: {json.dumps(kinds[-1]['subjects'])}\n")
        sys.stdout.flush()
    return kinds


def regions_of(won: pd.DataFrame) -> list[dict]:
    """List regions, with one value per subject for what is found in them."""
    rows = won.round({"value": 4, "lead": 4}).rename(columns={"value": "r"})
    return [
        {"region": region, "planted": planted} | part[["winner", "r", "lead"]].to_dict("list")
        for (region, planted), part in rows.groupby(["region", "planted"], sort=False)
    ]


def totals(kinds: Sequence[dict]) -> dict[str, int]:
    subjects = [of_subject for kind in kinds for of_subject in kind["subjects"].values()]
    return {
        "recovered": sum(s["n_recovered"] for s in subjects),
        "regions": sum(s["n_regions"] for s in subjects),
        "inside": sum(s["null"]["inside"] for s in subjects),
        "subjects": len(subjects),
        "studies_inside": sum(kind["null"]["inside"] for kind in kinds),
        "studies": len(kinds),
    }


def markdown(how: dict, kinds: Sequence[dict]) -> str:
    demo = [kind for kind in kinds if kind["seed"] == 0]
    first, every = totals(demo), totals(kinds)
    lines = [
        "# Planted truth",
        "",
        f"Simulated study `{how['preset']}` with the seeds 0 to {how['n_studies'] - 1}; {how['n_shifts']} circular "
        "shifts of the responses within runs, each fitted anew; r is held out, Fisher mean over outer folds. Made by "
        f"`python benchmarks/planted_truth.py` on {how['device']} with {how['threads']} threads "
        f"({', '.join(f'{name} {version}' for name, version in how['versions'].items())}).",
        "",
        "| | first study | all studies |",
        "|---|---|---|",
        f"| planted winners that win | {first['recovered']} of {first['regions']} "
        f"| {every['recovered']} of {every['regions']} |",
        f"| mean r of null regions over subjects within the central 95% of the shifts | {first['studies_inside']} of "
        f"{first['studies']} | {every['studies_inside']} of {every['studies']} |",
        f"| the same of single subjects (95% are expected) | {first['inside']} of {first['subjects']} "
        f"| {every['inside']} of {every['subjects']} |",
        "",
        "The first study:",
        "",
        "| data | subject | winners | smallest lead (r) | planted r | shifted, 97.5% | null r | shifted, central 95% "
        "| percentile |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in demo:
        lines += [
            f"| {kind['kind']} | {name} | {s['n_recovered']} of {s['n_regions']} | {s['smallest_lead']:.3f} "
            f"({s['closest_region']}) | {s['planted']['r']:.3f} | {s['planted']['high']:.3f} | {s['null']['r']:.4f} "
            f"| {s['null']['low']:.4f} to {s['null']['high']:.4f} | {s['null']['percentile']:.1f} |"
            for name, s in kind["subjects"].items()
        ]
        null = kind["null"]
        lines.append(
            f"| {kind['kind']} | mean | | | | | {null['r']:.4f} | {null['low']:.4f} to {null['high']:.4f} "
            f"| {null['percentile']:.1f} |"
        )
    lines += claims_table(kinds)
    lines += ["", "Regions over all studies and subjects:", ""]
    lines += ["| data | region | planted | mean r of the winner | mean lead | recovered |", "|---|---|---|---|---|---|"]
    found = pd.concat([pd.DataFrame(kind["regions"]).assign(kind=kind["kind"]) for kind in kinds])
    found = found.explode(["winner", "r", "lead"])
    for (kind, region, planted), part in found.groupby(["kind", "region", "planted"], sort=False):
        lines.append(
            f"| {kind} | {region} | {planted} | {part['r'].mean():.3f} | {part['lead'].mean():.3f} "
            f"| {(part['lead'] > 0).sum()} of {len(part)} |"
        )
    sizes = "; ".join(
        f"{kind['kind']}: {', '.join(f'{value:,} {name[2:]}' for name, value in kind['sizes'].items())}"
        for kind in demo
    )
    seconds = sum(kind["seconds"] for kind in kinds)
    return "\n".join([*lines, "", f"Sizes of one subject: {sizes}. {seconds:.0f} s without simulation.", ""])


def claims_table(kinds: Sequence[dict]) -> list[str]:
    """Tables of what tests name and maps colour."""
    lines = ["", "What the tests name (p of the region at most 0.05):", ""]
    lines += ["| seed | data | who | named as planted | wrongly | null regions named |", "|---|---|---|---|---|---|"]
    for kind in kinds:
        everyone = {name: s["claims"] for name, s in kind["subjects"].items()} | {"group": kind["group"]}
        for who, found in everyone.items():
            lines.append(
                f"| {kind['seed']} | {kind['kind']} | {who} | {found['named as planted']} of "
                f"{found['planted regions']} | {found['named wrongly']} | {found['null regions named']} of "
                f"{found['null regions']} |"
            )
    several = [s["claims"] for kind in kinds for s in kind["subjects"].values()]
    shares = [name for name in several[0] if "share" in name or "winner map" in name]
    lines += [
        "",
        "What maps colour, mean and largest of single participants (spaces: false discovery rate at most 0.01):",
        "",
    ]
    lines += ["| | mean | largest |", "|---|---|---|"]
    for name in shares:
        values = np.array([found[name] for found in several], dtype=float)
        lines.append(f"| {name} | {values.mean():.4f} | {values.max():.4f} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--preset", choices=tuple(PRESETS), default="demo")
    parser.add_argument("--n-studies", type=int, default=3, help="seeds 0, 1, ...; joint models in the first only")
    parser.add_argument("--n-shifts", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="keep studies and intermediate results here, and use them again")
    parser.add_argument("--results", type=Path, default=Path(__file__).resolve().parent / "results")
    options = parser.parse_args(arguments)
    kinds = []
    for seed in range(options.n_studies):
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.folder or Path(temporary)) / f"seed-{seed}"
            root = simulate(folder / "study", preset=options.preset, seed=seed)
            for collecting in sorted(root.glob("collect_*.toml")):
                collect_judgments(read_collection(collecting))
            kinds += measure(root, folder, options.n_shifts, seed, whole=seed == 0)
        how = {
            "preset": options.preset,
            "n_studies": seed + 1,
            "n_shifts": options.n_shifts,
            "device": choose_device("auto")[0],
            "threads": torch.get_num_threads(),
            "versions": versions(),
        }
        write_json(options.results / "planted_truth.json", {"how": how, "kinds": kinds})
        write_text(options.results / "planted_truth.md", markdown(how, kinds))
    first = totals([kind for kind in kinds if kind["seed"] == 0])
    good = first["recovered"] == first["regions"] and first["studies_inside"] == first["studies"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
