"""Analyses of similarity from a configuration to maps, tables and pages, with a fit and without one."""

import json
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import write_config, write_study

from encoding.cli import main
from encoding.config import parse_config, read_config
from encoding.core import ConfigError
from encoding.mapping import METRICS, read_result
from encoding.pipeline import Job, Places, run_group, run_participant

LIGHTS = """
[[rsa]]
name = "lights"
regions = "searchlight"
radius_mm = 4.0
same_run = true            # every run of this study shows the same stimuli
repeats = "average"
similarity = { abc = "choice_probability", first = "dot" }
min_targets = 5

[[rsa]]
name = "whole"
same_run = true
repeats = "average"
similarity = "dot"
comparison = "spearman"
"""
PER_STIMULUS = (
    ('task = "video"', 'task = "video"\nper = "stimulus"'), ("[align]\ndelays = [1, 2, 3]\n", "")
)  # fmt: skip


def without_fit(text):
    """The configuration without the tables that are fitted."""
    return re.sub(r"\[\[fit\]\].*?(?=\[map\])", "", text, flags=re.DOTALL)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two subjects, finished by the command line without a fit; the folder of results and the configuration."""
    top = tmp_path_factory.mktemp("rsa")
    study = write_study(top / "bids", subjects=("01", "02"))
    config = write_config(top, *PER_STIMULUS)
    config.write_text(without_fit(config.read_text()) + LIGHTS)
    for level in ("participant", "group"):
        assert main(["run", str(study.root), str(top / "out"), level, "--config", str(config), "--device", "cpu"]) == 0
    return top / "out", config


def test_maps_have_a_sidecar_with_every_choice(two):
    out, _ = two
    maps = sorted(path.name for path in (out / "sub-01" / "func").glob("*model-lights*_stat-rsa_statmap.nii.gz"))
    features = [name.split("_feature-")[1].split("_")[0] for name in maps]
    assert features == ["abc", "abcminusfirst", "first"]
    sidecar = json.loads((out / "sub-01" / "func" / maps[0].replace(".nii.gz", ".json")).read_text())
    assert (sidecar["FeatureSpace"], sidecar["Similarity"]) == ("abc", "choice_probability")
    wanted = {
        "name": "lights", "similarity": {"abc": "choice_probability", "first": "dot"}, "brain": "correlation",
        "comparison": "pearson", "regions": "searchlight", "radius_mm": 4.0, "edge_voxels": None, "min_targets": 5,
        "same_run": True, "repeats": "average", "n_repeated_presentations": 16, "n_stimuli": 8, "n_pairs": 28,
        "n_pairs_of_one_run_left_out": 0,
    }  # fmt: skip
    assert sidecar["Rsa"] == wanted
    assert json.loads((out / "group" / "rsa.json").read_text())["lights"]["02"] == wanted
    values = nib.load(out / "sub-01" / "func" / maps[0]).get_fdata()
    found = read_result(out / "sub-01").scores["rsa"]
    lights = found.row("lights", "abc")
    assert np.isfinite(lights).sum() > 80
    np.testing.assert_allclose(values[np.isfinite(values)], lights[np.isfinite(lights)], rtol=1e-5)
    assert not list((out / "sub-01" / "func").glob("*feature-winner*"))  # no space is named without a test


def test_planted_voxels_have_alike_responses_to_alike_stimuli(two):
    scores = read_result(two[0] / "sub-01").scores["rsa"]
    lights = scores.row("lights", "abc")
    # Sixty of 120 columns are planted, of which the mask leaves 40 in front.
    assert np.nanmean(lights[:30]) > 0.3
    assert np.nanmean(lights[:30]) > abs(np.nanmean(lights[55:])) + 0.3


def test_tables_are_those_of_any_other_score(two):
    out, _ = two
    regions = pd.read_csv(out / "group" / "regions.tsv", sep="\t")
    rows = regions[regions["metric"] == "rsa"]
    assert set(zip(rows["model"], rows["feature"], strict=True)) == {
        (name, space) for name in ("lights", "whole") for space in ("abc", "first")
    }
    one = rows[(rows["subject"] == 1) & (rows["model"] == "lights") & (rows["feature"] == "abc")]
    mean = np.nanmean(read_result(out / "sub-01").scores["rsa"].row("lights", "abc"))
    assert one["value"].item() == pytest.approx(mean, abs=1e-5)
    best = pd.read_csv(out / "group" / "rsa_winners.tsv", sep="\t")
    assert best["rsa"].tolist() == ["lights", "whole"]
    assert set(best["highest"]) <= {"abc", "first"}
    assert best["best"].isna().all()
    assert best.set_index("rsa")["tested"].to_dict() == {"lights": False, "whole": True}
    differences = pd.read_csv(out / "group" / "differences_summary.tsv", sep="\t")
    assert set(differences["model_a"]) == {"lights/abc", "whole/abc"}


def test_pages_tell_what_was_compared_and_nothing_of_models(two):
    out, _ = two
    for page in (out / "report.html", out / "sub-01.html"):
        text = page.read_text(encoding="utf-8")
        assert "Representational similarity: lights" in text
        assert "spheres of 4 mm radius" in text
        assert "probability of being kept together, over all third stimuli (abc)" in text
        assert "Spearman correlation over 28 pairs of 8 stimuli" in text
        assert "ridge regression" not in text
    assert (out / "sub-01" / "figures" / "rsa-lights_chart-1.svg").is_file()
    assert (out / "group" / "figures" / "group_rsa-lights_feature-abc_stat-rsa.png").is_file()


def test_a_second_run_does_nothing_again(two, monkeypatch):
    out, config = two
    job = Job(read_config(config), Places(out.parent / "bids", out, out / "work"), "01", "cpu")
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    for name in ("numerics.rsa_trace.TraceRsa.compare", "numerics.rsa.Comparer.parts", "pipeline.write_rsa_maps"):
        monkeypatch.setattr(f"encoding.{name}", None)
    run_participant(job)
    run_group(job.study, job.places, ["01", "02"], job.progress)
    unchanged = {path: time for path, time in times.items() if path.parent.name not in ("group", ".locks")}
    assert {path: path.stat().st_mtime_ns for path in unchanged} == unchanged


def test_beside_a_fit_both_are_shown(study):
    top = study.root.parent
    config = write_config(top, *PER_STIMULUS, ("[map]", LIGHTS + "\n[map]"))
    job = Job(read_config(config), Places(study.root, top / "out", top / "out" / "work"), "01", "cpu")
    result = run_participant(job)
    assert list(result.scores) == [*METRICS, "rsa"]
    assert set(result.regions["metric"]) >= {"r", "split_r2", "rsa"}
    text = (top / "out" / "sub-01.html").read_text(encoding="utf-8")
    for heading in ("At a glance", "Accuracy of each model", "Representational similarity: whole"):
        assert heading in text
    # Without the analyses, what they left is taken away.
    plain = write_config(top, *PER_STIMULUS)
    again = run_participant(Job(read_config(plain), job.places, "01", "cpu"))
    assert "rsa" not in again.scores
    assert not list((top / "out" / "sub-01").rglob("*stat-rsa*"))


def test_check_says_what_will_be_compared(two, capsys):
    assert main(["check", str(two[1])]) == 0
    text = capsys.readouterr().out
    assert "lights: abc (choice_probability), first (dot); brain correlation, pearson, searchlight 4 mm" in text


BASE = """
[[features]]
name = "a"
file = "a.tsv"

