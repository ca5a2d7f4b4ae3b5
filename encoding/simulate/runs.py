"""The files of one run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nibabel.cifti2.cifti2_axes import BrainModelAxis
from scipy.sparse import csr_array

from ..io.atomic import write_json, write_tsv
from .noise import (
    TISSUES,
    NoiseModel,
    Nuisance,
    confounds_table,
    draw_noise,
    draw_noise_model,
    draw_nuisance,
    smoothing_kernel,
)
from .presets import HEMISPHERES, TR, stream
from .signal import CleanFeatures, plant_weights, planted_signal
from .stimuli import RunPlan
from .targets import N_FSAVERAGE5, Grid, TargetSet
from .writing import to_intensity, write_cifti_series, write_gifti_series, write_volume

SPACE = "MNI152NLin2009cAsym"
# The second subject was "preprocessed" by fMRIPrep 20, which put the hemisphere after the space.
OLD_NAMES_SUBJECT = 2


@dataclass(frozen=True)
class RunName:
    """Place of a run in the dataset."""

    root: Path  # The BIDS folder
    subject: int  # Numbers from 1
    session: int  # Numbers from 1; 0 means that there is no session level
    run: int  # Numbers from 1
    task: str  # Name of the task

    @property
    def stem(self) -> str:
        """Entities that all files of the run share."""
        session = f"_ses-{self.session:02d}" if self.session else ""
        return f"sub-{self.subject:02d}{session}_task-{self.task}_run-{self.run:02d}"

    def path(self, ending: str, *, derivative: bool = True) -> Path:
        """Name a file of the run."""
        base = self.root / "derivatives" / "fmriprep" if derivative else self.root
        session = f"ses-{self.session:02d}" if self.session else ""
        return base / f"sub-{self.subject:02d}" / session / "func" / f"{self.stem}_{ending}"


@dataclass(frozen=True)
class Image:
    """One kind of image that runs are written as."""

    targets: TargetSet  # Places
    kernel: csr_array  # (n_targets, n_targets) Local smoothness of the noise
    endings: Callable[[int], list[str]]  # From the number of a subject to the names of the files, data first
    write: Callable[[RunName, np.ndarray], None]  # From a `RunName` and intensities (n_targets, n_volumes) to files


def surface_image(targets: TargetSet) -> Image:
    """Describe a pair of GIFTI files on fsaverage5."""

    def stems(subject: int) -> list[str]:
        old = subject == OLD_NAMES_SUBJECT
        return [f"space-fsaverage5_hemi-{h}" if old else f"hemi-{h}_space-fsaverage5" for h in HEMISPHERES]

    def endings(subject: int) -> list[str]:
        return [f"{stem}_bold{extension}" for stem in stems(subject) for extension in (".func.gii", ".json")]

    def write(name: RunName, data: np.ndarray) -> None:
        for k, stem in enumerate(stems(name.subject)):
            half = data[k * N_FSAVERAGE5 : (k + 1) * N_FSAVERAGE5]
            write_json(name.path(f"{stem}_bold.json"), {"RepetitionTime": TR, "TaskName": name.task})
            write_gifti_series(name.path(f"{stem}_bold.func.gii"), half, hemi=HEMISPHERES[k])

    return Image(targets, smoothing_kernel(targets), endings, write)


def volume_image(targets: TargetSet, grid: Grid, resolution: str) -> Image:
    """Describe a volume with its mask and segmentation."""
    space = f"space-{SPACE}_res-{resolution}"
    meaning = {"Resolution": f"{resolution} mm isotropic, simulated"}

    def endings(subject: int) -> list[str]:  # noqa: ARG001
        kinds = ("desc-preproc_bold", "desc-brain_mask", "desc-aseg_dseg")
        return [f"{space}_{kind}{extension}" for kind in kinds for extension in (".nii.gz", ".json")]

    def write(name: RunName, data: np.ndarray) -> None:
        mask, aseg, bold = (f"{space}_{kind}" for kind in ("desc-brain_mask", "desc-aseg_dseg", "desc-preproc_bold"))
        for stem, values, more in (
            (mask, np.ones(len(data)), {"Type": "Brain"}),
            (aseg, grid.aseg[grid.mask], {"Description": "Simulated: ellipsoids at the places of the structures."}),
            (bold, data, {"RepetitionTime": TR, "TaskName": name.task, "SkullStripped": False}),
        ):
            write_json(name.path(f"{stem}.json"), meaning | more)
            write_volume(name.path(f"{stem}.nii.gz"), values, grid)

    return Image(targets, smoothing_kernel(targets), endings, write)


def cifti_image(targets: TargetSet, axis: BrainModelAxis) -> Image:
    """Describe a grayordinate time series."""
    stem = "space-fsLR_den-91k_bold"

    def endings(subject: int) -> list[str]:  # noqa: ARG001
        return [f"{stem}.dtseries.nii", f"{stem}.json"]

    def write(name: RunName, data: np.ndarray) -> None:
        sidecar = {
            "RepetitionTime": TR,
            "TaskName": name.task,
            "Density": "91k grayordinates",
            "space": "HCP grayordinates",
        }
        write_json(name.path(f"{stem}.json"), sidecar)
        write_cifti_series(name.path(f"{stem}.dtseries.nii"), data, axis)

    return Image(targets, smoothing_kernel(targets), endings, write)


@dataclass(frozen=True)
class SubjectModel:
    """What stays the same over the runs of one subject."""

    image: Image  # Kind of image
    weights: np.ndarray  # (n_columns, n_targets) Planted weights
    noise: NoiseModel  # Loadings of noise and confounds


def model_subject(image: Image, design: CleanFeatures, *, subject: int, seed: int, snr: float) -> SubjectModel:
    """Draw weights and loadings of one subject."""
    targets = image.targets
    noise = draw_noise_model(targets, image.kernel, stream(seed, "loadings", targets.kind, subject))
    return SubjectModel(image, plant_weights(design, targets, subject=subject, seed=seed, snr=snr), noise)


def write_run(
    name: RunName, plan: RunPlan, stimuli: np.ndarray, features: np.ndarray, models: list[SubjectModel], *, seed: int
) -> bool:
    """Write all files of one run, unless they are there.

    Shapes: `stimuli` (n_stimuli,), `features` (n_volumes, n_columns).
    """
    events, sidecar = (name.path(ending, derivative=False) for ending in ("events.tsv", "bold.json"))
    confounds = name.path("desc-confounds_timeseries.tsv")
    wanted = [events, sidecar, confounds, confounds.with_suffix(".json")]
    wanted += [name.path(ending) for model in models for ending in model.image.endings(name.subject)]
    if all(path.is_file() for path in wanted):
        return False
    key = (name.task, name.subject, name.session, name.run)
    nuisance = draw_nuisance(
        plan.n_volumes, stream(seed, "nuisance", *key), dummies=int(name.subject == OLD_NAMES_SUBJECT)
    )
    write_tsv(events, plan.events(stimuli))
    write_json(sidecar, {"TaskName": name.task, "RepetitionTime": TR})
    table = confounds_table(nuisance, stream(seed, "confounds", *key))
    write_tsv(confounds, table)
    write_json(confounds.with_suffix(".json"), {name: {"Method": "Mean"} for name in TISSUES})
    for model in models:
        model.image.write(name, _intensities(model, features, nuisance, stream(seed, model.image.targets.kind, *key)))
    return True


def _intensities(model: SubjectModel, features: np.ndarray, nuisance: Nuisance, rng: np.random.Generator) -> np.ndarray:
    """Signal, noise and baseline of one run, (n_targets, n_volumes); 0 where nothing is measured."""
    data = draw_noise(model.noise, nuisance, rng)
    data += planted_signal(features, model.weights)
    data = to_intensity(model.noise.baseline, data)
    data[~model.image.targets.measured] = 0.0
    return data
