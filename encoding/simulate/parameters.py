"""Parameters that determine a simulated study, and its folder."""

import importlib.util
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ..core.errors import ConfigError, suggest
from ..io.atomic import write_json
from .noise import LEAK, NETWORK_SHARE, SMOOTH_REACH
from .presets import PRESETS, REGIONS, TR, Preset
from .signal import AR, BACKGROUND_R


def choose_preset(
    preset: str,
    seed: int,
    *,
    cifti: bool | None = None,
    clips: bool | None = None,
    volume_mm: float | None = None,
) -> Preset:
    """Check the arguments of `simulate` and merge them with the preset."""
    if preset not in PRESETS:
        raise ConfigError(f"simulate: there is no preset {preset!r}. {suggest(preset, PRESETS)}")
    if seed < 0:
        raise ConfigError(f"simulate: seed is {seed}; give an integer from 0.")
    size = PRESETS[preset]
    if cifti is not None:
        size = replace(size, cifti=cifti)
    if clips is not None:
        size = replace(size, clips=clips)
    if size.clips and importlib.util.find_spec("av") is None:
        raise ConfigError(
            "simulate: clips are written with PyAV, which is not there: pip install 'brain-encoding[collect]', or do "
            "without (clips=False; --no-clips)."
        )
    if volume_mm is not None:
        if not 1.0 <= volume_mm <= 20.0:
            raise ConfigError(f"simulate: volume_mm is {volume_mm}; give a voxel edge from 1 to 20 mm.")
        size = replace(size, volume_mm=float(volume_mm))
    return size


def stimulus_names(size: Preset) -> np.ndarray:
    """Name the stimuli of a study.

    Returns (n_stimuli,).
    """
    return np.array([f"video{i:04d}" for i in range(1, size.n_runs * size.n_blocks - size.n_repeats + 1)])


def claim_folder(root: Path, parameters: dict) -> None:
    """Write the parameters of a study into its folder, unless it is one of other parameters or of something else."""
    path = root / "truth" / "truth.json"
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != parameters:
            other = f"preset {found.get('preset', {}).get('name')!r}, seed {found.get('seed')}"
            raise ConfigError(
                f"simulate: {root} holds a study with other parameters ({other}). Take a new folder or delete this one."
            )
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ConfigError(f"simulate: {root} is there and is not a simulated study. Choose a new or empty folder.")
    write_json(path, parameters)


def parameters_of(size: Preset, seed: int) -> dict:
    """List all parameters that determine the files."""
    parameters = {
        "seed": seed,
        "preset": asdict(size),
        "repetition_time": TR,
        "noise": {
            "ar1": AR,
            "network_share": NETWORK_SHARE,
            "smooth_reach_mm": SMOOTH_REACH,
            "leak": LEAK,
        },
        "background_r": BACKGROUND_R,
        "hrf": "glover",
        "regions": [asdict(region) for region in REGIONS],
    }
    return json.loads(json.dumps(parameters))


def resolution_of(size: Preset) -> str:
    """Format the res entity with letters and digits only: 8 -> "8", 2.5 -> "2p5"."""
    return f"{size.volume_mm:g}".replace(".", "p")
