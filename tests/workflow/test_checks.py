"""A check of a dataset finds, without an image, what would fail after hours of fitting."""

import re
import threading
import time

import numpy as np
import pytest
from factories import write_config, write_study

from encoding.cli import main
from encoding.config import read_config
from encoding.core import DataError
from encoding.io.locks import locked
from encoding.pipeline import fit_subject, load_subject
from encoding.workflow import checks
from encoding.workflow.checks import check_dataset, expected_footprint
from encoding.workflow.jobs import Job, Places, held


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "bids")


def check(study, *changes, subjects=("01",)):
    top = study.root.parent
    places = Places(study.root, top / "out", top / "out" / "work")
    return check_dataset(read_config(write_config(top, *changes)), places, subjects)


def test_what_is_good_is_counted_without_reading_an_image(study, monkeypatch):
    monkeypatch.setattr("encoding.io.images.volumes.nib.load", None)
    found = check(study)
    assert list(found.runs) == ["01"]
    assert found.runs["01"] > 1


def test_everything_that_is_wrong_is_listed(study):
    with pytest.raises(DataError) as caught:
        check(study, ("feature-", "feature_"), ("dpi = 50", 'atlases = ["Glasser"]'))
    message = str(caught.value)
    assert message.startswith("3 problems\n- Feature space 'abc': no file")
    assert "\n- Feature space 'first': no file" in message
    assert "'Glasser'" in message.rpartition("\n- ")[2]


def test_what_one_subject_lacks_does_not_stop_the_others(study):
    sorted(study.root.glob("sub-01/**/*_events.tsv"))[0].unlink()
    found = check(study)
    assert set(found.failed) == {"01"}
    assert "events" in found.failed["01"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('atlases = ["Schaefer2018-200"]', "Atlas 'Schaefer2018-200.*' labels vertex targets in 'fsaverage5', but the"),
        ('atlases = ["Schaefer2018-20"]', "Did you mean 'Schaefer2018-200'"),
        ('atlases = ["mine.nii.gz"]', "mine.nii.gz"),
    ],
)
def test_atlases_are_loaded_and_must_fit(study, line, message):
    with pytest.raises(DataError, match=message):
        check(study, ("dpi = 50", line))


def test_columns_of_features_are_checked(study):
    with pytest.raises(DataError, match="no column 'nowhere'"):
        check(study, ('columns = ["a"]', 'columns = ["nowhere"]'))


def test_splits_are_matched_with_the_runs(study):
    found = check(study, ("n_inner = 2", 'n_inner = 2\ngroups = [["run-9"]]'))
    assert "[split] groups: 'run-9' matches no run" in found.failed["01"]


def test_the_command_says_what_it_found(study, capsys):
    config = write_config(study.root.parent)
    assert main(["check", str(config), str(study.root)]) == 0
    assert re.search(r"files +sub-01 \d+", capsys.readouterr().out)
    assert main(["check", str(config), str(study.root / "nowhere")]) == 1
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["volume", "surface", "cifti"])
def test_the_footprint_is_that_of_the_run(tmp_path, capsys, kind):
    study = write_study(tmp_path / "bids", kinds=(kind,))
    config = write_config(tmp_path, ('kind = "volume"', f'kind = "{kind}"'), ("dpi = 50", "atlases = []"))
    places = Places(study.root, tmp_path / "out", tmp_path / "out" / "work")
    job = Job(read_config(config), places, "01", "cpu")
    expected = expected_footprint(job)
    loaded = load_subject(job)
    assert expected.responses == loaded.responses.values.nbytes
    fit_subject(job, loaded)
    there = sum(path.stat().st_size for path in job.work.glob("model-*/*") if path.name.startswith("values"))
    assert expected.predictions >= there
    assert main(["check", str(config), str(study.root)]) == 0
    told = capsys.readouterr().out
    assert re.search(r"disk +sub-01 0 MB of intermediate results .* 1 participants like it 0 MB \([\d.]+ GB free", told)
    assert "memory          at most 8.00 GB ([compute] memory) and about 750 MB of the program itself" in told


def test_the_footprint_counts_weights(tmp_path):
    study = write_study(tmp_path / "bids")
    config = write_config(
        tmp_path, ('bands = "each"', 'bands = "each"\nkeep_weights = "folds"'), ("dpi = 50", "atlases = []")
    )
    places = Places(study.root, tmp_path / "out", tmp_path / "out" / "work")
    job = Job(read_config(config), places, "01", "cpu")
    expected = expected_footprint(job)
    fit_subject(job, load_subject(job))
    files = [path for path in (job.folder / "weights").rglob("*.npy") if path.name.startswith(("values", "intercept"))]
    there = sum(np.load(path).nbytes for path in files)
    assert len(files) == 4
    assert expected.weights == there


def test_a_disk_that_is_too_small_is_said_before_any_work(study, capsys, monkeypatch):
    monkeypatch.setattr("encoding.workflow.disk.free_space", lambda _: 1000)
    config = write_config(study.root.parent)
    out = study.root.parent / "out"
    assert main(["run", str(study.root), str(out), "participant", "--config", str(config)]) == 1
    assert re.search(r"the work of 1 participants needs \d+ MB, but 0 MB are free", capsys.readouterr().err)
    assert not out.exists()


def test_run_checks_first(study, monkeypatch):
    asked = []
    monkeypatch.setattr(checks, "check_dataset", lambda *args, **_: asked.append(args[2]) or _stop())
    config = write_config(study.root.parent)
    out = study.root.parent / "out"
    assert main(["run", str(study.root), str(out), "participant", "--config", str(config)]) == 1
    assert asked == [["01"]]
    assert not out.exists()


def _stop():
    raise DataError("stopped")


def test_a_group_waits_for_a_participant_that_is_being_made(tmp_path):
    places, told, seen = Places(tmp_path / "bids", tmp_path / "out", tmp_path / "out" / "work"), [], []

    def group():
        with held(places, ["02", "01"], told.append):
            seen.append("read")

    with locked(tmp_path / "out" / "logs", "sub-02"):
        thread = threading.Thread(target=group)
        thread.start()
        while not told:
            time.sleep(0.01)
        assert seen == []
        assert re.fullmatch(r"waiting for process \d+ on .* to finish sub-02", told[0])
    thread.join()
    assert seen == ["read"]
