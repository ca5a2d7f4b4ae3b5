"""Scores to maps, warnings, words and a page."""

import json
import re
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from encoding.core import DataError, Grid, Responses, Samples, Targets
from encoding.mapping import (
    Maps,
    SolverSummary,
    TargetTests,
    drawing_key,
    finished_result,
    is_drawn,
    note_drawn,
    read_result,
    require_same_settings,
    write_background,
    write_maps,
    write_report,
)
from encoding.mapping.methods import describe_methods
from encoding.mapping.report import Warned, find_warnings, fold_warnings
from encoding.mapping.selection import charts
from encoding.mapping.summary import read_summary
from encoding.numerics.metrics import correlation_of_noise

NAN = np.nan


def quiet(share):
    """Progress that nobody watches."""


def voxels(space="T1w"):
    return Targets("voxel", space, np.arange(8), np.full(8, ""), Grid((2, 2, 2), np.eye(4)))


# What a participant leaves behind


def test_a_result_comes_back_as_it_was_written(make_result):
    written = make_result("01", [0.1, NAN, 0.3], [0.2, 0.1, 0.0], exclusions=[("volumes", 3, "scrubbed")])
    result = read_result(written.folder)
    np.testing.assert_array_equal(result.scores["r"].row("ratings"), np.float32([0.1, NAN, 0.3]))
    assert result.subject == "01"
    assert result.regions["subject"].tolist() == ["01", "01"]
    assert result.regions["atlas"].tolist() == ["", ""]
    assert result.exclusions.iloc[0].tolist() == ["volumes", 3, "scrubbed", ""]


def test_a_result_of_0_1_reads_like_one_of_today(make_result):
    told = "sub-01: responses were z-scored over the rows of all runs"
    notes = [("volumes", 3, "scrubbed", "sub-01, ses-01_run-1"), ("targets", 2, "sub-01: constant")]
    today = make_result("01", [0.1, 0.3], [0.2, 0.0], exclusions=notes, warnings=(told,))
    facts = json.loads((today.folder / "facts.json").read_text())
    assert facts["format"] == 3
    del facts["warnings"]
    (today.folder / "facts.json").write_text(json.dumps(facts | {"format": 2}))
    (today.folder / "exclusions.tsv").write_text(
        "what\tn\treason\n"
        f"warnings\t0\t{told}\n"
        "volumes\t3\tsub-01, ses-01_run-1: scrubbed\n"
        "targets\t2\tsub-01: constant\n"
    )
    result = read_result(today.folder)
    assert result.summary == today.summary
    pd.testing.assert_frame_equal(result.exclusions.reset_index(drop=True), today.exclusions)
    assert finished_result(today.folder, "key-01").summary.warnings == (told,)
    assert find_warnings([result]) == find_warnings([today])
    assert f"{told}." in find_warnings([result])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds a list, but an object is needed"),
        ('{"format": 1}', "format 1, but this version reads formats 2 to 3"),
        ('{"format": 9}', "format 9, but this version reads formats 2 to 3"),
        ('{"format": 3, "key": "key-01"}', "entry 'subject' is missing or has the wrong type"),
    ],
)
def test_a_damaged_or_foreign_summary_is_refused_with_the_command_that_redoes_it(make_result, content, told):
    folder = make_result("01", [0.1], [0.2]).folder
    (folder / "facts.json").write_text(content)
    with pytest.raises(
        DataError, match=rf"facts\.json: {re.escape(told)}.*Run the participant level again \(encoding run"
    ):
        read_result(folder)


def test_a_summary_survives_its_file(make_result):
    model = {"n": 3, "share": 0.5, "critical": None}
    summary = make_result("01", [0.1], [0.2], significant={"mllm": model}, t_r=None, uses={"kept": 3}).summary
    assert read_summary(make_result("01", [0.1], [0.2]).folder) != summary
    folder = make_result("01", [0.1], [0.2], significant={"mllm": model}, t_r=None, uses={"kept": 3}).folder
    assert read_summary(folder) == summary
    assert isinstance(summary.models["ratings"].solver, SolverSummary)
    assert summary.pairs == (("ratings", "mllm"),)


def test_a_result_without_its_facts_is_not_finished(make_result):
    folder = make_result("01", [0.1], [0.2]).folder
    (folder / "facts.json").unlink()
    with pytest.raises(DataError, match="no finished participant here"):
        read_result(folder)
    assert finished_result(folder, "key-01") is None


def test_only_the_result_of_the_same_key_is_reused(make_result):
    folder = make_result("01", [0.1], [0.2]).folder
    assert finished_result(folder, "key-01").subject == "01"
    assert finished_result(folder, "another") is None


