"""What dimensions mean: the ratings they go with, the stimuli at their ends, and the dimensions of other embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core import AlignmentError, DataError, FeatureSpace
from ..numerics.matching import correlate_columns, match_columns
from ..numerics.variational import discoveries

RATIO = 1.5  # how much stronger one kind of rating must be to give a dimension its name
KINDS = ("category", "dimension")
LEAST_SHARED = 3  # stimuli, that correlations need


def correlate_ratings(
    space: FeatureSpace,
    ratings: Mapping[str, FeatureSpace],
    *,
    n_permutations: int = 10_000,
    alpha: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate every dimension with every rating over stimuli."""
    parts = []
    for kind, table in ratings.items():
        X, R = _shared(space, table)
        observed = correlate_columns(X, R)
        larger = _count_larger(X, R, np.abs(observed), n_permutations, np.random.default_rng(seed))
        parts.append(
            pd.DataFrame(
                {
                    "dimension": np.repeat(space.features, R.shape[1]),
                    "kind": kind,
                    "rating": np.tile(table.features, X.shape[1]),
                    "r": observed.ravel(),
                    "p": ((larger + 1) / (n_permutations + 1)).ravel(),
                }
            )
        )
    found = pd.concat(parts, ignore_index=True)
    found["significant"] = discoveries(found["p"].to_numpy(), alpha=alpha)
    return found


def _shared(space: FeatureSpace, table: FeatureSpace) -> tuple[np.ndarray, np.ndarray]:
    place = {name: row for row, name in enumerate(table.samples.stimulus.tolist())}
    rows = [(row, place[name]) for row, name in enumerate(space.samples.stimulus.tolist()) if name in place]
    if len(rows) < LEAST_SHARED:
        raise AlignmentError(
            f"FeatureSpace {space.name!r} and {table.name!r} share {len(rows)} stimuli; {LEAST_SHARED} or more are "
            f"needed. Are they named alike?"
        )
    ours, theirs = np.array(rows).T
    return space.values[ours].astype(np.float64), table.values[theirs].astype(np.float64)


def _count_larger(X: np.ndarray, R: np.ndarray, observed: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    def standard(values: np.ndarray) -> np.ndarray:
        centred = values - values.mean(axis=0)
        norm = np.linalg.norm(centred, axis=0)
        return np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 0).astype(np.float32)

    A, B = standard(X).T.copy(), standard(R)
    count = np.zeros(observed.shape, dtype=np.int64)
    limit = (observed - 1e-6).astype(np.float32)  # rounding must not turn an equal correlation into a smaller one
    for _ in range(n):
        count += np.abs(A @ B[rng.permutation(len(B))]) >= limit
    return count


def label_dimensions(table: pd.DataFrame, *, most: int = 3) -> pd.DataFrame:
    """Name dimensions by their significant ratings, and say which kind they are.

    A dimension is a "category" if its strongest significant |r| with a category is more than 1.5 times that with an
    affective dimension, a "dimension" if it is the other way round, "mixed" if neither is, and "none" if no rating is
    significant. Ratings of one kind alone make it that kind.
    """
    rows = []
    for name in dict.fromkeys(table["dimension"]):
        some = table[(table["dimension"] == name) & table["significant"]]
        some = some.iloc[np.argsort(-some["r"].abs().to_numpy(), kind="stable")]
        strongest = {kind: float(some.loc[some["kind"] == kind, "r"].iloc[0]) if (some["kind"] == kind).any() else 0.0
                     for kind in KINDS}  # fmt: skip
        category, dimension = abs(strongest["category"]), abs(strongest["dimension"])
        if not category and not dimension:
            kind = "none"
        elif category > RATIO * dimension:
            kind = "category"
        elif dimension > RATIO * category:
            kind = "dimension"
        else:
            kind = "mixed"
        words = [
            rating if r > 0 else f"{rating}-low" for rating, r in zip(some["rating"][:most], some["r"], strict=False)
        ]
        rows.append((name, ", ".join(words), kind, strongest["category"], strongest["dimension"]))
    return pd.DataFrame(rows, columns=["dimension", "label", "kind", "r_category", "r_dimension"])


def extremes(space: FeatureSpace, *, n: int = 8) -> pd.DataFrame:
    """List the stimuli at both ends of each dimension."""
    rows = []
    names = space.samples.stimulus.tolist()
    for feature, values in zip(space.features, space.values.T, strict=True):
        for end, order in (("top", np.argsort(-values, kind="stable")), ("bottom", np.argsort(values, kind="stable"))):
            rows += [(feature, end, rank, names[item], float(values[item])) for rank, item in enumerate(order[:n], 1)]
    return pd.DataFrame(rows, columns=["dimension", "end", "rank", "stimulus", "value"])


def weigh(space: FeatureSpace, weights: np.ndarray, low: np.ndarray, high: np.ndarray) -> pd.DataFrame:
    """List the weights of one fit with their intervals, by the dimensions of a space, largest weights first.

    Dimensions of the fit are matched with those of the space, which may be a mean over fits.

    Shapes: `weights, low, high` (n_stimuli, n_dims).
    """
    partner, _ = match_columns(np.asarray(space.values, np.float64), np.asarray(weights, np.float64))
    names, parts = space.samples.stimulus, []
    for feature, k in zip(space.features, partner, strict=True):
        if k < 0:
            continue
        order = np.argsort(-weights[:, k], kind="stable")
        columns = {"stimulus": names[order], "weight": weights[order, k], "low": low[order, k], "high": high[order, k]}
        parts.append(pd.DataFrame({"dimension": feature, **columns}))
    return pd.concat(parts, ignore_index=True)


