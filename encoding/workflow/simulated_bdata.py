"""The simulated study as block means in HDF5 files: what our own cleaning makes of its BIDS form.

Above the stages, since it takes the simulation through the loader.
"""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import DataError, Grid, Responses
from ..io.atomic import write_json, write_text, write_tsv
from ..io.bids.index import PybidsIndex
from ..loading import Scans, load_responses
from ..simulate.bdata import (
    BlockTable,
    area_labels,
    cortical_masks,
    first_release,
    second_release,
    structure_masks,
    write_feature_files,
    write_features,
    write_sessions,
    write_single,
)
from ..simulate.configs import bdata_config
from ..simulate.dataset import simulate_volumes
from ..simulate.parameters import choose_preset, claim_folder, parameters_of, resolution_of, stimulus_names
from ..simulate.presets import Preset, stream
from ..simulate.runs import SPACE
from ..simulate.spaces import simulate_spaces
from ..simulate.stimuli import clip_durations, plan_runs
from ..simulate.targets import surface_targets, volume_targets
from ..simulate.truth import write_truth

logger = logging.getLogger(__name__)

FIRST, SECOND = "release1", "release2"
FEATURES = {FIRST: Path("feature"), SECOND: Path("features") / "amt" / "mean_score_concat"}
_README = """# Simulated emotion-video study, as block means

Everything here is made up by `encoding simulate --format bdata --preset {preset} --seed {seed}`; no person was scanned.
The same call with `--format bids` writes the study that these files were made from: confounds regressed out, values
beyond 3 standard deviations of a run set to that limit, windows of whole blocks with their rest, 4 s after onset.

- `{first}/`: `fmri_Subject{{n}}_Session{{m}}.h5`, in which sessions, runs and blocks start at 1 in every file, and
  `{first_features}/<name>.mat`, whose row i belongs to label i. A stimulus that is shown again has a label of its own.
- `{second}/`: `fmri_Subject{{n}}.h5`, with names of stimuli, and `{second_features}/<name>/<stimulus>.mat`.
- `stimuli/`: the stimuli, duplicates among them, and the feature tables of the BIDS form.
- `truth/`: what was planted where. `run_{first}.toml`, `run_{second}.toml`: configurations for `encoding run`.
- Masks of regions are simple shapes under the names of the real ones.
"""


def twin_loader(resolution: str) -> Scans:
    """Return the settings that make block means from the BIDS form."""
    return Scans(
        kind="volume",
        task="video",
        space=SPACE,
        res=resolution,
        per="stimulus",
        stimulus="stim_id",
        confounds=("motion", "wm_csf"),
        high_pass=0.008,
        despike=3.0,
        scale_rows=False,
    )


def simulate_bdata(
    out: str | Path,
    *,
    preset: str = "demo",
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    volume_mm: float | None = None,
) -> Path:
    """Write a simulated study with known truth as bdata files of both releases.

    Its BIDS form is written for one subject at a time and removed again; a subject whose files are there is skipped.
    """
    root, say = Path(out).resolve(), progress or logger.info  # what is loaded again must not depend on the folder
    # The bytes do not depend on what else the BIDS form has.
    size = choose_preset(preset, seed, cifti=False, clips=False, volume_mm=volume_mm)
    claim_folder(root, parameters_of(size, seed) | {"format": "bdata"})
    targets, grid = volume_targets(size.volume_mm)
    label, stimulus = _labels(size, seed)
    _write_shared(root, size, seed, label, stimulus)
    write_truth(root / "truth", surface_targets(), targets, grid, resolution_of(size))
    cortical, structures = cortical_masks(area_labels(targets, grid)), structure_masks(targets, grid)
    names = dict(enumerate(stimulus_names(size).tolist(), start=1))
    for subject, n_sessions in enumerate(size.sessions, start=1):
        numbers = range(1, max(n_sessions, 1) + 1)
        wanted = [root / FIRST / f"fmri_Subject{subject}_Session{number}.h5" for number in numbers]
        wanted.append(root / SECOND / f"fmri_Subject{subject}.h5")
        if all(path.is_file() for path in wanted):
            say(f"sub-{subject:02d} ({subject} of {len(size.sessions)}) was there")
            continue
        runs = [
            (s + 1, k + 1)
            for s, part in enumerate(np.array_split(np.arange(size.n_runs), len(numbers)))
            for k in range(len(part))
        ]
        session, run = np.repeat(np.asarray(runs), size.n_blocks, axis=0).T
        scratch = root / ".bids"
        try:
            responses = _from_bids(scratch, size, seed, subject)
            ijk, core_grid = _voxels(responses, targets.coordinates)
            _require_all(responses, stimulus, names)
            table = BlockTable(responses.values, session, run, label, stimulus, names, ijk, core_grid)
            write_sessions(root / FIRST, subject, table, first_release(cortical, structures))
            write_single(root / SECOND, subject, table, second_release(cortical, structures))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        say(f"sub-{subject:02d} ({subject} of {len(size.sessions)}) written")
    say(f"{root}: {size.name} study with {len(size.sessions)} subjects is complete.")
    return root