def test_participants_of_different_settings_are_refused(make_result):
    first, second = make_result("01", [0.1], [0.2]), make_result("02", [0.1], [0.2], settings_key="other")
    with pytest.raises(DataError, match="sub-02 was analysed with other settings than sub-01"):
        require_same_settings([first, second])
    require_same_settings([first, first])


# Files


def test_maps_are_written_for_scores_and_differences(make_result, tmp_path):
    result = make_result("01", np.linspace(0, 0.7, 8), np.full(8, 0.35), targets=voxels())
    files = write_maps(
        tmp_path / "func", {"sub": "01", "task": "video"}, {"r": result.scores["r"]},
        metric="r", pairs=[("ratings", "mllm")],
    )  # fmt: skip
    names = sorted(path.name for path in files if path.name.endswith(".nii.gz"))
    stem = "sub-01_task-video_space-T1w_model-"
    assert names == [
        f"{stem}mllm_feature-all_stat-r_statmap.nii.gz",
        f"{stem}ratings_feature-all_stat-r_statmap.nii.gz",
        f"{stem}ratingsminusmllm_feature-all_stat-r_statmap.nii.gz",
    ]
    difference = nib.load(tmp_path / "func" / names[2]).get_fdata().ravel()
    np.testing.assert_allclose(difference, np.linspace(0, 0.7, 8) - 0.35, atol=1e-6)


def test_maps_of_tests_name_a_space_where_it_is_ahead_and_above_chance(make_result, tmp_path):
    result = make_result("01", np.linspace(0, 0.7, 8), np.full(8, 0.35), targets=voxels())
    u, p = np.full((2, 8), 0.1), np.full((2, 8), 0.001)
    p[1, 0] = 0.5
    p[:, 7] = 0.5  # nothing is above chance: no tie either
    winner = np.array([1, 1, 0, 0, -1, -1, -1, -1])
    tests = TargetTests(("ratings", "mllm"), u, p, p, winner, 0.05, {"chance": "stationary"}, ("ratings", "mllm"))
    files = write_maps(
        tmp_path / "func", {"sub": "01", "task": "video"}, {"r": result.scores["r"]},
        metric="r", pairs=[], tests=tests,
    )  # fmt: skip
    (path,) = [file for file in files if "winner" in file.name and file.name.endswith(".nii.gz")]
    np.testing.assert_array_equal(nib.load(path).get_fdata().ravel(), [3, 2, 1, 1, 3, 3, 3, 0])
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["Levels"] == {"1": "ratings", "2": "mllm", "3": "tie"}
    table = pd.read_csv(path.with_name(path.name.replace(".nii.gz", ".tsv")), sep="\t")
    assert table["name"].tolist() == ["none", "ratings", "mllm", "tie"]
    assert table["color"].tolist()[1:3] == ["#0072B2", "#D55E00"]
    assert {"u", "pfwe", "qchance"} <= {file.name.split("stat-")[1].split("_")[0] for file in files}


def responses_on(targets):
    samples = Samples(np.array(["a", "b"]), np.array([0.0, 2.0]), np.full(2, 2.0), np.array(["run-01"] * 2), "stimulus")
    values, drift = np.zeros((2, len(targets)), np.float32), np.zeros((2, 0), np.float32)
    return Responses(values, samples, targets, samples, drift, "01", "video", 2.0)


def test_the_background_is_the_mean_of_the_first_run(tmp_path):
    values = np.random.default_rng(0).normal(100, 10, (2, 2, 2, 5)).astype(np.float32)
    bold = tmp_path / "bold.nii.gz"
    nib.save(nib.Nifti1Image(values, np.eye(4)), bold)
    path = write_background(tmp_path / "func", responses_on(voxels()), bold)
    assert path.name == "sub-01_task-video_space-T1w_desc-mean_boldref.nii.gz"
    np.testing.assert_allclose(nib.load(path).get_fdata(), values.mean(-1), rtol=1e-5)
    assert write_background(tmp_path / "func", responses_on(voxels()), None) is None


def test_a_template_needs_no_background(tmp_path):
    template = responses_on(voxels("MNI152NLin2009cAsym"))
    assert write_background(tmp_path, template, tmp_path / "bold.nii.gz") is None


# What is drawn is drawn once


def test_a_record_holds_until_the_key_or_a_file_changes(tmp_path):
    page, figure = tmp_path / "page.html", tmp_path / "sub-01" / "figures" / "a.png"
    figure.parent.mkdir(parents=True)
    page.write_text("x")
    figure.write_text("x")
    assert not is_drawn(tmp_path / "sub-01", "k")
    note_drawn(tmp_path / "sub-01", "k", [page, figure])
    assert is_drawn(tmp_path / "sub-01", "k")
    assert not is_drawn(tmp_path / "sub-01", "other")
    page.unlink()
    assert not is_drawn(tmp_path / "sub-01", "k")


