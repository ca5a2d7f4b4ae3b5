"""Sentences beyond winners say what the tables of claims and bounds hold, and nothing where there is no table."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from encoding.mapping.bounds import (
    beyond_line,
    beyond_of,
    beyond_table,
    chance_line,
    chance_notes,
    chance_of,
    chance_table,
    signal_line,
    signal_tables,
    similarity_bounds,
)
from encoding.mapping.selection import Chart
from encoding.mapping.verdicts import PLACE

REGIONS = [f"R{k}" for k in range(6)]
VERDICTS = ["above 0", "below 0", "not different from 0", "not tested"]


def place(region):
    return {"atlas": "toy", "level": "region", "set": "", "region": region, "hemi": "L"}


CHART = Chart("Toy", pd.DataFrame([place(region) for region in REGIONS]))


def claims(rng, other=True):
    rows = []
    for region in (*REGIONS, "elsewhere"):
        for space in ("one", "two"):
            verdict = VERDICTS[rng.integers(4)]
            value = np.nan if verdict == "not tested" else rng.normal()
            of = {"claim": "beyond", "space": space, "value": value, "low": value - 1, "high": value + 1, "p": 0.2}
            rows.append(place(region) | of | {"q": 0.3, "verdict": verdict})
            if other:  # claims of another kind are none of this sentence
                rows.append(rows[-1] | {"claim": "unique", "verdict": "above 0"})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_said_to_hold_beyond_nuisance_is_above_0_in_the_table(make_result, seed):
    table = claims(np.random.default_rng(seed))
    results = [make_result("01", [0.1] * 4, [0.2] * 4), make_result("02", [0.1] * 4, [0.2] * 4)]
    found = beyond_of(results, {"claims": table})
    said = beyond_line(CHART, found, ["low"])
    assert said.startswith("Toy: signal beyond nuisance (low): ")
    beyond = table[(table["claim"] == "beyond") & table["region"].isin(REGIONS)]
    for space, rows in beyond.groupby("space"):
        expected = rows.loc[rows["verdict"] == "above 0", "region"].tolist()
        where = re.search(rf"{space} (?:in ([^;.]*)|nowhere that these data can show)", said)
        assert (where[1].split(", ") if where[1] else []) == expected
    (block,) = beyond_table(CHART, found)
    assert block.frame["verdict"].tolist() == beyond["verdict"].tolist()
    assert "elsewhere" not in block.frame["region"].tolist()


def test_without_claims_about_nuisance_nothing_is_said(make_result):
    results = [make_result("01", [0.1] * 4, [0.2] * 4)]
    found = beyond_of(results, {})
    assert beyond_line(CHART, found, ()) == ""
    assert beyond_table(CHART, found) == []
    assert signal_line({}) == ""
    assert signal_tables([CHART], {}) == []
    assert similarity_bounds(CHART, {}, "patterns") == []


def against_chance(rng, claim="chance"):
    rows = []
    for region in (*REGIONS, "elsewhere"):
        for space in ("one", "two"):
            verdict = ["above chance", "not above chance", "not tested"][rng.integers(3)]
            value = np.nan if verdict == "not tested" else rng.normal()
            of = {"claim": claim, "space": space, "value": value, "low": value - 1, "high": value + 1, "p": 0.2}
            of |= {"p_fwe": 0.3, "q": 0.25, "verdict": verdict, "note": f"assumed; {space} is odd"}
            rows += [place(region) | of, place(region) | of | {"claim": "difference", "verdict": "above chance"}]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("seed", range(8))
def test_spaces_said_to_be_above_chance_are_so_in_the_table(make_result, seed):
    table = against_chance(np.random.default_rng(seed))
    results = [replace(make_result("01", [0.1] * 4, [0.2] * 4), claims=table)]
    found = chance_of(results, {})
    named, counted = chance_line(CHART, found, named=True), chance_line(CHART, found, named=False)
    assert named.startswith("Above chance: one ")
    here = table[(table["claim"] == "chance") & table["region"].isin(REGIONS)]
    for space, rows in here.groupby("space"):
        above = rows.loc[rows["verdict"] == "above chance", "region"].tolist()
        n_tested = int((rows["verdict"] != "not tested").sum())
        whole = f"{space} in {len(above)} of {n_tested}"
        assert (whole if n_tested else f"{space} was not tested") in counted
        assert (f"{whole} ({', '.join(above)})" if above else whole if n_tested else "not tested") in named
    (block,) = chance_table(CHART, found)
    assert block.frame["region"].tolist() == REGIONS
    cells = here.pivot_table(index="region", columns="space", values="verdict", aggfunc="first")
    for space in ("one", "two"):
        above = block.frame[space].str.endswith(", q 0.250: above")
        assert above.tolist() == (cells[space] == "above chance").tolist()
        assert (block.frame[space] == "not tested").tolist() == (cells[space] == "not tested").tolist()
    assert chance_notes(found) == ["Assumed."]


def test_a_chart_of_one_region_gives_the_verdict_of_each_space(make_result):
    table = against_chance(np.random.default_rng(3))
    chart = Chart("All targets", pd.DataFrame([place("elsewhere")]))
    results = [replace(make_result("01", [0.1] * 4, [0.2] * 4), claims=table)]
    one, two = table[(table["claim"] == "chance") & (table["region"] == "elsewhere")]["verdict"]
    assert chance_line(chart, chance_of(results, {}), named=True) == f"one {one}; two {two}."


def test_of_several_participants_it_is_the_claim_of_the_group(make_result):
    results = [make_result("01", [0.1] * 4, [0.2] * 4), make_result("02", [0.1] * 4, [0.2] * 4)]
    table = against_chance(np.random.default_rng(3), "above 0").assign(n_ahead=1, n_subjects=2)
    found = chance_of(results, {"claims": table})
    assert chance_line(CHART, found, named=False).startswith("U above 0 in the mean of participants: one in ")
    (block,) = chance_table(CHART, found)
    assert "the variance over participants and stimuli" in block.caption
    assert chance_line(CHART, chance_of(results, {}), named=True) == ""
    assert chance_table(CHART, chance_of(results, {})) == []
    assert chance_notes(chance_of(results, {})) == []


def test_shared_signal_is_a_number_and_no_claim():
    r = [0.1, 0.2, 0.3, 0.4, 0.5, np.nan]
    rows = [place(region) | {"r": value, "smallest": value, "largest": value, "n_subjects": 3, "n_samples": 80}
            for region, value in zip(REGIONS, r, strict=True)]  # fmt: skip
    table = {"shared_signal": pd.DataFrame(rows)}
    said = signal_line(table)
    assert "r 0.10 to 0.50 over regions (median 0.30, 3 participants, not a test)" in said
    assert "in region means only" in said
    (block,) = signal_tables([CHART], table)
    assert block.frame["shared signal r"].round(2).tolist()[:5] == r[:5]


@pytest.mark.parametrize("within", [np.nan, 0.7])
def test_bounds_of_similarity_are_refused_within_participants_where_stimuli_were_shown_once(within):
    rows = [place(region) | {"rsa": name, "lower": 0.2, "upper": 0.4, "within": within, "n_pairs": 99}
            for region in REGIONS for name in ("patterns", "other")]  # fmt: skip
    (block,) = similarity_bounds(CHART, {"rsa_ceilings": pd.DataFrame(rows)}, "patterns")
    assert len(block.frame) == len(REGIONS)
    assert ("within participants" in block.frame) == np.isfinite(within)
    assert ("No bound within participants" in block.caption) == np.isnan(within)
    assert block.frame[PLACE[3]].tolist() == REGIONS
