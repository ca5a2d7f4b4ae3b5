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
)
from .meaning import LEAST_SHARED
from .methods import KEYS
from .rated import Rated, Rows, as_rows, check_rows
from .sparse import SparseEmbedding
from .structure import LEAST_PREDICTED
from .triplets import PARTS, SEEN, connections, gaps, parts_of


def check_given(
    where: str,
    estimator: SparseEmbedding,
    judgments: Judgments | PairRatings,
    ratings: Mapping[str, FeatureSpace],
    *,
    curve: bool,
    sample: bool = False,
) -> tuple[list[str], list[str]]:
    """Refuse judgments and ratings that settings do not go with; return gaps between stimuli, and other notes.

    Of a `sample` of judgments, stimuli that are in none of them are not known to be in no judgment.
    """
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
    names = np.asarray(data.names)[(components >= 0) | sample].tolist()
    few = _check_shared(where, names, ratings)
    if sample:
        return [], few
    # Ratings are refused for gaps, but only for those that test judgments do not close either.
    return gaps(data.names, connections(data) if isinstance(data, Rated) else components), few


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


def _check_shared(where: str, names: list[str], ratings: Mapping[str, FeatureSpace]) -> list[str]:
    """Refuse ratings of other stimuli than those that were judged; return those of too few for a part of the page."""
    known = {f"{KEYS[kind]} = {table.name!r}": set(table.samples.stimulus.tolist()) for kind, table in ratings.items()}
    for what, there in known.items():
        if sum(name in there for name in names) < LEAST_SHARED:
            raise AlignmentError(
                f"{where}: {what} has ratings of {sum(name in there for name in names)} of the {len(names)} judged "
                f"stimuli, but the page needs {LEAST_SHARED} or more. Are they named alike (here {names[0]!r}, there "
                f"{min(there)!r})? Leave the key out otherwise."
            )
    if not known:
        return []
    n = sum(all(name in there for there in known.values()) for name in names)
    if n >= LEAST_PREDICTED:
        return []
    return [
        f"{' and '.join(known)}: {n} of the {len(names)} judged stimuli have ratings; from fewer than "
        f"{LEAST_PREDICTED} nothing is predicted, and the page leaves that part out"
    ]
