"""`encoding power` from assumptions and from a pilot."""

import pytest
from test_pipeline import job_of

from encoding.cli import main
from encoding.pipeline import run_compare


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    """One participant of four runs, tested."""
    from factories import write_study

    runs = tuple(("", str(k)) for k in range(1, 6))
    study = write_study(tmp_path_factory.mktemp("pilot") / "bids", runs=runs)
    job = job_of(study)
    run_compare(job)
    return job.places.output_dir


def test_assumptions(capsys):
    assert main(["power", "--r", "0.3", "0.1", "--features", "10", "20", "--samples", "36"]) == 0
    said = capsys.readouterr().out
    assert "r 0.300 and 0.100 (R2 0.0900 and 0.0100), 10 and 20 features, 36 samples per run" in said
    assert "1 participant: power 0.8 needs" in said


def test_what_is_missing_or_wrong_is_said(capsys, tmp_path):
    assert main(["power", "--r", "0.3", "0.1"]) == 1
    assert "--features, --samples: needed where there is no --pilot" in capsys.readouterr().err
    assert main(["power", "--r", "1.5", "0.1", "--features", "10", "20", "--samples", "36"]) == 1
    assert "r = 1.5: needed are correlations from 0 to below 1" in capsys.readouterr().err
    assert main(["power", "--pilot", str(tmp_path)]) == 1
    assert "no participant with tests" in capsys.readouterr().err


def test_a_pilot_tells_what_it_knows(pilot, capsys):
    code = main(["power", "--pilot", str(pilot), "--region", "nowhere"])
    assert code == 1
    assert "no region 'nowhere'" in capsys.readouterr().err
