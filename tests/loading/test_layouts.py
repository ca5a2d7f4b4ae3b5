"""Events as people write them, and images of scanners and pipelines as they come."""

import dataclasses
import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import AFFINE, T_R, write_dtseries, write_json

from encoding.config import parse_config
from encoding.core import AlignmentError, ConfigError, DataError, FeatureSpace, Samples
from encoding.io.bids.patterned import PatternIndex
from encoding.io.bids.runs import RunQuery
from encoding.loading import Loader, align, load_responses, match_stimuli
from encoding.loading.events import read_presentations
from encoding.loading.names import plain_name, same_names
from encoding.pipeline import Job, Places, load_subject, run_compare, subjects_of
from encoding.workflow.checks import check_dataset

# Events


@pytest.fixture
def events(tmp_path):
    table = pd.DataFrame(
        {
            "onset": [0.0, 4, 8, 12, 16, 20],
            "duration": [2.0, 2, 2, 2, 2, 0],
            "trial_type": ["face_happy", "face_sad", "house", "face_practice", "rest", "button"],
            "hit": ["1", "1", "0", "1", "n/a", "1"],
        }
    )
    path = tmp_path / "events.tsv"
    table.to_csv(path, sep="\t", index=False)
    return path


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, ["face_happy", "face_sad", "house", "face_practice", "rest", "button"]),
        ({"where": {"trial_type": ["face_*"]}}, ["face_happy", "face_sad", "face_practice"]),
        ({"where": {"trial_type": ["face_*", "!face_practice"]}}, ["face_happy", "face_sad"]),
        ({"where": {"trial_type": ["!rest", "!button"]}}, ["face_happy", "face_sad", "house", "face_practice"]),
        ({"where": {"trial_type": ["!rest", "!button"], "hit": ["1"]}}, ["face_happy", "face_sad", "face_practice"]),
        (
            {"where": {"trial_type": ["!rest", "!button"]}, "combine": {"face": ["face_*"]}},
            ["face", "face", "house", "face"],
        ),
    ],
)
def test_events_are_chosen_dropped_and_combined(events, settings, shown):
    loader = Loader(stimulus="trial_type", **settings)
    assert read_presentations(events, "run-1", loader=loader).stimulus.tolist() == shown


def test_one_duration_for_events_of_none(events):
    found = read_presentations(events, "run-1", loader=Loader(stimulus="trial_type", event_duration=1.5))
    assert set(found.duration) == {1.5}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"where": {"trial": ["face"]}}, r"no column 'trial', which `where` in \[load\] names\. There is: onset"),
        (
            {"where": {"trial_type": ["movie"]}},
            r"no stimulus in column 'trial_type' of its 6 rows that `where` chooses",
        ),
        ({"combine": {"a": ["face_*"], "b": ["*_sad"]}}, r"'face_sad' matches the patterns of 'a' and of 'b'"),
    ],
)
def test_choices_that_find_nothing_are_named(events, settings, message):
    with pytest.raises((DataError, ConfigError), match=message):
        read_presentations(events, "run-1", loader=Loader(stimulus="trial_type", **settings))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("1", "1"), ("01", "1"), ("1.0", "1"), ("001.png", "1"), ("0", "0"), ("joy.mp4", "joy"), ("Joy", "Joy"),
        ("stimuli/faces/01.JPG", "stimuli/faces/1"), ("a\\b.wav", "a/b"), ("v1.2", "v1.2"), ("clip_01", "clip_01"),
    ],
)  # fmt: skip
def test_the_plain_name(name, plain):
    assert plain_name(name) == plain


def test_the_rule_of_names():
    known = np.array(["1", "faces/01", "houses/01", "joy", "clip.mp4"])
    assert same_names(["1", "joy.mp4", "stimuli/joy.mp4", "clip", "rest"], known, "x") == {
        "1": "1", "joy.mp4": "joy", "stimuli/joy.mp4": "joy", "clip": "clip.mp4",
    }  # fmt: skip
    assert same_names(["stim/faces/01.png"], np.array(["faces/1", "faces/2"]), "x") == {"stim/faces/01.png": "faces/1"}
    assert same_names(["houses/01.png"], np.array(["faces/1", "faces/2"]), "x") == {}
    with pytest.raises(AlignmentError, match=r"'01\.png' of the events may be '01' or '1' of its 2 stimuli"):
        same_names(["01.png"], np.array(["1", "01"]), "x")
    with pytest.raises(AlignmentError, match=r"'faces/1' and 'houses/1' of the events would both be its stimulus '01'"):
        same_names(["faces/01.png", "houses/01.png"], np.array(["01", "02"]), "x")