def _from_bids(scratch: Path, size: Preset, seed: int, subject: int) -> Responses:
    bids = simulate_volumes(scratch / "study", size, seed, subject)
    index = PybidsIndex(bids, subjects=[f"{subject:02d}"])
    return load_responses(twin_loader(resolution_of(size)), index, f"{subject:02d}", scratch / "responses")


def _voxels(responses: Responses, coordinates: np.ndarray) -> tuple[np.ndarray, Grid]:
    grid = responses.targets.grid
    if grid is None or len(responses.targets) != len(coordinates):
        raise DataError(f"{responses!r}: {len(coordinates)} voxels were simulated; all of them were needed.")
    return np.stack(np.unravel_index(responses.targets.index, grid.shape), axis=1), grid


def _labels(size: Preset, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of the stimulus of each block and of its original; repeated stimuli come last."""
    n = size.n_runs * size.n_blocks - size.n_repeats
    plan = plan_runs(size, clip_durations(n, size.longest_clip, stream(seed, "durations")), seed)
    stimulus = np.concatenate([run.stimulus for run in plan]) + 1
    again = np.ones(len(stimulus), dtype=bool)
    again[np.unique(stimulus, return_index=True)[1]] = False
    label = stimulus.copy()
    label[again] = n + 1 + np.arange(again.sum())
    return label, stimulus


def _require_all(responses: Responses, stimulus: np.ndarray, names: dict[int, str]) -> None:
    shown = [names[number] for number in stimulus.tolist()]
    if responses.samples.stimulus.tolist() != shown:
        raise DataError(f"{responses!r}: the loader gives other presentations than the {len(shown)} that were planned.")


def _write_shared(root: Path, size: Preset, seed: int, label: np.ndarray, stimulus: np.ndarray) -> None:
    """Write stimuli, features, configurations and README."""
    names = stimulus_names(size)
    spaces = simulate_spaces(len(names), seed)
    duration = clip_durations(len(names), size.longest_clip, stream(seed, "durations"))
    shown = np.empty(len(label), dtype=np.int64)
    shown[label - 1] = stimulus - 1
    copies = np.arange(len(shown)) >= len(names)
    table = {
        "stim_id": [f"video{number + 1:04d}" for number in range(len(shown))],
        "duration": duration[shown],
        "duplicate_of": [name if copy else None for name, copy in zip(names[shown].tolist(), copies, strict=True)],
    }
    write_tsv(root / "stimuli" / "stimuli.tsv", pd.DataFrame(table))
    for name, space in spaces.items():
        write_tsv(root / "stimuli" / f"feature-{name}.tsv", space.frame(names))
        write_features(root / FIRST / FEATURES[FIRST], space, shown)
        write_feature_files(root / SECOND / FEATURES[SECOND], space, names)
    resolution = resolution_of(size)
    for release, file in ((FIRST, "fmri_Subject{number}_Session{session}.h5"), (SECOND, "fmri_Subject{number}.h5")):
        text = bdata_config(f"{release}/{file}", n_runs=size.n_runs, resolution=resolution, numbered=release == FIRST)
        write_text(root / f"run_{release}.toml", text)
    description = {"Name": f"Simulated emotion-video study, block means ({size.name})", "BIDSVersion": "1.10.0"}
    write_json(root / "dataset_description.json", description)
    readme = _README.format(
        preset=size.name,
        seed=seed,
        first=FIRST,
        second=SECOND,
        first_features=FEATURES[FIRST].as_posix(),
        second_features=FEATURES[SECOND].as_posix(),
    )
    write_text(root / "README", readme)
