"""Write and read the results of one participant."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core import DataError, Responses, Scores, Targets
from ..io.atomic import write_tsv
from ..io.images.backgrounds import write_mean_volume
from ..io.images.formats import map_name
from ..io.store import load, save
from .parcels import Region, read_parcels
from .summary import AGAIN, FACTS, Summary, changed_settings, key_of, read_summary, write_summary

REGIONS, DIFFERENCES, SPLITS, EXCLUSIONS = "regions.tsv", "differences.tsv", "splits.tsv", "exclusions.tsv"
CLAIMS, VERDICTS, RSA_VERDICTS = "claims.tsv", "verdicts.tsv", "rsa_verdicts.tsv"
INFERENCE = "inference"  # folder of the tests, and name of their facts
METRICS = ("r", "pooled_r", "r2", "split_r2", "partition_r2")
RSA = "rsa"
CEILINGS = ("ceiling", "over_ceiling")
TEXT = (
    *("atlas", "level", "set", "region", "hemi", "claim", "space", "versus", "estimand"),
    *("best", "leading", "next", "verdict", "note"),
)
RULE = (
    "U of the space is above 0 and above that of every other space, target by target, and the space is above chance, "
    "corrected for all targets and spaces"
)
RUN_AND_REASON = r"^(?:(sub-\S+, [^:]+): )?(.*)$"  # a reason as version 0.1 wrote it
MEANING = {
    "r": "Pearson correlation of held-out responses and predictions, Fisher average over outer folds",
    "pooled_r": "Pearson correlation over the held-out samples of all folds at once (biased below 0)",
    "r2": "1 - sum SSE / sum SST on held-out samples, relative to the training mean",
    "split_r2": "Contribution of a feature space to the R2 of its model (product measure)",
    "partition_r2": "Part of the R2 of a joint model that only these feature spaces share (commonality)",
    "ceiling": "Largest correlation that a model can reach, from stimuli shown in several runs; where certain",
    "over_ceiling": "Correlation of held-out responses and predictions as a share of the noise ceiling",
    RSA: "Correlation, over pairs of stimuli, of the similarity of responses with that of a feature space",
}


@dataclass(frozen=True, eq=False, slots=True)
class TargetTests:
    """Tests of feature spaces in every target.

    Attributes
    ----------
    spaces : tuple of str
        Feature spaces, by the names of their models; the rows.
    u, p_fwe, q : ndarray of float32, shape (n_spaces, n_targets)
        Variance that runs share (U); p against chance corrected for all targets and spaces; false discovery rate over
        all of them. NaN where a target was not tested.
    winner : ndarray of int, shape (n_targets,)
        Position of the space that the naming rule names; -1 for none.
    level : float
        Largest p of the rule.
    notes : mapping of str to str
        What was refused or assumed, by subject.
    compared : tuple of str
        Spaces that took part where one was looked for that is ahead; others were refused, or are too wide.
    exchanged : str
        What was exchanged under the null: "runs", "runs and shifts", "stimuli", or "nothing".
    n_permutations : int
        Number of draws.

    Examples
    --------
    >>> result.tests is None
    True
    """

    spaces: tuple[str, ...]
    u: np.ndarray
    p_fwe: np.ndarray
    q: np.ndarray
    winner: np.ndarray
    level: float
    notes: Mapping[str, str]
    compared: tuple[str, ...]
    exchanged: str = "runs"
    n_permutations: int = 0

    @property
    def known(self) -> np.ndarray:
        """Mask of the targets in which spaces were compared, shape (n_targets,)."""
        rows = [self.spaces.index(space) for space in self.compared]
        return np.isfinite(self.u[rows]).all(axis=0) if len(rows) > 1 else np.zeros(self.u.shape[1], dtype=bool)


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """Results of one participant.

    Attributes
    ----------
    scores : mapping of str to Scores
        By metric.
    regions, differences : pandas.DataFrame
        Rows of `score_regions` and `compare_regions`.
    exclusions : pandas.DataFrame
        Columns what, n, reason, run ("" where it is not about one run).
    summary : Summary
        Counts, folds, penalties, settings, versions.
    folder : Path
        ``OUTPUT_DIR/sub-<label>``.
    claims, verdicts : pandas.DataFrame
        Every claim of a test, and the named space of every region; without rows where nothing was tested.

    Examples
    --------
    >>> sorted(result.scores), len(result.regions)
    (['partition_r2', 'pooled_r', 'r', 'r2', 'split_r2'], 294)
    """

    scores: Mapping[str, Scores]
    regions: pd.DataFrame
    differences: pd.DataFrame
    exclusions: pd.DataFrame
    summary: Summary
    folder: Path
    claims: pd.DataFrame = field(default_factory=pd.DataFrame)
    verdicts: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def subject(self) -> str:
        """Label without ``sub-``."""
        return self.summary.subject

    @property
    def targets(self) -> Targets:
        """Targets of all maps."""
        return next(iter(self.scores.values())).targets

    @property
    def tested(self) -> tuple[str, ...]:
        """Feature spaces that were tested, in the order of the rows of `target_tests`."""
        path = self.folder / INFERENCE / f"{INFERENCE}.json"
        return tuple(json.loads(path.read_text(encoding="utf-8"))["spaces"]) if path.is_file() else ()

    def target_tests(self) -> dict[str, np.ndarray]:
        """Read estimates and tests of every target.

        Returns
        -------
        dict of str to ndarray
            "u", "u_se", "z", "p", "p_fwe" and "q", each of shape (n_spaces, n_targets), and "winner" (position of the
            named space, -1 for none) and "winner_p", of shape (n_targets,). NaN where there is no test; empty where
            nothing was tested.
        """
        path = self.folder / INFERENCE / "targets.npz"
        if not path.is_file():
            return {}
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)

    @property
    def rsa_verdicts(self) -> pd.DataFrame:
        """Named spaces by similarity of stimuli, with the analysis in the column "rsa"; no rows without tests."""
        return _read_text(self.folder / RSA_VERDICTS)

    def similarity_rates(self, analysis: str) -> dict[str, np.ndarray]:
        """Read the false discovery rate of the region of every target, against chance, of an analysis of similarity.

        Parameters
        ----------
        analysis : str
            Its name.

        Returns
        -------
        dict of str to ndarray, shape (n_targets,)
            By feature space; empty where it was not tested (searchlights, too few runs).
        """
        folder = self.folder / f"{INFERENCE}-rsa-{analysis}"
        if not (folder / "targets.npz").is_file():
            return {}
        spaces = json.loads((folder / f"{INFERENCE}.json").read_text(encoding="utf-8"))["spaces"]
        with np.load(folder / "targets.npz", allow_pickle=False) as stored:
            rates = dict(stored).get("q", np.full((len(spaces), 0), np.nan))
        return dict(zip(spaces, rates, strict=True)) if np.isfinite(rates).any() else {}

    @property
    def parcels(self) -> list[Region]:
        """Regions of all atlases as masks of targets; empty for results of versions that did not keep them."""
        return read_parcels(self.folder)

    @property
    def tests(self) -> TargetTests | None:
        """Tests of targets as reports and maps use them; None where nothing was tested."""
        found, path = self.target_tests(), self.folder / INFERENCE / f"{INFERENCE}.json"
        if not found:
            return None
        facts = json.loads(path.read_text(encoding="utf-8"))
        nothing = np.full(found["u"].shape, np.nan, dtype=np.float32)
        u, p_fwe, q = (found.get(name, nothing) for name in ("u", "p_fwe", "q"))
        level = float(facts["settings"]["p_level"])
        estimated = [name for name, row in zip(self.tested, u, strict=True) if np.isfinite(row).any()]
        compared = tuple(facts.get("compared", estimated))
        winner, scheme = found["winner"].astype(int), (facts["exchanged"], int(facts["n_permutations"]))
        return TargetTests(self.tested, u, p_fwe, q, winner, level, facts["notes"], compared, *scheme)

    @property
    def background(self) -> Path | None:
        """Background image for slices, if there is one."""
        found = sorted(self.folder.glob("func/*_boldref.nii.gz"))
        return found[0] if found else None


def write_result(
    folder: Path,
    scores: Mapping[str, Scores],
    tables: Mapping[str, pd.DataFrame],
    summary: Summary,
) -> Result:
    """Write scores, tables and summary of a participant.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>``.
    scores : mapping of str to Scores
        By metric.
    tables : mapping of str to pandas.DataFrame
        ``regions``, ``differences``, ``splits``, ``exclusions``, and perhaps ``claims`` and ``verdicts``.
    summary : Summary
        Written last, so that its presence says that the rest is complete.

    Returns
    -------
    Result
        As `read_result` reads it.

    Examples
    --------
    >>> from encoding.mapping import write_result
    >>> tables = {"regions": result.regions, "differences": result.differences, "exclusions": result.exclusions}
    >>> tables["splits"] = result.regions[:0]
    >>> write_result(Path("copy"), result.scores, tables, result.summary).scores["r"]
    Scores(r, sub-01, rows mllm, category, joint, 1092 targets)
    """
    (folder / FACTS).unlink(missing_ok=True)
    for stale in (folder / "scores").glob("metric-*"):
        if stale.name.removeprefix("metric-") not in scores:
            shutil.rmtree(stale)
    for metric, of_metric in scores.items():
        save(of_metric, folder / "scores" / f"metric-{metric}")
    for name, file in (
        ("regions", REGIONS),
        ("differences", DIFFERENCES),
        ("splits", SPLITS),
        ("exclusions", EXCLUSIONS),
    ):
        write_tsv(folder / file, tables[name])
    for name, file in (("claims", CLAIMS), ("verdicts", VERDICTS)):
        (folder / file).unlink(missing_ok=True)
        if name in tables and len(tables[name]):
            write_tsv(folder / file, tables[name])
    write_summary(folder, summary)
    return read_result(folder)


def read_result(folder: Path) -> Result:
    """Read the results of a participant.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>``.

    Returns
    -------
    Result
        Scores are memory maps.

    Raises
    ------
    DataError
        If the participant is not finished, or another version of this package wrote it.

    Examples
    --------
    >>> from encoding.mapping import read_result
    >>> read_result(result.folder).scores["r"]
    Scores(r, sub-01, rows mllm, category, joint, 1092 targets)
    """
    summary = read_summary(folder)
    kept = {metric: folder / "scores" / f"metric-{metric}" for metric in (*METRICS, *CEILINGS, RSA)}
    scores = {metric: load(path) for metric, path in kept.items() if path.is_dir()}
    text = {"subject": str, "set": str, "hemi": str, "atlas": str, "region": str, "level": str, "confidence": str}
    regions, differences, exclusions = (
        pd.read_csv(folder / name, sep="\t", quoting=3, dtype=text, keep_default_na=False, na_values=["n/a"])
        for name in (REGIONS, DIFFERENCES, EXCLUSIONS)
    )
    for table in (regions, differences):
        names = [column for column in text if column in table]
        table[names] = table[names].fillna("")
    if "run" not in exclusions:
        exclusions, told = _exclusions_of_0_1(exclusions)
        summary = replace(summary, warnings=told)
    claims, verdicts = (_read_text(folder / name) for name in (CLAIMS, VERDICTS))
    return Result(scores, regions, differences, exclusions.fillna({"run": ""}), summary, folder, claims, verdicts)


def read_group_claims(results: Sequence[Result]) -> pd.DataFrame:
    """Read the claims about all participants together; no rows for one participant, or where nothing was tested."""
    return _read_text(results[0].folder.parent / "group" / CLAIMS) if len(results) > 1 else pd.DataFrame()


def _read_text(path: Path) -> pd.DataFrame:
    """Read a table of claims, in which missing text is empty and missing numbers are NaN; no rows without a file."""
    if not path.is_file():
        return pd.DataFrame()
    table = pd.read_csv(path, sep="\t", dtype={"subject": str}, keep_default_na=False, na_values=["n/a"])
    words = [name for name in TEXT if name in table]
    return table.astype(dict.fromkeys(words, object)).fillna(dict.fromkeys(words, ""))


def _exclusions_of_0_1(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Separate warnings and the names of runs, which version 0.1 kept in the column ``reason``."""
    warnings = table["what"] == "warnings"
    kept = table[~warnings]
    parts = kept["reason"].str.extract(RUN_AND_REASON).rename(columns={0: "run", 1: "reason"})
    return kept.assign(reason=parts["reason"], run=parts["run"]), tuple(table.loc[warnings, "reason"])


