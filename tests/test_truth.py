"""What is planted in a simulated study comes back, and where nothing is planted nothing is found.

The tiny study is too small for every region to be recovered; `benchmarks/planted_truth.py` does the same with the demo,
where every one is.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from encoding.config import read_config
from encoding.pipeline import Job, Places
from encoding.simulate import simulate

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "planted_truth.py"
N_SHIFTS = 59


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("planted_truth", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("truth") / "study", preset="tiny", seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["01", "02"])
def test_planted_winners_win_and_null_regions_lie_within_circular_shifts(tiny, script, tmp_path, subject):
    study = script.essential(read_config(tiny / "run.toml"))
    job = Job(study, Places(tiny, tmp_path / "out", tmp_path / "work"), subject, "cpu")
    found = script.recover(job, N_SHIFTS, 3)
    table = found.winners.set_index("region")
    assert len(table) == 16
    clear = [f"{name}_{hemi}" for name in ("TPJ", "LOTC", "ATL", "aINS") for hemi in "LR"]
    assert (table.loc[clear, "lead"] > 0).all(), table.loc[clear]
    # By chance 4 of 16; 10 or more have a probability of .002 if regions are independent.
    assert (table["lead"] > 0).sum() >= 10, table
    assert (table["value"] > 0.05).all()
    assert found.n_null > 400
    assert found.null.shape == found.planted.shape == (1 + N_SHIFTS,)
    null, planted = script.place_of(found.null), script.place_of(found.planted)
    assert -0.1 < null["low"] < 0 < null["high"] < 0.1
    assert null["inside"], null
    # The same question about regions that do have a signal is answered with no.
    assert not planted["inside"]
    assert found.planted[0] > 2 * found.planted[1:].max()


def test_shifts_stay_within_runs_and_differ(script):
    run = np.repeat(["run-1", "run-2"], 10)
    orders = script.shifts_within_runs(run, 30, np.random.default_rng(0))
    np.testing.assert_array_equal(orders[0], np.arange(20))
    for order in orders[1:]:
        np.testing.assert_array_equal(run[order], run)
        np.testing.assert_array_equal(np.sort(order), np.arange(20))
        steps = (order - np.arange(20)) % 10
        assert set(steps) <= set(range(2, 9))
        assert all(len(set(steps[run == name])) == 1 for name in set(run))
    assert len({tuple(order) for order in orders}) > 20
