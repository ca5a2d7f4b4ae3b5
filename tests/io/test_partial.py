"""Finished chunks on disk."""

import numpy as np
import pytest

from encoding.io.partial import Partial

PLAN = {"key": "a", "chunk": 3}


@pytest.fixture
def partial(tmp_path):
    return Partial(tmp_path / "result", PLAN)


def test_chunks_come_back(partial):
    assert not partial.has(0)
    partial.write(0, {"x": np.arange(3), "name": np.asarray("statistics")})
    assert partial.has(0)
    read = partial.read(0)
    np.testing.assert_array_equal(read["x"], [0, 1, 2])
    assert str(read["name"]) == "statistics"


def test_another_plan_starts_anew_and_the_same_does_not(partial, tmp_path):
    partial.write(0, {"x": np.arange(3)})
    assert Partial(tmp_path / "result", PLAN).has(0)
    assert not Partial(tmp_path / "result", PLAN | {"chunk": 4}).has(0)


def test_what_a_killed_run_left_is_removed(partial, tmp_path):
    (partial.folder / ".tmp-1-chunk-00000.npz").write_bytes(b"half")
    again = Partial(tmp_path / "result", PLAN)
    assert not again.has(0)
    assert not list(again.folder.glob(".tmp-*"))


def test_arrays_keep_what_was_written(partial, tmp_path):
    values = partial.array("values.npy", (2, 5))
    assert np.isnan(values).all()
    values[:, 1] = 7
    values.flush()
    again = Partial(tmp_path / "result", PLAN).array("values.npy", (2, 5))
    np.testing.assert_array_equal(again[:, 1], 7)
    assert not partial.reopen("values.npy").flags.writeable


def test_the_finished_folder_replaces_the_old_one(partial, tmp_path):
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "old").write_text("old")
    partial.write(0, {"x": np.arange(3)})
    partial.array("values.npy", (2, 5))
    partial.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    assert [path.name for path in (tmp_path / "result").iterdir()] == ["values.npy"]


def test_what_a_worker_left_that_died_meanwhile_is_removed(partial):
    partial.write(0, {"a": np.arange(3)})
    (partial.folder / ".tmp-0123456789ab-chunk-00001.npy").write_bytes(b"half")
    (partial.folder / "result.json").write_text("{}")
    partial.finish()
    assert [path.name for path in partial.final.iterdir()] == ["result.json"]