def finished_result(folder: Path, key: str) -> Result | None:
    """Read the results of a participant, if they have a given key.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>``.
    key : str
        Identity of the comparison, as in its summary.

    Returns
    -------
    Result or None
        None if there are no results, or they have another key.

    Examples
    --------
    >>> from encoding.mapping import finished_result
    >>> finished_result(result.folder, "another key") is None
    True
    """
    return read_result(folder) if key_of(folder) == key else None


def require_same_settings(results: Sequence[Result], settings: Mapping[str, Any] | None = None) -> None:
    """Raise an error if participants were analysed with different settings.

    Parameters
    ----------
    results : sequence of Result
        Participants.
    settings : mapping, optional
        Every setting of the configuration that the page is made with, as `Study.resolved` lists them.

    Raises
    ------
    DataError
        If they were made with different settings, feature spaces or tables of regions, or with other settings than
        `settings`; the message names them and says what to run.

    Examples
    --------
    >>> from encoding.mapping import require_same_settings
    >>> require_same_settings([result, other])
    """
    first = results[0]
    for result in results:
        whole = result.exclusions[result.exclusions["what"].isin(["feature spaces", "atlases"])]
        if len(whole) and len(results) > 1:
            raise DataError(
                f"sub-{result.subject} was finished without a part of what was asked for: {whole['what'].iloc[0]} "
                f"{whole['reason'].iloc[0]} Mend it. {AGAIN}, or choose other participants with --participant-label."
            )
    for result in results[1:]:
        differ = changed_settings(first.summary.settings, result.summary.settings)
        if result.summary.settings_key != first.summary.settings_key:
            told = f": {'; '.join(differ[:3])}" if differ else ""
            raise DataError(
                f"sub-{result.subject} was analysed with other settings than sub-{first.subject}{told}. {AGAIN} for "
                f"both with one configuration."
            )
        ours, theirs = result.summary.sources, first.summary.sources
        others = [name for name in ours if name in theirs and ours[name] != theirs[name]]
        if others:
            raise DataError(
                f"sub-{result.subject} was made with another content of {others[0]} than sub-{first.subject} "
                f"({len(others)} such inputs). {AGAIN} for all participants: those whose inputs are still the same are "
                f"not made again."
            )
    for result in results if settings is not None else ():
        differ = changed_settings(result.summary.settings, settings or {})
        if differ:
            raise DataError(
                f"sub-{result.subject} was made before the configuration was changed: {'; '.join(differ[:3])} "
                f"({len(differ)} such settings). {AGAIN}, or use the configuration and options it was made with."
            )


