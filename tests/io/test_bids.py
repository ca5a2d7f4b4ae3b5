"""Files are matched by their entities, and what does not match says so."""

import json
import re
import shutil

import pytest
from factories import write_json, write_study

from encoding.core import ConfigError, DataError
from encoding.io.bids.index import PybidsIndex
from encoding.io.bids.runs import RunQuery, check_filters
from encoding.io.bids.sidecars import entities_of, find_derivatives, read_sidecar

VOLUMES = RunQuery("volume", desc="preproc")


def labels(study, subject="01", query=VOLUMES):
    return [run.label for run in PybidsIndex(study.root).runs(subject, query)]


def test_every_file_of_a_run_is_found(study):
    runs = PybidsIndex(study.root).runs("01", VOLUMES)
    assert [run.label for run in runs] == ["run-1", "run-2", "run-3"]
    run = runs[1]
    assert [path.name for path in run.bold] == ["sub-01_task-video_run-2_space-T1w_desc-preproc_bold.nii.gz"]
    assert run.mask.name == "sub-01_task-video_run-2_space-T1w_desc-brain_mask.nii.gz"
    assert run.confounds.name == "sub-01_task-video_run-2_desc-confounds_timeseries.tsv"
    assert run.events == study.func(raw=True) / "sub-01_task-video_run-2_events.tsv"
    assert run.t_r == run.raw_t_r == 2.0


def test_events_match_by_number_and_not_by_spelling_or_order(study):
    for run in "123":
        folder = study.func(raw=True)
        (folder / f"sub-01_task-video_run-{run}_events.tsv").rename(folder / f"sub-01_task-video_run-0{run}_events.tsv")
    (study.func(raw=True) / "sub-01_task-video_run-01_events.tsv").unlink()
    runs = PybidsIndex(study.root).runs("01", VOLUMES)
    assert runs[0].events is None
    assert [run.events.name for run in runs[1:]] == [f"sub-01_task-video_run-0{k}_events.tsv" for k in (2, 3)]


def test_events_above_apply_to_runs_without_their_own(study):
    folder = study.func(raw=True)
    (folder / "sub-01_task-video_run-3_events.tsv").rename(folder / "sub-01_task-video_events.tsv")
    names = [run.events.name for run in PybidsIndex(study.root).runs("01", VOLUMES)]
    assert names[1:] == ["sub-01_task-video_run-2_events.tsv", "sub-01_task-video_events.tsv"]


def test_runs_come_in_the_order_of_their_numbers(tmp_path):
    study = write_study(tmp_path, runs=tuple(("", str(k)) for k in range(1, 12)), n_scans=8)
    assert labels(study) == [f"run-{k}" for k in range(1, 12)]


def test_labels_name_sessions_and_tasks_where_they_are_needed(tmp_path):
    study = write_study(tmp_path, runs=(("01", "1"), ("02", "1"), ("02", "2")))
    assert labels(study) == ["ses-01_run-1", "ses-02_run-1", "ses-02_run-2"]
    assert labels(study, query=RunQuery("volume", desc="preproc", sessions=("1",))) == ["ses-01_run-1"]


def test_a_single_run_without_a_number_is_called_by_its_task(tmp_path):
    assert labels(write_study(tmp_path, runs=(("", ""),))) == ["task-video"]


@pytest.mark.parametrize("hemi_first", [True, False])
def test_hemispheres_are_left_then_right_in_both_orders_of_entities(tmp_path, hemi_first):
    study = write_study(tmp_path, kinds=("surface",), hemi_first=hemi_first)
    for run in PybidsIndex(study.root).runs("01", RunQuery("surface", space="fsaverage5")):
        assert [re.search("hemi-(.)", path.name)[1] for path in run.bold] == ["L", "R"]


def test_a_missing_hemisphere_is_named(tmp_path):
    study = write_study(tmp_path, kinds=("surface",))
    study.find("*run-2_hemi-R*").unlink()
    with pytest.raises(DataError, match=r"run-2: no file for hemi-R, only sub-01_task-video_run-2_hemi-L"):
        labels(study, query=RunQuery("surface"))


def test_old_names_of_confounds_are_known(study):
    path = study.find("*run-1_desc-confounds_timeseries.tsv")
    path.rename(path.with_name(path.name.replace("timeseries", "regressors")))
    assert PybidsIndex(study.root).runs("01", VOLUMES)[0].confounds.name.endswith("regressors.tsv")


@pytest.mark.parametrize("asked", ["2", "02"])
def test_resolutions_match_by_number(tmp_path, asked):
    study = write_study(tmp_path, space="MNI152NLin2009cAsym_res-02")
    run = PybidsIndex(study.root).runs("01", RunQuery("volume", res=asked))[0]
    assert run.mask is not None


