"""Work that is divided among workers: order, pieces within pieces, what crosses the network, and messages."""

import dataclasses
import json
import os
import pickle
from functools import partial

import dask
import numpy as np
import pytest
from factories import write_config, write_study

from encoding import pipeline
from encoding.cli import main
from encoding.core import ConfigError, Provenance, Responses, Samples, Targets
from encoding.core.workers import HERE
from encoding.fitting.arrays import available_threads
from encoding.fitting.budget import ComputeSettings
from encoding.workflow import cluster
from encoding.workflow.cluster import Relay, _environment, _job_settings, open_workers


@pytest.fixture
def threads(monkeypatch):
    """Workers in this process, which start at once and see what tests replace."""
    monkeypatch.setattr(cluster, "PROCESSES", False)


def add(shared, item):
    return shared + item


def add_pieces(workers, item):
    Relay(str(item))("add", item / 10)
    return sum(workers.map(add, 1, [item, item + 1]))


def test_one_job_stays_in_this_process():
    with open_workers(n_jobs=1) as workers:
        assert workers is HERE
        assert not workers.apart
        assert list(workers.map(add, 1, [1, 2])) == [2, 3]


def test_pieces_of_pieces_finish_on_fewer_workers_than_pieces(threads):
    heard = []
    with open_workers(n_jobs=2, hear=heard.append) as workers:
        assert workers.apart
        assert list(workers.map(add, 1, range(5))) == [1, 2, 3, 4, 5]
        # Each of four waits for two others; two workers would wait for ever if waiting kept them.
        assert list(workers.map(add_pieces, workers, range(4))) == [3, 5, 7, 9]
    assert sorted((message["subject"], message["share"]) for message in heard) == [
        ("0", 0.0), ("1", 0.1), ("2", 0.2), ("3", 0.3),
    ]  # fmt: skip


def fail(shared, item):
    if item == 1:
        raise ConfigError("item 1 is wrong")
    return item


def test_an_error_of_a_piece_is_raised_here(threads):
    with open_workers(n_jobs=2) as workers:
        results = workers.map(fail, None, range(3))
        assert next(results) == 0
        with pytest.raises(ConfigError, match="item 1 is wrong"):
            next(results)


def test_workers_keep_freed_memory(threads, monkeypatch):
    # Dask's own setting returns it at once, so that arrays cost page faults; the environment overrides it.
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with open_workers(n_jobs=2) as workers:
        assert list(workers.map(_variable, "MALLOC_TRIM_THRESHOLD_", range(2))) == ["67108864"] * 2
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ


