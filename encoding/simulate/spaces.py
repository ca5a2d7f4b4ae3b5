"""Feature spaces that share latents, as ratings and embeddings of the same videos do."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .presets import SPACES, stream

N_LATENTS = 30
CATEGORIES = (
    "Admiration", "Adoration", "Aesthetic_appreciation", "Amusement", "Anger", "Anxiety", "Awe", "Awkwardness",
    "Boredom", "Calmness", "Confusion", "Contempt", "Craving", "Disappointment", "Disgust", "Empathic_pain",
    "Entrancement", "Envy", "Excitement", "Fear", "Guilt", "Horror", "Interest", "Joy", "Nostalgia", "Pride",
    "Relief", "Romance", "Sadness", "Satisfaction", "Sexual_desire", "Surprise", "Sympathy", "Triumph",
)  # fmt: skip
DIMENSIONS = (
    "approach", "arousal", "attention", "certainty", "commitment", "control", "dominance", "effort", "fairness",
    "identity", "obstruction", "safety", "upswing", "valence",
)  # fmt: skip


@dataclass(frozen=True)
class SimulatedSpace:
    """One feature space of the stimuli, as it is and as it was measured."""

    name: str  # Name of the space
    columns: tuple[str, ...]  # Names of its features
    clean: np.ndarray  # (n_stimuli, n_features) What drives the planted responses
    # (n_stimuli, n_features) What is written for the analyst: `clean` as seen by a few raters, or by a noisy
    # embedding
    table: np.ndarray

    def frame(self, stimuli: np.ndarray) -> pd.DataFrame:
        """Make the feature table.

        Shapes: `stimuli` (n_stimuli,).
        """
        frame = pd.DataFrame(np.round(self.table, 4), columns=list(self.columns))
        frame.insert(0, "stim_id", stimuli)
        return frame


def sparse_latents(n: int, n_latents: int, often: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Draw non-negative latents of which most are zero.

    Returns (n, n_latents).
    """
    present = rng.random((n, n_latents)) < np.geomspace(*often, n_latents)
    return present * rng.gamma(3.0, 1 / 3, (n, n_latents))


def simulate_spaces(n_stimuli: int, seed: int) -> dict[str, SimulatedSpace]:
    """Simulate the four feature spaces of one set of stimuli.

    Thirty shared latents enter every space through its own read-out; each space also has latents of its own, and
    noise of its own kind. So the spaces correlate, and none contains another.
    """
    shared = sparse_latents(n_stimuli, N_LATENTS, (0.40, 0.06), stream(seed, "latents"))
    shared *= np.geomspace(1.6, 0.6, N_LATENTS)
    raters = stream(seed, "raters").integers(9, 18, n_stimuli)[:, None]
    spaces = (
        _category(shared, raters, stream(seed, "category")),
        _dimension(shared, raters, stream(seed, "dimension")),
        _embedding("mllm", shared, stream(seed, "mllm"), seen=1.0, noise=0.25),
        _embedding("llm", shared, stream(seed, "llm"), seen=0.8, noise=0.35),
    )
    return {name: next(space for space in spaces if space.name == name) for name in SPACES}


def _category(shared: np.ndarray, raters: np.ndarray, rng: np.random.Generator) -> SimulatedSpace:
    """Saturated read-out: the share of raters who name an emotion."""
    n, n_columns = len(shared), len(CATEGORIES)
    main = rng.permutation(np.arange(n_columns) % N_LATENTS)
    readout = np.zeros((N_LATENTS, n_columns))
    readout[main, np.arange(n_columns)] = 1.0
    # Real base rates are very uneven: hundreds of amusing clips, none that mainly shows envy.
    prevalence = np.geomspace(1.0, 0.05, N_LATENTS)[main]
    own = sparse_latents(n, n_columns, (0.15, 0.15), rng)
    strength = 0.005 + prevalence * (0.30 * shared @ readout + 0.60 * own)
    clean = 1 - np.exp(-strength)
    table = rng.binomial(np.broadcast_to(raters, clean.shape), clean) / raters
    return SimulatedSpace("category", CATEGORIES, clean, table)


def _dimension(shared: np.ndarray, raters: np.ndarray, rng: np.random.Generator) -> SimulatedSpace:
    """Dense signed read-out: means of ratings from 1 to 9."""
    n, n_columns = len(shared), len(DIMENSIONS)
    common = (shared - shared.mean(axis=0)) @ rng.standard_normal((N_LATENTS, n_columns))
    own = rng.standard_normal((n, 8)) @ rng.standard_normal((8, n_columns))
    clean = 0.75 * common / common.std(axis=0) + 0.65 * own / own.std(axis=0)
    seen = 5 + 1.5 * clean + rng.standard_normal(clean.shape) * 1.6 / np.sqrt(raters)
    return SimulatedSpace("dimension", DIMENSIONS, clean, np.clip(np.round(seen * raters) / raters, 1, 9))


def _embedding(name: str, shared: np.ndarray, rng: np.random.Generator, *, seen: float, noise: float) -> SimulatedSpace:
    """Mix shared and own latents into sparse non-negative dimensions, one main latent each."""
    n = len(shared)
    visible = np.zeros(N_LATENTS)
    visible[rng.permutation(N_LATENTS)[: round(seen * N_LATENTS)]] = 1.0
    mixing = np.eye(N_LATENTS) + 0.15 * (rng.random((N_LATENTS, N_LATENTS)) < 0.05)
    own = sparse_latents(n, N_LATENTS, (0.15, 0.15), rng)
    clean = (shared * visible) @ mixing + 1.1 * own
    jitter = noise * clean.std(axis=0) * rng.standard_normal(clean.shape)
    present = (clean > 0) | (rng.random(clean.shape) < 0.1)
    table = np.maximum(clean + jitter, 0) * present
    return SimulatedSpace(name, tuple(f"{name}_{i:02d}" for i in range(N_LATENTS)), clean, table)
