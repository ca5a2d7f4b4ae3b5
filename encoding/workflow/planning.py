"""What a pilot says of the next experiment."""

from pathlib import Path
from typing import Any

import numpy as np

from ..core import DataError, suggest
from ..mapping import INFERENCE, read_result
from ..numerics.shared_variance import estimate


def design_of_pilot(output_dir: Path, region: str | None = None) -> dict[str, Any]:
    """Read what a power calculation needs from the results of a pilot."""
    from ..comparison import read_tests
    from ..numerics.planning import StudyDesign

    folders = sorted(path.parent for path in output_dir.glob(f"sub-*/{INFERENCE}"))
    if not folders:
        raise DataError(f"{output_dir}: no participant with tests ({INFERENCE}/). Run the participant level first.")
    tests = [read_tests(folder / INFERENCE) for folder in folders]
    results = [read_result(folder) for folder in folders]
    plain = [place[3] for place in tests[0].places]
    # The same name in another atlas or hemisphere is another region.
    names = [
        " ".join(filter(None, (place[0], place[3], place[4]))) if plain.count(place[3]) > 1 else place[3]
        for place in tests[0].places
    ]
    name = region or names[0]
    if name not in names:
        raise DataError(f"{output_dir}: no region {name!r}. {suggest(name, names)}")
    place = names.index(name)
    there = [space for space in tests[0].spaces if all(space in one.sets for one in tests)]
    if len(there) < 2:
        raise DataError(f"{output_dir}: two feature spaces with an estimate are needed, and there are {len(there)}.")
    kernels = np.stack([[one.kernel(space)[place] for space in there] for one in tests])
    u = estimate(kernels).value
    first, second = np.argsort(-u.mean(0))[:2].tolist()
    summary = results[0].summary
    gaps = estimate(kernels[:, first] - kernels[:, second])
    controls = [result.summary.controls for result in results]
    lags = [found.autocorrelation for found in controls if found is not None]
    of_features = [lag.get(there[first]) for lag in lags]
    of_noise = [lag.get("responses") for lag in lags]
    known: dict[str, Any] = {
        "r": tuple(float(np.sqrt(max(0.0, u[:, k].mean()))) for k in (first, second)),
        "n_features": tuple(int(tests[0].facts["ranks"][there[k]]) for k in (first, second)),
        "samples_per_run": max(2, round(summary.n_samples / len(summary.runs))),
        "feature_autocorrelation": _mean(of_features),
        "noise_autocorrelation": _mean(of_noise),
    }
    found = float(np.mean(gaps.variance))
    alone = StudyDesign(**known)
    stimuli = alone.stimulus_variance(len(summary.runs))
    noise = alone.variance(len(summary.runs)) - stimuli
    known["n_targets"] = float(np.clip(noise / max(found - stimuli, noise / 1e3), 1.0, 1e3))
    spread = float(gaps.value.var(ddof=1)) - found if len(tests) > 1 else 0.0
    known["subject_sd"] = float(np.sqrt(max(0.0, spread)))
    return known


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.clip(np.mean(known), -0.95, 0.95)) if known else 0.0
