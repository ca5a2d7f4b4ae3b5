"""Scripts that are run by hand on other machines, with toy sizes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.accidents
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def run(name, *options):
    command = [sys.executable, BENCHMARKS / name, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=BENCHMARKS.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_rows_of_the_graphics_card_run_on_the_processor():
    rows = [line.split(" | ") for line in run("gpu.py", "--tiny").splitlines() if line.startswith("| ")][1:]
    assert {row[0].strip("| ") for row in rows} == {"W1", "one wide band", "RSA", "embedding"}
    assert all(float(row[2]) > 0 for row in rows)


def test_needs_of_a_study_grow_as_they_must():
    told = run("cluster_needs.py", "--quick").splitlines()
    assert json.loads(told[0])["target"] > 0
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in told if line.startswith("| ")][1:]
    assert [int(row[0]) for row in rows] == [1, 2, 4, 10, 30, 100, 300, 1000]
    hours = [float(row[5]) for row in rows]
    assert hours == sorted(hours, reverse=True)
    assert len({row[2] for row in rows}) == 1  # what is read does not depend on workers
