"""`encoding init` on datasets of all kinds: every one gives a configuration that runs and finds what was planted."""

import shutil

import numpy as np
import pandas as pd
import pytest
from factories import write_json, write_study

from encoding.cli import main
from encoding.config import parse_config
from encoding.core import DataError
from encoding.pipeline import Job, Places, run_compare, subjects_of
from encoding.workflow.checks import check_dataset
from encoding.workflow.new_config import propose_config

QUICK = "\n[compare]\ninference = false\ncontrols = false\n"


def no_events(study):
    for path in study.root.rglob("*_events.tsv"):
        path.unlink()


def on_volumes(study, run, n_scans=60):
    """Features of what is on, volume by volume: the planted cause of the responses."""
    events = pd.read_csv(study.find(f"sub-01_task-video_run-{run}_events.tsv", raw=True), sep="\t")
    design = np.zeros((n_scans, 3))
    for row in events.dropna(subset="stim_id").itertuples():
        first, last = round(row.onset / 2), round((row.onset + row.duration) / 2)
        design[first:last] = study.features.loc[row.stim_id]
    return design


def table(study):
    """The usual one: events, and a table of stimuli with other spellings."""
    path = study.root / "stimuli" / "feature-abc.tsv"
    frame = pd.read_csv(path, sep="\t")
    frame.assign(stim_id=frame["stim_id"] + ".mp4").to_csv(path, sep="\t", index=False)


def film(study):
    """A matrix for each run, no events."""
    (study.root / "features" / "mllm").mkdir(parents=True)
    for run in "123":
        np.save(study.root / f"features/mllm/task-video_run-{run}.npy", on_volumes(study, run))
    no_events(study)
    shutil.rmtree(study.root / "stimuli")


def frames(study):
    """Matrices of 5 rows per second in npz files that know the run only."""
    (study.root / "features").mkdir()
    for run in "123":
        np.savez(study.root / f"features/sound_run0{run}.npz", values=np.repeat(on_volumes(study, run), 10, axis=0))
    no_events(study)
    shutil.rmtree(study.root / "stimuli")


def stories(study):
    """Three tasks of one run each, and a table of words for each."""
    (study.root / "features").mkdir()
    for run, story in zip("123", ("pieman", "tunnel", "lucy"), strict=True):
        values = np.repeat(on_volumes(study, run), 4, axis=0)
        words = pd.DataFrame(values, columns=list("abc")).assign(onset=0.5 * np.arange(240), duration=0.5, word="so")
        words.to_csv(study.root / f"features/words_{story}.tsv", sep="\t", index=False)
        for path in [*study.root.rglob(f"*task-video_run-{run}_*")]:
            path.rename(path.with_name(path.name.replace(f"task-video_run-{run}", f"task-{story}")))
    no_events(study)
    shutil.rmtree(study.root / "stimuli")


def clips(study):
    """A matrix for each stimulus, placed by events."""
    shutil.rmtree(study.root / "stimuli")
    (study.root / "features" / "vision").mkdir(parents=True)
    for name, row in study.features.iterrows():
        np.save(study.root / f"features/vision/{name}.npy", np.tile(row.to_numpy(), (32, 1)))


def tedana(study):
    """Derivatives of another pipeline, without masks and confounds."""
    for path in [*study.derivatives.rglob("*_desc-preproc_bold.nii.gz")]:
        path.rename(path.with_name(path.name.replace("space-T1w_desc-preproc", "desc-denoised")))
    for path in [*study.derivatives.rglob("*_mask.nii.gz"), *study.derivatives.rglob("*_timeseries.*")]:
        path.unlink()
    study.derivatives.rename(study.root / "derivatives" / "tedana")


def betas(study):
    """Trials by targets, a table of trials, no BIDS at all."""
    rng = np.random.default_rng(0)
    trials = pd.DataFrame({"run": np.repeat([1, 2, 3, 4], 8), "stimulus": np.tile(study.features.index, 4)})
    values = study.features.loc[trials["stimulus"]].to_numpy() @ study.weights[:, :100]
    np.save(study.root / "betas.npy", values + rng.standard_normal(values.shape))
    trials.to_csv(study.root / "trials.tsv", sep="\t", index=False)
    shutil.rmtree(study.root / "sub-01")
    shutil.rmtree(study.root / "derivatives")


