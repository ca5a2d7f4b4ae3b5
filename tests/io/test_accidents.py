"""Full disks, killed and competing processes, damaged results: nothing is lost, and one sentence says what is wrong."""

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from encoding.cli import main
from encoding.cli import parser as parser_module
from encoding.cli.options import filters_of
from encoding.core import ConfigError, DataError, FeatureSpace, Samples
from encoding.fitting import Ridge
from encoding.io import locks
from encoding.io.arrays import drop_pages, hash_rows, open_npy, put_columns, take_columns
from encoding.io.atomic import atomic_file, atomic_folder, clean_errors, reserve, sweep, temporary_name
from encoding.io.bids.sidecars import read_json
from encoding.io.locks import locked
from encoding.io.partial import Partial, sweep_results
from encoding.io.store import load, save
from encoding.workflow.disk import clean, footprint, require_space


def space():
    return FeatureSpace("x", np.eye(3), Samples.of_stimuli(np.array(["a", "b", "c"])), ("f", "g", "h"))


# Temporary names.


def test_temporary_names_are_never_shared(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in two containers
    names = {temporary_name(tmp_path / "x.nii.gz") for _ in range(100)}
    assert len(names) == 100
    assert all(name.name.endswith("-x.nii.gz") for name in names)
    assert len(temporary_name(tmp_path / f"{'y' * 240}.tsv").name.encode()) < 255


def test_what_killed_processes_left_is_swept(tmp_path):
    for name in (".tmp-0123456789ab-x.tsv", ".tmp-4711-x.tsv", ".old-0123456789ab-x.tsv", ".tmp-0123456789ab-y.tsv"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".tmp-0123456789ab-z").mkdir()
    sweep(tmp_path, "x.tsv")
    assert {path.name for path in tmp_path.iterdir()} == {".tmp-0123456789ab-y.tsv", ".tmp-0123456789ab-z"}
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_result_that_was_renamed_but_not_tidied_is_tidied(tmp_path):
    partial = Partial(tmp_path / "work" / "model", {"key": "k"})
    partial.write(0, {"x": np.ones(3)})
    partial.folder.rename(partial.final)  # and killed
    sweep_results(tmp_path)
    assert not list(partial.final.iterdir())
    unfinished = Partial(tmp_path / "work" / "model", {"key": "k"})
    unfinished.write(0, {"x": np.ones(3)})
    sweep_results(tmp_path)
    assert unfinished.has(0)


def test_files_are_on_the_disk_before_they_get_their_names(tmp_path, monkeypatch):
    seen, sync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: seen.append("sync") or sync(number))
    monkeypatch.setattr(Path, "replace", lambda self, target: seen.append("rename") or replace(self, target))
    with atomic_file(tmp_path / "x") as temporary:
        temporary.write_text("y")
    assert seen[:2] == ["sync", "rename"]


# Disks.


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            r"the disk is full \(\d+ MB are free\).*goes on where it st",
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (OSError("20 requested and 7 written"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/data/x"), "/data/x: cannot be written .Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), "Check the permissions of the folder"),
    ],
)
def test_what_a_disk_refuses_is_said_in_one_sentence(tmp_path, error, message):
    with pytest.raises(DataError, match=message), atomic_file(tmp_path / "x"):
        raise error
    with pytest.raises(DataError, match=message), atomic_folder(tmp_path / "y"):
        raise error
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError), clean_errors(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "No such file")


def test_space_is_taken_before_a_file_is_mapped(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.touch()
    reserve(path, 1 << 20)
    assert path.stat().st_blocks * 512 >= 1 << 20

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"the disk is full \(1 MB are needed, \d+ MB are free\)"):
        reserve(path, 1 << 20)
    partial = Partial(tmp_path / "model", {"key": "k"})
    with pytest.raises(DataError, match=r"values\.npy: the disk is full"):
        partial.array("values.npy", (100, 1000))
    assert not list(partial.folder.glob("*values*"))
    monkeypatch.undo()
    values = partial.array("values.npy", (3, 5), np.float64)
    assert values.shape == (3, 5)
    assert np.isnan(values).all()