def test_what_is_no_longer_drawn_is_removed(tmp_path):
    old, new = tmp_path / "old.png", tmp_path / "new.png"
    for path in (old, new):
        path.write_text("x")
    note_drawn(tmp_path, "1", [old, new])
    note_drawn(tmp_path, "2", [new])
    assert not old.exists()
    assert new.exists()


def test_the_key_depends_on_results_and_settings(make_result):
    one, two = make_result("01", [0.1], [0.2]), make_result("02", [0.1], [0.2])
    keys = {drawing_key([one], Maps()), drawing_key([two], Maps()), drawing_key([one], Maps(dpi=99))}
    assert len(keys) == 3
    assert drawing_key([one], Maps()) == drawing_key([read_result(one.folder)], Maps())


# Words


def test_charts_prefer_networks_and_sets_to_many_regions():
    rows = pd.DataFrame(
        [("", "brain", "", "all targets")]
        + [("Schaefer", "region", "", f"p{k}") for k in range(40)]
        + [("Schaefer", "network", "", "Default"), ("Schaefer", "roi_set", "emotion", "insula")]
        + [("aseg", "region", "", "Amygdala")],
        columns=["atlas", "level", "set", "region"],
    )
    found = {chart.title: chart.rows["region"].tolist() for chart in charts(rows, "auto")}
    assert found == {
        "Schaefer: networks": ["Default"],
        "Schaefer: emotion": ["insula"],
        "aseg: regions": ["Amygdala"],
    }
    assert [chart.title for chart in charts(rows.head(1), "auto")] == ["All targets"]


def test_warnings_say_each_reason_once(make_result):
    repeats = ("presentations", 6, "later showings of stimuli already shown (a, b)")
    scrubbed = [("volumes", 1, "scrubbed or before the steady state", f"sub-01, run-0{k}") for k in (1, 2)]
    result = make_result(
        "01", [0.1] * 4, [0.2] * 4,
        exclusions=[*scrubbed, repeats, ("targets", 1, "x")],
        n_usable=3,
    )  # fmt: skip
    assert find_warnings([result]) == (
        "sub-01: 1 of 4 targets have no usable data.",
        "sub-01: 2 volumes of 2 runs left out: scrubbed or before the steady state.",
        "sub-01: 6 presentations left out: later showings of stimuli already shown (a, b).",
    )


def test_warnings_that_differ_in_people_models_and_numbers_are_one():
    told = [
        Warned(who, model, f"the largest penalty (100) was chosen for {share}% of targets.")
        for who, share in (("01", 82), ("02", 93)) for model in ("ratings", "mllm")
    ] + [Warned("02", "", "3 runs left out: missing."), Warned("01", "", "Responses are few.")]  # fmt: skip
    assert fold_warnings(told, ["01", "02"]) == (
        "all participants, ratings, mllm: the largest penalty (100) was chosen for 82 to 93% of targets.",
        "sub-02: 3 runs left out: missing.",
        "sub-01: Responses are few.",
    )


@pytest.mark.parametrize(("chosen", "said"), [([9, 0, 1], "smallest penalty"), ([0, 1, 9], "largest penalty")])
def test_penalties_at_the_edge_are_reported(make_result, chosen, said):
    (warning,) = find_warnings([make_result("01", [0.1], [0.2], models=models_of(make_result, chosen=chosen))])
    assert said in warning
    assert "90%" in warning


def models_of(make_result, **changes):
    """Summary of one model, with other values here and there."""
    return {"ratings": replace(make_result("00", [0.1], [0.2]).summary.models["ratings"], **changes)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"unstable_gammas": 0.6}, "change from outer fold to outer fold in 60% of targets"),
        ({"fell_back": 2}, "a decomposition failed; himalaya fitted 2 chunks"),
    ],
)
def test_what_a_reader_should_know_of_the_search_is_reported(make_result, changes, said):
    solver = replace(make_result("00", [0.1], [0.2]).summary.models["ratings"].solver, **changes)
    models = models_of(make_result, solver=solver)
    (warning,) = find_warnings([make_result("01", [0.1], [0.2], models=models)])
    assert said in warning


def test_methods_name_the_solvers(make_result):
    summary = make_result("01", [0.1], [0.2]).summary
    assert "Hyper-parameters were searched exactly from products of features and responses" in describe_methods(summary)
    mllm = summary.models["mllm"]
    mllm = replace(mllm, solver=replace(mllm.solver, method="himalaya", fell_back=1))
    text = describe_methods(replace(summary, models={**summary.models, "mllm": mllm}))
    assert "Hyper-parameters of ratings were searched exactly" in text
    assert "Hyper-parameters of mllm were searched with himalaya" in text
    assert "Where a decomposition failed (mllm), himalaya was used." in text


