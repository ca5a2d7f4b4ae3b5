"""The command line: every refusal in one sentence and without a traceback, every option, every command."""

import json
import re
import shutil
import threading
from html.parser import HTMLParser

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, write_config, write_study

from encoding import pipeline
from encoding.cli import main
from encoding.io.store import load


def encoding(*arguments):
    return main([str(argument) for argument in arguments])


def places_of(study):
    top = study.root.parent
    return study.root, top / "out", "--config", top / "run.toml"


def error_of(capsys):
    """The one message on the standard error stream, apart from progress bars."""
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.count("error:") == 1, err
    return err[err.index("error:") :].strip()


def runs_of(study, subject="01"):
    return load(study.root.parent / "out" / "work" / f"sub-{subject}" / "responses").samples.runs


# Bad input: what is done to a good study, changes to its configuration, and what is said


def remove(pattern):
    return lambda study: study.find(pattern).unlink()


def change_table(pattern, change):
    def spoil(study):
        (path,) = (path for path in study.root.rglob(pattern) if "derivatives" not in path.parts)
        frame = pd.read_csv(path, sep="\t")
        change(frame).to_csv(path, sep="\t", index=False, na_rep="n/a")

    return spoil


def add_late_event(frame):
    return pd.concat([frame, frame.iloc[-1:].assign(onset=500.0)])


def state_another_t_r(study):
    study.find("*run-2_bold.json", raw=True).write_text('{"RepetitionTime": 2.5}')


def write_another_resolution(study):
    path = study.find("*run-2*preproc_bold.nii.gz")
    shutil.copy(path, path.with_name(path.name.replace("_desc", "_res-2_desc")))


def truncate(study):
    path = study.find("*run-3*preproc_bold.nii.gz")
    path.write_bytes(path.read_bytes()[:-500])


def state_no_number(study):
    study.find("*run-2_bold.json", raw=True).write_text('{"RepetitionTime": "two"}')


def damage_description(study):
    (study.root / "dataset_description.json").write_text("[1]")


def empty_masks(study):
    for path in study.derivatives.rglob("*brain_mask.nii.gz"):
        nib.save(nib.Nifti1Image(np.zeros((6, 5, 4), np.uint8), AFFINE), path)


def keep_first_run(study):
    for path in [*study.root.rglob("*run-2*"), *study.root.rglob("*run-3*")]:
        path.unlink()


def nothing(study):
    pass


