"""A first configuration from what is in a dataset: every layout gives one that can be run, or says what is missing."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from encoding.cli import main
from encoding.config import parse_config
from encoding.core import DataError
from encoding.io.bids.index import PybidsIndex
from encoding.loading import find_runs
from encoding.simulate import simulate
from encoding.workflow.new_config import propose_config

PREPROCESSED = Path("derivatives") / "fmriprep"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("init") / "tiny", preset="tiny", clips=False)


@pytest.fixture
def dataset(tiny, tmp_path):
    """A copy of one subject of the tiny study that a test may change."""
    root = tmp_path / "ds"
    shutil.copytree(tiny, root, ignore=shutil.ignore_patterns("sub-02", "truth", "*.toml"))
    return root


def rename(root, change):
    for path in sorted(root.rglob("sub-*"), reverse=True):
        if path.is_file() and (new := change(path.name)) != path.name:
            path.rename(path.with_name(new))


def runs_of(root, study, subject="01"):
    index = PybidsIndex(root, subjects=(subject,))
    return find_runs(study.load, index, subject)[0]


def check(root, proposal, n_runs=4):
    """The text is accepted, names features that can be read, and finds every run."""
    assert proposal.missing == []
    study = parse_config(proposal.text)
    assert len(runs_of(root, study)) == n_runs
    assert {source.name for source in study.features} == {"category", "dimension", "llm", "mllm"}
    return study


def test_a_surface_is_preferred_and_everything_else_is_told(tiny):
    proposal = propose_config(tiny)
    study = check(tiny, proposal)
    assert (study.load.kind, study.load.space) == ("surface", "fsaverage5")
    assert any(line.startswith("also there: volume MNI152NLin2009cAsym") for line in proposal.found)
    assert "2 subjects; preprocessed images in" in proposal.found[0]
    assert study.split.repeats == "drop_later"
    assert [model.name for model in study.models] == ["category", "dimension", "llm", "mllm", "joint"]


def test_volumes_where_there_is_no_surface(dataset):
    for path in (dataset / PREPROCESSED).rglob("*.func.gii"):
        path.unlink()
    study = check(dataset, propose_config(dataset))
    assert (study.load.kind, study.load.space, study.load.res) == ("volume", "MNI152NLin2009cAsym", "12")


def test_volumes_where_surfaces_lack_a_run(dataset):
    for path in (dataset / PREPROCESSED).rglob("*run-04*.func.gii"):
        path.unlink()
    proposal = propose_config(dataset)
    assert check(dataset, proposal).load.kind == "volume"
    assert any("surface fsaverage5 (3 runs)" in line for line in proposal.found)


def test_sessions(dataset):
    for base in (dataset / "sub-01", dataset / PREPROCESSED / "sub-01"):
        (base / "ses-a").mkdir()
        (base / "func").rename(base / "ses-a" / "func")
    rename(dataset, lambda name: name.replace("sub-01_", "sub-01_ses-a_"))
    study = check(dataset, propose_config(dataset))
    assert all("ses-a" in run.label or run.entities["session"] == "a" for run in runs_of(dataset, study))


def test_a_task_with_events_wins_over_rest_with_more_runs(dataset):
    folder = dataset / PREPROCESSED / "sub-01" / "func"
    for path in list(folder.glob("*run-01*")):
        for number in range(1, 7):
            name = path.name.replace("task-video", "task-rest").replace("run-01", f"run-{number:02d}")
            os.link(path, folder / name)
    proposal = propose_config(dataset)
    assert check(dataset, proposal).load.task == "video"
    assert any("tasks: rest (6 runs), video (4 runs); 'video' was chosen" in line for line in proposal.found)


def test_derivatives_elsewhere(dataset, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (dataset / PREPROCESSED).rename(elsewhere)
    proposal = propose_config(dataset, elsewhere)
    assert proposal.missing == []
    assert parse_config(proposal.text).load.kind == "surface"


def test_motion_without_derivatives_of_24_columns(dataset):
    for path in (dataset / PREPROCESSED).rglob("*confounds_timeseries.tsv"):
        frame = pd.read_csv(path, sep="\t")
        frame.drop(columns=[name for name in frame if "power2" in name or name == "csf"]).to_csv(
            path, sep="\t", index=False
        )
    study = check(dataset, propose_config(dataset))
    assert study.load.confounds == ("motion",)
    assert study.load.confound_options == {"motion": "derivatives"}


def test_conditions_that_recur_in_every_run(dataset):
    for path in (dataset / "sub-01").rglob("*events.tsv"):
        frame = pd.read_csv(path, sep="\t", keep_default_na=False)
        shown = frame["stim_id"] != "n/a"
        frame.loc[shown, "stim_id"] = [f"video{1 + i % 4:04d}" for i in range(shown.sum())]
        frame.to_csv(path, sep="\t", index=False)
    study = parse_config(propose_config(dataset).text)
    assert study.split.repeats == "condition"


def test_trial_types_and_a_csv_with_words_in_it(dataset):
    for path in (dataset / "sub-01").rglob("*events.tsv"):
        frame = pd.read_csv(path, sep="\t", keep_default_na=False)
        frame["trial_type"] = [name if name != "n/a" else "" for name in frame.pop("stim_id")]
        frame.to_csv(path, sep="\t", index=False, na_rep="n/a")
    shutil.rmtree(dataset / "stimuli")
    (dataset / "features").mkdir()
    names = sorted({f"video{number:04d}" for number in range(1, 61)})
    table = pd.DataFrame({"clip": names, "comment": "a note", "valence": np.arange(60.0), "arousal": 1.0})
    table.to_csv(dataset / "features" / "feature-human ratings.csv", index=False)
    study = parse_config(propose_config(dataset).text)
    assert study.load.stimulus == "trial_type"
    assert study.features[0].name == "human_ratings"
    assert study.features[0].stimulus == "clip"
    assert study.features[0].columns == ("valence", "arousal")


def test_the_real_example_of_the_package():
    root = os.environ.get("ENCODING_REAL_DATA")
    if not root:
        pytest.skip("needs ENCODING_REAL_DATA, the folder that holds haxby2001-slice")
    dataset = Path(root) / "haxby2001-slice"
    study = parse_config(propose_config(dataset).text)
    assert study.load.kind == "volume"
    assert len(runs_of(dataset, study)) == 12
    assert study.split.repeats == "condition"


def test_what_is_missing_is_named_together(dataset):
    shutil.rmtree(dataset / "stimuli")
    proposal = propose_config(dataset)
    assert proposal.text == ""
    assert [line.split(":")[0] for line in proposal.missing] == ["features"]
    assert "has a row for each of the 38 stimuli (video0001" in proposal.missing[0]
    for path in (dataset / "sub-01").rglob("*events.tsv"):
        path.unlink()
    for path in (dataset / PREPROCESSED).rglob("*run-0[34]*"):
        path.unlink()
    proposal = propose_config(dataset)
    assert [line.split(":")[0] for line in proposal.missing] == ["events", "runs"]


def test_a_table_that_lacks_stimuli_is_told(dataset):
    for path in (dataset / "stimuli").glob("feature-*.tsv"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[:10]) + "\n")
    proposal = propose_config(dataset)
    assert "Not used: stimuli/feature-category.tsv (29 of 38 stimuli have no row)" in proposal.missing[0]


def test_no_preprocessed_images(dataset):
    shutil.rmtree(dataset / PREPROCESSED / "sub-01")
    (dataset / PREPROCESSED / "sub-01").mkdir()
    with pytest.raises(DataError, match=r"no preprocessed BOLD image of any of 1 subjects\. Run fMRIPrep"):
        propose_config(dataset)


def test_the_configuration_runs_as_it_is_written(dataset, tmp_path, monkeypatch, capsys):
    for path in [*(dataset / PREPROCESSED).rglob("*.func.gii"), *(dataset / "stimuli").glob("feature-*llm.tsv")]:
        path.unlink()
    monkeypatch.chdir(tmp_path)
    assert main(["init", "ds"]) == 0
    assert "run.toml is written" in capsys.readouterr().out
    assert main(["init", "ds"]) == 1
    assert "run.toml exists" in capsys.readouterr().err
    assert main(["compare", "ds", "out", "--config", "run.toml"]) == 0
    assert (tmp_path / "out" / "sub-01" / "regions.tsv").is_file()
    # Without a configuration, the program says how to get one.
    with pytest.raises(SystemExit):
        main(["run", "ds", "out", "participant"])
    assert "`encoding init BIDS_DIR` looks at a dataset and writes one" in capsys.readouterr().err
