"""Noise, drift and nuisance signals, and the matching confounds table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.sparse import csr_array, diags_array
from scipy.spatial import cKDTree

from .presets import TR
from .signal import AR
from .targets import TargetSet

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
# Mean and size of the fluctuation of the tissue averages.
TISSUES = {"global_signal": (5200.0, 20.0), "csf": (6100.0, 35.0), "white_matter": (5600.0, 16.0)}
HIGH_PASS_SECONDS = 128.0
HEAD_RADIUS = 50.0
SMOOTH_REACH = 6.0
N_NETWORKS = 24
NETWORK_SHARE = 0.25
LEAK = {"motion": 0.5, "physiology": 0.6, "drift": 1.0}


@dataclass(frozen=True)
class Nuisance:
    """Time courses of one run that leak into its data."""

    motion: np.ndarray  # (n_volumes, 6) Translations in millimetres, rotations in radians
    # (n_volumes,) Unit variance; seen by the global signal, white matter and cerebrospinal fluid
    physiology: np.ndarray
    dummies: int  # Volumes at the start that are not in steady state


def draw_nuisance(n_volumes: int, rng: np.random.Generator, *, dummies: int) -> Nuisance:
    """Draw head motion and physiology of one run."""
    steps = rng.standard_normal((n_volumes, 6)) * 0.02
    jerks = rng.random(n_volumes) < 1 / 80
    steps[jerks] += rng.standard_normal((jerks.sum(), 6)) * 0.2
    wander = lfilter([1.0], [1.0, -0.97], steps, axis=0)
    wander[:, 3:] /= HEAD_RADIUS
    return Nuisance(wander, ar_noise(1, n_volumes, rng)[0].astype(np.float64), dummies)


def confounds_table(nuisance: Nuisance, rng: np.random.Generator) -> pd.DataFrame:
    """Make fMRIPrep's confounds table."""
    n = len(nuisance.motion)
    table: dict[str, np.ndarray] = {}
    for name, (level, size) in TISSUES.items():
        noise = 0.25 * rng.standard_normal(n)
        table |= _expanded(name, level + size * (nuisance.physiology + noise))
    moved = np.abs(np.diff(nuisance.motion, axis=0)) * [1, 1, 1, *[HEAD_RADIUS] * 3]
    displacement = np.concatenate([[np.nan], moved.sum(axis=1)])
    dvars = 1.0 + 0.3 * np.maximum(displacement - 0.3, 0) + 0.05 * rng.standard_normal(n)
    table |= {"dvars": 40.0 * dvars, "std_dvars": dvars, "framewise_displacement": displacement}
    for k, column in enumerate(cosines(n, nuisance.dummies).T):
        table[f"cosine{k:02d}"] = column
    for k in range(nuisance.dummies):
        table[f"non_steady_state_outlier{k:02d}"] = (np.arange(n) == k).astype(int)
    for name, column in zip(MOTION, nuisance.motion.T, strict=True):
        table |= _expanded(name, column)
    return pd.DataFrame(table)


def _expanded(name: str, column: np.ndarray) -> dict[str, np.ndarray]:
    """Add the derivative of a regressor and the squares of both."""
    derivative = np.concatenate([[np.nan], np.diff(column)])
    return {
        name: column,
        f"{name}_derivative1": derivative,
        f"{name}_derivative1_power2": derivative**2,
        f"{name}_power2": column**2,
    }


def cosines(n_volumes: int, dummies: int = 0) -> np.ndarray:
    """Make the discrete cosines that fMRIPrep writes for a 128 s high-pass.

    Returns (n_volumes, n_cosines).
    """
    n = n_volumes - dummies
    order = np.arange(1, int(np.floor(2 * n * TR / HIGH_PASS_SECONDS)) + 1)
    columns = np.zeros((n_volumes, len(order)))
    columns[dummies:] = np.sqrt(2 / n) * np.cos(np.pi / n * (np.arange(n)[:, None] + 0.5) * order)
    return columns


