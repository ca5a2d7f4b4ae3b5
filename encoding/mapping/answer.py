"""The answer on top of a report, from the tables of claims."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..drawing.answer import Answer, Person, Verdict
from .bounds import chance_line, chance_of
from .composer import Composer
from .results import Result
from .selection import Chart
from .verdicts import PLACE, headline, untested

NO_CHANCE = "No space was tested against chance, so nothing is claimed about where responses are predicted."


def answers(composer: Composer) -> tuple[Answer, ...]:
    """Make a table of verdicts for every chart whose regions were tested, or say why none was, and what is tested."""
    if not composer.single:
        return ()
    chance = chance_of(composer.results, composer.group)
    found = []
    for chart in composer.charts if len(composer.single) > 1 else ():
        verdicts = composer.verdicts_of(chart)
        if len(verdicts) and verdicts["tested"].any():
            found.append(_answer(composer, chart, verdicts, chance_line(chart, chance, named=False)))
    if not found:
        several = len(composer.single) > 1
        told = [untested(composer.verdicts)] if several else []
        lines = {chart.title: chance_line(chart, chance, named=not several) for chart in composer.charts}
        told += [f"{chart}: {line}" if line else NO_CHANCE for chart, line in lines.items()]
        title = "Which space is ahead" if several else f"Where {composer.single[0]} predicts responses"
        return (Answer(title, " ".join(dict.fromkeys(told)), ()),)
    # Those that name a space come first: the others can wait.
    return tuple(sorted(found, key=lambda answer: not any(row.best for row in answer.rows)))


def _answer(composer: Composer, chart: Chart, verdicts: pd.DataFrame, chance: str) -> Answer:
    several = composer.results if len(composer.results) > 1 else []
    own = {result.subject: _by_place(result) for result in several}
    rows = []
    places = chart.rows[PLACE].drop_duplicates().merge(composer.verdicts[PLACE], on=PLACE)  # not as they are shown
    for place, row in zip(
        places.astype(str).itertuples(index=False, name=None), verdicts.to_dict("records"), strict=True
    ):
        people = tuple(_person(composer, subject, claims.get(place)) for subject, claims in own.items())
        rows.append(
            Verdict(
                str(row["region"]), row["best"], composer.colors.get(row["best"], ""),
                "no difference shown" if row["tested"] else "not tested",
                float(row["lead"]), float(row["low"]), float(row["high"]), float(row["p"]), float(row["q"]),
                f"{row['leading']} over {row['next']}" if row["leading"] and row["next"] else "", people,
            )
        )  # fmt: skip
    key = tuple((name, composer.colors[name]) for name in composer.single)
    return Answer(
        f"{chart.title}: which space is ahead", f"{headline(verdicts)} {chance}".rstrip(), tuple(rows), key=key
    )


def _by_place(result: Result) -> Mapping[tuple[str, ...], Mapping[str, Any]]:
    if not len(result.verdicts):
        return {}
    records = result.verdicts.to_dict("records")
    return {tuple(str(row[name]) for name in PLACE): {str(k): v for k, v in row.items()} for row in records}


def _person(composer: Composer, subject: str, claim: Mapping[str, Any] | None) -> Person:
    leading = str(claim.get("leading", "")) if claim else ""
    return Person(subject, leading, composer.colors.get(leading, ""), bool(claim and claim.get("best")))