FEATURES = "feature-abc.tsv"
BAD_INPUT = {
    "missing run": (remove("*run-2*preproc_bold.nii.gz"), (), r"1 runs have no preprocessed volume.*task-video_run-2"),
    "missing confounds": (remove("*run-2_desc-confounds*.tsv"), (), r"run-2: no confounds table.*\['motion'\]"),
    "late event": (
        change_table("*run-2_events.tsv", add_late_event),
        (),
        r"run-2: 1 events start after the end of the run \(120 s\).*at 500 s",
    ),
    "repetition time": (state_another_t_r, (), r"run-2: the repetition time is 2\.5 s by the sidecar, but 2 s by"),
    "no number": (state_no_number, (), r"run-2: RepetitionTime is 'two' in the JSON sidecar, but a number of seconds"),
    "description": (damage_description, (), r"dataset_description\.json: holds a list, but an object was needed"),
    "two files": (write_another_resolution, (), r"run-2: 2 files match \(.*\)\. Set `res` in \[load\]"),
    "truncated image": (truncate, (), r"run-3_space-T1w_desc-preproc_bold\.nii\.gz: cannot be read"),
    "constant features": (
        change_table(FEATURES, lambda frame: frame.assign(a=0, b=0, c=0)),
        (),
        r"FeatureSpace 'abc': all 9 columns are constant",
    ),
    "unknown key": (nothing, (("n_inner", "n_iner"),), r"\[split\]: unknown key 'n_iner'\. Did you mean 'n_inner'\?"),
    "unknown stimulus": (
        change_table("*run-2_events.tsv", lambda frame: frame.replace("clip3", "clip33")),
        (),
        r"1 stimuli shown to sub-01 have no features \('clip33'\)",
    ),
    "duplicate rows": (
        change_table(FEATURES, lambda frame: pd.concat([frame, frame.iloc[3:4]])),
        (),
        r"feature-abc\.tsv\): 1 stimulus has more than one row \('clip3'\)",
    ),
    "empty mask": (empty_masks, (), r"the mask is empty \(no voxel in all brain masks\)"),
    "one run": (keep_first_run, (), r"There is one run only \('run-1'\).*kind = \"blocks\""),
    "missing events": (
        lambda study: study.find("*run-3_events.tsv", raw=True).unlink(),
        (),
        r"run-3: no events\.tsv .* matches",
    ),
    "no features": (
        lambda study: (study.root / "stimuli" / FEATURES).unlink(),
        (),
        r"Feature space 'abc': no file .*feature-abc\.tsv",
    ),
    "undeclared repeats": (nothing, (('repeats = "condition"', ""),), r"8 stimuli are both trained on and tested"),
    "no preprocessed data": (
        lambda study: shutil.rmtree(study.derivatives),
        (),
        r"no preprocessed data .*--derivatives",
    ),
    "unknown atlas": (
        nothing,
        (("dpi = 50", 'atlases = ["Schaefer2018-20"]'),),
        r"Atlas 'Schaefer2018-20' is not known\. Did you mean 'Schaefer2018-200'\?",
    ),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_refused_in_words(study, capsys, name):
    spoil, changes, message = BAD_INPUT[name]
    write_config(study.root.parent, *changes)
    spoil(study)
    bids_dir, out, *config = places_of(study)
    assert encoding("run", bids_dir, out, "participant", *config) == 1
    error = error_of(capsys)
    assert re.search(message, error), error
    assert not [other for other, (*_, words) in BAD_INPUT.items() if other != name and re.search(words, error)]
    assert not list(out.glob("sub-01/*"))
    assert not [path for path in study.root.parent.rglob(".*") if path.name.startswith((".tmp", ".old"))]


BAD_ARGUMENTS = {
    "dataset": (["--config", "run.toml"], "nowhere", r"BIDS_DIR .*nowhere is not a folder"),
    "configuration": (["--config", "none.toml"], "bids", r"none\.toml: cannot be read \(No such file or directory\)"),
    "participant": (["--participant-label", "7"], "bids", r"there is no sub-7\. .*01"),
    "session": (["--session-label", "9"], "bids", r"no volume BOLD file .* matches .*'sessions': \('9',\)"),
    "task": (["--task-id", "rest"], "bids", r"matches \{'task': 'rest'.*There is: task-video space-T1w"),
    "derivatives": (["--derivatives", "nowhere"], "bids", r"Derivatives .*nowhere: no such folder"),
    "filter file": (["--bids-filter-file", "bad.json"], "bids", r"--bids-filter-file .*bad\.json: cannot be read"),
    "filter": (["--bids-filter-file", "rum.json"], "bids", r"unknown entity 'rum'\. Did you mean 'run'\?"),
    "filter list": (["--bids-filter-file", "list.json"], "bids", r'BIDS filters \[1\]: a part \{"bold"'),
    "filter without part": (["--bids-filter-file", "flat.json"], "bids", r'BIDS filters \{"run": 1\}: a part \{"bold"'),
    "filter of another kind": (["--bids-filter-file", "deep.json"], "bids", r'BIDS filters .*: a part \{"bold"'),
    "work folder": (["-w", "bad.json"], "bids", r"bad\.json \(work_dir\) is a file, but a folder is needed"),
    "device": (["--device", "cuda"], "bids", r"--device cuda: PyTorch .* finds no CUDA device\. Use --device cpu"),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_refused_in_words(study, capsys, monkeypatch, name):
    extra, dataset, message = BAD_ARGUMENTS[name]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.chdir(study.root.parent)
    write_config(study.root.parent)
    (study.root.parent / "bad.json").write_text("{")
    contents = {"rum": '{"bold": {"rum": 1}}', "list": "[1]", "flat": '{"run": 1}', "deep": '{"bold": [1]}'}
    for file, content in contents.items():
        (study.root.parent / f"{file}.json").write_text(content)
    assert encoding("compare", dataset, "out", "--config", "run.toml", *extra) == 1
    error = error_of(capsys)
    assert re.search(message, error), error


@pytest.mark.parametrize(
    "arguments",
    [[], ["rum"], ["run"], ["run", "a", "b", "both", "--config", "c"], ["run", "a", "b", "group"],
     ["load", "a", "b", "--config", "c", "--device", "tpu"], ["simulate", "a", "--preset", "huge"]],
)  # fmt: skip
def test_wrong_usage_exits_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: encoding" in capsys.readouterr().err


def test_verbose_shows_where_an_error_comes_from(study, capsys):
    write_config(study.root.parent)
    keep_first_run(study)
    assert encoding("compare", *places_of(study), "-v") == 1
    assert "one run only" in capsys.readouterr().err


def test_one_participant_that_fails_does_not_stop_the_others(tmp_path, capsys):
    study = write_study(tmp_path / "bids", subjects=("01", "02", "03"))
    write_config(tmp_path)
    study.find("sub-02*run-2*preproc_bold.nii.gz").unlink()
    assert encoding("compare", *places_of(study)) == 1
    err = capsys.readouterr().err
    assert re.search(r"error: sub-02: .*no preprocessed volume", err)
    assert "1 of 3 participants failed; the others finished" in err
    assert sorted(path.parent.name for path in tmp_path.glob("out/*/facts.json")) == ["sub-01", "sub-03"]


def test_results_never_go_among_the_input(study, capsys):
    write_config(study.root.parent)
    before = (study.root / "dataset_description.json").read_bytes()
    config = study.root.parent / "run.toml"
    assert encoding("run", study.root, study.root, "participant", "--config", config) == 1
    assert "is the input. Results need a folder of their own." in error_of(capsys)
    assert (study.root / "dataset_description.json").read_bytes() == before
    (study.root.parent / "file").write_text("x")
    assert encoding("run", study.root, study.root.parent / "file", "participant", "--config", config) == 1
    assert "file (output_dir) is a file, but a folder is needed." in error_of(capsys)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("broken"), ("error: sub-01: unexpected RuntimeError: broken", True)),
        (OSError("disk full"), ("error: sub-01: disk full (OSError).", False)),
    ],
    ids=["ours", "the disk's"],
)
def test_a_fault_of_one_participant_is_shown_and_does_not_stop_the_others(
    tmp_path, capsys, monkeypatch, caplog, error, expected
):
    told, traced = expected
    study = write_study(tmp_path / "bids", subjects=("01", "02"), runs=(("", "1"),), n_scans=58)
    write_config(tmp_path)
    load_subject = pipeline.load_subject

    def fail_once(job):
        if job.subject == "01":
            raise error
        return load_subject(job)

    monkeypatch.setattr(pipeline, "load_subject", fail_once)
    assert encoding("load", *places_of(study)) == 1
    err = capsys.readouterr().err
    assert told in err
    assert "sub-02: done in" in err
    assert ("fail_once" in caplog.text) == traced, "a fault of ours comes with its traceback"