def test_methods_name_the_test_that_was_made(make_result):
    summary = make_result("01", [0.1], [0.2]).summary
    nothing = np.zeros((2, 1))
    tests = TargetTests(("ratings", "mllm"), nothing, nothing, nothing, np.zeros(1, int), 0.05, {}, (), "runs", 1000)
    told = describe_methods(summary, tests)
    assert "drawn 1,000 times under the null by exchanging features of whole runs" in told
    assert "each p at most 0.05: region by region, with the false discovery rate over regions beside it" in told
    stimuli = describe_methods(summary, replace(tests, exchanged="stimuli"))
    assert "exchanging features between stimuli, in the same way in all runs" in stimuli
    assert "Against chance" not in describe_methods(summary, replace(tests, exchanged="nothing", n_permutations=0))
    assert "U is the share" not in describe_methods(summary)


def test_few_samples_are_reported(make_result):
    (warning,) = find_warnings([make_result("01", [0.1], [0.2], n_samples=24)])
    assert warning == "sub-01: 24 samples are few: scores of single targets are mostly noise."


def test_methods_tell_of_components(make_result):
    summary = make_result("01", [0.1], [0.2]).summary
    assert "principal components" not in describe_methods(summary)
    first, *rest = summary.settings["models"]
    for added, told in (
        ({"pca": 100}, "were reduced to the first 100 principal components, fitted to"),
        (
            {"keep_variance": 0.9},
            "were reduced to principal components, as many as explain 90% of the variance, fitted",
        ),
        ({"pca": 9, "keep_variance": 0.5}, "the first 9 principal components, or fewer: as many as explain 50%"),
    ):
        settings = {**summary.settings, "models": [{**first, **added}, *rest]}
        assert told in describe_methods(replace(summary, settings=settings))


def test_methods_tell_what_was_done(make_result):
    text = describe_methods(make_result("01", [0.1], [0.2]).summary)
    for said in ("discrete cosines up to 0.008 Hz", "starts 4.0 s after its onset", "ratings (48), mllm (30)",
                 "3 penalties from 1 to 100", "only the first presentation was used", "biased below 0"):  # fmt: skip
        assert said in text


# The threshold of maps


def test_the_automatic_threshold_is_what_noise_exceeds():
    rng = np.random.default_rng(0)
    n = 60
    x, y = rng.standard_normal((2, n, 100_000))
    z = [part - part.mean(0) for part in (x, y)]
    r = (z[0] * z[1]).sum(0) / np.sqrt((z[0] ** 2).sum(0) * (z[1] ** 2).sum(0))
    assert np.mean(r > correlation_of_noise(n, 0.01)) == pytest.approx(0.01, abs=0.0015)


@pytest.mark.parametrize("n_samples", [10, 200, 2000])
def test_the_automatic_threshold_agrees_with_scipy(n_samples):
    r = correlation_of_noise(n_samples, 0.05)
    t = r * np.sqrt((n_samples - 2) / (1 - r**2))
    assert stats.t.sf(t, n_samples - 2) == pytest.approx(0.05)


# The page


def test_a_report_of_one_participant(make_result, tmp_path):
    rng = np.random.default_rng(0)
    result = make_result("01", rng.uniform(-0.1, 0.5, 8), rng.uniform(-0.1, 0.5, 8), targets=voxels())
    seen = []
    page, *pictures = write_report(
        [result], Maps(dpi=60), tmp_path / "sub-01.html", tmp_path / "figures",
        progress=seen.append,
    )  # fmt: skip
    text = page.read_text(encoding="utf-8")
    assert {path.name for path in pictures} >= {"sub-01_model-mllm_stat-r.png"}
    assert all(path.is_file() for path in pictures)
    assert seen == sorted(seen)
    assert "Targets were not tested: colours show size only" in text
    assert "sub-01_winner" not in text
    assert not re.search(r'(?:src|href)\s*=\s*["\']?(?:https?:)?//', text), "a report asks nothing of the network"


def test_targets_that_cannot_be_drawn_still_have_a_report(make_result, tmp_path):
    result = make_result("01", [0.1, 0.2], [0.3, NAN])
    page, *_ = write_report([result], Maps(), tmp_path / "p.html", tmp_path / "figures", progress=quiet)
    text = page.read_text(encoding="utf-8")
    assert "At a glance" in text
    assert "Accuracy of each model" not in text
