"""Sizes of simulated studies, and their planted regions."""

import zlib
from dataclasses import dataclass

import numpy as np

TR = 2.0
SPACES = ("category", "dimension", "mllm", "llm")


@dataclass(frozen=True, slots=True)
class Preset:
    """Size of a simulated study."""

    name: str  # Name of the preset
    sessions: tuple[int, ...]  # Sessions of each subject; 0 writes no session level
    n_runs: int  # Runs of each subject
    n_blocks: int  # Blocks of one run
    n_repeats: int  # Stimuli that are shown a second time, in a later run
    longest_clip: float  # Upper end of the clip durations, in seconds; the lower end is 0.15
    rest_start: float  # Rest before the first block, in seconds; a multiple of the TR
    rest_end: float  # Rest after the last block, likewise
    volume_mm: float  # Edge of the voxels, in millimetres, on the bounding box of MNI152NLin2009cAsym
    snr: float  # Factor on every planted amplitude, so that the held-out r is about .3 with the blocks that there are
    cifti: bool  # Whether the short grayordinate task is written when the packages with its axes are there
    clips: bool  # Whether clips and captions are written, and judgments about them configured


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("tiny", (0, 0), 4, 10, 2, 10.0, 8.0, 6.0, 12.0, 3.0, False, False),
        Preset("demo", (0, 0, 0), 6, 36, 6, 16.0, 16.0, 6.0, 8.0, 1.0, True, True),
        Preset("study", (5, 7, 6, 5, 5), 61, 36, 15, 90.0, 32.0, 6.0, 6.0, 0.6, True, False),
    )
}


@dataclass(frozen=True, slots=True)
class Region:
    """A pair of planted regions, one in each hemisphere."""

    name: str  # Name without the hemisphere
    winner: str  # The feature space that drives it; "" in a null region, which carries no signal at all
    # Seed in the right hemisphere in MNI millimetres; the left one is its mirror image
    centre: tuple[float, float, float]
    radius: float  # Radius of the ball in millimetres; 0 where the region is a subcortical structure
    r: float  # Correlation of the noiseless with the noisy response, both averaged over blocks, at the seed
    aseg: tuple[int, ...] = ()  # FreeSurfer numbers (left, right) of a subcortical structure; empty in cortex
    color: str = "#888888"


REGIONS = (
    Region("TPJ", "mllm", (52, -52, 28), 12, 0.60, color="#1b6ca8"),
    Region("pSTS", "mllm", (56, -40, 6), 10, 0.60, color="#3f9bd1"),
    Region("LOTC", "mllm", (44, -74, 2), 12, 0.60, color="#7cc4e8"),
    Region("ATL", "llm", (42, 12, -34), 12, 0.60, color="#1f8a4c"),
    Region("MTG", "llm", (60, -16, -16), 10, 0.60, color="#6cc08b"),
    Region("DMPFC", "category", (8, 52, 32), 12, 0.60, color="#c2410c"),
    Region("OFC", "category", (26, 34, -16), 11, 0.60, color="#f08a4b"),
    Region("aINS", "dimension", (36, 20, 0), 11, 0.55, color="#8e44ad"),
    Region("M1", "", (38, -24, 56), 12, 0.0, color="#7f7f7f"),
    Region("EVC", "", (10, -92, 2), 12, 0.0, color="#b5b5b5"),
    Region("Amygdala", "dimension", (24, -4, -20), 0, 0.55, (18, 54), "#b983d1"),
    Region("Hippocampus", "mllm", (27, -22, -15), 0, 0.55, (17, 53), "#a5d8f3"),
)

HEMISPHERES = ("L", "R")


def region_number(position: int, hemi: str) -> int:
    """Return the label of one hemisphere of a planted region."""
    return 2 * position + 1 + HEMISPHERES.index(hemi)


def stream(seed: int, *key: str | int) -> np.random.Generator:
    """Return the random generator of one part of the study.

    Every part draws from its own stream, so that a run can be written again, or alone, with the same bytes.
    """
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in key]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=words))