[load]
per = "stimulus"

[[rsa]]
name = "x"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE + 'radius = 3\n', r"\[\[rsa\]\] 'x': unknown key 'radius'\. Did you mean 'radius_mm'"),
        (BASE + 'spaces = ["b"]\n', r"\[\[rsa\]\] 'x': spaces: no feature space 'b'"),
        (BASE.replace("[load]", '[load]\nkind = "surface"') + 'regions = "searchlight"\nradius_mm = 3\n',
         r"searchlights need a volume, but \[load\] has kind = 'surface'"),
        (BASE + "[[rsa]]\nname = 'x'\n", r"\[\[rsa\]\]: the name 'x' is used 2 times"),
        (BASE.replace('"x"', '"x y"'), r"\[\[rsa\]\]: name 'x y' may only contain letters"),
        (BASE.replace('"stimulus"', '"tr"'), r'needs one row per presentation\. Set per = "stimulus"'),
        (BASE.replace("[[rsa]]", "[rsa]"), r"\[rsa\] must be written \[\[rsa\]\]"),
    ],
)  # fmt: skip
def test_configurations_that_make_no_sense(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(text)


def test_a_configuration_needs_no_fit():
    found = parse_config(BASE)
    assert (found.models, found.pairs, found.rsa[0].regions) == ((), (), "atlas")


def test_similarity_of_regions_is_tested_and_searchlights_are_not(two):
    out, _ = two
    result = read_result(out / "sub-01")
    assert set(result.rsa_verdicts["rsa"]) == {"whole"}
    assert len(result.rsa_verdicts) == 1
    claims = result.claims[result.claims["claim"] == "rsa chance"]
    assert set(claims["estimand"]) == {"similarity whole"}
    assert claims["note"].str.contains("the same stimuli recur in all runs").all()
    planted = claims[claims["space"] == "abc"].iloc[0]
    assert planted["verdict"] == "above chance"
    assert planted["value"] > 0.3
    group = pd.read_csv(out / "group" / "rsa_verdicts.tsv", sep="\t")
    assert group["n_subjects"].tolist() == [2]
    assert not (out / "group" / "verdicts.tsv").exists()


def test_maps_of_regions_fade_by_their_test_and_searchlights_throughout(two):
    out, _ = two
    result = read_result(out / "sub-01")
    rates = result.similarity_rates("whole")
    assert result.similarity_rates("lights") == {}
    claims = result.claims[result.claims["claim"] == "rsa chance"].set_index("space")["q"]
    usable = np.isfinite(result.scores["rsa"].row("whole", "abc"))
    for space in ("abc", "first"):
        np.testing.assert_allclose(rates[space][usable], claims[space], rtol=1e-6)
    text = (out / "sub-01.html").read_text(encoding="utf-8")
    passed = int(usable.sum()) if claims["abc"] <= 0.05 else 0
    assert (
        f"abc (whole): highest {np.nanmax(result.scores['rsa'].row('whole', 'abc')):.3f}; {passed} targets are in"
        in text
    )
    assert "abc (lights): highest" in text
    assert "not tested, so the whole map is faded" in text


def test_bounds_over_participants_are_written_and_shown(two):
    out, _ = two
    table = pd.read_csv(out / "group" / "rsa_ceilings.tsv", sep="\t", na_values=["n/a"])
    assert table["rsa"].tolist() == ["whole"]
    assert 0 < table["lower"].item() <= table["upper"].item() <= 1
    assert 16 <= table["n_pairs"].item() <= 24  # of 28; pairs within blocks of either participant take no part
    assert table["n_subjects"].item() == 2
    text = (out / "report.html").read_text(encoding="utf-8")
    assert "noise ceiling of whole" in text
    assert "No bound within participants" in text  # there are eight stimuli