def spaces_and_responses(study, names):
    responses = load_responses(
        Loader(mask="none", task="video", confounds=[]), job_of(study).index(), "01", study.root / "w"
    )
    spaces = [
        FeatureSpace(f"s{k}", np.eye(8), Samples.of_stimuli([spell.format(n) for n in range(8)]), tuple("abcdefgh"))
        for k, spell in enumerate(names)
    ]
    return spaces, responses


def job_of(study, text=""):
    text = text or '[[features]]\nname="x"\nfile="y"\n[load]\ntask="video"\n[[fit]]\nkind="ridge"\nbands="each"'
    return Job(parse_config(text), Places(study.root, study.root.parent / "o", study.root.parent / "w"), "01", "cpu")


def test_spellings_of_several_spaces_become_one(study):
    spaces, responses = spaces_and_responses(study, ["stimuli/clip{}.mp4", "clip{}", "clip{}.png"])
    found, renamed = match_stimuli(spaces, responses)
    assert set(renamed.presentations.stimulus) == {f"stimuli/clip{n}.mp4" for n in range(8)}
    for space in found:
        assert space.samples.stimulus.tolist() == [f"stimuli/clip{n}.mp4" for n in range(8)]
        align(space, renamed)
    same, untouched = match_stimuli(spaces[1:2], responses)
    assert same[0] is spaces[1]
    assert untouched is responses


def test_events_of_another_folder(study):
    for path in (study.root / "sub-01").rglob("*_events.tsv"):
        target = study.root / "behaviour" / "01" / f"run{int(path.name.split('run-')[1][0]):02d}.tsv"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    index = job_of(study).index()
    found = load_responses(
        Loader(mask="none", confounds=[], events="behaviour/{subject}/run{run}.tsv"), index, "01", study.root / "w"
    )
    assert len(found.presentations) == 24
    with pytest.raises(DataError, match=r"no events\.tsv in .*name its folder with `events`"):
        load_responses(Loader(mask="none", confounds=[]), index, "01", study.root / "w")
    with pytest.raises(DataError, match=r"has \{session\}, which the name of its image"):
        load_responses(
            Loader(mask="none", confounds=[], events="behaviour/{session}.tsv"), index, "01", study.root / "w"
        )


def test_overlapping_events_add_up(study):
    """Per volume, two stimuli that are on at once are the sum of both."""
    path = study.find("sub-01_task-video_run-1_events.tsv", raw=True)
    pd.DataFrame({"onset": [4.0, 6], "duration": [8.0, 8], "stim_id": ["clip0", "clip1"]}).to_csv(
        path, sep="\t", index=False
    )
    loader = Loader(mask="none", confounds=[], high_pass=False, detrend=False)
    found = load_responses(loader, job_of(study).index(), "01", study.root / "w")
    space = FeatureSpace("x", np.eye(8), Samples.of_stimuli([f"clip{n}" for n in range(8)]), tuple("abcdefgh"))
    both = align(space, found, delays=(0,)).values[found.samples.run == "run-1"][:, :2]
    expected = np.zeros((60, 2))
    expected[2:6, 0] = expected[3:7, 1] = 1
    np.testing.assert_allclose(both, expected - expected.mean(0), atol=1e-6)


def test_events_after_an_aborted_run_are_dropped_when_asked(study):
    path = study.find("*run-2*_desc-preproc_bold.nii.gz")
    image = nib.load(path)
    nib.save(image.slicer[..., :40], path)
    study.find("*run-2*confounds_timeseries.tsv").unlink()
    index, settings = job_of(study).index(), {"mask": "none", "confounds": []}
    with pytest.raises(DataError, match=r"run-2: 1 events start after the end of the run \(80 s\)"):
        load_responses(Loader(**settings), index, "01", study.root / "w")
    found = load_responses(Loader(late_events="drop", **settings), index, "01", study.root / "w")
    assert np.sum(found.presentations.run == "run-2") == 7
    assert [(note.what, note.n) for note in found.exclusions if "after the last" in note.reason] == [
        ("presentations", 1)
    ]


# Scanners and pipelines


