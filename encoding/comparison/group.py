"""Tables of single subjects to a table of all of them."""

import numpy as np
import pandas as pd
from scipy import stats

PLACE = ["atlas", "level", "set", "region", "hemi"]


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
        One row per region and pair: n_subjects, subjects_a (in how many model a is ahead), mean, sd, and the 95%
        interval of the mean from Student's t (NaN below three subjects), which treats subjects as a random
        sample and is not corrected for the number of regions.
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


def winners(table: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Find the best of some models in every region of every subject.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `score_regions`, of one metric.
    models : list of str
        Candidates, usually the models of single feature spaces.

    Returns
    -------
    pandas.DataFrame
        One row per region and subject: winner, value, runner_up, margin.
    """
    chosen = table[table["model"].isin(models) & (table["feature"] == "all") & table["value"].notna()]
    rows = []
    for key, part in chosen.groupby(["subject", *PLACE], sort=False, dropna=False):
        best = part.sort_values("value", ascending=False, kind="stable")
        second = best.iloc[1] if len(best) > 1 else None
        margin = np.nan if second is None else best.iloc[0]["value"] - second["value"]
        runner_up = "" if second is None else second["model"]
        rows.append((*key, best.iloc[0]["model"], best.iloc[0]["value"], runner_up, margin))
    return pd.DataFrame(rows, columns=["subject", *PLACE, "winner", "value", "runner_up", "margin"])
