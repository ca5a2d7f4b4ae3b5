"""Write the maps of a participant as images with sidecars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core import Scores, Targets
from ..drawing.scales import TIE_COLOR, space_colors
from ..io.images.formats import entity_label, write_labels, write_map
from .results import MEANING, RSA, RULE, Result, TargetTests, named_winner, tied
from .sidecars import map_facts, sources_of, units_of

TOLD = {
    "u": "Variance of the response that is linear in the feature space and shared by runs (population R2)",
    "pfwe": "p of the feature space against chance, corrected for all targets and feature spaces",
    "qchance": "False discovery rate of the feature space against chance, over all targets and feature spaces",
}


def write_maps(  # noqa: PLR0913 - scores, tests and what is said of them
    folder: Path,
    entities: Mapping[str, str],
    scores: Mapping[str, Scores],
    *,
    metric: str,
    pairs: Sequence[tuple[str, str]],
    rates: Mapping[str, np.ndarray] | None = None,
    left_out: Sequence[str] = (),
    tests: TargetTests | None = None,
    about: Result | None = None,
) -> list[Path]:
    """Write a map of every score of models, of every difference, and of the tests of targets.

    Parameters
    ----------
    folder : Path
        ``OUTPUT_DIR/sub-<label>/func``.
    entities : mapping of str to str
        ``sub`` and ``task``.
    scores : mapping of str to Scores
        By metric.
    metric : str
        The metric that differences are about.
    pairs : sequence of (str, str)
        Models to subtract.
    rates : mapping of str to ndarray, optional
        False discovery rate of every target, by model.
    left_out : sequence of str, optional
        Models without maps.
    tests : TargetTests, optional
        Tests of feature spaces.
    about : Result, optional
        Participant, for what sidecars say of samples, folds, penalties and versions.

    Returns
    -------
    list of Path
        The images, and tables of labels.

    Examples
    --------
    >>> from encoding.mapping import write_maps
    >>> made = write_maps(Path("maps"), {"sub": "01"}, result.scores, metric="r", pairs=[])
    >>> made[0].name
    'sub-01_space-MNI152NLin2009cAsym_res-12_model-mllm_feature-all_stat-r_statmap.nii.gz'
    """
    written: list[Path] = []
    writer = _Writer(folder, entities, about)
    for name, of_metric in scores.items():
        if name == RSA:
            continue  # see `write_rsa_maps`
        for row, values in zip(of_metric.rows, of_metric.values, strict=True):
            if row.model not in left_out:
                told = {"Model": row.model, "FeatureSpace": row.feature}
                written += writer.write(
                    (row.model, row.feature, name), values, of_metric.targets, MEANING[name], [row.model], told
                )
    if metric not in scores:
        return written
    main = scores[metric]
    for a, b in pairs:
        described = f"{a} minus {b}: {MEANING[metric]}"
        difference = main.row(a) - main.row(b)
        written += writer.write((f"{a}minus{b}", "all", metric), difference, main.targets, described, [a, b])
    for model, values in (rates or {}).items():
        described = f"False discovery rate of {metric} against independent noise, one-sided, over all targets"
        written += writer.write((model, "all", "q"), values.astype(np.float32), main.targets, described, [model])
    return written if tests is None else written + _write_tests(writer, tests, main.targets)


class _Writer:
    """Writes images of one participant, each with what is known of its making."""

    def __init__(self, folder: Path, entities: Mapping[str, str], about: Result | None) -> None:
        self.folder, self.entities, self.about = folder, dict(entities), about

    def named(self, what: tuple[str, str, str]) -> dict[str, str]:
        """Entities of a map of a model, a feature space and a statistic."""
        return {**self.entities, **dict(zip(("model", "feature", "stat"), map(entity_label, what), strict=True))}

    def told(self, described: str, models: Sequence[str], metrics: Sequence[str]) -> dict[str, Any]:
        """Sidecar of a map."""
        facts = {} if self.about is None else map_facts(self.about, models)
        sources = {"Sources": sources_of(self.entities, metrics)} if self.about is not None else {}
        return {"Description": described, "Units": units_of(metrics[0]), **facts, **sources}

    def write(
        self,
        what: tuple[str, str, str],
        values: np.ndarray,
        targets: Targets,
        described: str,
        models: Sequence[str],
        more: Mapping[str, Any] | None = None,
    ) -> list[Path]:
        """Write one map."""
        sidecar = {**self.told(described, models, [what[2]]), **(more or {})}
        return write_map(self.folder, self.named(what), values, targets, sidecar)


def _write_tests(writer: _Writer, tests: TargetTests, targets: Targets) -> list[Path]:
    """Write U, corrected p and q of every space, and the space that is named where one is above chance too."""
    written: list[Path] = []
    for stat, values in zip(TOLD, (tests.u, tests.p_fwe, tests.q), strict=True):
        for space, row in zip(tests.spaces, values, strict=True):
            if np.isfinite(row).any():
                more = {"FeatureSpace": space, "Notes": dict(tests.notes)}
                what = space, "all", stat
                written += writer.write(what, row.astype(np.float32), targets, TOLD[stat], [space], more)
    if len(tests.compared) > 1:
        numbers, table = winner_labels(tests)
        described = (
            f"The feature space that is ahead of {len(tests.compared)} ({', '.join(tests.compared)}): {RULE}. Tie: a "
            f"space is above chance, and none is ahead. 0: no space can be named"
        )
        told = writer.told(described, [], ["winner"]) | {"Units": "label", "Threshold": tests.level}
        told["Levels"] = {str(number): name for number, name, _ in table}
        written += write_labels(writer.folder, writer.named(("winner", "all", "winner")), numbers, targets, table, told)
    return written


def winner_labels(tests: TargetTests) -> tuple[np.ndarray, list[tuple[int, str, str]]]:
    """Return the number of the named space of every target (the one after the last is a tie), and names and colours."""
    colors = space_colors(tests.spaces)
    table = [(number + 1, space, colors[space]) for number, space in enumerate(tests.spaces)]
    table.append((len(table) + 1, "tie", TIE_COLOR))
    return np.where(tied(tests), len(table), named_winner(tests) + 1).astype(np.int32), table