def set_sidecars(study, **content):
    for path in study.derivatives.rglob("*_desc-preproc_bold.nii.gz"):
        write_json(path.with_name(path.name.replace(".nii.gz", ".json")), {"RepetitionTime": T_R, **content})


def test_volumes_lie_at_the_moment_that_slices_were_shifted_to(study):
    """fMRIPrep writes StartTime; a volume stands for one repetition time around that moment."""
    loader, index = Loader(mask="none", confounds=[]), job_of(study).index()
    at_once = load_responses(loader, index, "01", study.root / "w").samples.onset
    for start, shift in ((1.0, 0.0), (0.0, -1.0), (0.9, -0.1)):
        set_sidecars(study, StartTime=start, SliceTimingCorrected=True)
        found = load_responses(loader, job_of(study).index(), "01", study.root / f"w{start}")
        np.testing.assert_allclose(found.samples.onset, at_once + shift)
    set_sidecars(study, StartTime=0.0, SliceTimingCorrected=False)
    found = load_responses(loader, job_of(study).index(), "01", study.root / "w2")
    np.testing.assert_allclose(found.samples.onset, at_once)
    set_sidecars(study, StartTime=8.0, SliceTimingCorrected=True)
    with pytest.raises(DataError, match=r"StartTime in the JSON sidecar is 8 s, but slices"):
        load_responses(loader, job_of(study).index(), "01", study.root / "w3")


def test_dummy_scans_are_trimmed_and_nothing_else_moves(study):
    whole = load_responses(Loader(mask="none", confounds=[]), job_of(study).index(), "01", study.root / "w")
    found = load_responses(
        Loader(mask="none", confounds=[], trim=[3, 1]), job_of(study).index(), "01", study.root / "v"
    )
    kept = np.tile((np.arange(60) >= 3) & (np.arange(60) < 59), 3)
    np.testing.assert_array_equal(found.samples.onset, whole.samples.onset[kept])
    np.testing.assert_array_equal(found.samples.stimulus, whole.samples.stimulus[kept])
    assert {note.n for note in found.exclusions if "trim" in note.reason} == {4}
    with pytest.raises(DataError, match=r"trim = \[40, 20\] in \[load\] leaves none of its 60 volumes"):
        load_responses(Loader(mask="none", confounds=[], trim=[40, 20]), job_of(study).index(), "01", study.root / "u")


def test_the_combination_of_echoes_is_taken(study):
    loader = Loader(mask="none", confounds=[])
    combined = load_responses(loader, job_of(study).index(), "01", study.root / "w")
    for path in list(study.derivatives.rglob("*_desc-preproc_bold.nii.gz")):
        for echo in (1, 2):
            name = path.name.replace("_space", f"_echo-{echo}_space")
            image = nib.load(path)
            nib.save(nib.Nifti1Image(image.get_fdata() * echo + echo * np.arange(60) ** 2, AFFINE, image.header),
                     path.with_name(name))  # fmt: skip
    both = load_responses(loader, job_of(study).index(), "01", study.root / "v")
    np.testing.assert_array_equal(both.values, combined.values)
    index = job_of(study).index()
    one = load_responses(loader, index, "01", study.root / "u", bids_filters={"bold": {"echo": "2"}})
    assert not np.allclose(one.values, combined.values)


def test_a_mask_of_another_grid_is_resampled_when_asked(study):
    mask = np.zeros((12, 10, 8), np.uint8)
    mask[4:, :, :4] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE @ np.diag([0.5, 0.5, 0.5, 1])), study.root / "roi.nii.gz")
    with pytest.raises(AlignmentError, match=r"Set resample_mask = true in \[load\]"):
        load_responses(Loader(mask="roi.nii.gz", confounds=[]), job_of(study).index(), "01", study.root / "w")
    found = load_responses(
        Loader(mask="roi.nii.gz", resample_mask=True, confounds=[]), job_of(study).index(), "01", study.root / "w"
    )
    inside = np.zeros((6, 5, 4), bool)
    inside[2:, :, :2] = True
    np.testing.assert_array_equal(found.targets.index, np.flatnonzero(inside))
    with pytest.raises(ConfigError, match="resample_mask does nothing with mask = 'brain'"):
        Loader(resample_mask=True)