def write_background(folder: Path, responses: Responses, bold: Path | None) -> Path | None:
    """Write the background image of slices: the mean of the first run.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>/func``.
    responses : Responses
        Whose targets are drawn.
    bold : Path or None
        The first run.

    Returns
    -------
    Path or None
        None where it is not needed (surfaces; MNI152, for which a template is at hand), or there is no run.

    Examples
    --------
    >>> from encoding.mapping import write_background
    >>> write_background(Path("background"), loaded.responses, None) is None
    True
    """
    targets = responses.targets
    in_volume = targets.kind == "voxel" or bool(targets.volume_space)
    if bold is None or not in_volume or targets.voxel_space.startswith("MNI152"):
        return None
    entities = {"sub": responses.subject, "task": responses.task, "space": targets.voxel_space, "desc": "mean"}
    return write_mean_volume(bold, folder / f"{map_name(entities, 'boldref')}.nii.gz")


def tied(tests: TargetTests) -> np.ndarray:
    """Find the targets in which a space is above chance, corrected for all, and none is ahead."""
    rows = [tests.spaces.index(space) for space in tests.compared]
    above = (np.nan_to_num(tests.p_fwe[rows], nan=1.0) <= tests.level).any(axis=0)
    return above & tests.known & (named_winner(tests) < 0)


def named_winner(tests: TargetTests) -> np.ndarray:
    """Find the named space of every target: best by the naming rule, and above chance (corrected).

    Parameters
    ----------
    tests : TargetTests
        Of one participant.

    Returns
    -------
    ndarray of int, shape (n_targets,)
        Position of the space; -1 for none.

    Examples
    --------
    >>> from encoding.mapping import TargetTests, named_winner
    >>> u, sure = np.array([[0.2, 0.0]]), np.array([[0.01, 0.9]])
    >>> named_winner(TargetTests(("mllm",), u, sure, sure, np.array([0, -1]), 0.05, {}, ("mllm",)))
    array([ 0, -1])
    """
    winner = tests.winner
    above = np.take_along_axis(tests.p_fwe, np.maximum(winner, 0)[None], axis=0)[0] <= tests.level
    return np.where((winner >= 0) & above, winner, -1)
