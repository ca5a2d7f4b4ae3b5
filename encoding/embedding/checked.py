"""What would end a fit or its page and can be known from the judgments, so that nothing fails after hours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from ..core import (
    AlignmentError,
    DataError,
    EncodingError,
    FeatureSpace,
    Judgments,
    PairRatings,
    Provenance,
)
from .meaning import top_category
from .rated import Rated, Rows, as_rows, check_rows
from .sparse import SparseEmbedding, feature_space
from .structure import N_FOLDS
from .triplets import PARTS, SEEN, connections, gaps, parts_of

LEAST_SHARED = 4 * N_FOLDS  # stimuli with ratings, of which held-out ones are predicted


def check_given(
    where: str,
    estimator: SparseEmbedding,
    judgments: Judgments | PairRatings,
    ratings: Mapping[str, FeatureSpace],
    *,
    curve: bool,
) -> list[str]:
    """Refuse judgments and tables of ratings that settings do not go with; return gaps between stimuli in words."""
    with _about(where):
        data = as_rows(judgments)
        check_rows(
            data, task=estimator.task, slot_bias=estimator.slot_bias, judge_noise=estimator.judge_noise,
            start=estimator.start,
        )  # fmt: skip
        declared = parts_of(judgments, data)
    seen = data if declared is None else data[np.isin(declared, PARTS[:SEEN])]
    _check_parts(where, seen, declared, curve=curve)
    components = connections(seen)
    names = np.asarray(data.names)[components >= 0].tolist()
    for kind, table in ratings.items():
        _check_shared(where, names, kind, table)
    if {"category", "dimension"} <= set(ratings):
        both = [set(table.samples.stimulus.tolist()) for table in ratings.values()]
        _require_shared(where, names, set.intersection(*both), "both categories and dimensions", "")
    # Of ratings, which are refused for gaps, only those count that no judgment closes, be it for testing.
    return gaps(data.names, connections(data) if isinstance(data, Rated) else components)


@contextmanager
def _about(where: str) -> Iterator[None]:
    """Begin the message of an error with what it is about."""
    try:
        yield
    except EncodingError as error:
        raise type(error)(str(error) if where in str(error) else f"{where}: {error}") from error


def _check_parts(where: str, seen: Rows, declared: np.ndarray | None, *, curve: bool) -> None:
    """Refuse judgments with nothing to fit to, to choose by, or, for a learning curve, to score by."""
    n_train = len(seen) if declared is None else int((declared == "train").sum())
    if not n_train:
        raise DataError(f"{where}: no judgment is in the part 'train', so that there is nothing to fit to.")
    keys = seen.keys
    if (declared is None or not (declared == "validation").any()) and (keys == keys[0]).all():
        raise DataError(
            f"{where}: all judgments that are fitted to are about the same stimuli, so that none can be left out to "
            f"choose dimensions by. Add judgments about others."
        )
    if curve and (declared is None or not (declared == "test").any()):
        raise DataError(
            f'{where}: learning_curve = true, but no judgments are kept for testing (part "test") by which to score. '
            f"Name a file with `test`, set test_share above 0, name some in the column 'split', or remove "
            f"learning_curve."
        )


def _check_shared(where: str, names: list[str], kind: str, table: FeatureSpace) -> None:
    """Refuse ratings of other stimuli than those that were judged, and categories that nearly all are alone in."""
    key = "categories" if kind == "category" else "dimensions"
    known = set(table.samples.stimulus.tolist())
    hint = f" Are they named alike (here {names[0]!r}, there {min(known)!r})?"
    _require_shared(where, names, known, f"{key} = {table.name!r}", hint)
    if kind == "category":
        stub = feature_space(table.name, np.zeros((len(names), 1)), tuple(names), Provenance("check"))
        found, size = np.unique(top_category(stub, table), return_counts=True)
        if ((size >= 2) & (found != "")).sum() < 2:
            raise DataError(
                f"{where}: {key} = {table.name!r}: the highest rating of nearly all stimuli is the same category; two "
                f"categories with two stimuli each are needed for the page. Leave {key} out, or give other ratings."
            )


def _require_shared(where: str, names: list[str], known: set[str], what: str, hint: str) -> None:
    n = sum(name in known for name in names)
    if n < LEAST_SHARED:
        raise AlignmentError(
            f"{where}: {what}: ratings are there for {n} of {len(names)} judged stimuli, but the page needs "
            f"{LEAST_SHARED} or more.{hint} Leave the key out otherwise."
        )
