"""Whether more judgments would be worth their price."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from ..core import DataError, Judgments, PairRatings
from .evaluation import evaluate
from .path import AtChanceError
from .rated import Rated, Rows, as_rows
from .rated_scores import evaluate_ratings
from .sparse import SparseEmbedding
from .triplets import SEEN, divide

N_BOOTSTRAP = 1000  # samples of the intervals, which are kept with the fits


def learning_curve(
    model: SparseEmbedding,
    judgments: Judgments | PairRatings,
    *,
    shares: Sequence[float] = (0.125, 0.25, 0.5),
    seed: int = 0,
) -> pd.DataFrame:
    """Fit parts of the judgments, and score all of them on the same test judgments.

    Parameters
    ----------
    model : SparseEmbedding
        What was fitted to all of them.
    judgments : Judgments or PairRatings
        The same judgments, with a part called "test".
    shares : sequence of float
        Parts of the training and validation triplets, between 0 and 1; each smaller part is within the larger ones.
    seed : int
        Which triplets.

    Returns
    -------
    DataFrame
        Columns share, n (judgments), n_dims, accuracy (of ratings r and explained), cross_entropy and their 95 percent
        intervals (1,000 bootstrap samples); the last row is `model`. Parts that predict no better than chance have no
        dimensions and no scores. What more judgments than all would bring is not measured.

    Raises
    ------
    DataError
        If there are no test judgments, or a share is not between 0 and 1.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from encoding.embedding import SparseEmbedding, learning_curve, simulate_judgments
    >>> many = simulate_judgments(np.random.default_rng(0).gamma(1, 1, (12, 2)), 2000, seed=0)
    >>> many = replace(many, split=np.where(many.items.sum(1) % 5 == 0, "test", "train"))
    >>> model = SparseEmbedding(n_dims=2).fit(many)
    >>> learning_curve(model, many, shares=(0.5,)).columns[:2].tolist()
    ['share', 'n']
    """
    data = as_rows(judgments)
    test = data[model.parts_ == "test"]
    if not len(test):
        raise DataError("learning_curve: no judgments are in the part 'test', so that there is nothing to score by.")
    if not shares or min(shares) <= 0 or max(shares) >= 1:
        raise DataError(f"learning_curve: shares = {list(shares)}, but numbers between 0 and 1 were needed.")
    seen = data[model.part_codes_ < SEEN]
    rows: list[dict[str, Any]] = []
    for share in (*sorted(shares), 1.0):
        part, fitted = seen, model
        if share < 1:
            part = seen[divide(seen, share, np.random.default_rng([seed, 8]))]
            # Fewer judgments are noisier by the root of their share; so is the penalty the search begins around.
            try:
                fitted = clone(model).fit_near(part, model, stronger=share**-0.5)
            except AtChanceError:  # so few predict no better than chance, which is what the curve is asked for
                rows.append({"share": share, "n": len(part), "n_dims": 0})
                continue
        scores = _score(fitted, test, part, seed)
        kept = {str(key): value for key, value in scores.drop(["name", "n_dims", "n"]).items()}
        rows.append({"share": share, "n": len(part), "n_dims": fitted.embedding_.shape[1], **kept})
    return pd.DataFrame(rows)


def _score(fitted: SparseEmbedding, test: Rows, part: Rows, seed: int) -> "pd.Series[Any]":
    if isinstance(test, Rated) and isinstance(part, Rated):
        return evaluate_ratings({"x": fitted.embedding_}, test, part, n_bootstrap=N_BOOTSTRAP, seed=seed).iloc[0]
    assert not isinstance(test, Rated)
    judges = getattr(fitted, "judges_", None)  # of `judge_noise`
    if judges is not None and test.judge is not None:
        test = replace(test, sharpness=judges["sharpness"].to_numpy()[test.judge])
    bias = {"x": fitted.slot_bias_}
    return evaluate({"x": fitted.embedding_}, test, bias=bias, n_bootstrap=N_BOOTSTRAP, seed=seed).iloc[0]