def test_a_message_begins_a_line_of_its_own(study, capsys):
    write_config(study.root.parent)
    truncate(study)
    assert encoding("load", *places_of(study)) == 1
    err = capsys.readouterr().err
    assert re.search(r"\d+%", err), "there was a bar"
    assert re.search(r"^encoding load: error: sub-01: ", err, flags=re.MULTILINE), err
    study.find("*run-3*preproc_bold.nii.gz").unlink()
    assert encoding("load", *places_of(study)) == 1
    assert re.search(r"^encoding load: error: sub-01: 1 runs have", capsys.readouterr().err, flags=re.MULTILINE)


def test_an_interruption_is_no_traceback(study, capsys, monkeypatch):
    def interrupt(job):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "load_subject", interrupt)
    write_config(study.root.parent)
    assert encoding("load", *places_of(study)) == 130
    err = capsys.readouterr().err
    assert "run the same command again to continue" in err
    assert "Traceback" not in err


# Options


def test_participants_may_be_chosen_with_and_without_prefix(tmp_path):
    study = write_study(tmp_path / "bids", subjects=("01", "02", "03"), runs=(("", "1"),), n_scans=58)
    write_config(tmp_path)
    assert encoding("load", *places_of(study), "--participant-label", "sub-03", "01") == 0
    assert sorted(path.name for path in tmp_path.glob("out/work/*")) == ["sub-01", "sub-03"]


def test_sessions_may_be_chosen(tmp_path):
    study = write_study(tmp_path / "bids", runs=[(session, run) for session in ("a", "b", "c") for run in "12"])
    write_config(tmp_path)
    assert encoding("load", *places_of(study), "--session-label", "ses-c", "a") == 0
    assert runs_of(study) == ("ses-a_run-1", "ses-a_run-2", "ses-c_run-1", "ses-c_run-2")