def test_a_threshold_of_the_user_is_kept(threads, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert _environment(3)["MALLOC_TRIM_THRESHOLD_"] == "131072"
    assert _environment(3)["OMP_NUM_THREADS"] == "3"


def _variable(name, _):
    return os.environ[name]


def test_settings_come_before_the_option(threads):
    with open_workers(ComputeSettings(cluster="local:1"), n_jobs=4) as workers:
        assert workers is HERE


@pytest.mark.parametrize("name", ["local:0", "local", "dask://host", "pbs", "dask://a b:1"])
def test_unknown_clusters_are_refused(name):
    with pytest.raises(ConfigError, match=r'cluster = .*"local:N", "dask://host:port", "slurm", "sge" or "" is needed'):
        ComputeSettings(cluster=name)


def test_an_address_without_a_scheduler_is_told(monkeypatch):
    import distributed

    monkeypatch.setattr(distributed, "Client", partial(_refuse, OSError("Timed out")))
    with (
        pytest.raises(ConfigError, match=r"no scheduler answers there .*Timed out.*dask worker"),
        open_workers(ComputeSettings(cluster="dask://127.0.0.1:9")),
    ):
        pass


def _refuse(error, *_, **__):
    raise error


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dask_jobqueue", None)
    with (
        pytest.raises(ConfigError, match=r"needs dask-jobqueue: pip install 'brain-encoding\[cluster\]'"),
        open_workers(ComputeSettings(cluster="slurm")),
    ):
        pass


def test_job_scripts_ask_for_what_is_set():
    slurm = pytest.importorskip("dask_jobqueue.slurm")
    sge = pytest.importorskip("dask_jobqueue.sge")
    asked = ComputeSettings(
        memory="3 GB", threads=4, walltime="01:30:00", queue="long", account="vision", job_options=("-pe smp 4",)
    )
    made = {"scheduler": "tcp://127.0.0.1:8786", "name": "worker"}
    with dask.config.set({"jobqueue.sge.log-directory": "/logs"}):
        script = sge.SGEJob(**made, **_job_settings(asked, "sge")).job_script()
    lines = script.splitlines()
    for line in ("-q long", "-P vision", "-l h_rt=01:30:00", "-pe smp 4", "-l mem_free=3885M", "-e /logs/"):
        assert f"#$ {line}" in lines
    assert "export OMP_NUM_THREADS=4" in lines
    assert "export MALLOC_MMAP_THRESHOLD_=33554432" in lines
    assert "--nthreads 1" in script
    script = slurm.SLURMJob(
        **made, **_job_settings(dataclasses.replace(asked, job_options=("--exclude=node7",)), "slurm")
    ).job_script()
    lines = script.splitlines()
    for line in ("-p long", "-A vision", "--cpus-per-task=4", "--mem=4G", "-t 01:30:00", "--exclude=node7"):
        assert f"#SBATCH {line}" in lines
    assert "export MKL_NUM_THREADS=4" in lines


def test_threads_of_grid_engine_need_a_parallel_environment():
    with pytest.raises(ConfigError, match=r'job_options = \["-pe smp 3"\]'):
        _job_settings(ComputeSettings(threads=3), "sge")
    assert _job_settings(ComputeSettings(), "sge")["job_script_prologue"][0] == "export OMP_NUM_THREADS=1"


def test_the_environment_lowers_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert available_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert available_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("mapped", [True, False])
def test_responses_are_passed_by_the_name_of_their_file(tmp_path, mapped):
    values = np.random.default_rng(0).standard_normal((50, 400)).astype(np.float32)
    if mapped:
        np.save(tmp_path / "values.npy", values)
        values = np.load(tmp_path / "values.npy", mmap_mode="r")
    names = np.array([f"s{k}" for k in range(50)])
    samples = Samples(names, np.arange(50.0), np.ones(50), np.full(50, "run-1"), "stimulus")
    given = Responses(
        values, samples, Targets.of_columns([f"t{k}" for k in range(400)]), samples, np.zeros((50, 0), np.float32),
        "01", "video", 2.0, provenance=Provenance("test/1"),
    )  # fmt: skip
    pickled = pickle.dumps(given)
    assert (len(pickled) < values.nbytes) == mapped
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again.values, values)
    assert isinstance(again.values, np.memmap) == mapped
    assert not again.values.flags.writeable
    assert again.targets.same_as(given.targets)
    assert again.samples.same_as(samples)
    assert again.provenance.key == given.provenance.key


def results_of(folder):
    """Bytes of every result; facts without the time that they took."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(("logs", "work/.locks")):
            found[name] = path.read_bytes()
            if path.name == "facts.json":
                facts = json.loads(found[name])
                facts["controls"].pop("seconds", None)
                found[name] = facts
    return found


def test_workers_write_what_one_process_writes(tmp_path, threads, monkeypatch, capsys):
    study = write_study(tmp_path / "bids", subjects=("01", "02"))
    config = write_config(tmp_path)
    config.write_text(config.read_text() + '\n[compute]\nchunk = "20 kB"\n')
    started = []
    run = pipeline.cross_predict_all
    monkeypatch.setattr(pipeline, "cross_predict_all", lambda *a, **k: started.append(k["compute"]) or run(*a, **k))
    for name, jobs in (("here", "1"), ("apart", "2")):
        arguments = ["compare", study.root, tmp_path / name, "--config", config, "--n-jobs", jobs]
        assert main([str(argument) for argument in arguments]) == 0
    assert [compute.workers.apart for compute in started] == [False, False, True, True]
    here, apart = results_of(tmp_path / "here"), results_of(tmp_path / "apart")
    assert here.keys() == apart.keys()
    assert any(name.endswith("values.npy") for name in here)
    assert [name for name in here if here[name] != apart[name]] == []
    told = capsys.readouterr().err
    assert {"sub-01 fit: done", "sub-02 fit: done"} <= {line.partition(" in ")[0] for line in told.splitlines()}
