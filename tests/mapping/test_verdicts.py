"""Everything a report says of regions comes from one table, and nothing is said without a test."""

import re
from html import unescape
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from encoding.mapping import Maps, judge_regions, rank_spaces, write_report
from encoding.mapping.answer import answers
from encoding.mapping.composer import Composer
from encoding.mapping.selection import Chart
from encoding.mapping.significance import verdict_table
from encoding.mapping.verdicts import GROUP, NO_DIFFERENCE, NOTHING_TESTED, PLACE, headline, margin_notes, untested

WHERE = {"atlas": "toy", "level": "region", "set": "", "hemi": ""}
SPACES = ["a", "b", "c"]


def scores_table(values, metric="r", feature="all"):
    """Make rows of `score_regions` from {(subject, region, model): value}."""
    rows = [
        {"subject": s, **WHERE, "region": region, "model": m, "feature": feature, "metric": metric, "value": value}
        for (s, region, m), value in values.items()
    ]
    return pd.DataFrame(rows)


def claim(subject, region, best="", *, leading="a", following="b", p=0.5, verdict=None, **more):
    """Make a row of a table of verdicts."""
    verdict = verdict or ("best" if best else NO_DIFFERENCE)
    row = {"subject": subject, **WHERE, "region": region, "best": best, "leading": best or leading, "next": following}
    return row | {"lead": 0.1, "low": -0.1, "high": 0.3, "p": p, "q": p, "verdict": verdict, "note": ""} | more


# Ranking is description


def test_the_highest_space_and_its_margin():
    table = scores_table(
        {
            ("01", "V1", "a"): 0.1, ("01", "V1", "b"): 0.3, ("01", "V1", "c"): 0.25, ("01", "V1", "a+b"): 0.4,
            ("01", "V2", "a"): 0.1, ("01", "V2", "b"): np.nan, ("01", "V2", "c"): np.nan,
            ("01", "V3", "a"): np.nan,
            ("02", "V1", "a"): -0.1, ("02", "V1", "b"): -0.3,
        }
    )  # fmt: skip
    table = pd.concat([table, scores_table({("01", "V1", "a"): 0.9}, feature="motion")])
    found = rank_spaces(table, SPACES).set_index(["subject", "region"])
    assert list(found.index) == [("01", "V1"), ("01", "V2"), ("02", "V1")]
    assert found.loc[("01", "V1"), ["highest", "runner_up"]].tolist() == ["b", "c"]
    assert found.loc[("01", "V1"), ["value", "margin"]].tolist() == pytest.approx([0.3, 0.05])
    assert found.loc[("01", "V2"), ["highest", "runner_up"]].tolist() == ["a", ""]
    assert np.isnan(found.loc[("01", "V2"), "margin"])
    assert found.loc[("02", "V1"), ["highest", "runner_up"]].tolist() == [
        "",
        "b",
    ]  # what is negative is best of nothing


def test_the_first_of_equal_models_is_the_highest():
    table = scores_table({("01", "V1", m): 0.2 for m in ("b", "a", "c")})
    found = rank_spaces(table, SPACES)
    assert found[["highest", "runner_up", "margin"]].to_numpy().tolist() == [["b", "a", 0.0]]


def test_no_candidates_no_rows():
    found = rank_spaces(scores_table({("01", "V1", "a"): 0.2}), ["z"])
    assert found.empty
    assert list(found.columns)[-4:] == ["highest", "value", "runner_up", "margin"]


# Verdicts


def two_subjects(value=0.3):
    return scores_table({(s, r, m): value for s in ("01", "02") for r in ("V1", "V2") for m in (*SPACES, "joint")})


def test_without_tests_nothing_is_claimed_however_large_the_lead():
    table = scores_table({("01", "V1", "a"): 0.9, ("01", "V1", "b"): 0.1})
    verdicts = judge_regions(table, SPACES)
    assert verdicts[["highest", "best", "tested", "verdict"]].to_numpy().tolist() == [["a", "", False, "not tested"]]
    assert headline(verdicts) == NOTHING_TESTED
    assert margin_notes(verdicts) == {"V1": ("", "not tested")}
    assert NOTHING_TESTED in verdict_table("Toy", verdicts).text


def test_where_no_spaces_were_compared_the_reason_is_said():
    table = scores_table({("01", "V1", "a"): 0.9, ("01", "V1", "b"): 0.1})
    claims = pd.DataFrame([claim("01", "V1", verdict="not tested", note="b is too wide")])
    verdicts = judge_regions(table, SPACES, claims)
    assert untested(verdicts) == "No spaces were compared: b is too wide."
    assert headline(verdicts) == NOTHING_TESTED
    assert "b is too wide" in verdict_table("Toy", verdicts).text


def test_of_several_subjects_the_claim_is_that_of_the_group():
    claims = pd.DataFrame([
        claim("01", "V1", best="a", p=0.01), claim("02", "V1"), claim(GROUP, "V1", n_named=1, n_leading=2),
        claim("01", "V2"), claim("02", "V2", best="b"), claim(GROUP, "V2", best="b", p=0.02, n_named=1, n_leading=2),
    ])  # fmt: skip
    verdicts = judge_regions(two_subjects(), SPACES, claims).set_index("region")
    assert verdicts["best"].to_dict() == {"V1": "", "V2": "b"}
    assert headline(verdicts.reset_index()) == ("b is ahead in V2 (2/2). No difference that these data can show in V1.")
    single = judge_regions(two_subjects().query("subject == '01'"), SPACES, claims)
    assert headline(single) == "a is ahead in V1. No difference that these data can show in V2."


def test_claims_of_single_subjects_never_become_one_of_the_group():
    claims = pd.DataFrame([claim("01", "V1", best="a"), claim("02", "V1", best="a")])
    assert headline(judge_regions(two_subjects(), SPACES, claims)) == NOTHING_TESTED


