"""Summarise tables of single subjects over subjects."""

import numpy as np
import pandas as pd
from scipy import stats

from ..numerics.significance import discovery_rates

PLACE = ["atlas", "level", "set", "region", "hemi"]


def confidence_of(table: pd.DataFrame) -> pd.DataFrame:
    """Collect the confidence of every region from tables of single subjects.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `score_regions` of all subjects, with the column confidence or without.

    Returns
    -------
    pandas.DataFrame
        One row per region: the columns that name it, and confidence; texts that differ between subjects are joined.

    Examples
    --------
    >>> from encoding.comparison import confidence_of
    >>> sorted(set(confidence_of(result.regions)["confidence"]))
    ['', 'approx']
    """
    if "confidence" not in table:
        return pd.DataFrame(columns=[*PLACE, "confidence"])
    known = table[[*PLACE, "confidence"]].drop_duplicates()
    joined = known.groupby(PLACE, sort=False, dropna=False)["confidence"]
    return joined.agg(lambda texts: " / ".join(dict.fromkeys(text for text in texts if text))).reset_index()


def join_confidence(table: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Join the confidence of every region to a table, as its last column.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns that name a region.
    known : pandas.DataFrame
        As `confidence_of` returns it; without rows, nothing is added.

    Returns
    -------
    pandas.DataFrame
        With the column confidence.

    Examples
    --------
    >>> from encoding.comparison import confidence_of, join_confidence
    >>> join_confidence(result.regions.drop(columns="confidence"), confidence_of(other.regions)).columns[-1]
    'confidence'
    """
    if not len(known) or not len(table) or "confidence" in table or not set(PLACE) <= set(table.columns):
        return table
    return table.merge(known, on=PLACE, how="left")


def summarise_regions(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise scores per region over subjects.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `score_regions` of all subjects.

    Returns
    -------
    pandas.DataFrame
        One row per region, model, feature and metric: n_subjects, mean, sd, smallest and largest value over subjects.
        With few subjects these describe the sample; they are no test.

    Examples
    --------
    >>> from encoding.comparison import summarise_regions
    >>> import pandas as pd
    >>> summarise_regions(pd.concat([result.regions, other.regions])).columns[:3].tolist()
    ['atlas', 'level', 'set']
    """
    keys = [*PLACE, "model", "feature", "metric"]
    grouped = table.groupby(keys, sort=False, dropna=False)["value"]
    summary = grouped.agg(n_subjects="count", mean="mean", sd="std", smallest="min", largest="max")
    return summary.reset_index()


def summarise_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise differences between models over subjects.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `compare_regions` of all subjects.

    Returns
    -------
    pandas.DataFrame
        One row per region and pair: n_subjects, subjects_a (in how many model a scores higher), mean, sd, and the 95%
        interval of the mean from Student's t (NaN below three subjects), which treats subjects as a random
        sample and is not corrected for the number of regions.

    Examples
    --------
    >>> from encoding.comparison import summarise_differences
    >>> import pandas as pd
    >>> len(summarise_differences(pd.concat([result.differences, other.differences])))
    21
    """
    keys = [*PLACE, "model_a", "model_b", "metric"]
    grouped = table.groupby(keys, sort=False, dropna=False)["difference"]
    summary = grouped.agg(
        n_subjects="count", subjects_a=lambda values: int((values > 0).sum()), mean="mean", sd="std"
    ).reset_index()
    n = summary["n_subjects"].to_numpy()
    enough = n >= 3
    half = np.full(len(n), np.nan)
    half[enough] = stats.t.ppf(0.975, n[enough] - 1) * summary["sd"].to_numpy()[enough] / np.sqrt(n[enough])
    summary["low"], summary["high"] = summary["mean"] - half, summary["mean"] + half
    return summary


def check_differences(table: pd.DataFrame) -> pd.DataFrame:
    """Test differences between the fits of two models over subjects: paired t, two-tailed.

    Subjects are a random sample whose differences are normal. The claim is about the fits of such subjects to *these*
    stimuli: it does not generalise over stimuli, and of two spaces of equal information the one with fewer dimensions
    is predicted better. On shared stimuli, 14 against 34 equally informative dimensions give p <= .05 in 17% of
    regions. It never names a winner.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `compare_regions` of all subjects.

    Returns
    -------
    pandas.DataFrame
        One row per region and pair: n_subjects, subjects_a (in how many model a scores higher), mean, sd,
        effect_size (mean / sd, Cohen's d of paired differences), t, df, p, q (false discovery rate over all regions and
        pairs of the same metric), and sign_flip_floor, the smallest two-sided p that a test by flipping signs could
        give with as many subjects. NaN below two subjects or without any spread.

    Examples
    --------
    >>> from encoding.comparison import check_differences
    >>> import pandas as pd
    >>> len(check_differences(pd.concat([result.differences, other.differences])))
    21
    """
    keys = [*PLACE, "model_a", "model_b", "metric"]
    rows = []
    for key, part in table.groupby(keys, sort=False, dropna=False):
        values = part["difference"].dropna().to_numpy()
        n = len(values)
        mean = values.mean() if n else np.nan
        sd = values.std(ddof=1) if n > 1 else np.nan
        effect = mean / sd if n > 1 and sd > 0 else np.nan
        t = effect * np.sqrt(n)
        p = 2 * stats.t.sf(abs(t), n - 1) if n > 1 else np.nan
        rows.append((*key, n, int((values > 0).sum()), mean, sd, effect, t, n - 1, p, min(1.0, 2.0 ** (1 - n))))
    columns = ["n_subjects", "subjects_a", "mean", "sd", "effect_size", "t", "df", "p", "sign_flip_floor"]
    found = pd.DataFrame(rows, columns=[*keys, *columns])
    q = found.groupby("metric", sort=False)["p"].transform(lambda p: discovery_rates(p.to_numpy()))
    return found.assign(q=q)[[*keys, *columns[:-1], "q", columns[-1]]]
