"""One HTML file on the quality of collected judgments."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..core import Judgments
from ..drawing.judgments import draw_agreement, draw_drift, draw_outcomes, draw_repeats, draw_slots
from ..drawing.report import Block, DataTable, Picture, Report, Section, Text, write_report
from .quality import Quality, assess, chance_ceiling, judge_agreement

# Headings of the table of participants, where its names are those of a table for programs.
PARTICIPANT = {
    "slots_p": "p of equal slots", "longest_run": "longest run of a slot", "fast": "too fast",
    "median_rt": "median time (s)", "catch": "catch trials passed", "n_catch": "catch trials",
}  # fmt: skip


def write_quality(
    path: str | Path,
    judgments: Judgments,
    *,
    extra: Mapping[str, np.ndarray] | None = None,
    costs: pd.DataFrame | None = None,
    facts: Sequence[tuple[str, str]] = (),
    warnings: Sequence[str] = (),
) -> list[Quality]:
    """Assess judgments and write what was found."""
    found = assess(judgments, extra)
    agreement = judge_agreement(judgments)
    sections: list[Section | None] = [
        _outcomes(found),
        _slots(found),
        _repeats(found),
        _people(found),
        _agreement(agreement),
        _drift(found),
    ]
    if costs is not None:
        text = "Tokens are those that the servers counted; money follows from the prices of the configuration."
        sections.append(Section("Cost so far", (DataTable(costs), Text(text))))
    said = [*warnings, *(warning for quality in found for warning in quality.warnings)]
    n = len(judgments)
    general = (
        ("answers", f"{n:,}"),
        ("valid", f"{np.mean(judgments.choice >= 0):.2%}"),
        ("stimuli", f"{len(judgments.stimuli):,}"),
        ("judges", f"{len(found)}"),
    )
    report = Report(
        "Quality of the judgments",
        f"Odd-one-out judgments, {time.strftime('%Y-%m-%d')}",
        (*general, *facts),
        tuple(said),
        tuple(section for section in sections if section is not None),
    )
    write_report(report, path)
    return found


def _outcomes(found: list[Quality]) -> Section:
    table = pd.DataFrame([{"judge": quality.annotator, **quality.outcomes} for quality in found])
    blocks: list[Block] = [
        Picture(
            draw_outcomes({quality.annotator: quality.outcomes for quality in found}),
            "Share of valid, refused, unparsed, truncated and failed answers of every judge.",
        ),
        DataTable(table),
    ]
    lost = [
        {"judge": quality.annotator, "stimulus": name, "without answer": n, "trials": total}
        for quality in found
        for name, n, total in quality.refused
    ]
    if lost:
        caption = "Stimuli whose trials are most often without a valid answer."
        blocks.append(DataTable(pd.DataFrame(lost), caption))
    masses = [f"{quality.annotator} {quality.mass:.2f}" for quality in found if np.isfinite(quality.mass)]
    if masses:
        blocks.append(Text(f"Median probability of the three labels together: {', '.join(masses)}."))
    intro = "Every trial ends in one outcome. Only valid answers are exported as triplets; nothing is guessed."
    return Section("Validity and refusals", tuple(blocks), intro)


def _slots(found: list[Quality]) -> Section:
    figure = draw_slots(
        {quality.annotator: quality.slots.shares for quality in found},
        {quality.annotator: quality.slots.p for quality in found},
        {quality.annotator: quality.slots.flagged for quality in found},
    )
    table = pd.DataFrame(
        {
            "judge": quality.annotator,
            **dict(zip(("first", "second", "third"), quality.slots.counts.tolist(), strict=True)),
            "chi-squared": quality.slots.statistic,
            "p": quality.slots.p,
        }
        for quality in found
    )
    intro = (
        "Orders are counterbalanced, so a judge without preference calls each slot odd in a third of the trials. Bars "
        "are mean probabilities where the server gives them, else shares of choices; the table counts choices."
    )
    return Section("Use of the slots", (Picture(figure, "Bars per slot for every judge."), DataTable(table)), intro)


def _repeats(found: list[Quality]) -> Section | None:
    repeated = [quality for quality in found if quality.ceiling.n]
    if not repeated:
        return None
    figure = draw_repeats(
        {quality.annotator: quality.per_triplet for quality in repeated},
        {quality.annotator: (quality.ceiling.share, quality.ceiling.low, quality.ceiling.high) for quality in repeated},
        chance={quality.annotator: chance_ceiling(min(max(quality.presentations, 2), 60)) for quality in repeated},
    )
    table = pd.DataFrame(
        {
            "judge": quality.annotator,
            "triplets": quality.ceiling.n,
            "presentations": quality.presentations,
            "most frequent": float(quality.per_triplet.mean()),
            "by chance": chance_ceiling(min(max(quality.presentations, 2), 60)),
            "ceiling": quality.ceiling.share,
            "ceiling low": quality.ceiling.low,
            "ceiling high": quality.ceiling.high,
            "two answers agree": quality.pairs.share,
            "agree low": quality.pairs.low,
            "agree high": quality.pairs.high,
        }
        for quality in repeated
    )
    intro = (
        "Triplets that were asked several times. Answers to the same presentation (order and participant) are "
        "averaged first, since identical requests agree with themselves. The noise ceiling is how often the most "
        "frequent answer to the other presentations predicts one; like the agreement of two answers it is 1/3 at "
        "random, while the share of the most frequent answer is above that by chance. Intervals are 95 %, by bootstrap "
        "over triplets."
    )
    return Section("Agreement of repetitions", (Picture(figure, "Histograms per judge."), DataTable(table)), intro)


def _people(found: list[Quality]) -> Section | None:
    tables = [quality.participants.assign(judge=quality.annotator) for quality in found
              if quality.participants is not None]  # fmt: skip
    if not tables:
        return None
    table = pd.concat(tables, ignore_index=True)
    intro = (
        "Agreement is with the answers of others to the same triplets, consistency with own answers to the same "
        "triplet; both are 1/3 by chance. What is wrong with a participant stands in the column flags; the settings "
        "exclude_flagged and exclude give such answers no weight."
    )
    first = ["participant", "flags"]
    table = table[[*first, *(name for name in table.columns if name not in first)]].rename(columns=PARTICIPANT)
    return Section("Participants", (DataTable(table),), intro)


def _agreement(table: pd.DataFrame) -> Section | None:
    if not len(table):
        return None
    intro = (
        "Triplets that both judges have answered; 1/3 by chance. Intervals are 95 % (Wilson). The last two columns "
        "compare identical trials, in the same order."
    )
    picture = Picture(draw_agreement(table), "Agreement of every pair of judges.")
    named = table.rename(
        columns={"a": "judge", "b": "other judge", "trials": "same trials", "on_trials": "agreement on them"}
    )
    return Section("Agreement between judges", (picture, DataTable(named)), intro)


def _drift(found: list[Quality]) -> Section | None:
    timed = {quality.annotator: quality.drift for quality in found if len(quality.drift) > 1}
    if not timed:
        return None
    tests = ", ".join(f"{q.annotator} p = {q.drift_p:.2g}" for q in found if np.isfinite(q.drift_p))
    intro = (
        "Answers in the order in which they were given, cut into equal parts; those of people by how far each had come "
        "in the session."
    )
    picture = Picture(draw_drift(timed), "Slots, validity and latency over time.")
    return Section("Drift over time", (picture, Text(f"Equal use of the slots: {tests}.")), intro)