def test_the_task_of_the_command_line_overrules_the_configuration(study, capsys):
    write_config(study.root.parent, ('task = "video"', 'task = "rest"'))
    assert encoding("load", *places_of(study)) == 1
    assert "'task': 'rest'" in error_of(capsys)
    assert encoding("load", *places_of(study), "--task-id", "task-video") == 0
    assert load(study.root.parent / "out" / "work" / "sub-01" / "responses").task == "video"


def test_derivatives_may_lie_elsewhere(study, capsys):
    write_config(study.root.parent)
    elsewhere = study.root.parent / "elsewhere"
    shutil.move(study.derivatives, elsewhere)
    assert encoding("load", *places_of(study)) == 1
    assert "--derivatives" in error_of(capsys)
    assert encoding("load", *places_of(study), "--derivatives", elsewhere) == 0
    assert runs_of(study) == ("run-1", "run-2", "run-3")


def test_filters_choose_runs(study):
    write_config(study.root.parent)
    filters = study.root.parent / "filters.json"
    filters.write_text(json.dumps({"bold": {"run": ["1", "3"]}, "t1w": {"acquisition": "a"}}))
    assert encoding("load", *places_of(study), "--bids-filter-file", filters) == 0
    assert runs_of(study) == ("run-1", "run-3")


def test_intermediate_results_may_lie_elsewhere_and_are_used_from_there(study, monkeypatch):
    write_config(study.root.parent)
    work = study.root.parent / "scratch"
    assert encoding("compare", *places_of(study), "-w", work) == 0
    assert sorted(path.name for path in (work / "sub-01").iterdir()) == [
        "inference", "model-abc", "model-first", "model-joint", "responses",
    ]  # fmt: skip
    out = study.root.parent / "out"
    assert {path.name for path in out.iterdir()} == {
        ".bidsignore", "README", "code", "dataset_description.json", "logs", "sub-01",
    }  # fmt: skip
    before = (out / "sub-01" / "regions.tsv").read_bytes()
    shutil.rmtree(out)
    monkeypatch.setattr("encoding.fitting.crossval.ChunkFit.run", lambda *_, **__: pytest.fail("fitted again"))
    assert encoding("compare", *places_of(study), "--work-dir", work) == 0
    assert (out / "sub-01" / "regions.tsv").read_bytes() == before


@pytest.mark.parametrize(("device", "told"), [("cpu", "CPU, as asked."), ("auto", "no CUDA device was found.")])
def test_the_device_is_told(study, monkeypatch, device, told):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_config(study.root.parent)
    assert encoding("compare", *places_of(study), "--device", device) == 0
    facts = json.loads((study.root.parent / "out" / "sub-01" / "facts.json").read_text())
    assert facts["device"].endswith(told)


BOTH = threading.Barrier(2, timeout=60)


def meet(job):
    BOTH.wait()
    job.progress("load", 1.0)


@pytest.mark.parametrize("n_jobs", ["2", "-1"])
def test_participants_run_side_by_side(tmp_path, capsys, monkeypatch, n_jobs):
    study = write_study(tmp_path / "bids", subjects=("01", "02"), runs=(("", "1"),), n_scans=58)
    write_config(tmp_path)
    monkeypatch.setattr(pipeline, "load_subject", meet)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("encoding.workflow.cluster.PROCESSES", False)  # processes would not see what is replaced
    assert encoding("load", *places_of(study), "--n-jobs", n_jobs) == 0
    err = capsys.readouterr().err
    assert {"sub-01 load: done", "sub-02 load: done"} <= {line.partition(" in ")[0] for line in err.splitlines()}


@pytest.mark.slow
def test_participants_run_in_processes_of_their_own(tmp_path):
    study = write_study(tmp_path / "bids", subjects=("01", "02"))
    write_config(tmp_path)
    assert encoding("load", *places_of(study), "--n-jobs", "2") == 0
    assert runs_of(study, "01") == runs_of(study, "02") == ("run-1", "run-2", "run-3")


# Commands


