"""What an embedding is made of: categories, dimensions or both; how blended it is; and what another embedding shares.

All shares of variance are of held-out stimuli, so that a table with more columns has no advantage by fitting noise. It
may still have one by describing more; a comparison of tables of different size is therefore repeated with as many
columns of the larger one, drawn at random, as the smaller one has.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from ..core import AlignmentError, FeatureSpace
from ..core.words import count
from ..numerics.choices import choice_similarity
from ..numerics.matching import correlate_columns, match_columns
from ..numerics.variational import discoveries
from .meaning import match_spaces

ALPHAS = np.logspace(-1, 5, 13)
N_FOLDS = 5
LEAST_PREDICTED = 4 * N_FOLDS  # stimuli, of which held-out ones are predicted
MOST_PAIRS = 1_000  # items whose similarities are compared


@dataclass(frozen=True, eq=False, slots=True)
class Structure:
    """How much of an embedding categories, dimensions, and both explain."""

    # Rows "categories", "dimensions", "both", "only categories" (both less dimensions), "only dimensions". Columns
    # explained (share of the variance of held-out stimuli), low, high (95 percent, stimuli drawn anew), chance
    # (mean over shuffled stimuli), p. Two last rows, which are not tested (chance and p are NaN): the larger table cut
    # to the size of the smaller (mean over random draws of columns; "categories, 14 columns"), and what it explains
    # more than the smaller ("categories less dimensions, 14 columns each")
    table: pd.DataFrame
    verdict: str  # The same in a sentence
    n_items: int  # Stimuli with both kinds of ratings


def explain(
    space: FeatureSpace,
    categories: FeatureSpace,
    dimensions: FeatureSpace,
    *,
    n_permutations: int = 100,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Structure:
    """Test whether an embedding is made of categories, of dimensions, or of both.

    Parameters
    ----------
    space : FeatureSpace
        Embedding, one row per stimulus.
    categories, dimensions : FeatureSpace
        Ratings; stimuli that one of them lacks are left out.
    n_permutations : int
        Random orders of the stimuli. For the part that only one table explains the rows of this table are shuffled and
        those of the other are not, so that the null has as many columns.
    n_bootstrap : int
        Samples of stimuli for the intervals.
    seed : int
        Seed of folds, orders and samples.

    Returns
    -------
    Structure
        Shares and verdict.

    Raises
    ------
    AlignmentError
        If fewer than 20 stimuli are shared.

    Examples
    --------
    >>> import encoding
    >>> from encoding.embedding import explain
    >>> names, rng = encoding.Samples.of_stimuli([f"clip{k}" for k in range(40)]), np.random.default_rng(0)
    >>> categories = encoding.FeatureSpace("categories", rng.random((40, 3)), names, ("joy", "fear", "awe"))
    >>> dimensions = encoding.FeatureSpace("dimensions", rng.random((40, 2)), names, ("valence", "arousal"))
    >>> values = categories.values + 0.1 * rng.random((40, 3))  # made of categories alone
    >>> space = encoding.FeatureSpace("mine", values, names, ("1", "2", "3"))
    >>> print(explain(space, categories, dimensions, n_permutations=20, n_bootstrap=20).verdict.partition(". ")[0])
    Categories explain a part that dimensions do not; the reverse is not shown
    """
    X, C, D = _common(space, categories, dimensions)
    rng = np.random.default_rng(seed)
    folds = rng.permutation(len(X)) % N_FOLDS
    total = _errors(X, None, folds)
    both = np.hstack([C, D])
    errors = {"categories": _errors(X, C, folds), "dimensions": _errors(X, D, folds), "both": _errors(X, both, folds)}
    shuffled: dict[str, list[float]] = {name: [] for name in (*errors, "only categories", "only dimensions")}
    observed = {name: 1 - part.sum() / total.sum() for name, part in errors.items()}
    for _ in range(n_permutations):
        order = rng.permutation(len(X))
        share = {
            "categories": 1 - _errors(X, C[order], folds).sum() / total.sum(),
            "dimensions": 1 - _errors(X, D[order], folds).sum() / total.sum(),
            "both": 1 - _errors(X, both[order], folds).sum() / total.sum(),
            "only categories": 1 - _errors(X, np.hstack([C[order], D]), folds).sum() / total.sum(),
            "only dimensions": 1 - _errors(X, np.hstack([C, D[order]]), folds).sum() / total.sum(),
        }
        share["only categories"] -= observed["dimensions"]
        share["only dimensions"] -= observed["categories"]
        for name, value in share.items():
            shuffled[name].append(value)
    parts = {name: total - part for name, part in errors.items()}
    parts["only categories"] = errors["dimensions"] - errors["both"]
    parts["only dimensions"] = errors["categories"] - errors["both"]
    times = rng.multinomial(len(X), np.full(len(X), 1 / len(X)), size=n_bootstrap)
    parts |= _same_size(
        X, {"categories": C, "dimensions": D}, errors, total, folds, rng, n_draws=max(20, n_permutations // 2)
    )
    rows = []
    for name, part in parts.items():
        value, chance, p = float(part.sum() / total.sum()), np.nan, np.nan
        low, high = np.quantile((times @ part) / (times @ total), (0.025, 0.975))
        if name in shuffled:
            null = np.array(shuffled[name])
            chance, p = float(null.mean()), (1 + int((null >= value).sum())) / (n_permutations + 1)
        rows.append((name, value, float(low), float(high), chance, p))
    table = pd.DataFrame(rows, columns=["part", "explained", "low", "high", "chance", "p"])
    return Structure(table, _verdict(table), len(X))


def _common(*spaces: FeatureSpace) -> list[np.ndarray]:
    places = [{name: row for row, name in enumerate(space.samples.stimulus.tolist())} for space in spaces]
    names = [name for name in places[0] if all(name in place for place in places[1:])]
    if len(names) < LEAST_PREDICTED:
        named = ", ".join(repr(space.name) for space in spaces)
        raise AlignmentError(
            f"Feature spaces {named} share {len(names)} stimuli; {LEAST_PREDICTED} or more are needed. Are they named "
            "alike?"
        )
    return [np.asarray(space.values, np.float64)[[place[name] for name in names]]
            for space, place in zip(spaces, places, strict=True)]  # fmt: skip


def _errors(Y: np.ndarray, X: np.ndarray | None, folds: np.ndarray) -> np.ndarray:
    """Squared error of each held-out row of Y, predicted by ridge regression from X, or by the mean without X."""
    errors = np.zeros(len(Y))
    with threadpool_limits(1):
        for fold in range(N_FOLDS):
            test = folds == fold
            if X is None:
                predicted = np.broadcast_to(Y[~test].mean(axis=0), Y[test].shape)
            else:
                centre, spread = X[~test].mean(axis=0), X[~test].std(axis=0)
                scaled = (X - centre) / np.where(spread > 0, spread, 1.0)
                model = RidgeCV(alphas=ALPHAS).fit(scaled[~test], Y[~test])
                predicted = model.predict(scaled[test]).reshape(int(test.sum()), -1)
            errors[test] = ((Y[test] - predicted) ** 2).sum(axis=1)
    return errors


def _same_size(
    X: np.ndarray, tables: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray], total: np.ndarray,
    folds: np.ndarray, rng: np.random.Generator, *, n_draws: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Cut the larger table at random to the size of the smaller; return gains of each stimulus, and the difference."""
    small, large = sorted(tables, key=lambda name: (tables[name].shape[1], name == "categories"))
    n, n_large = tables[small].shape[1], tables[large].shape[1]
    draws = [_errors(X, tables[large][:, rng.choice(n_large, n, replace=False)], folds) for _ in range(n_draws)] if (
        n_large > n) else [errors[large]]  # fmt: skip
    cut = np.mean(draws, axis=0)
    size = count(n, "column")
    return {f"{large}, {size}": total - cut, f"{large} less {small}, {size} each": errors[small] - cut}