def test_a_run_is_refused_where_there_is_no_space(tmp_path):
    require_space(tmp_path / "new", 1, "this")
    with pytest.raises(DataError, match=r"sub-01 needs 1000000000\.00 GB, but .* are free.*another --work-dir"):
        require_space(tmp_path / "new", 10**18, "sub-01")


def test_the_footprint_adds_up():
    found = footprint(100, 1000, (), n_outer=3)
    assert (found.responses, found.predictions, found.results) == (400_000, 0, 0)
    assert str(found) == "0 MB of intermediate results (0 MB responses, 0 MB predictions), 0 MB of results"
    models = [Ridge(("a", "b"), keep_weights="folds"), Ridge(("a",), keep_weights="mean"), Ridge(("b",))]
    found = footprint(100, 1000, models, n_outer=3, n_features={"a": 5, "b": 7})
    assert found.weights == 3 * 1000 * (4 * 12 + 8) + 1000 * (4 * 5 + 8)
    assert str(found).endswith(" of results, 0 MB of weights")


# Locks.


def test_one_process_at_a_time(tmp_path):
    code = (
        "import sys, time; from encoding.io.locks import locked\n"
        "with locked(sys.argv[1], 'sub-01'):\n    print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DataError, match="busy"), locked(tmp_path, "sub-01", wait=False, busy="busy"):
            pass
        with locked(tmp_path, "sub-02", wait=False):
            pass
        told = []
        threading.Timer(1.0, lambda: os.kill(other.pid, signal.SIGKILL)).start()
        with locked(tmp_path, "sub-01", tell=told.append):  # the kernel frees the lock of a process that is killed
            assert told == [f"waiting for process {other.pid} on {os.uname().nodename} to finish sub-01"]
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_file_systems_without_locks_get_a_marker(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    monkeypatch.setattr(locks, "BEAT", 0.05)
    with locked(tmp_path, "sub-01"):
        (marker,) = (tmp_path / locks.FOLDER).glob("*.soft")
        assert str(os.getpid()) in marker.read_text()
        os.utime(marker, (0, 0))
        time.sleep(0.3)
        assert time.time() - marker.stat().st_mtime < 60  # a sign of life
    assert not marker.exists()
    marker.write_text("4711\nanother-host\n")  # a container that is gone
    with pytest.raises(DataError, match="busy"), locked(tmp_path, "sub-01", wait=False, busy="busy"):
        pass
    os.utime(marker, (0, 0))
    with locked(tmp_path, "sub-01", wait=False):
        assert str(os.getpid()) in marker.read_text()


def test_a_marker_is_broken_by_one_at_a_time_and_never_the_next_one(tmp_path):
    path = tmp_path / "sub-01.lock"
    marker, turn = Path(f"{path}.soft"), Path(f"{path}.break")
    marker.write_text("4711\nanother-host\n")
    locks._break_dead(path)  # it gave signs of life
    assert marker.exists()
    os.utime(marker, (0, 0))
    turn.touch()  # somebody else is at it, and may have removed it and made another meanwhile
    locks._break_dead(path)
    assert marker.exists()
    os.utime(turn, (0, 0))  # that one was killed
    locks._break_dead(path)
    assert not turn.exists()
    locks._break_dead(path)
    assert not marker.exists()
    assert list(tmp_path.iterdir()) == []


def test_who_waits_never_removes_the_marker_of_the_next_owner(tmp_path, monkeypatch):
    path = tmp_path / "sub-01.lock"
    marker = Path(f"{path}.soft")
    marker.write_text("4711\nanother-host\n")
    os.utime(marker, (0, 0))
    opened = os.open

    def overtaken(name, *more):
        number = opened(name, *more)
        if str(name).endswith(".break"):  # between the look and the turn, another one broke it and took over
            marker.unlink()
            marker.write_text("7\nhere\n")
        return number

    monkeypatch.setattr(os, "open", overtaken)
    locks._break_dead(path)
    assert marker.read_text() == "7\nhere\n"


# Damaged results.


def test_descriptions_that_describe_nothing_are_refused(tmp_path):
    save(space(), tmp_path / "x")
    path = tmp_path / "x" / "object.json"
    good = json.loads(path.read_text())
    nested = "[" * 100_000 + "]" * 100_000
    leading_out = json.loads(path.read_text())
    leading_out["object"]["fields"]["values"]["array"] = "../y.npy"
    strange = {**good, "object": {"type": "Nothing", "fields": {}}}
    for content, message in {
        "[]": "holds a list, but an object was needed",
        "3": "holds a int",
        "{": "not valid JSON",
        nested: "not valid JSON",
        json.dumps({**good, "format": 99}): "format 99, but this version reads format",
        json.dumps({"format": good["format"]}): "holds no object of this program",
        json.dumps({**good, "object": []}): "holds a tuple, but an object was needed",
        json.dumps({**good, "object": {"type": "FeatureSpace"}}): "holds no object of this program",
        json.dumps({**good, "object": 7}): "holds a int",
        json.dumps(strange): "holds no object of this program .KeyError: 'Nothing'",
        json.dumps(leading_out): re.escape("names the file '../y.npy', which is not in its folder"),
    }.items():
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            load(tmp_path / "x")


def test_arrays_that_promise_too_much_are_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(6.0))
    content = path.read_bytes()
    path.write_bytes(content[:-8])
    with pytest.raises(DataError, match=r"its header says 48 bytes \(shape \(6,\) of float64\), but 40 follow"):
        open_npy(path)
    with path.open("wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
        np.lib.format.write_array_header_1_0(stream, header)
    with pytest.raises(DataError, match=r"its header says 8796093022208 bytes.*but 0 follow"):
        open_npy(path)
    for content in (b"", b"text", b"\x93NUMPY\x01\x00\x10\x00{'descr': 1}     "):
        path.write_bytes(content)
        with pytest.raises(DataError, match="cannot be read as an array"):
            open_npy(path)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="holds Python objects, which are never read"):
        open_npy(path)
    np.save(path, np.zeros((0, 3)))
    assert open_npy(path).shape == (0, 3)


# Memory.


def test_columns_are_read_without_the_rest(tmp_path):
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(50, 300)).astype(np.float32)
    np.save(tmp_path / "x.npy", whole)
    mapped = open_npy(tmp_path / "x.npy")
    for columns in (np.arange(10, 40), np.array([299, 0, 7]), np.array([5])):
        np.testing.assert_array_equal(take_columns(mapped, columns), whole[:, columns])
        np.testing.assert_array_equal(take_columns(whole, columns), whole[:, columns])
        np.testing.assert_array_equal(take_columns(mapped[3:], columns), whole[3:, columns])
    assert take_columns(mapped, np.array([], dtype=int)).shape == (50, 0)


