"""Accidents of machines, many times over; `make test-slow` runs it.

A command runs in a process that is forked from this one, so that nothing has to be imported again, and is killed
after a random time. Whatever happened before, one more undisturbed run must end with the bytes of an undisturbed one,
"""

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import write_config, write_study

from encoding.cli import main
from encoding.io.judgments.answers import AnswerStore
from encoding.io.judgments.files import read_judgments

pytestmark = pytest.mark.accidents
KILLS = int(os.environ.get("ENCODING_KILLS", "30"))


def run(*arguments):
    """Run a command in a forked process; returns its exit code, negative for a signal."""
    return wait(start(*arguments))


def start(*arguments):
    number = os.fork()
    if number == 0:
        try:
            quiet = os.open(os.environ.get("ENCODING_SLOW_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(quiet, stream)
            os._exit(main([str(argument) for argument in arguments]))
        except BaseException:
            traceback.print_exc()
            os._exit(99)
    return number


def wait(number):
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def killed(seconds, *arguments):
    """Run a command and kill it after some time; returns True if it was still running."""
    number = start(*arguments)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(number, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return True


def kill_often(rng, seconds, command, begin_again, note):
    """Kill a command `KILLS` times while it runs, at random times; what was left serves the next, which may finish."""
    hits = attempts = 0
    while hits < KILLS and attempts < 10 * KILLS:
        attempts += 1
        begin = time.monotonic()
        if killed(rng.uniform(0, seconds), *command(hits)):
            hits += 1
        else:
            begin_again(hits)  # there was nothing left to do
            seconds = min(seconds, time.monotonic() - begin)  # how busy the machine is changes
    note("kills that hit a running process", f"{hits} of {KILLS}")
    note("runs", attempts)
    assert hits == KILLS


def bytes_of(folder):
    """Hash every file of a folder of results, logs apart: they hold the time."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(without_times(path)).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "logs" not in path.parts and ".locks" not in path.parts
    }


def without_times(path):
    """Return the bytes of a file without the seconds that something took."""
    content = path.read_bytes()
    if path.name == "facts.json":
        return re.sub(rb'"seconds": [0-9.e-]+', b"", content)
    if path.suffix == ".html":
        return re.sub(rb"[0-9.]+ s(econds)?\b", b"", content)
    if path.suffix == ".tsv" and b"seconds" in content.split(b"\n", 1)[0]:
        frame = pd.read_csv(path, sep="\t")
        return frame.drop(columns=[name for name in frame.columns if "seconds" in name]).to_csv().encode()
    if path.name.endswith(("_fit.npz", "_curve.npz")):
        return _kept_without_times(path)
    return content


def _kept_without_times(path):
    """Return what a fit holds but for the seconds that it took, which are a column of its path."""
    with np.load(path, allow_pickle=False) as stored:
        content = stored["content"].tobytes()
        timed = {name.decode() for name in re.findall(rb'"cpu_seconds": {"array": "([^"]+)"}', content)}
        assert timed or path.name.endswith("_curve.npz")
        return content + b"".join(stored[name].tobytes() for name in stored.files if name not in timed)


def left_over(folder):
    return [str(path) for path in folder.rglob(".*") if path.name.startswith((".tmp-", ".old-", ".partial-"))]


def timed(function):
    begin = time.monotonic()
    function()
    return time.monotonic() - begin


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    top = tmp_path_factory.mktemp("study")
    made = write_study(top / "bids", subjects=("01", "02"))
    write_config(top)
    return made


def command(study, out, *more, level="participant", subject="01"):
    top = study.root.parent
    return ("run", study.root, out, level, "--config", top / "run.toml", "--participant-label", subject, *more)


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory):
    """Results of a run that nobody disturbed, and how long it took."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert run(*command(study, out)) == 0
    # The first run waits for the disk; kills must fall into what a later one takes.
    seconds = timed(lambda: run(*command(study, out, subject="02")))
    alone = timed(lambda: run(*command(study, out, level="group", subject="01")))
    assert (out / "report.html").is_file()
    return out, seconds, alone


def test_a_participant_that_is_killed_goes_on(study, undisturbed, tmp_path, record_property):
    reference, seconds, _ = undisturbed
    kill_often(
        random.Random(0),
        seconds,
        lambda number: command(study, tmp_path / f"out{number % 3}"),  # they take turns, so that damage adds up
        lambda number: shutil.rmtree(tmp_path / f"out{number % 3}"),
        record_property,
    )
    expected = {k: v for k, v in bytes_of(reference).items() if "sub-01" in k and "group" not in k}
    for out in [tmp_path / f"out{number}" for number in range(3)]:
        assert run(*command(study, out)) == 0
        assert {k: v for k, v in bytes_of(out).items() if "sub-01" in k} == expected
        assert left_over(out) == []


def test_a_group_that_is_killed_goes_on(study, undisturbed, tmp_path, record_property):
    reference, _, seconds = undisturbed
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    shutil.rmtree(out / "group")
    kill_often(
        random.Random(1),
        seconds,
        lambda number: command(study, out, level="group"),  # noqa: ARG005
        lambda number: shutil.rmtree(out / "group"),  # noqa: ARG005
        record_property,
    )
    assert run(*command(study, out, level="group")) == 0
    assert bytes_of(out) == bytes_of(reference)
    assert left_over(out) == []


EMBED = """
[[features]]
name = "ratings"
file = "stimuli/feature-abc.tsv"

[[features]]
kind = "judgments"
name = "learned"
ratings = "ratings"
n_judgments = 3000
n_dims = 2
lambdas = [0.002]
seeds = [0]
"""


def embedding(folder):
    config = folder / "embed.toml"
    config.write_text(EMBED)
    return config


def test_an_embedding_that_is_killed_is_learned_again(study, tmp_path, record_property):
    config = embedding(tmp_path)
    reference, out = tmp_path / "reference", tmp_path / "out"
    seconds = timed(lambda: run("embed", study.root, reference, "--config", config))
    assert (reference / "embedding" / "learned.html").is_file()
    kill_often(
        random.Random(2),
        seconds,
        lambda number: ("embed", study.root, out, "--config", config),  # noqa: ARG005
        lambda number: shutil.rmtree(out),  # noqa: ARG005
        record_property,
    )
    assert run("embed", study.root, out, "--config", config) == 0
    ours, theirs = bytes_of(out / "embedding"), bytes_of(reference / "embedding")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name] and not name.endswith(".html")] == []
    assert left_over(out) == []


COLLECT = """
seed = 0
[stimuli]
table = "stimuli.tsv"
show = "names"
[design]
kind = "random"
n_triplets = 3000
[[annotator]]
kind = "cosine"
name = "ratings"
file = "ratings.tsv"
[collect]
folder = "judgments"
"""


@pytest.fixture
def collection(tmp_path):
    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        names = [f"s{number:02d}" for number in range(30)]
        values = np.random.default_rng(0).random((30, 4)).round(3)
        pd.DataFrame({"stimulus": names}).to_csv(folder / "stimuli.tsv", sep="\t", index=False)
        frame = pd.DataFrame({"stimulus": names, **dict(zip("wxyz", values.T, strict=True))})
        frame.to_csv(folder / "ratings.tsv", sep="\t", index=False)
        (folder / "collect.toml").write_text(COLLECT)
        return folder

    return make


def test_a_collection_that_is_killed_loses_no_answer(collection, record_property):
    reference, disturbed = collection("reference"), collection("disturbed")
    seconds = timed(lambda: run("collect", "all", "--config", reference / "collect.toml"))
    kept = []

    def begin_again(_):
        """Count the answers that are kept, and start a collection anew."""
        (answers,) = disturbed.rglob("answers.sqlite")
        with AnswerStore(answers, read_only=True) as store:
            kept.append(store.base.execute("SELECT count(*) FROM answers").fetchone()[0])
        shutil.rmtree(disturbed / "judgments")

    kill_often(
        random.Random(3),
        seconds,
        lambda number: ("collect", "all", "--config", disturbed / "collect.toml"),  # noqa: ARG005
        begin_again,
        record_property,
    )
    assert set(kept) <= {3000}  # whoever finished had all of them
    assert run("collect", "all", "--config", disturbed / "collect.toml") == 0
    for name in ("train_90.npy", "train_90.txt"):
        ours, theirs = (next(folder.rglob(name)).read_bytes() for folder in (disturbed, reference))
        assert ours == theirs
    first, second = (read_judgments(next(folder.rglob("answers.sqlite"))) for folder in (disturbed, reference))
    assert np.array_equal(first.items, second.items)
    assert np.array_equal(first.choice, second.choice)


def test_two_collectors_do_not_ask_twice(collection, record_property):
    folder = collection("both")
    both = [start("collect", "all", "--config", folder / "collect.toml") for _ in range(2)]
    codes = sorted(wait(number) for number in both)
    record_property("exit codes", codes)
    assert codes in ([0, 0], [0, 1])
    with AnswerStore(next(folder.rglob("answers.sqlite")), read_only=True) as store:
        assert store.base.execute("SELECT count(*) FROM answers").fetchone()[0] == 3000


def test_the_same_subject_twice_is_made_once(study, undisturbed, tmp_path):
    reference, *_ = undisturbed
    out = tmp_path / "out"
    both = [start(*command(study, out)) for _ in range(2)]
    assert [wait(number) for number in both] == [0, 0]
    expected = {k: v for k, v in bytes_of(reference).items() if "sub-01" in k and "group" not in k}
    assert {k: v for k, v in bytes_of(out).items() if "sub-01" in k} == expected
    assert len(list((out / "logs").glob("run-*.json"))) == 2
    assert left_over(out) == []


def test_eight_participants_at_once_learn_an_embedding_once(tmp_path):
    subjects = tuple(f"{number:02d}" for number in range(1, 9))
    made = write_study(tmp_path / "bids", subjects=subjects, runs=(("", "1"), ("", "2")), n_scans=58)
    write_config(tmp_path)
    config = tmp_path / "run.toml"
    extra = '[[features]]\nkind = "judgments"\nname = "learned"\nratings = "abc"\nn_judgments = 3000\nn_dims = 2\n'
    config.write_text(_with(config, extra))
    out = tmp_path / "out"
    numbers = [
        start("load", made.root, out, "--config", config, "--participant-label", subject) for subject in subjects
    ]
    assert [wait(number) for number in numbers] == [0] * 8
    assert len(list((out / "work").glob("sub-*/responses/object.json"))) == 8
    assert len(list((out / "logs").glob("run-*.json"))) == 8
    assert (out / "embedding" / "learned.html").is_file()
    assert left_over(out) == []


def _with(config, extra):
    """Append a feature space to those of a configuration."""
    text = config.read_text()
    at = text.index("[load]")
    return f"{text[:at]}{extra}lambdas = [0.002]\nseeds = [0]\n\n{text[at:]}"


@pytest.fixture
def small_disk(tmp_path):
    """Mount disks of a given size; needs root on Linux."""
    mounted = []

    def mount(megabytes):
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        options = ["mount", "-t", "tmpfs", "-o", f"size={int(megabytes * 1024)}k", "tmpfs", str(place)]
        if subprocess.run(options, capture_output=True, check=False).returncode:
            pytest.skip("disks can be mounted by root only")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=False)