@pytest.mark.parametrize(
    ("old", "new", "advice"),
    [
        ("space-T1w", "space-MNI152NLin6Asym", r"Set `space` in \[load\]"),
        ("space-T1w", "space-T1w_res-2", r"Set `res` in \[load\]"),
        ("bold.nii.gz", "bold.nii", "Remove one of them"),
    ],
)
def test_two_files_of_one_run_are_both_named(study, old, new, advice):
    path = study.find("*run-1_*desc-preproc_bold.nii.gz")
    other = path.with_name(path.name.replace(old, new))
    shutil.copy(path, other)
    message = f"run-1: 2 files match.*{advice}"
    with pytest.raises(DataError, match=message) as caught:
        labels(study)
    assert path.name in str(caught.value)
    assert other.name in str(caught.value)


def test_two_echoes_without_their_combination_are_both_named(study):
    path = study.find("*run-1_*desc-preproc_bold.nii.gz")
    for echo in (1, 2):
        shutil.copy(path, path.with_name(path.name.replace("run-1_space", f"run-1_echo-{echo}_space")))
    path.unlink()
    with pytest.raises(DataError, match=r"run-1: 2 files match.*Choose echo with --bids-filter-file") as caught:
        labels(study)
    assert "echo-1" in str(caught.value)
    assert "echo-2" in str(caught.value)


def test_a_folder_that_holds_a_link_to_itself_is_read_once(study):
    before = labels(study)
    path = study.find("*run-1_*desc-preproc_bold.nii.gz")
    (path.parent / "again").symlink_to(path.parent)
    assert labels(study) == before


def test_two_tables_of_confounds_are_refused(study):
    path = study.find("*run-1_desc-confounds_timeseries.tsv")
    shutil.copy(path, path.with_name(path.name.replace("timeseries", "regressors")))
    with pytest.raises(DataError, match=r"run-1: 2 files match"):
        labels(study)


def test_several_tasks_need_a_choice(study):
    path = study.find("*run-1_*desc-preproc_bold.nii.gz")
    shutil.copy(path, path.with_name(path.name.replace("task-video", "task-rest")))
    with pytest.raises(DataError, match=r"2 tasks \(rest, video\). Set `task`"):
        labels(study)
    assert len(labels(study, query=RunQuery("volume", task=("video",), desc="preproc"))) == 3
    both = labels(study, query=RunQuery("volume", task=("video", "rest"), desc="preproc"))
    assert both == ["task-rest_run-1", "task-video_run-1", "task-video_run-2", "task-video_run-3"]


def test_what_is_there_is_said_when_nothing_matches(study):
    with pytest.raises(DataError, match=r"'space': 'fsLR'.*There is: task-video space-T1w desc-preproc"):
        labels(study, query=RunQuery("volume", space="fsLR"))
    with pytest.raises(DataError, match="no file of this kind"):
        labels(study, query=RunQuery("cifti"))


@pytest.mark.parametrize(
    ("runs", "lost", "missing"),
    [
        ((("", "1"), ("", "2"), ("", "3")), ("", "video", "3"), ("task-video_run-3",)),
        ((("", "1"), ("", "2"), ("", "3")), ("", "video", "2"), ("task-video_run-2",)),
        ((("1", "1"), ("2", "1")), ("2", "video", "1"), ("ses-2_task-video_run-1",)),
    ],
)
def test_runs_with_events_but_no_images_are_missing(tmp_path, runs, lost, missing):
    study = write_study(tmp_path, runs=runs)
    name = "_".join(f"{key}-{label}" for key, label in zip(("ses", "task", "run"), lost, strict=True) if label)
    study.find(f"sub-01_{name}_*preproc_bold.nii.gz").unlink()
    assert PybidsIndex(study.root).missing("01", VOLUMES) == missing


@pytest.mark.parametrize(
    ("runs", "missing"),
    [
        ((("", "1"), ("", "3")), ("task-video_run-2",)),
        ((("1", "1"), ("1", "2"), ("2", "4")), ("ses-2_task-video_run-3",)),
        ((("1", "1"), ("1", "2"), ("2", "1")), ()),
        ((("1", "1"), ("1", "2"), ("2", "3")), ()),
        ((("", "2"), ("", "3")), ()),
    ],
)
def test_skipped_numbers_are_missing_runs(tmp_path, runs, missing):
    study = write_study(tmp_path, runs=runs)
    assert PybidsIndex(study.root).missing("01", VOLUMES) == missing


def test_what_a_filter_leaves_out_is_not_missing(tmp_path):
    study = write_study(tmp_path, runs=(("1", "1"), ("1", "2"), ("1", "3"), ("2", "1")))
    study.find("*ses-1*run-2*preproc_bold.nii.gz").unlink()
    index = PybidsIndex(study.root)
    only = RunQuery("volume", desc="preproc", filters={"run": [1, 3], "session": "1"})
    assert [run.label for run in index.runs("01", only)] == ["ses-1_run-1", "ses-1_run-3"]
    assert index.missing("01", only) == ()
    assert index.missing("01", RunQuery("volume", desc="preproc", sessions=("2",))) == ()
    assert index.missing("01", VOLUMES) == ("ses-1_task-video_run-2",)


