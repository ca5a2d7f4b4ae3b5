"""One line of the report says whether the controls are at chance, and what could not be tested."""

from dataclasses import replace

from encoding.mapping.controls import ceiling_line, controls_line, controls_table
from encoding.mapping.report import find_warnings


def control(name, *, above=False, why_not=""):
    p = None if why_not else 0.001 if above else 0.4
    return {
        "name": name, "meaning": f"what {name} is", "n_features": 3, "r": 0.01, "shared": 0.0, "p": p,
        "why_not": why_not, "above_chance": above,
    }  # fmt: skip


def with_controls(make_result, subject, *found, **changes):
    controls = {
        "found": list(found), "n_targets": 4, "duplicates": [], "autocorrelation": {"responses": 0.3, "mllm": None},
        "seconds": 0.1,
    }  # fmt: skip
    return make_result(subject, [0.1] * 4, [0.2] * 4, controls=controls, **changes)


def test_controls_at_chance_take_one_line(make_result):
    results = [with_controls(make_result, s, control("position"), control("random")) for s in ("01", "02")]
    assert controls_line(results) == "Controls (position, random): none predicts responses above chance."


def test_controls_above_chance_are_named_with_their_participants(make_result):
    results = [
        with_controls(make_result, "01", control("position", above=True), control("run", why_not="3 runs")),
        with_controls(make_result, "02", control("position"), control("random")),
    ]
    assert controls_line(results) == (
        "Controls predict responses above chance: position (sub-01); not above chance: random. "
        "Not tested: run (3 runs)."
    )
    table, lags = controls_table(results)
    assert table.frame["verdict"].tolist() == ["above chance", "3 runs", "not above chance", "not above chance"]
    assert lags.frame["responses"].tolist() == [0.3, 0.3]


def test_low_level_vision_is_no_leak_but_a_reason_to_look_beyond_it(make_result):
    above = with_controls(make_result, "01", control("random"), control("vision", above=True))
    said = controls_line([above])
    assert said.startswith("Controls (random): none predicts responses above chance. Low-level vision")
    assert "predicts responses above chance (sub-01): declare it in [compare] nuisance" in said
    chance = with_controls(make_result, "01", control("random"), control("vision"))
    assert controls_line([chance]).endswith(
        "Low-level vision (luminance, contrast, edges, change) is not above chance."
    )
    none = with_controls(make_result, "01", control("random"), control("vision", why_not="there are no videos"))
    assert (
        controls_line([none])
        == "Controls (random): none predicts responses above chance. Not tested: vision (there are no videos)."
    )


def test_files_of_equal_content_are_a_warning(make_result):
    result = with_controls(make_result, "01", control("random"))
    files = replace(result.summary.controls, same_files=(("clip1", "clip7"),))
    result = replace(result, summary=replace(result.summary, controls=files))
    assert any(
        "1 groups of stimuli are files of equal content and are on both sides of a fold (clip1 = clip7)" in warning
        for warning in find_warnings([result])
    )


def test_without_controls_nothing_is_said(make_result):
    result = make_result("01", [0.1] * 4, [0.2] * 4)
    assert controls_line([result]) == ""
    assert controls_table([result]) == []
    assert ceiling_line([result]) == ""


def test_ceilings_or_the_reason_against_them_are_said_once(make_result):
    none = {"n_stimuli": 0, "n_averaged": 1.0, "n_usable": 0, "n_targets": 4, "median": None}
    none["why_not"] = "because 0 stimuli were shown more than once; 10 are needed"
    results = [make_result(s, [0.1] * 4, [0.2] * 4, ceiling=none) for s in ("01", "02")]
    assert ceiling_line(results) == ("Noise ceiling: none, because 0 stimuli were shown more than once; 10 are needed.")
    some = none | {"n_stimuli": 40, "n_usable": 3, "median": 0.61, "why_not": ""}
    result = make_result("03", [0.1] * 4, [0.2] * 4, ceiling=some)
    assert "Noise ceiling from 40 repeated stimuli, and for these: 3 of 4 targets are reliable enough" in ceiling_line(
        [result]
    )
    assert "sub-01: Noise ceiling: none" in ceiling_line([results[0], result])