def betas_in_folders(study):
    """The same with a folder for every participant, called by its number."""
    betas(study)
    (study.root / "01").mkdir()
    for name in ("betas.npy", "trials.tsv"):
        (study.root / name).rename(study.root / "01" / name)


def described(study):
    """Surfaces beside volumes, sessions in names, a table in CSV."""
    path = study.root / "stimuli" / "feature-abc.tsv"
    pd.read_csv(path, sep="\t").to_csv(path.with_suffix(".csv"), index=False)
    path.unlink()


LAYOUTS = {
    table: ['file = "stimuli/feature-abc.tsv"', 'per = "stimulus"'],
    film: ['file = "features/mllm/task-{task}_run-{run}.npy"', 'events = "none"', 'name = "mllm"'],
    frames: ['file = "features/sound_run{run}.npz"', "rate = 5 "],
    stories: ['file = "features/words_{task}.tsv"', 'task = ["lucy", "pieman", "tunnel"]'],
    clips: ['file = "features/vision/{stimulus}.npy"', "rate = 4 ", 'per = "tr"'],
    tedana: ['desc = "denoised"', 'mask = "none"', "confounds = []"],
    betas: ['kind = "betas"', 'file = "betas.npy"', 'events = "trials.tsv"'],
    betas_in_folders: ['file = "{subject}/betas.npy"', 'events = "{subject}/trials.tsv"'],
    described: ['kind = "volume"', 'file = "stimuli/feature-abc.csv"'],
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.filterwarnings("ignore:sub-01. the estimates")
def test_the_configuration_runs_and_finds_what_was_planted(tmp_path, layout):
    sessions = (("a", "1"), ("a", "2"), ("b", "3")) if layout is described else (("", "1"), ("", "2"), ("", "3"))
    study = write_study(tmp_path / "bids", runs=sessions, noise=0.5)
    layout(study)
    proposal = propose_config(study.root)
    assert proposal.missing == []
    for line in LAYOUTS[layout]:
        assert line in proposal.text
    parsed = parse_config(proposal.text + QUICK)
    places = Places(study.root, tmp_path / "out", tmp_path / "out" / "work")
    subjects = subjects_of(places, [], parsed.load)
    assert subjects == ["01"]
    assert check_dataset(parsed, places, subjects).failed == {}
    r = run_compare(Job(parsed, places, "01", "cpu")).scores["r"]
    assert r.row(parsed.single[0])[:40].mean() > 0.3


def test_features_in_time_that_do_not_fit_are_told(tmp_path):
    study = write_study(tmp_path / "bids")
    film(study)
    np.save(study.root / "features/mllm/task-video_run-2.npy", np.zeros((44, 3)))
    proposal = propose_config(study.root)
    assert proposal.text == ""
    assert "do not fit: features/mllm/task-{task}_run-{run}.npy (60 rows" in proposal.missing[0]
    for run in "123":
        (study.root / f"features/mllm/task-video_run-{run}.npy").unlink()
    assert "Without events, features are needed for each run" in propose_config(study.root).missing[0]


def test_a_folder_of_nothing_says_so(tmp_path):
    write_json(tmp_path / "dataset_description.json", {"Name": "x", "BIDSVersion": "1.10.0"})
    with pytest.raises(DataError, match="no preprocessed data"):
        propose_config(tmp_path)


def test_the_shortest_way_is_three_commands_and_no_line(tmp_path, monkeypatch):
    """From fMRIPrep's output and one table of features to maps: nothing is written by hand."""
    write_study(tmp_path / "ds", noise=0.5)
    monkeypatch.chdir(tmp_path)
    commands = [
        ["init", "ds"],
        ["run", "ds", "out", "participant", "--config", "run.toml"],
        ["run", "ds", "out", "group", "--config", "run.toml"],
    ]
    for command in commands:
        assert main(command) == 0
    assert list((tmp_path / "out" / "sub-01" / "func").glob("*_stat-r_statmap.nii.gz"))
    assert (tmp_path / "out" / "report.html").is_file()
