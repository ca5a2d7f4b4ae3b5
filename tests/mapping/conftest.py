"""Results of participants, made from explicit scores without a fit."""

import numpy as np
import pandas as pd
import pytest

from encoding.core import ScoreRow, Scores, Targets
from encoding.mapping import METRICS, write_result
from encoding.mapping.summary import summary_of

MODELS = ("ratings", "mllm")
SETTINGS = {
    "seed": 0,
    "load": {
        "kind": "volume", "confounds": ["motion"], "high_pass": 0.008, "detrend": True, "standardize": True,
        "window": None, "shift": 4.0, "scale_rows": True,
    },
    "align": {"delays": [1, 2], "centre": True},
    "split": {"kind": "runs", "n_inner": 5, "repeats": "drop_later", "gap": 20.0},
    "models": [{"kind": "ridge", "name": name, "bands": [name], "alphas": [1.0, 10.0, 100.0]} for name in MODELS],
}  # fmt: skip


def summary_of_two(subject, targets, **changes):
    """The summary of a participant with two ridge models."""
    solver = {"method": "statistics", "reason": "as asked", "fell_back": 0, "unstable_gammas": 0.0}
    model = {"alphas": [1.0, 10.0, 100.0], "chosen": [0, len(targets), 0], "mean_gamma": [1.0], "key": "m"}
    model |= {"solver": solver, "curve": [-1.0]}
    facts = {
        "key": f"key-{subject}",
        "subject": subject,
        "task": "video",
        "clock": "stimulus",
        "t_r": 2.0,
        "kind": targets.kind,
        "space": targets.space,
        "n_samples": 200,
        "n_targets": len(targets),
        "n_usable": len(targets),
        "runs": ["run-01", "run-02"],
        "fold_of_run": {"run-01": 0, "run-02": 1},
        "n_folds": 2,
        "features": {"ratings": 48, "mllm": 30},
        "models": {name: {**model, "bands": [name]} for name in MODELS},
        "auxiliary": [],
        "single": list(MODELS),
        "pairs": [list(MODELS)],
        "rsa": {},
        "metric": "r",
        "device": "CPU with 1 threads",
        "settings": SETTINGS,
        "settings_key": "same",
        "config": "seed = 0\n",
        "versions": {"numpy": "2"},
    }
    return summary_of(facts | changes, "the test")


@pytest.fixture
def make_result(tmp_path):
    """Return a function that writes the result of a participant from its two maps."""

    def make(subject, ratings, mllm, targets=None, exclusions=(), **changes):
        notes = [dict(zip(("what", "n", "reason", "run"), (*note, ""), strict=False)) for note in exclusions]
        values = np.array([ratings, mllm], dtype=np.float32)
        targets = targets or Targets.of_columns([f"t{k}" for k in range(values.shape[1])])
        rows = tuple(ScoreRow(name, "all") for name in MODELS)
        scores = {metric: Scores(metric, rows, values, targets, subject) for metric in METRICS}
        regions = pd.DataFrame(
            [
                {
                    "subject": subject, "atlas": "", "level": "brain", "set": "", "region": "all", "hemi": "",
                    "model": name, "feature": "all", "metric": "r", "value": float(np.nanmean(row)),
                    "n_targets": len(row), "n_usable": len(row),
                }
                for name, row in zip(MODELS, values, strict=True)
            ]
        )  # fmt: skip
        tables = {
            "regions": regions,
            "differences": regions.head(0),
            "exclusions": pd.DataFrame(notes, columns=["what", "n", "reason", "run"]),
            "splits": pd.DataFrame({"run": ["run-01"], "outer": [0]}),
        }
        return write_result(tmp_path / f"sub-{subject}", scores, tables, summary_of_two(subject, targets, **changes))

    return make
