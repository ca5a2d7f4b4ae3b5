"""What a careful reader should be told before looking at the maps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..numerics.metrics import correlation_of_noise
from .results import Result

LOW_EDGE, HIGH_EDGE = 0.05, 0.75
UNSTABLE = 0.5
FEW_SAMPLES = 100


def find_warnings(results: Sequence[Result]) -> tuple[str, ...]:
    """List what limits the trust in a set of results.

    Parameters
    ----------
    results : sequence of Result
        One per participant.

    Returns
    -------
    tuple of str
        Sentences.
    """
    found: list[str] = []
    for result in results:
        facts, who = result.facts, f"sub-{result.subject}"
        lost = facts["n_targets"] - facts["n_usable"]
        if lost > 0.1 * facts["n_targets"]:
            found.append(f"{who}: {lost} of {facts['n_targets']} targets have no usable data.")
        if facts["models"] and facts["n_samples"] < FEW_SAMPLES:
            chance = correlation_of_noise(facts["n_samples"], 0.01)
            few = f"{facts['n_samples']} samples are few"
            found.append(f"{who}: {few}: in 1 of 100 targets noise alone exceeds r = {chance:.2f}.")
        for name, model in facts["models"].items():
            if name in facts["auxiliary"]:
                continue
            found += _edges(who, name, np.asarray(model["chosen"]), model["alphas"])
            found += _solver(who, name, model["solver"])
        found += _left_out(who, result.exclusions)
    if 1 < len(results) < 10:
        found.append(
            f"{len(results)} participants: means over them describe this sample. "
            f"Look at every participant, and at how many agree."
        )
    return tuple(found)


def _solver(who: str, model: str, solver: Mapping[str, Any]) -> list[str]:
    found = []
    if solver["fell_back"]:
        found.append(
            f"{who}, {model}: a decomposition failed; himalaya fitted {solver['fell_back']} chunks of targets."
        )
    if solver["unstable_gammas"] > UNSTABLE:
        found.append(
            f"{who}, {model}: the weights of the feature spaces change from outer fold to outer fold in "
            f"{solver['unstable_gammas']:.0%} of targets. Do not read much into them there."
        )
    return found


def _left_out(who: str, exclusions: pd.DataFrame) -> list[str]:
    """Say what was left out, once for all runs that share a reason."""
    told = [f"{reason}." for reason in exclusions.loc[exclusions["what"] == "warnings", "reason"]]
    rows = exclusions[~exclusions["what"].isin(["targets", "features", "stimuli", "warnings"])]
    parts = rows["reason"].str.extract(r"^(?:(?P<where>sub-\S+, [^:]+): )?(?P<why>.*)$")
    found = []
    for (what, why), group in rows.assign(**parts).groupby(["what", "why"], sort=False):
        places = group["where"].dropna()
        runs = "" if places.empty else f" of {len(places)} run{'s' if len(places) > 1 else ''}"
        found.append(f"{who}: {group['n'].sum()} {what}{runs} left out: {why}.")
    return told + found


def _edges(who: str, model: str, chosen: np.ndarray, alphas: Sequence[float]) -> list[str]:
    share = chosen / max(chosen.sum(), 1)
    found = []
    if len(alphas) > 1 and share[0] > LOW_EDGE:
        found.append(
            f"{who}, {model}: the smallest penalty ({alphas[0]:g}) was chosen for {share[0]:.0%} of targets and folds. "
            f"Extend the grid downwards."
        )
    if len(alphas) > 1 and share[-1] > HIGH_EDGE:
        found.append(
            f"{who}, {model}: the largest penalty ({alphas[-1]:g}) was chosen for {share[-1]:.0%} of targets and "
            f"folds: the model predicts little there, or the grid ends too early."
        )
    return found
