"""Every sentence of the claims in a report is one of those listed here, and says what its table says.

A sentence that the list does not know fails the first test: add it together with what holds it to its table.
"""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from encoding.mapping import Maps, read_result
from encoding.mapping.composer import Composer
from encoding.mapping.controls import controls_line, controls_table
from encoding.mapping.report import claims
from encoding.mapping.significance import explain_verdicts, named_targets, verdict_table, why_no_winners
from encoding.mapping.verdicts import GROUP

PLACE = {"atlas": "", "level": "brain", "set": "", "region": "all", "hemi": ""}
SPACES, NAMES = ("ratings", "mllm"), ("position", "run", "random", "motion", "vision")
WHO = r"sub-\d\d(, sub-\d\d)*"
# Sentence: the table that it is held to, and the test that does it
SENTENCES = {
    r"All targets: (\w+) is ahead in all( \(\d/\d\))?\.": "verdicts; test_verdicts",
    r"All targets: No difference that these data can show in all\.": "verdicts; test_verdicts",
    r"No spaces were compared: .*\.": "verdicts, note; here",
    r"These values were not tested, so nothing is claimed about which space is ahead\.": "no verdicts; test_verdicts",
    r"All targets: (\w+ ((not )?above (chance|0)|not tested)(; |\.))+": "claims, chance and above 0; test_bounds",
    r"All targets: signal beyond nuisance \(.*\): .*\.": "claims, beyond; test_bounds",
    r"Controls predict responses above chance: .*\.": "controls; here",
    r"Controls \(.*\): none predicts responses above chance\.": "controls; here",
    r"Controls: none could be tested\.": "controls; here",
    r"Not tested: .*\.": "controls; here",
    r"Low-level vision \(.*\) predicts responses above chance \(.*\): declare it in \[compare\] nuisance to see what "
    r"spaces explain beyond it\.": "controls; here",
    r"Low-level vision \(luminance, contrast, edges, change\) is not above chance\.": "controls; here",
    r"(sub-\d\d: )?Noise ceiling: none, .*\.": "ceiling; test_controls_in_reports",
    r"(sub-\d\d: )?Noise ceiling from \d+ repeated stimuli, .*\)\.": "ceiling; test_controls_in_reports",
    r"Shared signal \(inter-subject\): .*not a test\)\.": "shared_signal; test_bounds",
    r"It bounds models of what people share from below, in region means only\.": "shared_signal; test_bounds",
    r"U is the variance that is linear in a space and shared by runs, .*\.": "definition; docs/inference.md",
    r"A space is named where its U is above 0 and ahead .*, and fewer where more are equal\.": (
        "verdicts; comparison/test_inference, names by p of the region"
    ),
    r"The false discovery rate q, over regions of the atlas and level, allows for their number\.": (
        "verdicts; comparison/test_inference, words go by q"
    ),
    r"The lead is the difference of U of the two leading spaces\.": "verdicts, lead; comparison/test_inference",
    r"Leads, named in: .*own data\.": "n_leading, n_named; comparison/test_inference",
    r"Prevalence: 95% interval of .*as much data\.": "prevalence_low, _high; comparison/test_inference",
    r"Assumed( of all)?\.": "note; here and test_bounds",
}  # fmt: skip


def control(name, p, why_not=""):
    """One control; flagged where p is at most .01, as the tables of the pipeline say it."""
    return {
        "name": name, "meaning": "", "n_features": 3, "r": 0.0, "shared": 0.0, "p": None if why_not else p,
        "why_not": why_not, "above_chance": not why_not and p <= 0.01,
    }  # fmt: skip


def some_controls(rng):
    found = [control(name, float(rng.choice([0.001, 0.4])), str(rng.choice(["", "", "few runs"]))) for name in NAMES]
    return {"found": found, "n_targets": 4, "duplicates": [], "autocorrelation": {"responses": 0.1}, "seconds": 0.1}


def verdict(rng, subject, n):
    """A row of `verdicts.tsv` of a participant, or of the group of n."""
    best = str(rng.choice(["", *SPACES]))
    note = str(rng.choice(["", "assumed of all"]))
    row = {"subject": subject, **PLACE, "best": best, "leading": best or "mllm", "next": "ratings", "note": note}
    row |= {"lead": 0.1, "low": -0.1, "high": 0.3, "p": 0.01, "q": 0.02, "verdict": "best" if best else "no difference"}
    return row | {"n_leading": n, "n_named": 1, "prevalence": 0.5, "prevalence_low": 0.1, "prevalence_high": 0.9}


def claim_rows(rng, of_group):
    rows = []
    for space in SPACES:
        word = "above 0" if of_group else str(rng.choice(["above chance", "not above chance", "not tested"]))
        of = {
            "space": space,
            "value": 0.1,
            "low": 0.0,
            "high": 0.2,
            "p": 0.2,
            "q": 0.3,
            "p_fwe": 0.4,
            "note": "assumed",
        }
        rows.append({**PLACE, "claim": "above 0" if of_group else "chance", "verdict": word, **of})
        rows.append({**PLACE, "claim": "beyond", "verdict": str(rng.choice(["above 0", "not different from 0"])), **of})
    return pd.DataFrame(rows).assign(n_ahead=1, n_subjects=2)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n_subjects", [1, 2])