def test_confounds_of_ones_own(study):
    """What is regressed out is gone, whatever pipeline wrote it; a table without a header is understood."""
    rng = np.random.default_rng(2)
    for run in "123":
        path = study.find(f"*run-{run}_space*_desc-preproc_bold.nii.gz")
        image, noise = nib.load(path), rng.standard_normal((60, 2))
        data = image.get_fdata() + 200 * noise @ [1.0, -1.0]
        nib.save(nib.Nifti1Image(data.astype(np.float32), AFFINE, image.header), path)
        pd.DataFrame({"a": noise[:, 0], "b": noise[:, 1], "note": 1.0 + np.arange(60) % 7}).to_csv(
            study.root / f"own_run-{run}.tsv", sep="\t", index=False
        )
        np.savetxt(study.root / f"motion_{run}.txt", noise)
    index = job_of(study).index()
    settings = {"mask": "none", "high_pass": False, "detrend": False}
    found = load_responses(
        Loader(confounds_file="own_run-{run}.tsv", confound_columns=["a", "b"], **settings),
        index,
        "01",
        study.root / "w",
    )
    table = pd.read_csv(study.root / "own_run-2.tsv", sep="\t")[["a", "b"]].to_numpy()
    here = found.values[found.samples.run == "run-2"]
    assert np.abs((table - table.mean(0)).T @ here).max() < 0.01
    plain = load_responses(Loader(confounds_file="motion_{run}.txt", **settings), index, "01", study.root / "v")
    np.testing.assert_allclose(plain.values, found.values, atol=1e-4)
    with pytest.raises(DataError, match=r"own_run-1\.tsv: no column 'c\*'\. There is: a, b, note"):
        load_responses(
            Loader(confounds_file="own_run-{run}.tsv", confound_columns=["c*"], **settings),
            index,
            "01",
            study.root / "u",
        )
    with pytest.raises(DataError, match=r"no file is named like confounds_file = 'x_\{run\}\.tsv'"):
        load_responses(Loader(confounds_file="x_{run}.tsv", **settings), index, "01", study.root / "u")
    with pytest.raises(ConfigError, match="confounds_file takes the place of confounds"):
        Loader(confounds_file="own_run-{run}.tsv", confounds=["motion", "wm_csf"])


def test_sessions_of_different_repetition_times_are_refused_by_name(study):
    for path in (study.root / "sub-01").rglob("*run-3_bold.json"):
        write_json(path, {"TaskName": "video", "RepetitionTime": 1.5})
    path = study.find("*run-3*_desc-preproc_bold.nii.gz")
    image = nib.load(path)
    image.header.set_zooms((3, 3, 3, 1.5))
    nib.save(image, path)
    with pytest.raises(DataError, match=r"sub-01, run-3: repetition time is 1\.5 s, but 2 s in the runs before"):
        load_responses(Loader(mask="none", confounds=[]), job_of(study).index(), "01", study.root / "w")


RUN = """
[[features]]
name = "abc"
file = "stimuli/feature-abc.tsv"
[load]
{load}
confounds = []
[align]
delays = [1, 2, 3]
[split]
n_inner = 2
repeats = "condition"
[[fit]]
kind = "ridge"
bands = "each"
alphas = [1, 10]
[compare]
inference = false
controls = false
[map]
atlases = []
"""


def as_tedana(study):
    """One folder of tedana with the denoised series of each run, beside fMRIPrep."""
    for path in list(study.derivatives.rglob("*_desc-preproc_bold.nii.gz")):
        name = path.name.replace("_space-T1w_desc-preproc", "_desc-denoised")
        target = study.root / "derivatives" / "tedana" / "sub-01" / "func" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    write_json(study.root / "derivatives/tedana/dataset_description.json", {"Name": "t", "BIDSVersion": "1.10.0"})
    shutil.rmtree(study.derivatives)
    return 'kind = "volume"\ndesc = "denoised"\nmask = "none"', 120


def as_xcp_d(study):
    """XCP-D: censored and filtered already, with a mask of its own and its own space."""
    for path in list(study.derivatives.rglob("*_desc-preproc_bold.nii.gz")):
        name = path.name.replace("T1w_desc-preproc", "MNI152NLin6Asym_res-2_desc-denoised")
        target = study.root / "derivatives" / "xcp_d" / "sub-01" / "func" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    shutil.rmtree(study.derivatives)
    write_json(study.root / "derivatives/xcp_d/dataset_description.json", {"Name": "x", "BIDSVersion": "1.10.0"})
    load = 'kind = "volume"\ndesc = "denoised"\nspace = "MNI152NLin6Asym"\nmask = "none"'
    return f"{load}\nhigh_pass = false\ndetrend = false", 120


