"""Features in time: matrices of runs and of stimuli, words with onsets, laid out on volumes."""

import json
import re
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, write_json

from encoding.config import parse_config
from encoding.core import AlignmentError, ConfigError, DataError, SplitError
from encoding.pipeline import Job, Places, load_subject, run_compare, subjects_of
from encoding.workflow.checks import check_dataset

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
T_R, N_SCANS, SHAPE = 2.0, 90, (5, 4, 3)
N_TARGETS = int(np.prod(SHAPE))
DELAYS = (1, 2, 3)
HRF = (0.4, 1.0, 0.6)  # planted: what is on answers one, two and three volumes later

CONFIG = """
seed = 0
{features}
[load]
kind = "volume"
mask = "none"
confounds = []
high_pass = 0.01
{load}
[align]
delays = [1, 2, 3]
[split]
n_outer = 5
n_inner = 2
{split}
[[fit]]
kind = "ridge"
bands = "each"
alphas = [1, 10, 100]
[compare]
inference = false
controls = false
[map]
atlases = []
"""


def config(features, load='events = "none"', split=""):
    return CONFIG.format(features=features, load=load, split=split)


def space(name, file, *more):
    return "\n".join(["[[features]]", f'name = "{name}"', 'kind = "series"', f'file = "{file}"', *more, ""])


def smooth(rng, n, width):
    """Features that change slowly, as those of films do."""
    noise = rng.standard_normal((n + width, 4))
    kernel = np.ones(width) / np.sqrt(width)
    return np.stack([np.convolve(column, kernel, "valid")[:n] for column in noise.T], axis=1)


def respond(rng, on_volumes, weights, noise=1.0):
    """Planted responses (n_scans, n_targets): every volume answers what was on one to three volumes before."""
    n = len(on_volumes)
    signal = np.zeros((n, weights.shape[1]))
    for delay, weight in zip(DELAYS, HRF, strict=True):
        signal[delay:] += weight * (on_volumes[: n - delay] @ weights)
    return 100 + signal + noise * rng.standard_normal(signal.shape)