def test_a_full_disk_is_said_and_the_run_goes_on_after_it(study, undisturbed, small_disk, record_property):
    reference, *_ = undisturbed
    size = sum(path.stat().st_size for path in reference.rglob("*") if path.is_file()) / 1e6
    expected = {k: v for k, v in bytes_of(reference).items() if "sub-01" in k and "group" not in k}
    codes = []
    for share in np.linspace(0.02, 0.5, 10):
        place = small_disk(max(size * share, 0.06))
        codes.append(run(*command(study, place / "out")))
        assert codes[-1] in (0, 1), f"exit code {codes[-1]} on a disk of {size * share:.2f} MB"
        if codes[-1]:
            grow = ["mount", "-o", "remount,size=200m", str(place)]
            subprocess.run(grow, check=True)
            assert run(*command(study, place / "out")) == 0
        assert {k: v for k, v in bytes_of(place / "out").items() if "sub-01" in k} == expected
        assert left_over(place / "out") == []
    record_property("disks that were full", f"{codes.count(1)} of {len(codes)}")
    assert codes.count(1) >= 5


# What runs again after a change.


STEPS = ("responses", "model-joint", "regions", "figures")


def steps(out):
    """Return when each step of sub-01 was last done."""
    work, folder = out / "work" / "sub-01", out / "sub-01"
    files = (work / "responses" / "object.json", work / "model-joint" / "object.json", folder / "facts.json")
    return dict(zip(STEPS, [path.stat().st_mtime_ns for path in (*files, folder / "drawn.json")], strict=True))


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def table(pattern, change):
    def spoil(made):
        (path,) = (path for path in made.root.rglob(pattern) if "derivatives" not in path.parts)
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        change(frame).to_csv(path, sep="\t", index=False)

    return spoil