def as_hcp(study):
    """HCP's minimal preprocessing: no BIDS names, CIFTI in a folder for each run, motion in a text file."""
    for path in list(study.derivatives.rglob("*_desc-preproc_bold.nii.gz")):
        run = path.name.split("run-")[1][0]
        folder = study.root / "100307" / "MNINonLinear" / "Results" / f"tfMRI_VIDEO_{run}"
        folder.mkdir(parents=True)
        values = nib.load(path).get_fdata().reshape(-1, 60).T
        write_dtseries(folder / f"tfMRI_VIDEO_{run}_Atlas_MSMAll.dtseries.nii", values, T_R)
        np.savetxt(folder / "Movement_Regressors.txt", np.random.default_rng(0).standard_normal((60, 12)))
        events = next((study.root / "sub-01").rglob(f"*run-{run}_events.tsv"))
        events.rename(folder / "events.tsv")
    shutil.rmtree(study.root / "derivatives")
    shutil.rmtree(study.root / "sub-01")
    base = "{subject}/MNINonLinear/Results/tfMRI_{task}_{run}"
    load = [
        'kind = "cifti"', 'space = "fsLR"', f'file = "{base}/tfMRI_{{task}}_{{run}}_Atlas_MSMAll.dtseries.nii"',
        f'events = "{base}/events.tsv"', f'confounds_file = "{base}/Movement_Regressors.txt"',
    ]  # fmt: skip
    return "\n".join(load), 30


def as_pattern(study):
    """Volumes of any pipeline, in a folder that knows nothing of BIDS."""
    for path in list(study.derivatives.rglob("*_desc-preproc_bold.nii.gz")):
        run = path.name.split("run-")[1][0]
        path.rename(study.root / f"filtered_func_{run}.nii.gz")
        next((study.root / "sub-01").rglob(f"*run-{run}_events.tsv")).rename(study.root / f"timing_{run}.tsv")
    shutil.rmtree(study.root / "derivatives")
    shutil.rmtree(study.root / "sub-01")
    return 'file = "filtered_func_{run}.nii.gz"\nevents = "timing_{run}.tsv"\nmask = "none"', 120


@pytest.mark.parametrize("layout", [as_tedana, as_xcp_d, as_hcp, as_pattern])
def test_the_planted_signal_comes_back_from_every_pipeline(study, layout):
    load, n_targets = layout(study)
    job = job_of(study, RUN.format(load=load))
    subject = subjects_of(job.places, [], job.study.load)[0]
    assert subject == ("100307" if layout is as_hcp else "01")
    job = dataclasses.replace(job, subject=subject)
    assert check_dataset(job.study, job.places, [subject]).failed == {}
    r = run_compare(job).scores["r"].row("abc")
    assert len(r) == n_targets
    planted = min(study.n_targets // 2, n_targets)
    assert r[:planted].mean() > 0.3


def test_patterns_that_cannot_be_used(study):
    as_pattern(study)
    job = job_of(study, RUN.format(load='file = "func_{run}.nii.gz"\nevents = "timing_{run}.tsv"\nmask = "none"'))
    with pytest.raises(DataError, match=r"no image in .* is named like file = 'func_\{run\}\.nii\.gz'"):
        load_subject(job)
    index = PatternIndex(study.root, "filtered_func_{run}.nii.gz")
    assert [run.label for run in index.runs("01", RunQuery("volume"))] == ["run-1", "run-2", "run-3"]
    for changes, message in [
        ({"mask": "brain"}, r'file has no brain masks beside it: set mask = "none"'),
        ({"kind": "surface", "mask": "brain"}, r'\{hemi\} is needed for kind = "surface"'),
        ({"file": "x_{number}.nii"}, r"in braces there can only be subject"),
        ({"where": {"onset": ["1"]}}, r"where: 'onset' is a time"),
    ]:
        settings = {"file": "x_{run}.nii", "mask": "none"} | changes
        with pytest.raises(ConfigError, match=message):
            Loader(**settings)


def test_keys_of_earlier_results_stay(study):
    """Settings that came later are no part of keys while they have their defaults."""
    resolved = Loader().resolved()
    assert not {"where", "trim", "confounds_file", "resample_mask", "key"} & set(resolved)
    assert json.dumps(resolved)
    assert Loader(trim=[1, 0]).resolved()["trim"] == (1, 0)
