"""The command that plans: how many runs and participants a difference between two feature spaces needs."""

import argparse
from pathlib import Path
from typing import Any

from ..core import DataError
from .options import add_command

RUNS = (6, 8, 12, 16, 24, 32, 48, 64)
WANTED = 0.8


def add_planning(commands: Any) -> None:
    """Add `encoding power` to the subparsers of the main parser."""
    power = add_command(commands, "power", _power, "estimate how many runs and participants a difference needs")
    power.add_argument(
        "--pilot", type=Path, metavar="OUTPUT_DIR", help="results of a pilot; r, features and autocorrelation from it"
    )
    power.add_argument("--region", metavar="NAME", help="region of the pilot (default: all targets)")
    power.add_argument("--r", type=float, nargs=2, metavar=("A", "B"), help="correlations expected with unlimited data")
    power.add_argument("--features", type=int, nargs=2, metavar=("A", "B"), help="number of features, delays included")
    power.add_argument("--samples", type=int, metavar="N", help="presentations or volumes per run")
    power.add_argument("--targets", type=float, metavar="N", help="number of independent targets in the region")
    power.add_argument("--feature-autocorrelation", type=float, metavar="RHO", help="lag 1, within runs")
    power.add_argument("--noise-autocorrelation", type=float, metavar="RHO", help="lag 1, within runs")
    power.add_argument("--subject-sd", type=float, metavar="SD", help="of the true difference of R2 over participants")
    power.add_argument("--participants", type=int, nargs="+", default=[1, 3, 5, 10], metavar="N", help="(1 3 5 10)")


def _power(options: argparse.Namespace) -> int:
    from ..numerics.planning import StudyDesign, power

    known: dict[str, Any] = {"n_targets": 1.0, "feature_autocorrelation": 0.0, "noise_autocorrelation": 0.0}
    known |= {"subject_sd": 0.0}
    if options.pilot is not None:
        from ..workflow.planning import design_of_pilot

        known |= design_of_pilot(options.pilot, options.region)
    given = {
        "r": options.r and tuple(options.r), "n_features": options.features and tuple(options.features),
        "samples_per_run": options.samples, "n_targets": options.targets, "subject_sd": options.subject_sd,
        "feature_autocorrelation": options.feature_autocorrelation,
        "noise_autocorrelation": options.noise_autocorrelation,
    }  # fmt: skip
    known |= {name: value for name, value in given.items() if value is not None}
    missing = [f"--{flag}" for flag, name in (("r", "r"), ("features", "n_features"), ("samples", "samples_per_run"))
               if name not in known]  # fmt: skip
    if missing:
        raise DataError(f"{', '.join(missing)}: needed where there is no --pilot that tells.")
    design = StudyDesign(**known)
    _check(design, options.participants)
    print(
        f"r {design.r[0]:.3f} and {design.r[1]:.3f} (R2 {design.r[0] ** 2:.4f} and {design.r[1] ** 2:.4f}), "
        f"{design.n_features[0]} and {design.n_features[1]} features, {design.samples_per_run} samples per run, "
        f"{design.n_targets:g} independent targets, autocorrelation of features {design.feature_autocorrelation:.2f} "
        f"and noise {design.noise_autocorrelation:.2f}"
    )
    print("power to find the better space ahead (two-sided p <= 0.05, U), by runs per participant and participants")
    print("  runs  " + "".join(f"{n:>8}" for n in options.participants))
    for n_runs in RUNS:
        values = [power(design, n_runs, n) for n in options.participants]
        print(f"  {n_runs:>4}  " + "".join(f"{value:>8.2f}" for value in values))
    for n in options.participants:
        needed = next((runs for runs in range(5, 401) if power(design, runs, n) >= WANTED), None)
        said = f"{needed} runs" if needed else "more than 400 runs, or never: differ more, or see more participants"
        print(f"  {n} participant{'s' if n > 1 else ''}: power {WANTED:g} needs {said}")
    return 0


def _check(design: Any, participants: list[int]) -> None:
    wrong = [f"r = {r:g}" for r in design.r if not 0 <= r < 1]
    wrong += [f"features = {p}" for p in design.n_features if p < 1]
    wrong += [f"samples = {design.samples_per_run}"] if design.samples_per_run < 2 else []
    wrong += [f"targets = {design.n_targets:g}"] if not design.n_targets >= 1 else []
    lags = (design.feature_autocorrelation, design.noise_autocorrelation)
    wrong += [f"autocorrelation = {rho:g}" for rho in lags if not -1 < rho < 1]
    wrong += [f"participants = {n}" for n in participants if n < 1]
    if wrong:
        raise DataError(
            f"{', '.join(wrong)}: needed are correlations from 0 to below 1, autocorrelations between -1 and 1, and "
            f"counts of 1 or more (samples: 2)."
        )