def top_category(space: FeatureSpace, categories: FeatureSpace) -> np.ndarray:
    """Return the category with the highest rating of each stimulus; "" where two share it, or all ratings are 0.

    Returns (n_stimuli,).
    """
    place = {name: row for row, name in enumerate(categories.samples.stimulus.tolist())}
    values = np.asarray(categories.values)
    alone = ((values == values.max(axis=1, keepdims=True)).sum(axis=1) == 1) & values.any(axis=1)
    best = np.where(alone, np.asarray(categories.features)[values.argmax(axis=1)], "")
    return np.array([best[place[name]] if name in place else "" for name in space.samples.stimulus.tolist()], dtype=str)


def lay_out(X: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Embed stimuli in two dimensions with t-SNE.

    Shapes: `X` (n_items, n_dims); returns (n_items, 2).
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if X.shape[1] == 1:  # the start, two principal components, needs two columns
        X = np.hstack([X, np.zeros_like(X)])
    perplexity = min(30.0, (len(X) - 1) / 3)
    with threadpool_limits(1):  # sums in a fixed order: the same places every time
        return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(np.asarray(X, np.float32))


@dataclass(frozen=True, slots=True)
class Centroids:
    """How well classes are told apart by their means."""

    # Number of guesses to share of stimuli whose class is among them, averaged over classes so that frequent ones
    # count no more than rare ones
    accuracy: dict[int, float]
    chance: dict[int, float]  # The same with classes dealt out at random, mean over permutations
    p: dict[int, float]  # Share of permutations that do as well
    n_classes: int  # Classes that took part; those with one member cannot
    n_items: int  # Members of these classes


def classify(
    X: np.ndarray, labels: np.ndarray, *, guesses: tuple[int, ...] = (1, 3), n_permutations: int = 200, seed: int = 0
) -> Centroids:
    """Classify every stimulus by the nearest class mean, leaving it out of its own class.

    Shapes: `X` (n_items, n_dims), `labels` (n_items,).
    """
    classes, number, size = np.unique(labels, return_inverse=True, return_counts=True)
    usable = (size >= 2) & (classes != "")
    if usable.sum() < 2:
        raise DataError(f"classify: {usable.sum()} classes have two members or more; two such classes are needed.")
    kept = usable[number]
    X = np.asarray(X, dtype=np.float64)[kept]
    y = np.unique(number[kept], return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    found = _top(X, y, guesses)
    random = np.stack([_top(X, rng.permutation(y), guesses) for _ in range(n_permutations)])
    p = ((random >= found - 1e-12).sum(axis=0) + 1) / (n_permutations + 1)
    pairs = zip(guesses, found, random.mean(axis=0), p, strict=True)
    table = [(k, float(a), float(c), float(q)) for k, a, c, q in pairs]
    return Centroids(
        {k: a for k, a, _, _ in table}, {k: c for k, _, c, _ in table}, {k: q for k, _, _, q in table},
        int(usable.sum()), len(X),
    )  # fmt: skip


def _top(X: np.ndarray, y: np.ndarray, guesses: tuple[int, ...]) -> np.ndarray:
    n_classes = int(y.max()) + 1
    size = np.bincount(y, minlength=n_classes).astype(float)
    sums = np.zeros((n_classes, X.shape[1]))
    np.add.at(sums, y, X)
    means = sums / size[:, None]
    distance = (means**2).sum(axis=1) - 2 * X @ means.T
    own = (sums[y] - X) / (size[y] - 1)[:, None]
    rows = np.arange(len(X))
    distance[rows, y] = (own**2).sum(axis=1) - 2 * (X * own).sum(axis=1)
    rank = (distance < distance[rows, y][:, None]).sum(axis=1)
    return np.array([np.mean(np.bincount(y, weights=rank < k, minlength=n_classes) / size) for k in guesses])


def match_spaces(
    first: FeatureSpace, second: FeatureSpace, *, n_permutations: int = 1000, alpha: float = 0.05, seed: int = 0
) -> pd.DataFrame:
    """Pair the dimensions of two embeddings, and test which of them are shared.

    Dimensions are paired one to one (Hungarian method). A pair is shared if its correlation is larger than what the
    best-matching pair reaches when the stimuli of the second embedding are shuffled, at level `alpha`.
    """
    A, B = _shared(first, second)
    partner, r = match_columns(A, B)
    rng = np.random.default_rng(seed)
    peaks = np.array([correlate_columns(A, B[rng.permutation(len(B))]).max() for _ in range(n_permutations)])
    rows: list[tuple[str, str, float, float, bool]] = []
    for name, other, value in zip(first.features, partner, r, strict=True):
        if other < 0:
            rows.append((name, "", np.nan, np.nan, False))
        else:
            p = (1 + int((peaks >= value).sum())) / (n_permutations + 1)
            rows.append((name, second.features[other], float(value), p, p <= alpha))
    rows += [("", name, np.nan, np.nan, False) for k, name in enumerate(second.features) if k not in partner]
    return pd.DataFrame(rows, columns=["first", "second", "r", "p", "shared"])