def spoil_visibly(study):
    """Things that are left out and said: a voxel, a feature, a stimulus."""
    path = study.find("sub-02*run-2*preproc_bold.nii.gz")
    image = nib.load(path)
    data = image.get_fdata(dtype=np.float32)
    data[1, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(data, AFFINE, image.header), path)
    change_table(FEATURES, lambda frame: pd.concat([frame.assign(c=0), frame[:1].assign(stim_id="unseen", c=0)]))(study)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two participants step by step, then the group, for which the dataset is not there any more."""
    study = write_study(tmp_path_factory.mktemp("finished") / "bids", subjects=("01", "02"))
    write_config(study.root.parent)
    spoil_visibly(study)
    top, (bids_dir, out, *config) = study.root.parent, places_of(study)
    there = {}
    for stage in ("load", "fit", "compare", "map"):
        assert encoding(stage, bids_dir, out, *config, "--participant-label", "01") == 0
        there[stage] = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    assert encoding("run", bids_dir, out, "participant", *config) == 0
    shutil.rmtree(bids_dir)
    bids_dir.mkdir()
    assert encoding("run", bids_dir, out, "group", *config) == 0
    return top, there


def test_stages_stop_where_they_say(finished):
    _, there = finished
    assert "work/sub-01/responses/values.npy" in there["load"]
    assert "work/sub-01/model-joint" not in there["load"]
    assert "work/sub-01/model-joint/values.npy" in there["fit"]
    assert "sub-01" not in there["fit"]
    assert {"sub-01/regions.tsv", "sub-01/facts.json"} <= there["compare"]
    assert "sub-01.html" not in there["compare"]
    assert {"sub-01.html", "sub-01/figures"} <= there["map"]
    assert not [name for name in there["map"] if "sub-02" in name]


def test_what_a_bids_app_leaves_behind(finished):
    top, _ = finished
    out = top / "out"
    description = json.loads((out / "dataset_description.json").read_text())
    assert (description["DatasetType"], description["GeneratedBy"][0]["Name"]) == ("derivative", "brain-encoding")
    assert (out / "logs" / "run.toml").read_text() == (top / "run.toml").read_text()
    for name in ("report.html", "sub-01.html", "sub-02.html", "group/winners.tsv", "group/regions_summary.tsv"):
        assert (out / name).stat().st_size > 0
    maps = {path.name for path in out.glob("sub-02/func/*_statmap.nii.gz")}
    assert "sub-02_task-video_space-T1w_model-abc_feature-all_stat-r_statmap.nii.gz" in maps
    assert all(path.with_suffix("").with_suffix(".json").exists() for path in out.glob("sub-*/func/*_statmap.nii.gz"))


def test_what_is_left_out_is_seen(finished):
    top, _ = finished
    table = pd.read_csv(top / "out" / "sub-02" / "exclusions.tsv", sep="\t").set_index("what")
    assert table.loc["targets", "n"] == 1
    assert "constant or not finite in a run (run-2: 1)" in table.loc["targets", "reason"]
    image = nib.load(next(top.glob("out/sub-02/func/*model-abc_*stat-r_statmap.nii.gz"))).get_fdata()
    assert np.isnan(image[1, 0, 0])
    assert np.isfinite(image).sum() == 99
    for page in ("sub-02.html", "report.html"):
        text = (top / "out" / page).read_text()
        for said in ("constant or not finite in a run (run-2: 1)", "c@1, c@2, c@3", "(unseen)"):
            assert said in text, (page, said)


class Loads(HTMLParser):
    """Collects whatever a browser would fetch to show a page."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.code = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "srcset", "poster", "data", "background", "action") or (name == "href" and tag != "a"):
                self.found.append(value)
            if name == "style":
                self.code.append(value)

    def handle_data(self, data):
        if self.lasttag in ("style", "script"):
            self.code.append(data)


@pytest.mark.parametrize("page", ["sub-01.html", "report.html"])
def test_reports_fetch_nothing(finished, page):
    top, _ = finished
    loads = Loads()
    loads.feed((top / "out" / page).read_text())
    assert len(loads.found) > 5
    assert not [source[:80] for source in loads.found if not source.startswith("data:")]
    code = "\n".join(loads.code)
    urls = re.findall(r"url\(\s*['\"]?([^)'\"]*)", code)
    assert not [url[:80] for url in urls if not url.startswith(("data:", "#"))]
    for word in ("@import", "fetch(", "XMLHttpRequest", "import(", "WebSocket", "sendBeacon", "http:", "https:"):
        assert word not in code, word