def _verdict(table: pd.DataFrame) -> str:
    rows = {str(row["part"]): row for row in table.to_dict("records")}

    def text(name: str) -> str:
        row = rows[name]
        return f"{row['explained']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"

    def real(name: str) -> bool:
        return bool(rows[name]["p"] <= 0.05 and rows[name]["low"] > 0)

    only = [name for name in ("categories", "dimensions") if real(f"only {name}")]
    if not real("both"):
        return f"Categories and dimensions together explain nothing that is certain ({text('both')} of the variance)."
    if len(only) == 2:
        what = "Both are needed: each explains a part that the other does not"
    elif only:
        other = "dimensions" if only == ["categories"] else "categories"
        what = f"{only[0].capitalize()} explain a part that {other} do not; the reverse is not shown"
    else:
        what = "Neither kind is shown to explain a part that the other does not"
    return (
        f"{what}. Together they explain {text('both')} of the variance of held-out stimuli; only categories "
        f"{text('only categories')}, only dimensions {text('only dimensions')}."
    )


@dataclass(frozen=True, eq=False, slots=True)
class Blend:
    """How many dimensions stimuli are blends of, in an embedding as it is."""

    # (n_items,) exp(entropy) of the weights of each stimulus: 1 if it has one dimension, n if n have equal weight;
    # NaN for stimuli without weights
    effective: np.ndarray
    active: np.ndarray  # (n_items,) Fewest dimensions that hold 90 percent of its weights
    mean: float  # Mean effective number