def setting(before, after):
    return lambda made: edit(made.root.parent / "run.toml", before, after)


def append(text):
    def change(made):
        path = made.root.parent / "run.toml"
        path.write_text(f"{path.read_text()}{text}")

    return change


def touch_image(made):
    import nibabel as nib

    path = made.find("*run-2*preproc_bold.nii.gz")
    image = nib.load(path)
    data = np.asarray(image.dataobj).copy()
    data[0, 0, 0, 0] += 1
    nib.save(nib.Nifti1Image(data, image.affine, image.header), path)


def change_feature(frame):
    frame.loc[0, frame.columns[-1]] = "0.123"
    return frame


EVERYTHING, FITTING, COMPARING, DRAWING, NOTHING = STEPS, STEPS[1:], STEPS[2:], STEPS[3:], ()
CHANGES = {
    "a comment": (append("\n# a thought\n"), NOTHING),
    "memory": (append("\n[compute]\nmemory = '500 MB'\n"), NOTHING),
    "colours of maps": (setting("dpi = 50", "dpi = 60"), DRAWING),
    "the metric": (append('\n[compare]\nmetric = "r2"\n'), COMPARING),
    "a feature table": (table("feature-abc.tsv", change_feature), FITTING),
    "events": (
        table("*run-2_events.tsv", lambda frame: frame.assign(duration=frame["duration"].replace("8.0", "7.5"))),
        EVERYTHING,
    ),
    "an image": (touch_image, EVERYTHING),
    "the repetition time of a sidecar": (
        lambda made: made.find("*run-2_bold.json", raw=True).write_text("{}"),
        ("responses",),
    ),
    "the seed": (setting("seed = 0", "seed = 1"), FITTING),
}


@pytest.mark.parametrize("name", CHANGES)
def test_exactly_the_dependent_steps_run_again(tmp_path, name):
    made = write_study(tmp_path / "bids")
    write_config(tmp_path)
    out = tmp_path / "out"
    assert run(*command(made, out)) == 0
    before = steps(out)
    assert run(*command(made, out)) == 0
    assert steps(out) == before
    change, expected = CHANGES[name]
    change(made)
    assert run(*command(made, out)) == 0
    after = steps(out)
    again = tuple(step for step in STEPS if after[step] != before[step])
    assert set(again) >= set(expected)
    assert set(again) <= set(STEPS[STEPS.index(expected[0]) :] if expected else ())
    fresh = tmp_path / "fresh"
    assert run(*command(made, fresh)) == 0
    ours, theirs = (Path(folder, "sub-01", "regions.tsv").read_bytes() for folder in (out, fresh))
    assert ours == theirs