def test_rows_and_columns_are_read_and_written_in_place(tmp_path):
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(2, 50, 300)).astype(np.float32)
    np.save(tmp_path / "x.npy", whole)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r+")
    plain = whole.copy()
    scattered = np.arange(0, 300, 1)[rng.random(300) < 0.5]
    for columns in (np.arange(10, 40), np.array([0, 1, 7, 299]), scattered, np.array([5])):
        content = rng.normal(size=(2, 7, len(columns)))
        for values in (mapped, plain):
            put_columns(values, slice(3, 10), columns, content)
        np.testing.assert_array_equal(mapped, plain)
    np.save(tmp_path / "y.npy", plain[0])
    rows, columns = np.array([7, 3, 3, 49]), np.array([2, 299, 5])
    for values in (open_npy(tmp_path / "y.npy"), plain[0]):
        np.testing.assert_array_equal(take_columns(values, columns, rows), plain[0][rows][:, columns])
    assert hash_rows(open_npy(tmp_path / "y.npy")) == hash_rows(plain[0])


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_pages_are_given_back_and_keep_what_was_written(tmp_path):
    values = Partial(tmp_path / "model", {"key": "k"}).array("values.npy", (16, 1 << 20))
    values[:] = 7.0
    before = resident()
    drop_pages(values)
    assert before - resident() > 60 << 20
    assert (values[:, ::1000] == 7.0).all()
    drop_pages(values[3:])  # a part of a map, and an array, have no pages of their own
    drop_pages(np.ones(3))