def measure_blend(X: np.ndarray) -> Blend:
    """Measure how blended stimuli are in an embedding.

    This describes the embedding and tests nothing. Whatever is estimated has noise, which adds weights to stimuli of
    one dimension and takes none away: in 70 embeddings of simulated stimuli with one dimension each the mean was 1.0 to
    1.7. Held-out judgments tell what weights beyond the largest are worth; the page of an embedding shows it.

    Parameters
    ----------
    X : ndarray, shape (n_items, n_dims)
        Embedding.

    Returns
    -------
    Blend
        Measures.

    Examples
    --------
    >>> from encoding.embedding import measure_blend
    >>> one_each = np.eye(4)[np.arange(40) % 4]  # every stimulus has one dimension
    >>> blended = np.ones((40, 4))  # every stimulus has all four alike
    >>> round(measure_blend(one_each).mean, 1), round(measure_blend(blended).mean, 1)
    (1.0, 4.0)
    """
    X = np.asarray(X, dtype=np.float64)
    effective = _effective(X)
    ordered = -np.sort(-X, axis=1)
    total = np.maximum(ordered.sum(axis=1, keepdims=True), 1e-300)
    active = (ordered.cumsum(axis=1) < 0.9 * total).sum(axis=1) + 1
    active[X.max(axis=1) <= 0] = 0
    return Blend(effective, active, float(np.nanmean(effective)))


def _effective(X: np.ndarray) -> np.ndarray:
    """Exponential of the entropy of each row's shares; NaN for rows of zeros."""
    total = X.sum(axis=1, keepdims=True)
    share = np.divide(X, total, out=np.full(X.shape, np.nan), where=total > 0)
    terms = np.where(share == 0, 0.0, share * np.log(np.where(share == 0, 1.0, share)))
    return np.exp(-terms.sum(axis=1))