def test_filters_take_absence_and_presence(study):
    path = study.find("*run-1_space-T1w_desc-preproc_bold.nii.gz")
    path.rename(path.with_name(path.name.replace("_run-1", "_acq-x_run-1")))
    assert len(labels(study, query=RunQuery("volume", filters={"acquisition": None}))) == 2
    assert len(labels(study, query=RunQuery("volume", filters={"acq": "*"}))) == 1
    fmriprep = {"bold": {"datatype": "func", "suffix": "bold", "run": "01"}, "t1w": {"anything": 1}}
    assert check_filters(fmriprep) == fmriprep["bold"]
    with pytest.raises(ConfigError, match=r"unknown entity 'sesion'. Did you mean 'session'"):
        check_filters({"bold": {"sesion": "1"}})


def test_subjects_are_folders_and_one_does_not_swallow_another(tmp_path):
    study = write_study(tmp_path, subjects=("1", "10", "001"), runs=(("", "1"),))
    index = PybidsIndex(study.root)
    assert index.subjects() == ("001", "1", "10")
    for subject in index.subjects():
        (run,) = index.runs(subject, VOLUMES)
        assert {path.name.split("_")[0] for path in run.inputs} == {f"sub-{subject}"}
    assert PybidsIndex(study.root, subjects=["sub-10"]).subjects() == ("10",)
    with pytest.raises(DataError, match=r"there is no sub-11\. .*Known: 001, 1, 10"):
        PybidsIndex(study.root, subjects=["11"])


def test_other_subjects_figures_and_anatomy_are_never_indexed(tmp_path, monkeypatch):
    study = write_study(tmp_path / "bids", subjects=("01", "02"), runs=(("", "1"),))
    for folder in ("figures", "anat"):
        (study.func().parent / folder).mkdir()
        (study.func().parent / folder / "sub-01_task-video_run-1_space-T1w_desc-preproc_bold.nii.gz").touch()
    index = PybidsIndex(study.root)
    index.runs("01", VOLUMES)
    seen = [file.path for files in index._files.values() for file in files]
    assert seen
    assert not [path for path in seen if {"figures", "anat", "sub-02"} & set(path.parts)]


def test_a_kept_index_gives_the_same_answer(study, tmp_path):
    first = PybidsIndex(study.root, database=tmp_path / "db").runs("01", VOLUMES)
    assert list((tmp_path / "db").iterdir())
    again = PybidsIndex(study.root, database=tmp_path / "db").runs("01", VOLUMES)
    assert [run.inputs for run in again] == [run.inputs for run in first]


def test_derivatives_are_found_or_asked_for(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    with pytest.raises(DataError, match="no preprocessed data in"):
        find_derivatives(raw)
    for name in ("one", "two"):
        write_json(raw / "derivatives" / name / "dataset_description.json", {})
        if name == "one":
            assert find_derivatives(raw).name == "one"
    with pytest.raises(DataError, match=r"2 datasets \(one, two\). Choose one with --derivatives"):
        find_derivatives(raw)
    (raw / "derivatives" / "fmriprep").mkdir()
    assert find_derivatives(raw).name == "fmriprep"
    assert find_derivatives(raw, raw / "derivatives" / "two").name == "two"
    with pytest.raises(DataError, match="no such folder"):
        find_derivatives(raw, tmp_path / "nowhere")
    with pytest.raises(DataError, match="no such folder"):
        PybidsIndex(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no folder named sub-\*"):
        PybidsIndex(raw)


def test_the_nearest_sidecar_has_the_last_word(tmp_path):
    write_json(tmp_path / "bold.json", {"a": 0, "b": 0})
    write_json(tmp_path / "task-video_bold.json", {"a": 1, "c": 1})
    write_json(tmp_path / "task-rest_bold.json", {"a": 9, "d": 9})
    write_json(tmp_path / "sub-01/func/sub-01_task-video_run-1_bold.json", {"c": 2})
    write_json(tmp_path / "sub-01/func/sub-01_task-video_events.json", {"e": 9})
    image = tmp_path / "sub-01/func/sub-01_task-video_run-1_bold.nii.gz"
    assert read_sidecar(image, tmp_path) == {"a": 1, "b": 0, "c": 2}
    assert entities_of("sub-01_hemi-L_bold.func.gii") == ({"sub": "01", "hemi": "L"}, "bold")


def test_damaged_sidecars_are_named(study):
    path = study.find("sub-01_task-video_run-2_bold.json", raw=True)
    path.write_text("{")
    with pytest.raises(DataError, match=r"run-2_bold\.json: not valid JSON"):
        labels(study)
    path.write_text(json.dumps([1]))
    with pytest.raises(DataError, match="holds a list, but an object was needed"):
        labels(study)


def test_haxby_is_found_whole(haxby):
    index = PybidsIndex(haxby)
    runs = index.runs("01", VOLUMES)
    assert [run.label for run in runs] == [f"run-{k:02d}" for k in range(1, 13)]
    assert all(run.mask and run.confounds and run.events and run.t_r == 2.5 for run in runs)
    assert index.missing("01", VOLUMES) == ()
