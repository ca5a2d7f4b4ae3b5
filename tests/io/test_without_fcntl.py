"""Where Python has no fcntl, as on Windows, one process at a time still works on a result."""

import subprocess
import sys

import pytest

HOLD = """
import sys, warnings
sys.modules["fcntl"] = None  # an import of it fails
warnings.simplefilter("ignore")  # filelock says that it falls back to marker files
from pathlib import Path
from encoding.core import DataError
from encoding.io.judgments.answers import AnswerStore
from encoding.io.locks import locked

folder = Path(sys.argv[1])
try:
    with locked(folder, "result", wait=False), AnswerStore(folder / "answers.sqlite") as store, store.alone():
        print("held", flush=True)
        sys.stdin.readline()
except DataError as error:
    print("refused:", error, flush=True)
"""


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture
def holder(tmp_path):
    with start(tmp_path) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_a_later_one_is_not(tmp_path, holder):
    told, _ = start(tmp_path).communicate("\n", timeout=60)
    assert told.startswith("refused:")
    assert "another process holds this lock" in told
    assert holder.communicate("\n", timeout=60)[0] == ""
    assert start(tmp_path).communicate("\n", timeout=60)[0] == "held\n"
    assert [path.name for path in (tmp_path / ".locks").glob("*.lock*")] == []


def test_a_killed_process_does_not_keep_the_lock(tmp_path, holder):
    holder.kill()
    holder.wait(timeout=60)
    assert start(tmp_path).communicate("\n", timeout=60)[0] == "held\n"