def predict_ratings(
    space: FeatureSpace,
    ratings: Mapping[str, FeatureSpace],
    *,
    n_permutations: int = 100,
    alpha: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Predict every rating of held-out stimuli from the embedding.

    Parameters
    ----------
    space : FeatureSpace
        Embedding, one row per stimulus.
    ratings : mapping of str to FeatureSpace
        Kind of rating to its table.
    n_permutations : int
        Random orders of the stimuli.
    alpha : float
        False discovery rate over all ratings.
    seed : int
        Of folds and orders.

    Returns
    -------
    DataFrame
        Columns kind, rating, r (of predicted and given ratings), p, significant; best first within each kind.

    Examples
    --------
    >>> import encoding
    >>> from encoding.embedding import predict_ratings
    >>> names, rng = encoding.Samples.of_stimuli([f"clip{k}" for k in range(60)]), np.random.default_rng(0)
    >>> space = encoding.FeatureSpace("mine", rng.standard_normal((60, 3)), names, ("1", "2", "3"))
    >>> values = np.column_stack([space.values[:, 0], rng.standard_normal(60)])  # the second rating is unrelated
    >>> ratings = encoding.FeatureSpace("ratings", values, names, ("joy", "chance"))
    >>> predict_ratings(space, {"ratings": ratings}, n_permutations=20)[["rating", "r"]].round(1)
       rating    r
    0     joy  1.0
    1  chance -0.1
    """
    parts = []
    for kind, table in ratings.items():
        X, R = _common(space, table)
        rng = np.random.default_rng(seed)
        folds = rng.permutation(len(X)) % N_FOLDS
        observed = _held_out_r(X, R, folds)
        larger = np.zeros(len(observed))
        for _ in range(n_permutations):
            larger += _held_out_r(X[rng.permutation(len(X))], R, folds) >= observed
        p = (larger + 1) / (n_permutations + 1)
        frame = pd.DataFrame({"kind": kind, "rating": table.features, "r": observed, "p": p})
        parts.append(frame.sort_values("r", ascending=False, kind="stable"))
    found = pd.concat(parts, ignore_index=True)
    found["significant"] = discoveries(found["p"].to_numpy(), alpha=alpha)
    return found


def _held_out_r(X: np.ndarray, R: np.ndarray, folds: np.ndarray) -> np.ndarray:
    predicted = np.zeros_like(R)
    with threadpool_limits(1):
        for fold in range(N_FOLDS):
            test = folds == fold
            model = RidgeCV(alphas=ALPHAS, alpha_per_target=True).fit(X[~test], R[~test])
            # About the training mean: means that differ between folds would lower r below zero without any relation.
            predicted[test] = model.predict(X[test]).reshape(int(test.sum()), -1) - R[~test].mean(axis=0)
    return np.array([correlate_columns(a[:, None], b[:, None])[0, 0] for a, b in zip(predicted.T, R.T, strict=True)])


@dataclass(frozen=True, eq=False, slots=True)
class Comparison:
    """Two embeddings of the same stimuli.

    Attributes
    ----------
    dimensions : DataFrame
        What `match_spaces` found, with low and high (95 percent, stimuli drawn anew) of each r.
    explained : DataFrame
        Columns of, by, explained, low, high: share of the variance of held-out stimuli of one embedding that a linear
        map of the other predicts.
    similarity_r, similarity_low, similarity_high : float
        Correlation of the choice similarities of all pairs, with its interval over stimuli.
    """

    dimensions: pd.DataFrame
    explained: pd.DataFrame
    similarity_r: float
    similarity_low: float
    similarity_high: float


def compare_embeddings(
    first: FeatureSpace, second: FeatureSpace, *, n_permutations: int = 1000, n_bootstrap: int = 500, seed: int = 0
) -> Comparison:
    """Find the dimensions that two embeddings share, and those that only one has.

    Parameters
    ----------
    first, second : FeatureSpace
        Embeddings, one row per stimulus; stimuli that one lacks are left out.
    n_permutations : int
        Random orders of the stimuli for the test of each pair of dimensions.
    n_bootstrap : int
        Samples of stimuli for the intervals.
    seed : int
        Of orders, folds and samples.

    Returns
    -------
    Comparison
        Shared and own dimensions, variance explained, and similarity.

    Examples
    --------
    >>> import encoding
    >>> from encoding.embedding import compare_embeddings
    >>> names, rng = encoding.Samples.of_stimuli([f"clip{k}" for k in range(60)]), np.random.default_rng(0)
    >>> values = rng.gamma(1, 1, (60, 4))
    >>> first = encoding.FeatureSpace("first", values[:, :3], names, ("joy", "fear", "awe"))
    >>> second = encoding.FeatureSpace("second", values[:, [1, 0, 3]], names, ("a", "b", "c"))  # shares joy and fear
    >>> compare_embeddings(first, second, n_permutations=200, n_bootstrap=20).dimensions.round(2)
      first second    r    p  shared   low  high
    0   joy      b  1.0  0.0    True  1.00  1.00
    1  fear      a  1.0  0.0    True  1.00  1.00
    2   awe      c -0.2  1.0   False -0.43  0.02
    """
    A, B = _common(first, second)
    table = match_spaces(first, second, n_permutations=n_permutations, seed=seed)
    partner, _ = match_columns(A, B)
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(A), len(A)) for _ in range(n_bootstrap)]
    pairs = [(k, other) for k, other in enumerate(partner) if other >= 0]
    samples = np.array([[_r(A[rows, k], B[rows, other]) for k, other in pairs] for rows in draws])
    low, high = np.quantile(samples, (0.025, 0.975), axis=0)
    for column, values in (("low", low), ("high", high)):
        place = {first.features[k]: value for (k, _), value in zip(pairs, values, strict=True)}
        table[column] = [place.get(name, np.nan) for name in table["first"]]
    folds = rng.permutation(len(A)) % N_FOLDS
    rows = []
    for of, by, Y, X in ((first, second, A, B), (second, first, B, A)):
        total, errors = _errors(Y, None, folds), _errors(Y, X, folds)
        shares = [1 - errors[some].sum() / total[some].sum() for some in draws]
        rows.append((of.name, by.name, 1 - errors.sum() / total.sum(), *np.quantile(shares, (0.025, 0.975))))
    some = np.sort(rng.permutation(len(A))[:MOST_PAIRS])
    S, T = (choice_similarity(np.maximum(values[some], 0)) for values in (A, B))
    upper = np.triu_indices(len(some), 1)
    similar = []
    for _ in range(min(n_bootstrap, 200)):
        drawn = rng.integers(0, len(some), len(some))
        a, b = drawn[upper[0]], drawn[upper[1]]
        similar.append(_r(S[a, b][a != b], T[a, b][a != b]))
    return Comparison(
        table, pd.DataFrame(rows, columns=["of", "by", "explained", "low", "high"]), _r(S[upper], T[upper]),
        *(float(value) for value in np.quantile(similar, (0.025, 0.975))),
    )  # fmt: skip


def _r(a: np.ndarray, b: np.ndarray) -> float:
    return float(correlate_columns(a[:, None], b[:, None])[0, 0])
