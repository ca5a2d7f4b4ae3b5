"""Judgments that an embedding or a table of ratings would give."""

from collections.abc import Sequence

import numpy as np

from ..core import DataError, FeatureSpace, Judgments, Provenance, fingerprint_array, versions
from ..numerics.choices import choice_logits, log_probabilities

SIMILARITIES = ("dot", "cosine")
SPARSE = 1_000  # pairs of items per triplet from which only those that are asked for are compared
PART = 10_000  # triplets that are compared at once then


def simulate_judgments(
    space: FeatureSpace | np.ndarray,
    n: int,
    *,
    seed: int,
    similarity: str = "dot",
    temperature: float = 1.0,
    slot_bias: Sequence[float] = (0.0, 0.0, 0.0),
    soft: bool = False,
    n_repeats: int = 1,
) -> Judgments:
    """Draw triplets, and choose the odd one out by the similarity of the others.

    Parameters
    ----------
    space : FeatureSpace or ndarray, shape (n_items, n_features)
        An embedding or ratings.
    n : int
        Triplets to draw, each in random order; triplets may recur.
    seed : int
        Seed.
    similarity : {"dot", "cosine"}
        "dot" for embeddings; "cosine" for ratings, whose columns are first divided by their standard deviation.
    temperature : float
        What similarities are divided by before the softmax; 0 chooses the largest, ties by chance.
    slot_bias : sequence of float
        Preference for each slot.
    soft : bool
        Also give the probabilities.
    n_repeats : int
        How often each triplet is judged.

    Returns
    -------
    Judgments
        All valid.

    Raises
    ------
    DataError
        If there are fewer than three items, or a setting is not allowed.

    Examples
    --------
    >>> from encoding.embedding import simulate_judgments
    >>> X = np.array([[3.0, 0.0], [3.0, 0.0], [0.0, 3.0]])  # the third item shares nothing with the others
    >>> answers = simulate_judgments(X, 200, seed=0)
    >>> odd = answers.items[np.arange(200), answers.choice]
    >>> bool(np.mean(odd == 2) > 0.99)
    True
    """
    names: tuple[str, ...]
    if isinstance(space, FeatureSpace):
        X, names = np.asarray(space.values, dtype=np.float64), tuple(space.samples.stimulus.tolist())
    else:
        X = np.asarray(space, dtype=np.float64)
        names = tuple(map(str, range(len(X))))
    if len(X) < 3 or n < 1 or n_repeats < 1 or temperature < 0 or similarity not in SIMILARITIES:
        raise DataError(
            f"simulate_judgments: {len(X)} items, n = {n}, n_repeats = {n_repeats}, temperature = {temperature}, "
            f"similarity = {similarity!r}; needed three items, one triplet and one repeat or more, a temperature of 0 "
            f"or more, and one of {SIMILARITIES}."
        )
    rng = np.random.default_rng(seed)
    items = np.repeat(draw_triplets(len(X), n, rng), n_repeats, axis=0)
    logits = _similarities(_scaled(X, similarity), items)
    if temperature > 0:
        probabilities = np.exp(log_probabilities(logits / temperature + np.asarray(slot_bias)))
    else:
        largest = logits >= logits.max(axis=1, keepdims=True)
        probabilities = largest / largest.sum(axis=1, keepdims=True)
    choice = (rng.random((len(items), 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    settings = {
        "n": n, "similarity": similarity, "temperature": temperature, "slot_bias": [float(b) for b in slot_bias],
        "soft": soft, "n_repeats": n_repeats,
    }  # fmt: skip
    return judgments_of(
        names,
        items,
        choice,
        probabilities=probabilities if soft else None,
        repeat=np.tile(np.arange(n_repeats), n),
        annotator="simulated",
        provenance=Provenance("simulate_judgments/1", settings, {"space": fingerprint_array(X)}, seed, versions()),
    )


def _scaled(X: np.ndarray, kind: str) -> np.ndarray:
    if kind == "cosine":
        spread = X.std(axis=0)
        X = X / np.where(spread > 0, spread, 1.0)
        X = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.finfo(float).tiny)
    return X


def _similarities(X: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return the similarity of the pair that is left without each slot (n, 3)."""
    if len(X) ** 2 <= SPARSE * len(items):
        return choice_logits(X @ X.T, items)
    parts = np.array_split(items, -(-len(items) // PART))
    pairs = [[(X[part[:, i]] * X[part[:, j]]).sum(axis=1) for i, j in ((1, 2), (0, 2), (0, 1))] for part in parts]
    return np.concatenate([np.stack(of, axis=1) for of in pairs])


def draw_triplets(n_items: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw sets of three different items in random order.

    Returns (n, 3).
    """
    first = rng.integers(0, n_items, n)
    second = rng.integers(0, n_items - 1, n)
    second += second >= first
    third = rng.integers(0, n_items - 2, n)
    low, high = np.minimum(first, second), np.maximum(first, second)
    third += third >= low
    third += third >= high
    return np.stack([first, second, third], axis=1).astype(np.int32)


def judgments_of(
    names: Sequence[str],
    items: np.ndarray,
    choice: np.ndarray,
    *,
    probabilities: np.ndarray | None = None,
    repeat: np.ndarray | None = None,
    annotator: str = "",
    provenance: Provenance | None = None,
) -> Judgments:
    """Make `Judgments` that are all valid and count alike.

    Shapes: `items` (n, 3), `choice` (n,), `probabilities` (n, 3), `repeat` (n,).
    """
    n = len(items)

    def constant(value: object, dtype: object, shape: tuple[int, ...] = (n,)) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype=dtype), shape)  # type: ignore[call-overload]

    return Judgments(
        tuple(names),
        items,
        choice,
        constant(np.nan, np.float32, (n, 3)) if probabilities is None else probabilities,
        constant("valid", str),
        constant(1, np.float32),
        constant(0, np.int32) if repeat is None else repeat,
        constant("", str),
        constant(annotator, str),
        provenance or Provenance("judgments/1"),
    )
