"""Maps of a group as data: means, differences, counts and prevalences of participants, named spaces of regions."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..comparison import prevalence
from ..core import Scores
from ..core.axes import moved_to, shared_columns, shared_places, told_unshared
from ..drawing.scales import space_colors
from ..io.images.formats import entity_label, write_labels, write_map
from ..mapping import MEANING, Result, group_facts, named_winner, units_of

MAPS = "func"  # folder in ``group/``
OVER = "over_ceiling"


def write_group_maps(folder: Path, results: Sequence[Result], verdicts: pd.DataFrame | None) -> list[Path]:
    """Write the maps of participants that share their targets, or their vertices and some of the voxels beside them.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/group``.
    results : sequence of Result
        Participants.
    verdicts : pandas.DataFrame or None
        Named spaces of regions, of all participants together.

    Returns
    -------
    list of Path
        The images; none of a single participant, or of participants whose targets differ.
    """
    first = results[0]
    places = shared_places([result.targets for result in results])
    if len(results) < 2 or places is None:
        return []
    writer = _Writer(folder / MAPS, results, places)
    models = [model for model in first.summary.models if model not in first.summary.auxiliary]
    metric = first.summary.metric
    written: list[Path] = []
    for name in (metric, OVER):
        if all(name in result.scores for result in results):
            rows = [row.model for row in first.scores[name].rows if row.model in models and row.feature == "all"]
            for model in dict.fromkeys(rows):
                written += writer.mean(name, [result.scores[name].row(model) for result in results], (model,))
    main = [result.scores.get(metric) for result in results]
    for a, b in first.summary.pairs if all(isinstance(scores, Scores) for scores in main) else ():
        differences = [scores.row(a) - scores.row(b) for scores in main if scores is not None]
        written += writer.mean(metric, differences, (a, b))
    written += writer.counts()
    if verdicts is not None:
        written += writer.winners(verdicts[verdicts.get("rsa", pd.Series("", verdicts.index)).fillna("") == ""])
    return written


class _Writer:
    """Writes images of a group, each with what is known of its making."""

    def __init__(self, folder: Path, results: Sequence[Result], places: Sequence[np.ndarray]) -> None:
        self.folder, self.results, self.places = folder, results, places
        first = results[0].targets
        self.columns = shared_columns(first, places)
        self.targets = first[self.columns]

    def named(self, model: str, stat: str, desc: str = "") -> dict[str, str]:
        """Entities of a map."""
        task = self.results[0].summary.task
        named = {"task": task, "model": entity_label(model), "feature": "all", "stat": entity_label(stat)}
        return named | ({"desc": desc} if desc else {})

    def told(self, described: str, models: Iterable[str], files: Iterable[str], unit: str) -> dict[str, Any]:
        """Sidecar of a map."""
        sources = [f"bids::sub-{result.subject}/{file}" for result in self.results for file in files]
        facts = group_facts(self.results, list(models))
        described = "; ".join((described, *told_unshared([result.targets for result in self.results], self.places)))
        return {"Description": described, "Units": unit, **facts, "Sources": sources}

    def mean(self, metric: str, maps: Sequence[np.ndarray], models: tuple[str, ...]) -> list[Path]:
        """Write the mean of a score, or of the difference of two models, over participants."""
        values = np.stack(self._moved(maps)).astype(np.float64)
        known = np.isfinite(values)
        total = np.where(known, values, 0).sum(axis=0)
        mean = np.where(known.all(axis=0), total / len(values), np.nan).astype(np.float32)
        what = f"{models[0]} minus {models[1]}: " if len(models) > 1 else ""
        described = f"{what}{MEANING[metric]}; mean over participants, where all have a value; not tested"
        told = self.told(described, models, [f"scores/metric-{metric}"], units_of(metric))
        named = self.named("minus".join(models), metric, "mean")
        return write_map(self.folder, named, mean[self.columns], self.targets, told)

    def _moved(self, maps: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Lay a map of every participant out on the targets of the first."""
        return [moved_to(at, one) for at, one in zip(self.places, maps, strict=True)]

    def counts(self) -> list[Path]:
        """Write in how many participants each space is above chance and named, and the prevalence of the former."""
        tested = [result.tests for result in self.results]
        tests = [test for test in tested if test is not None and np.isfinite(test.q).any()]
        if len(tests) < len(self.results) or len({test.spaces for test in tests}) > 1:
            return []
        n, level, written = len(tests), tests[0].level, []
        found = [result.target_tests().get("p") for result in self.results]
        chance = self._moved([p for p in found if p is not None]) if all(p is not None for p in found) else []
        rates, ahead = self._moved([test.q for test in tests]), self._moved([named_winner(test) for test in tests])
        for number, space in enumerate(tests[0].spaces):
            known = np.all([np.isfinite(q[number]) for q in rates], axis=0)
            passed = np.sum([np.nan_to_num(q[number], nan=1.0) <= level for q in rates], axis=0)
            named = np.sum([winner == number for winner in ahead], axis=0)
            maps = [
                (passed, "qchance", "count", f"Participants in whom {space} is above chance, false discovery rate at "
                 f"most {level:g} over targets and spaces"),
                (named, "winner", "count", f"Participants in whom {space} is named as the space that is ahead"),
            ]  # fmt: skip
            if chance:
                alone = np.sum([np.nan_to_num(p[number], nan=1.0) <= level for p in chance], axis=0)
                shares = np.array([prevalence(count, n, level=level).value for count in range(n + 1)])
                maps.append((
                    shares[alone], "prevalence", "", f"Estimated share of people in whom {space} would be above chance "
                    f"with as much data, from the number with p at most {level:g}; with {n} participants its limits "
                    f"are wide",
                ))  # fmt: skip
            for values, stat, desc, described in maps:
                unit = "share of people" if stat == "prevalence" else "participants"
                told = self.told(described, [space], ["inference"], unit) | {"Threshold": level}
                shown = np.where(known, values, np.nan).astype(np.float32)
                written += write_map(
                    self.folder, self.named(space, stat, desc), shown[self.columns], self.targets, told
                )
        return written

    def winners(self, verdicts: pd.DataFrame) -> list[Path]:
        """Write the named space of every region, as labels with colours."""
        regions = [region for region in self.results[0].parcels if region.level == "region"]
        spaces = list(self.results[0].summary.single)
        if not regions or not len(verdicts):
            return []
        atlas = regions[0].atlas
        rows = verdicts[(verdicts["level"] == "region") & (verdicts["atlas"] == atlas)]
        names = rows[["region", "hemi", "best"]].astype(object).fillna("")
        best = {(row["region"], row["hemi"]): row["best"] for row in names.to_dict("records")}
        numbers = np.zeros(len(self.results[0].targets), dtype=np.int32)
        for region in regions:
            space = best.get((region.region, region.hemi), "")
            if region.atlas == atlas and space in spaces:
                numbers[region.mask] = spaces.index(space) + 1
        numbers[np.any([at < 0 for at in self.places], axis=0)] = 0
        colors = space_colors(spaces)
        table = [(number + 1, space, colors[space]) for number, space in enumerate(spaces)]
        described = (
            f"The feature space that the tests of the group name in each region of {atlas} (group/verdicts.tsv); 0: no "
            f"space can be named"
        )
        told = self.told(described, [], ["verdicts.tsv"], "label")
        named = self.named("winner", "winner")
        return write_labels(self.folder, named, numbers[self.columns], self.targets, table, told)
