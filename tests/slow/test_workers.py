"""Workers that are killed, on several hosts and in jobs of Slurm: results must have the bytes of one process."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from factories import write_config, write_study

pytestmark = pytest.mark.accidents
QUIET = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
COMPUTE = '\n[compute]\nchunk = "20 kB"\nmemory = "1 GB"\n'


def start(study, out, *options):
    arguments = ["run", study.root, out, "participant", "--config", study.root.parent / "run.toml", *options]
    with (out.parent / f"{out.name}.log").open("w") as log:
        command = [sys.executable, "-m", "encoding", *map(str, arguments)]
        return subprocess.Popen(command, env=QUIET, stdout=log, stderr=log)


def finish(process, out):
    assert process.wait(600) == 0, (out.parent / f"{out.name}.log").read_text()
    return results_of(out)


def results_of(folder):
    """Bytes of every result; facts without the time that they took."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(("logs", "work/.locks")):
            found[name] = path.read_bytes()
            if path.name == "facts.json":
                found[name] = json.loads(found[name])
                found[name]["controls"].pop("seconds", None)
    return found


def apart_from_settings(found):
    """Leave out pages, and what facts say of the configuration, where that names another cluster."""
    kept = {name: content for name, content in found.items() if not name.endswith(".html")}
    for name in [name for name in kept if name.endswith("facts.json")]:
        settings = {key: value for key, value in kept[name]["settings"].items() if key != "compute"}
        kept[name] = {key: value for key, value in kept[name].items() if key != "config"} | {"settings": settings}
    return kept


def differ(first, second):
    assert len(first) > 100
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def wait_for_chunks(out, n=1, seconds=300):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if len(list(out.glob("work/sub-*/.partial-model-*/chunk-*.npz"))) >= n:
            return
        time.sleep(0.05)
    pytest.fail(f"no chunk was finished: {(out.parent / f'{out.name}.log').read_text()}")


def workers_of(process):
    """Worker processes below a program, without those that only watch over others."""
    below = psutil.Process(process.pid).children(recursive=True)
    return [child for child in below if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Study of two participants, and the results of one process."""
    top = tmp_path_factory.mktemp("workers")
    study = write_study(top / "bids", subjects=("01", "02"), shape=(12, 10, 8))
    config = write_config(top)
    assert config == top / "run.toml"
    config.write_text(config.read_text() + COMPUTE)
    return study, finish(start(study, top / "here"), top / "here")


@pytest.mark.parametrize("seed", [0, 1])
def test_a_killed_worker_of_four_changes_no_byte(undisturbed, seed):
    study, expected = undisturbed
    out = study.root.parent / f"four-{seed}"
    process = start(study, out, "--n-jobs", "4")
    wait_for_chunks(out, 2 + 5 * seed)
    victims = workers_of(process)
    assert len(victims) >= 4
    random.Random(seed).choice(victims).kill()
    assert differ(expected, finish(process, out)) == []


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def program(*command, cwd, **environment):
    with (cwd / "log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, command)], cwd=cwd, env=QUIET | environment, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            for child in [*psutil.Process(process.pid).children(recursive=True), process]:
                child.kill()
            process.wait()


def test_two_hosts_one_of_which_goes_away_change_no_byte(undisturbed):
    study, expected = undisturbed
    top, port = study.root.parent, free_port()
    config = top / "run.toml"
    before = config.read_text()
    config.write_text(before + f'cluster = "dask://127.0.0.1:{port}"\n')
    with ExitStack() as stack:
        hosts = []
        for name in ("scheduler", "a", "b"):  # each with a folder, a home and temporary files of its own
            place = top / f"host-{name}"
            (place / "tmp").mkdir(parents=True)
            if name == "scheduler":
                command = ["distributed.cli.dask_scheduler", "--port", port, "--host", "127.0.0.1", "--no-dashboard"]
            else:
                command = [
                    "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--nworkers", 2, "--nthreads", 1,
                    "--local-directory", place / "scratch", "--no-dashboard",
                ]  # fmt: skip
            hosts.append(stack.enter_context(
                program(*command, cwd=place, TMPDIR=str(place / "tmp"), HOME=str(place))
            ))  # fmt: skip
        out = top / "hosts"
        process = start(study, out)
        wait_for_chunks(out, 3)
        for child in [*psutil.Process(hosts[1].pid).children(recursive=True), psutil.Process(hosts[1].pid)]:
            child.kill()
        found = finish(process, out)
        assert (top / "host-b" / "scratch").is_dir()
    config.write_text(before)
    assert differ(apart_from_settings(expected), apart_from_settings(found)) == []


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A Slurm of one node, where its programs are installed and may be started; ENCODING_SLURM has its slurm.conf."""
    template = os.environ.get("ENCODING_SLURM")
    if not template or not all(shutil.which(name) for name in ("slurmctld", "slurmd", "munged")):
        pytest.skip("needs slurmctld, slurmd and munged, and ENCODING_SLURM, a slurm.conf with DIR and HOST in it")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool", "log"):
        (folder / name).mkdir()
    host = socket.gethostname()
    text = Path(template).read_text().replace("DIR", str(folder)).replace("HOST", host)
    (folder / "slurm.conf").write_text(text)
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=False, capture_output=True)
    QUIET["SLURM_CONF"] = str(folder / "slurm.conf")
    started = [subprocess.Popen([name, "-D", "-f", folder / "slurm.conf"]) for name in ("slurmctld", "slurmd")]
    try:
        end = time.monotonic() + 120
        while "idle" not in run_slurm("sinfo", "-h", "-o", "%t"):
            if time.monotonic() > end:
                pytest.skip("Slurm did not start")
            time.sleep(1)
        yield
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)


def run_slurm(*command):
    return subprocess.run(command, env=QUIET, capture_output=True, text=True, check=False).stdout


def test_a_cancelled_job_of_slurm_is_replaced(undisturbed, slurm):
    study, expected = undisturbed
    top = study.root.parent
    config = top / "run.toml"
    before = config.read_text()
    config.write_text(before + f'cluster = "slurm"\nworkers = 2\ninterface = "lo"\nscratch = "{top}/scratch"\n')
    try:
        out = top / "slurm"
        process = start(study, out)
        wait_for_chunks(out, 2)
        jobs = run_slurm("squeue", "-h", "-t", "R", "-o", "%i").split()
        assert jobs, run_slurm("squeue")
        run_slurm("scancel", jobs[0])
        found = finish(process, out)
    finally:
        config.write_text(before)
    assert differ(apart_from_settings(expected), apart_from_settings(found)) == []