@pytest.mark.parametrize("tested", [True, False])
def test_every_sentence_is_known(make_result, tmp_path, seed, n_subjects, tested):
    rng = np.random.default_rng([seed, n_subjects])
    settings = {"compare": {"nuisance": ["light"]}}
    ceiling = {"n_stimuli": 40, "n_averaged": 1.0, "n_usable": 3, "n_targets": 4, "median": 0.6, "why_not": ""}
    results, group = [], {}
    for number in range(n_subjects):
        told = dict(ceiling, why_not="because no stimulus was repeated") if rng.random() < 0.5 else ceiling
        result = make_result(f"0{number}", [0.1] * 4, [0.2] * 4, controls=some_controls(rng), ceiling=told)
        object.__setattr__(result.summary, "settings", {**result.summary.settings, **settings})
        if tested:
            own = pd.DataFrame([verdict(rng, result.subject, 1)])
            result = replace(result, verdicts=own, claims=claim_rows(rng, of_group=False))
        results.append(result)
    if tested and n_subjects > 1:
        shared = pd.DataFrame([{**PLACE, "r": 0.2, "smallest": 0.1, "largest": 0.3, "n_subjects": 2, "n_samples": 80}])
        group = {"verdicts": pd.DataFrame([verdict(rng, GROUP, 2)]), "claims": claim_rows(rng, of_group=True)}
        group |= {"shared_signal": shared}
    composer = Composer(results, Maps(), tmp_path / "f", tmp_path, lambda *_: None, group)
    (text,) = [block.text for block in claims(composer).blocks if hasattr(block, "text")][:1]
    said = [part for line in text.split("\n\n") for part in re.split(r"(?<=\.) (?=[A-Z]|sub-)", line)]
    assert said
    for sentence in said:
        assert any(re.fullmatch(pattern, sentence) for pattern in SENTENCES), sentence


@pytest.mark.parametrize("seed", range(12))
def test_controls_are_said_to_be_what_their_table_says(make_result, seed):
    rng = np.random.default_rng(seed)
    results = [make_result(f"0{k}", [0.1] * 4, [0.2] * 4, controls=some_controls(rng)) for k in (1, 2)]
    table = controls_table(results)[0].frame
    line = controls_line(results)
    flagged = table[table["verdict"] == "above chance"]
    for name in NAMES:
        who = flagged.loc[flagged["control"] == name, "participant"].tolist()
        tested = (table.loc[table["control"] == name, "verdict"] != "few runs").any()
        if name == "vision":
            seen = re.search(r"predicts responses above chance \(([^)]*)\): declare", line)
            assert (seen[1].split(", ") if seen else []) == who
            assert ("change) is not above chance" in line) == (tested and not who)
        else:
            assert (f"{name} ({', '.join(who)})" in line) == bool(who)
            before = line.split(" Low-level")[0].split("Not tested:")[0]
            rest = re.search(r"(?:not above chance: |Controls \()([\w, ]*)", before)
            assert (name in (rest[1].split(", ") if rest else [])) == (tested and not who)
        assert (f"{name} (few runs)" in line) == (not tested)


@pytest.mark.parametrize("seed", range(6))
def test_notes_and_explanations_are_those_of_the_tested_rows(seed):
    rng = np.random.default_rng(seed)
    rows = [verdict(rng, GROUP, 2) | {"tested": bool(rng.integers(2)), "n_subjects": 1 + seed % 2} for _ in range(4)]
    table = pd.DataFrame(rows).assign(region=list("abcd"))
    told = explain_verdicts(table)
    assert ("Assumed of all." in told) == (table["tested"] & (table["note"] != "")).any()
    assert ("Leads, named in:" in told) == (seed % 2 == 1)
    if table["tested"].any():
        frame = verdict_table("Toy", table).frame
        assert frame["q"].tolist() == table["q"].tolist()
        assert frame["best space"].tolist() == [r["best"] or ("none" if r["tested"] else r["verdict"]) for r in rows]
        if seed % 2:
            assert frame["leads, named in"].tolist() == ["2, 1 of 2"] * 4
            assert frame["prevalence"].tolist() == ["10% to 90%"] * 4


def with_tests(result, u, p_fwe, winner, facts):
    """Write tests of targets into the folder of a result."""
    folder = result.folder / "inference"
    folder.mkdir()
    np.savez(folder / "targets.npz", u=np.array(u), p_fwe=np.array(p_fwe), q=np.array(p_fwe), winner=np.array(winner))
    known = {"spaces": list(SPACES), "settings": {"p_level": 0.05}, "notes": {}, "exchanged": "runs"}
    (folder / "inference.json").write_text(json.dumps(known | {"n_permutations": 99} | facts))
    return read_result(result.folder)


def test_a_refused_space_is_named_and_is_no_absence_of_winners(make_result):
    result = make_result("01", [0.1] * 3, [0.2] * 3)
    nan, note = [np.nan] * 3, "U is not estimated: the features do not vary within runs"
    facts = {"notes": {"space mllm": note}, "compared": ["ratings"]}
    alone = with_tests(result, [[0.1, 0.2, 0.3], nan], [[0.01] * 3, nan], [-1] * 3, facts)
    assert named_targets(alone, list(SPACES)) is None
    assert why_no_winners(alone) == f"sub-01: fewer than two spaces can be compared: mllm took no part ({note})."


def test_a_third_space_that_was_refused_leaves_the_winners_of_two(make_result):
    result = make_result("01", [0.1] * 3, [0.2] * 3)
    facts = {"spaces": [*SPACES, "flat"], "notes": {"space flat": "it is flat"}, "compared": list(SPACES)}
    u = [[0.1, 0.2, 0.3], [0.3, 0.1, 0.3], [np.nan] * 3]
    tested = with_tests(result, u, [[0.01] * 3, [0.01] * 3, [np.nan] * 3], [1, 0, -1], facts)
    named = named_targets(tested, [*SPACES, "flat"])
    assert named.winner.tolist()[:2] == [1, 0]
    assert named.tested.all()
    assert named.lead.tolist() == pytest.approx([0.2, 0.1, 0.0])
    assert named.note == "flat took no part (it is flat)"