def write_run(root, name, values, t_r=T_R, derivative="fmriprep", **sidecar):
    subject = name.split("_")[0]
    func = root / "derivatives" / derivative / subject / "func"
    func.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(values.T.reshape(*SHAPE, len(values)).astype(np.float32), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((3, 3, 3, t_r))
    nib.save(image, func / f"{name}_space-T1w_desc-preproc_bold.nii.gz")
    write_json(func / f"{name}_space-T1w_desc-preproc_bold.json", {"RepetitionTime": t_r, **sidecar})
    (root / subject / "func").mkdir(parents=True, exist_ok=True)


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "bids"
    write_json(root / "dataset_description.json", {"Name": "movie", "BIDSVersion": "1.10.0"})
    write_json(root / "derivatives/fmriprep/dataset_description.json", {"Name": "p", "BIDSVersion": "1.10.0"})
    (root / "features").mkdir()
    return root


def halves(rng):
    """Weights of two spaces: the first answers in the first half of the targets, the second in the second."""
    first, second = rng.standard_normal((2, 4, N_TARGETS))
    where = np.arange(N_TARGETS) < N_TARGETS // 2
    return first * where, second * ~where


@pytest.fixture
def movie(dataset):
    """A film of five runs: one matrix of volumes and one of 10 frames per second, of which each wins in its half."""
    rng = np.random.default_rng(3)
    weights = halves(rng)
    for run in range(1, 6):
        vision = smooth(rng, N_SCANS, 3)
        frames = smooth(rng, N_SCANS * 20, 40)
        np.save(dataset / f"features/vision_run-{run}.npy", vision)
        np.savez(dataset / f"features/sound_run-{run:02d}.npz", mel=frames)
        sound = frames.reshape(N_SCANS, 20, 4).mean(1)
        values = respond(rng, vision, weights[0]) + respond(rng, sound, weights[1])
        write_run(dataset, f"sub-01_task-movie_run-{run:02d}", values)
    return dataset


FILM = space("vision", "features/vision_run-{run}.npy") + space("sound", "features/sound_run-{run}.npz", "rate = 10")


def job_of(root, text):
    places = Places(root, root.parent / "out", root.parent / "work")
    return Job(parse_config(text), places, "01", "cpu")


def right_winners(result, first, second):
    """Mean scores of both spaces in both halves: the planted one leads."""
    r = result.scores["r"]
    a, b = r.row(first), r.row(second)
    half = N_TARGETS // 2
    assert a[:half].mean() > 0.4
    assert b[half:].mean() > 0.4
    assert b[:half].mean() < 0.1
    assert a[half:].mean() < 0.1
    assert (a[:half] > b[:half]).mean() > 0.95
    assert (b[half:] > a[half:]).mean() > 0.95


def test_a_film_with_a_matrix_per_run_at_two_rates(movie):
    job = job_of(movie, config(FILM))
    checked = check_dataset(job.study, job.places, ["01"])
    assert checked.runs == {"01": 5}
    assert checked.failed == {}
    right_winners(run_compare(job), "vision", "sound")


def test_columns_are_the_rows_of_the_matrix_that_many_volumes_before(movie):
    text = config(FILM).replace("high_pass = 0.01", "high_pass = false\ndetrend = false")
    loaded = load_subject(job_of(movie, text))
    vision = loaded.spaces[0]
    assert vision.features[:5] == ("vision_1@1", "vision_2@1", "vision_3@1", "vision_4@1", "vision_1@2")
    given = np.load(movie / "features/vision_run-2.npy")
    rows = vision.samples.run == "run-02"
    for number, delay in enumerate(DELAYS):
        expected = np.zeros_like(given)
        expected[delay:] = given[:-delay]
        expected -= expected.mean(0)
        np.testing.assert_allclose(vision.values[rows][:, 4 * number : 4 * number + 4], expected, atol=1e-5)


STORIES = ("pieman", "tunnel", "lucy", "slumlord", "bronx")


@pytest.fixture(params=["lanczos", "last"])
def stories(request, dataset):
    """Five stories told once each: words with times and vectors, and how many phonemes there are."""
    rng = np.random.default_rng(5)
    weights = halves(rng)
    for number, story in enumerate(STORIES):
        n_scans = N_SCANS + 3 * number
        n_words = int(n_scans * T_R * 2.5)
        onset = np.sort(rng.uniform(0, n_scans * T_R - 1, n_words)).round(3)
        vectors = smooth(rng, n_words, 8)
        table = pd.DataFrame({"word": "so", "onset": onset, "duration": 0.2})
        table[[f"d{k}" for k in range(4)]] = vectors
        table.to_csv(dataset / f"features/task-{story}_words.tsv", sep="\t", index=False)
        rate = smooth(rng, n_scans, 4)
        np.save(dataset / f"features/task-{story}_rate.npy", rate)
        # Planted by a loop over volumes and words, each of which counts where its middle is.
        words = np.zeros((n_scans, 4))
        for volume in range(n_scans):
            middle = onset + 0.1
            if request.param == "lanczos":
                t = (volume * T_R + T_R / 2 - middle) / T_R
                weight = np.where(np.abs(t) <= 3, np.sinc(t) * np.sinc(t / 3), 0)
                words[volume] = weight @ vectors / 3
                continue
            inside = np.flatnonzero((middle >= volume * T_R) & (middle < (volume + 1) * T_R))
            if len(inside):
                words[volume] = {
                    "mean": vectors[inside].mean(0), "sum": vectors[inside].sum(0) / 3, "last": vectors[inside[-1]],
                }[request.param]  # fmt: skip
        values = respond(rng, words, weights[0]) + respond(rng, rate, weights[1])
        write_run(dataset, f"sub-01_task-{story}", values)
    return dataset, request.param


def test_stories_with_words_at_their_times(stories):
    root, method = stories
    features = space("words", "features/task-{task}_words.tsv", f'resample = "{method}"')
    features += space("rate", "features/task-{task}_rate.npy")
    load = f'events = "none"\ntask = {json.dumps(STORIES)}'
    right_winners(run_compare(job_of(root, config(features, load))), "words", "rate")


def test_a_matrix_per_stimulus_is_placed_by_events(dataset):
    """Films of 20 to 40 s in another order in every run; names are spelled as paths in events."""
    rng = np.random.default_rng(7)
    weights = halves(rng)
    films = {}
    for number in range(15):
        seconds = 20 + 2 * (number % 11)
        values = smooth(rng, seconds * 4, 16)
        films[f"film{number}"] = values
        pd.DataFrame(values, columns=list("abcd")).to_csv(dataset / f"features/film{number}.csv", index=False)
    names = [f"film{k}" for k in rng.permutation(15)]
    for run in range(5):
        shown = names[3 * run : 3 * run + 3]
        on, rows, at = np.zeros((N_SCANS, 4)), [], 6.0
        for name in shown:
            values = films[name].reshape(-1, 8, 4).mean(1)
            first = round(at / T_R)
            on[first : first + len(values)] = values
            rows.append((at, len(values) * T_R, f"stimuli/{name}.mp4"))
            at += len(values) * T_R + 8
        run_name = f"sub-01_task-clips_run-{run + 1}"
        write_run(dataset, run_name, respond(rng, on, weights[0] + weights[1]))
        events = pd.DataFrame(rows, columns=["onset", "duration", "stim_file"])
        events.to_csv(dataset / f"sub-01/func/{run_name}_events.tsv", sep="\t", index=False)
    features = space("clips", "features/{stimulus}.csv", "rate = 4")
    result = run_compare(job_of(dataset, config(features, "")))
    assert result.scores["r"].row("clips").mean() > 0.4


def test_a_film_that_two_runs_have_is_a_repeat(movie):
    """The matrix of a task is shared by all runs of it: nothing may be learned from one and tested on the other."""
    (movie / "features/vision_run-1.npy").rename(movie / "features/movie_all.npy")
    features = space("vision", "features/{task}_all.npy")
    with pytest.raises(SplitError, match="task-movie"):
        run_compare(job_of(movie, config(features)))
    result = run_compare(job_of(movie, config(features, split='repeats = "condition"')))
    assert len(result.scores["r"].row("vision")) == N_TARGETS


@pytest.mark.parametrize(
    ("features", "load", "error", "message"),
    [
        (space("v", "features/vision_run-{run}.npy", "trim = [2, 0]"), 'events = "none"', DataError,
         r"run run-01 \(run-1\): 88 rows, one per volume, but 90 volumes of 2 s are loaded\. No row reaches 2 rows"),
        (space("v", "features/vision_run-{run}.npy"), 'events = "none"\ntrim = [3, 0]', DataError,
         r"90 rows, one per volume, but 87 volumes of 2 s are loaded\. Leave out 3 rows with `trim`"),
        (space("v", "features/sound_run-{run}.npz", "rate = 12"), 'events = "none"', DataError,
         r"1800 rows that last 150 s, but 90 volumes of 2 s are loaded\. No row reaches 30 s"),
        (space("v", "features/sound_run-{run}.npz", "rate = 10", "offset = 30"), 'events = "none"', DataError,
         r"from 30 s on \(`offset`\)"),
        (space("v", "features/vision_ses-{session}_run-{run}.npy"), 'events = "none"', DataError,
         r"no file in .* is named like 'features/vision_ses-\{session\}_run-\{run\}.npy'"),
        (space("v", "features/{task}_run-{run}.npy"), 'events = "none"', AlignmentError,
         r"no recording 'task-movie_run-1'; there is task-vision_run-1"),
        (space("v", "features/sound_run-{run}.npz", 'key = "mfcc"', "rate = 10"), 'events = "none"', DataError,
         r"no array 'mfcc'\. .*mel"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_loading(movie, features, load, error, message):
    job = job_of(movie, config(features, load))
    try:
        told = check_dataset(job.study, job.places, ["01"]).failed["01"]
    except DataError as raised:  # of all subjects
        told = str(raised)
    assert re.search(message, told), told
    with pytest.raises(error, match=message):
        load_subject(job)


@pytest.mark.parametrize(
    ("features", "load", "message"),
    [
        (space("v", "features/v.npy"), "", r"names one file only\. Put \{run\}"),
        (space("v", "features/{stimulus}_{run}.npy"), "", r"\{stimulus\} is placed by events and goes with no other"),
        (space("v", "features/{movie}.npy"), "", r"in braces there can only be subject, session"),
        (
            space("v", "features/{run}.npy"),
            'per = "stimulus"',
            r'needs one row per volume, but \[load\] has kind = "volume"',
        ),
        (space("v", "features/{stimulus}.npy"), 'events = "none"', r'describes stimuli, but \[load\] events = "none"'),
        (
            space("v", "features/{run}.npy"),
            'events = "none"\nper = "stimulus"',
            r'events = "none" leaves no presentations',
        ),
        (space("v", "features/{run}.npy"), 'events = "none"\nstimulus = "x"', r"stimulus does nothing with events"),
        (space("v", "features/{run}.npy", 'resample = "nearest"'), "", r"resample = 'nearest'"),
    ],
)
def test_settings_that_contradict_each_other(features, load, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(config(features, load))


def test_files_that_cannot_be_used(movie):
    file = movie / "features/vision_run-3.npy"
    values = np.load(file)
    job = job_of(movie, config(space("vision", "features/vision_run-{run}.npy")))
    for broken, message in [
        (values[:, :3], r"vision_run-3\.npy has 3 features, but .*vision_run-1\.npy has 4"),
        (
            np.where(np.arange(4) == 2, np.nan, values),
            r"vision_run-3\.npy: 90 values are missing or not finite; the first",
        ),
        (values[None], r"shape \(1, 90, 4\)"),
    ]:
        np.save(file, broken)
        with pytest.raises(DataError, match=message):
            load_subject(job)


def test_rest_of_zeros_and_an_offset(movie):
    """A film that begins 10 s into the run and ends before it."""
    for run in range(1, 6):
        path = movie / f"features/vision_run-{run}.npy"
        np.save(path, np.load(path)[5:85])
    more = ("offset = 10", 'rest = "zero"')
    text = config(space("vision", "features/vision_run-{run}.npy", *more))
    text = text.replace("high_pass = 0.01", "high_pass = false\ndetrend = false")
    loaded = load_subject(job_of(movie, text))
    given = np.zeros((N_SCANS, 4))
    given[6:86] = np.load(movie / "features/vision_run-1.npy")
    rows = loaded.spaces[0].samples.run == "run-01"
    np.testing.assert_allclose(loaded.spaces[0].values[rows][:, :4], given - given.mean(0), atol=1e-5)


def test_hdf5_with_one_array_per_run_and_trimmed_volumes(movie):

    with h5py.File(movie / "features/film.h5", "w") as file:
        for run in range(1, 6):
            file[f"run{run}"] = np.load(movie / f"features/vision_run-{run}.npy")[4:-2]
    features = space("vision", "features/film.h5", 'key = "run{run}"')
    job = job_of(movie, config(features, 'events = "none"\ntrim = [4, 2]'))
    assert check_dataset(job.study, job.places, ["01"]).failed == {}
    loaded = load_subject(job)
    assert len(loaded.responses.samples) == 5 * (N_SCANS - 6)
    assert loaded.responses.samples.onset[0] == 8.0
    result = run_compare(job)
    assert result.scores["r"].row("vision")[: N_TARGETS // 2].mean() > 0.4
    assert "trim = [4, 2] in [load]" in "".join(result.exclusions["reason"])


def test_arrays_with_a_test_film_that_was_shown_ten_times(tmp_path, monkeypatch):
    """HDF5 files of the voxelwise tutorials, cut by the lines of the page and loaded with its settings."""
    root, rng = tmp_path / "clips", np.random.default_rng(11)
    root.mkdir()
    weights = halves(rng)
    n_train = 6 * N_SCANS
    films = {name: [smooth(rng, n, 3) for n in (n_train, N_SCANS)] for name in ("wordnet", "energy")}
    signals = [[respond(rng, films[name][k], weights[j], 0.0) for k in (0, 1)] for j, name in enumerate(films)]
    clean = [a + b for a, b in zip(*signals, strict=True)]
    onsets = np.arange(0, n_train, N_SCANS)
    with h5py.File(root / "responses.hdf", "w") as file:
        file["Y_train"] = clean[0] + 4 * rng.standard_normal(clean[0].shape)
        file["Y_test"] = clean[1] + 4 * rng.standard_normal((10, *clean[1].shape))
    for name, (train, test) in films.items():
        with h5py.File(root / f"{name}.hdf", "w") as file:
            file["X_train"], file["X_test"], file["run_onsets"] = train, test, onsets
    section = PAGE.partition("## Arrays of a tutorial")[2].partition("\n## ")[0]
    code, toml = (re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)[1] for language in ("python", "toml"))
    monkeypatch.chdir(root)
    exec(code, {})
    exec(code.replace("wordnet", "energy").replace(".mkdir()", ".mkdir(exist_ok=True)"), {})
    assert len(list((root / "responses").iterdir())) == 16
    features, _, rest = toml.partition("[load]")
    text = config(f"{features}{features.replace('wordnet', 'energy')}", load="")
    text = re.sub(r"\[load\].*?\[align\]", lambda _: f"[load]{rest}\n[align]", text, flags=re.DOTALL)
    text = text.replace("[split]\nn_outer = 5\nn_inner = 2\n", "")
    job = Job(parse_config(text), Places(root, tmp_path / "out", tmp_path / "work"), "S01", "cpu")
    assert subjects_of(job.places, [], job.study.load) == ["S01"]
    assert check_dataset(job.study, job.places, ["S01"]).failed == {}
    result = run_compare(job)
    assert result.summary.n_tested == (N_SCANS,)  # ten repeats of one film are one row per volume
    half = N_TARGETS // 2
    first, second = (result.scores["r"].row(name) for name in ("wordnet", "energy"))
    assert first[:half].mean() > 0.5
    assert second[half:].mean() > 0.5
    assert (first[:half] > second[:half]).mean() > 0.95
    assert (second[half:] > first[half:]).mean() > 0.95