# The command line.


def test_sigterm_ends_a_command_in_order(monkeypatch, capsys):
    def killed(options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(parser_module, "build_parser", lambda: _Parser(killed))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["run"]) == 143
    assert "terminated; finished work is kept" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "error: /data/x: the disk is full"),
        (OSError(errno.EIO, "Input/output error", "/data/x"), "error: /data/x: Input/output error (OSError)."),
    ],
)
def test_errors_of_the_system_have_no_traceback(monkeypatch, capsys, error, message):
    def fail(options):
        raise error

    monkeypatch.setattr(parser_module, "build_parser", lambda: _Parser(fail))
    assert main(["run"]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


class _Parser:
    def __init__(self, command):
        self.command = command

    def parse_args(self, _):
        return type("Options", (), {"verbose": False, "name": "run", "command": staticmethod(self.command)})()


def test_clean_leaves_the_work_of_a_run_of_another_output_folder(tmp_path):
    out = tmp_path / "out"
    for folder in (out / "logs", out / "work" / "sub-01"):
        folder.mkdir(parents=True)
    (out / "dataset_description.json").write_text("{}")
    with locked(out / "work", "sub-01"), pytest.raises(DataError, match="a run is under way for sub-01"):
        clean(out)
    assert (out / "work" / "sub-01").is_dir()
    clean(out)
    assert not (out / "work").exists()


@pytest.mark.parametrize("text", ["9" * 5_000, "[" * 100_000, "[]"])
def test_filter_files_that_are_none_are_refused(tmp_path, text):
    path = tmp_path / "filter.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="--bids-filter-file"):
        filters_of(path)


def test_numbers_of_thousands_of_digits_are_no_traceback(tmp_path):
    path = tmp_path / "sub-01_bold.json"
    path.write_text('{"RepetitionTime": ' + "9" * 5_000 + "}")
    with pytest.raises(DataError, match="not valid JSON"):
        read_json(path)


def test_clean_removes_intermediate_results_only(tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(DataError, match="no folder of results"):
        clean(out)
    for name in ("logs", "sub-01/weights/joint", "work/sub-01/responses", "embedding"):
        (out / name).mkdir(parents=True)
    (out / "dataset_description.json").write_text("{}")
    (out / "work" / "sub-01" / "responses" / "values.npy").write_bytes(b"x" * 3_000_000)
    (out / "sub-01" / "weights" / "joint" / "values.npy").write_bytes(b"x" * 2_000_000)
    code = (
        "import sys, time; from encoding.io.locks import locked\n"
        "with locked(sys.argv[1], 'sub-01'):\n    print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(out / "logs")], stdout=subprocess.PIPE, text=True)
    try:
        other.stdout.readline()
        assert main(["clean", str(out)]) == 1
        assert "a run is under way for sub-01" in capsys.readouterr().err
    finally:
        other.kill()
        other.wait()
        other.stdout.close()
    assert main(["clean", str(out)]) == 0
    told = capsys.readouterr().out
    assert "3 MB of intermediate results removed" in told
    assert "2 MB of weights (keep_weights) stay; --weights removes them too" in told
    assert sorted(path.name for path in out.iterdir()) == ["dataset_description.json", "embedding", "logs", "sub-01"]
    assert main(["clean", str(out), "--weights"]) == 0
    assert capsys.readouterr().out == f"{out}: 2 MB of intermediate results and weights removed\n"
    assert not list((out / "sub-01").iterdir())