def ar_noise(n_series: int, n_volumes: int, rng: np.random.Generator) -> np.ndarray:
    """Draw stationary AR(1) noise with unit variance.

    Returns (n_series, n_volumes).
    """
    noise = rng.standard_normal((n_series, n_volumes), dtype=np.float32)
    scale = np.float32(np.sqrt(1 - AR**2))
    noise[:, 1:] *= scale
    return lfilter(np.ones(1, dtype=np.float32), np.array([1, -AR], dtype=np.float32), noise, axis=1)


def smoothing_kernel(targets: TargetSet) -> csr_array:
    """Build a Gaussian kernel over neighbours that keeps the variance of white noise.

    Returns (n_targets, n_targets).
    """
    tree = cKDTree(targets.coordinates)
    pairs = tree.sparse_distance_matrix(tree, SMOOTH_REACH, output_type="coo_matrix")
    keep = targets.measured[pairs.row] & targets.measured[pairs.col]
    values = np.exp(-0.5 * (pairs.data[keep] / (SMOOTH_REACH / 2)) ** 2)
    kernel = csr_array((values, (pairs.row[keep], pairs.col[keep])), shape=pairs.shape)
    norm = np.sqrt(kernel.power(2).sum(axis=1))
    return (diags_array(1 / np.maximum(norm, 1e-12)) @ kernel).astype(np.float32).tocsr()


@dataclass(frozen=True)
class NoiseModel:
    """Loadings of noise and confounds on the targets of one subject."""

    kernel: csr_array  # (n_targets, n_targets) Local smoothness
    # (n_targets, n_networks) Loadings on noise that distant targets share; the squares of a row sum to 1
    networks: np.ndarray
    motion: np.ndarray  # (n_targets, 6) Leak of head motion: opposite edges of the brain brighten and darken
    physiology: np.ndarray  # (n_targets,) Leak of physiology
    baseline: np.ndarray  # (n_targets,) Mean intensity


def draw_noise_model(targets: TargetSet, kernel: csr_array, rng: np.random.Generator) -> NoiseModel:
    """Draw the loadings of one subject."""
    places = targets.coordinates
    centres = rng.uniform((-70, -100, -45), (70, 70, 78), (N_NETWORKS, 3)).astype(np.float32)
    bumps = np.exp(-0.5 * (np.linalg.norm(places[:, None] - centres, axis=2) / 25.0) ** 2)
    networks = (bumps + 0.05) * rng.choice([-1.0, 1.0], N_NETWORKS)
    networks /= np.linalg.norm(networks, axis=1, keepdims=True)
    motion = places / 60.0 @ rng.standard_normal((3, 6)) + 0.3 * rng.standard_normal((len(places), 6))
    physiology = 1.0 + 0.3 * rng.standard_normal(len(places))
    baseline = 10000.0 + 400.0 * bumps @ rng.standard_normal(N_NETWORKS)
    return NoiseModel(kernel, *(part.astype(np.float32) for part in (networks, motion, physiology, baseline)))


def draw_noise(model: NoiseModel, nuisance: Nuisance, rng: np.random.Generator) -> np.ndarray:
    """Draw the noise of one run, confounds and drift included.

    Returns (n_targets, n_volumes).
    """
    n_targets, n = len(model.baseline), len(nuisance.motion)
    noise = model.kernel @ ar_noise(n_targets, n, rng)
    noise *= np.float32(np.sqrt(1 - NETWORK_SHARE))
    motion = nuisance.motion / nuisance.motion.std(axis=0) / np.sqrt(6)
    slow = cosines(n)[:, :3] * np.sqrt(n / 3)
    courses = np.concatenate(
        [
            np.sqrt(NETWORK_SHARE) * ar_noise(N_NETWORKS, n, rng),
            LEAK["motion"] * motion.T,
            LEAK["physiology"] * nuisance.physiology[None],
            LEAK["drift"] * slow.T,
        ]
    )
    drift = rng.standard_normal((n_targets, slow.shape[1])).astype(np.float32)
    loadings = np.concatenate([model.networks, model.motion, model.physiology[:, None], drift], axis=1)
    noise += loadings @ courses.astype(np.float32)
    noise[:, : nuisance.dummies] += 8.0
    return noise