def test_report_draws_again_what_was_written(finished, capsys):
    top, _ = finished
    out = top / "out"
    before = {path: path.read_bytes() for path in [*out.glob("sub-*/*.tsv"), *out.glob("group/*.tsv")]}
    for path in (out / "sub-01.html", out / "report.html"):
        path.unlink()
    assert encoding("report", top / "bids", out, "--config", top / "run.toml", "--participant-label", "01") == 0
    assert capsys.readouterr().out.strip() == str(out / "report.html")
    assert (out / "sub-01.html").stat().st_size > 50_000
    assert {path: path.read_bytes() for path in out.glob("sub-*/*.tsv")}.items() <= before.items()


def test_group_names_who_is_not_finished(finished, capsys):
    top, _ = finished
    arguments = ["run", top / "bids", top / "out", "group", "--config", top / "run.toml"]
    assert encoding(*arguments, "--participant-label", "02", "03") == 1
    assert re.search(r"there is no sub-03\. .*01, 02", error_of(capsys))
    assert encoding("run", top / "bids", top / "nothing", "group", "--config", top / "run.toml") == 1
    assert "no subject was found" in error_of(capsys)


def test_group_refuses_participants_with_other_settings(tmp_path, capsys):
    study = write_study(tmp_path / "bids", subjects=("01", "02"))
    write_config(tmp_path)
    assert encoding("compare", *places_of(study), "--participant-label", "01") == 0
    write_config(tmp_path, ("delays = [1, 2, 3]", "delays = [1, 2]"))
    assert encoding("compare", *places_of(study), "--participant-label", "02") == 0
    bids_dir, out, *config = places_of(study)
    capsys.readouterr()
    assert encoding("run", bids_dir, out, "group", *config) == 1
    assert "sub-02 was analysed with other settings than sub-01" in error_of(capsys)
    assert not (out / "report.html").exists()


def test_show_describes_an_object_and_a_folder(finished, capsys):
    top, _ = finished
    assert encoding("show", top / "out" / "work" / "sub-01" / "responses") == 0
    first, provenance = capsys.readouterr().out.split("\n", 1)
    assert first.startswith("Responses(sub-01")
    found = json.loads(provenance)
    assert found["step"].startswith("load/")
    assert found["config"]["task"] == "video"
    assert "numpy" in found["versions"]
    assert encoding("show", top / "out") == 0
    listed = capsys.readouterr().out
    assert "work/sub-02/model-joint: Predictions(" in listed
    assert "sub-01/scores/metric-r: Scores(r, sub-01" in listed
    assert encoding("show", top / "bids") == 1
    assert "there is no object that this program saved" in error_of(capsys)


def test_check_builds_everything_and_touches_no_data(tmp_path, capsys):
    path = write_config(tmp_path)
    assert encoding("check", path) == 0
    out = capsys.readouterr().out
    assert f"{path}: good" in out
    for said in ("abc, first", "joint: banded_ridge on abc, first, 2 alphas", "abc with first", "outer leave_one_out"):
        assert said in out, said
    write_config(tmp_path, ('bands = ["abc", "first"]', 'bands = ["abc", "fist"]'))
    assert encoding("check", path) == 1
    assert re.search(r"no feature space 'fist'.*Did you mean 'first'\?", error_of(capsys))
    assert [item.name for item in tmp_path.iterdir()] == ["run.toml"]


def test_atlases_come_with_licence_and_citation(capsys):
    assert encoding("atlases") == 0
    out = capsys.readouterr().out
    assert re.search(r"^Schaefer2018-200  \(shipped, fsaverage5, .*MNI152NLin6Asym, 200 regions\)$", out, re.MULTILINE)
    n = len(re.findall(r"^\S", out, re.MULTILINE))
    assert out.count("licence: ") == out.count("cite: ") == n >= 3


def test_simulate_refuses_a_folder_with_something_else(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("keep")
    assert encoding("simulate", tmp_path, "--preset", "tiny") == 1
    assert "is not a simulated study" in error_of(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_step_that_says_twice_that_it_is_done_is_told_once(capsys):
    from encoding.cli.progress import Bar, Milestones

    told = Milestones("01")
    for step, share in (("fit", 0.0), ("fit", 1.0), ("fit", 1.0), ("compare", 1.0), ("fit", 0.5), ("fit", 1.0)):
        told(step, share)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["sub-01 fit", "sub-01 compare", "sub-01 fit"]
    bar = Bar("sub-01 ")
    for share in (0.0, 1.0, 1.0):
        bar("fit", share)
    assert capsys.readouterr().err.count("100%") == 1
