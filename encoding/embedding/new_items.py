"""Coordinates of stimuli that were not there when an embedding was learned."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict

from ..core import AlignmentError, DataError
from .triplets import Triplets, targets

PENALTIES = np.logspace(-2, 6, 25)
SMALLEST_VARIANCE = 1e-4  # of a dimension, so that its prior stays proper


def place_items(
    embedding: np.ndarray, names: tuple[str, ...], data: Triplets, *, bias: np.ndarray | None = None
) -> np.ndarray:
    """Place new items among fixed ones by a few judgments each.

    A new item's coordinates maximise the likelihood of its judgments with two known items, times a Gaussian prior with
    mean and variance of each dimension over the known items, on x >= 0. Items without judgments would get the mean.

    Shapes: `embedding` (n_known, n_dims), `bias` (3,); returns (n_items_of_data, n_dims).
    """
    place = {name: number for number, name in enumerate(names)}
    number = np.array([place.get(name, -1) for name in data.names])
    is_new = number < 0
    found = np.zeros((len(data.names), embedding.shape[1]))
    found[~is_new] = embedding[number[~is_new]]
    usable = np.flatnonzero(is_new[data.items].sum(axis=1) == 1)
    slot = is_new[data.items[usable]].argmax(axis=1)
    about = data.items[usable, slot]
    prior = embedding.mean(axis=0), embedding.var(axis=0) + SMALLEST_VARIANCE
    for item in np.flatnonzero(is_new):
        rows = np.flatnonzero(about == item)
        if not len(rows):
            raise DataError(
                f"Item {data.names[item]!r}: no judgment with two known items, so it cannot be placed. Judge it with "
                f"items of the embedding."
            )
        found[item] = _place(found, data[usable[rows]], slot[rows], prior=prior, bias=bias)
    return found


def _place(
    known: np.ndarray,
    data: Triplets,
    slot: np.ndarray,
    *,
    prior: tuple[np.ndarray, np.ndarray],
    bias: np.ndarray | None,
) -> np.ndarray:
    rows = np.arange(len(data))
    # In slot order from the new item on: the others are what remains if it is odd; else one of them goes with it.
    first, second = known[data.items[rows, (slot + 1) % 3]], known[data.items[rows, (slot + 2) % 3]]
    slots = (slot[:, None] + np.arange(3)) % 3
    target = np.take_along_axis(targets(data), slots, axis=1)
    shift = 0.0 if bias is None else np.asarray(bias)[slots]
    weight = np.ones(len(data)) if data.weight is None else data.weight.astype(np.float64)
    mean, variance = prior
    together = np.einsum("nd,nd->n", first, second)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        # Row 1 is `first` being odd, which leaves the new item with `second`.
        logits = np.stack([together, second @ x, first @ x], axis=1) + shift
        peak = logits.max(axis=1, keepdims=True)
        norm = peak + np.log(np.exp(logits - peak).sum(axis=1, keepdims=True))
        rest = weight[:, None] * (np.exp(logits - norm) - target)
        some = np.where(target > 0, logits - norm, 0.0)  # what cannot be odd has minus infinity
        value = -float((weight[:, None] * target * some).sum()) + 0.5 * float(((x - mean) ** 2 / variance).sum())
        return value, rest[:, 1] @ second + rest[:, 2] @ first + (x - mean) / variance

    return minimize(objective, mean, jac=True, bounds=[(0, None)] * len(mean), method="L-BFGS-B").x


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """Coordinates that were predicted from features."""

    values: np.ndarray  # (n_new, n_dims) Non-negative
    # (n_dims,) Correlation of predicted and fitted coordinates of known items that were held out: how far to trust
    # each dimension
    r: np.ndarray


def place_by_features(
    embedding: np.ndarray, features: np.ndarray, new_features: np.ndarray, *, n_folds: int = 5, seed: int = 0
) -> Placed:
    """Predict the coordinates of new items from features that known and new items have.

    Shapes: `embedding` (n_known, n_dims), `features` (n_known, n_features), `new_features` (n_new, n_features).
    """
    if len(features) != len(embedding) or features.shape[1:] != new_features.shape[1:]:
        raise AlignmentError(
            f"place_by_features: embedding {embedding.shape}, features {features.shape} and new features "
            f"{new_features.shape}; needed one row of features per known item, and the same features for new ones."
        )
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    known, new = (features - centre) / spread, (new_features - centre) / spread
    model = RidgeCV(alphas=PENALTIES, alpha_per_target=True)
    folds = KFold(n_folds, shuffle=True, random_state=seed)
    held_out = np.maximum(cross_val_predict(model, known, embedding, cv=folds), 0)
    about = held_out - held_out.mean(axis=0), embedding - embedding.mean(axis=0)
    norms = np.sqrt((about[0] ** 2).sum(axis=0) * (about[1] ** 2).sum(axis=0))
    r = np.divide((about[0] * about[1]).sum(axis=0), norms, out=np.zeros(len(norms)), where=norms > 0)
    return Placed(np.maximum(model.fit(known, embedding).predict(new).reshape(len(new), -1), 0), r)