def test_joint_models_are_no_candidates():
    table = scores_table({("01", "V1", "a"): 0.1, ("01", "V1", "joint"): 0.9})
    assert judge_regions(table, ["a"])["highest"].tolist() == ["a"]


def test_regions_that_were_not_tested_are_named_apart():
    claims = pd.DataFrame([claim("01", "V1", best="c"), claim("01", "V2", verdict="not tested")])
    verdicts = judge_regions(two_subjects().query("subject == '01'"), SPACES, claims)
    assert headline(verdicts) == "c is ahead in V1. Not tested: V2."


# Every sentence goes back to its table


def random_claims(rng, subjects, regions):
    rows = []
    for region in regions:
        for subject in (*subjects, GROUP) if len(subjects) > 1 else subjects:
            best = str(rng.choice(["", *SPACES[:2]]))
            rows.append(claim(subject, region, best=best, p=float(rng.uniform()), n_named=1, n_leading=1))
    return pd.DataFrame(rows)


def said_of(text):
    """Read {region: space} and the regions without a difference back from a sentence."""
    ahead = {}
    for space, where in re.findall(r"(\w+) is ahead in ([^.]*)\.", text):
        ahead |= {region.split(" (")[0]: space for region in where.split(", ")}
    none = re.findall(rf"{NO_DIFFERENCE.capitalize()} in ([^.]*)\.", text)
    return ahead, set(none[0].split(", ")) if none else set()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("n_subjects", [1, 3])
def test_sentences_margins_and_tables_say_what_the_tests_say(seed, n_subjects):
    rng = np.random.default_rng(seed)
    subjects, regions = [f"{k:02}" for k in range(n_subjects)], [f"R{k}" for k in range(6)]
    values = {(s, r, m): rng.normal() for s in subjects for r in regions for m in (*SPACES, "joint")}
    claims = random_claims(rng, subjects, regions)
    verdicts = judge_regions(scores_table(values), SPACES, claims)
    holds = claims[claims["subject"] == (GROUP if n_subjects > 1 else subjects[0])].set_index("region")["best"]
    ahead, none = said_of(headline(verdicts))
    assert ahead == {region: best for region, best in holds.items() if best}
    assert none == {region for region, best in holds.items() if not best}
    assert {region: space for region, (space, _) in margin_notes(verdicts).items()} == holds.to_dict()
    table = verdict_table("Toy", verdicts).frame.set_index("region")
    assert table["best space"].replace("none", "").to_dict() == holds.to_dict()


def claims_of_brain(subject, best, **more):
    place = {"atlas": "", "level": "brain", "set": "", "region": "all", "hemi": ""}
    return pd.DataFrame([claim(subject, "all", best=best, leading="ratings", following="mllm", p=0.01, **more) | place])


@pytest.mark.parametrize("best", ["", "mllm"])
def test_chart_caption_alt_text_and_table_of_a_page_agree(make_result, tmp_path, best):
    # "ratings" scores higher everywhere; the tests name another, or none.
    results = [make_result(s, [0.5] * 4, [0.1] * 4) for s in ("01", "02")]
    group = claims_of_brain(GROUP, best, n_named=1, n_leading=2)
    page, *_ = write_report(
        results, Maps(dpi=60), tmp_path / "report.html", tmp_path / "figures", progress=lambda *_: None,
        group={"verdicts": group},
    )  # fmt: skip
    text = unescape(page.read_text(encoding="utf-8"))
    said = {space for space, _ in re.findall(r"(\w+) is ahead in ([^.]*)\.", text)}
    assert said == ({best} if best else set())
    assert ("No difference that these data can show in all." in text) == (not best)
    composer = Composer(results, Maps(dpi=60), tmp_path / "f", tmp_path, lambda *_: None, {"verdicts": group})
    (chart,) = composer.charts
    assert margin_notes(composer.verdicts_of(chart))["all"][0] == best
    assert set(composer.verdicts_of(chart)[PLACE].columns) == set(PLACE)


def test_a_page_without_tests_claims_nothing(make_result, tmp_path):
    result = make_result("01", [0.9] * 4, [0.1] * 4)
    page, *_ = write_report([result], Maps(), tmp_path / "p.html", tmp_path / "figures", progress=lambda *_: None)
    text = unescape(page.read_text(encoding="utf-8"))
    assert NOTHING_TESTED in text
    assert " is ahead in" not in text


def test_people_are_found_by_their_region_however_its_name_is_shown():
    table = two_subjects().assign(confidence="low: sphere")
    people = [pd.DataFrame([claim(s, "V1", best="a"), claim(s, "V2", leading="b")]) for s in ("01", "02")]
    group = pd.DataFrame([claim(GROUP, r, best="a", n_named=2, n_leading=2) for r in ("V1", "V2")])
    results = [SimpleNamespace(subject=f"0{k + 1}", verdicts=own, claims=own) for k, own in enumerate(people)]
    chart = Chart("Toy", table)
    verdicts = judge_regions(table, SPACES, pd.concat([*people, group]))
    composer = SimpleNamespace(
        results=results, group={}, single=SPACES, colors=dict.fromkeys(SPACES, "#000"), charts=[chart],
        verdicts=verdicts, verdicts_of=lambda _: chart.named(verdicts),
    )  # fmt: skip
    (answer,) = answers(composer)
    assert [row.region for row in answer.rows] == ["V1 (low: sphere)", "V2 (low: sphere)"]
    assert [[(one.space, one.named) for one in row.people] for row in answer.rows] == [
        [("a", True), ("a", True)], [("b", False), ("b", False)],
    ]  # fmt: skip
