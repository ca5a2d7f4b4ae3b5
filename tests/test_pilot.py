"""A pilot of two participants, from images to its tests, its controls and the power that it predicts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from test_pipeline import job_of

from encoding.cli import main
from encoding.comparison import read_tests
from encoding.config import parse_config
from encoding.mapping import read_result
from encoding.numerics.shared_variance import estimate
from encoding.pipeline import Job, Places, run_compare
from encoding.workflow.planning import design_of_pilot

DRAWN = 'fits = "bootstrap"\nn_bootstrap = 20\n'


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    """Two participants of ten runs that share no stimulus; "first" is one of the three features of "abc"."""
    from factories import write_study

    runs = tuple(("", str(k)) for k in range(1, 11))
    subjects = ("01", "02")
    study = write_study(tmp_path_factory.mktemp("pilot") / "bids", runs=runs, subjects=subjects, recurring=False)
    pictures = np.random.default_rng(0).integers(0, 256, (80, 16, 16), dtype=np.uint8)
    for number, picture in enumerate([*pictures[:79], pictures[0]]):  # clip79 is clip0 under another name
        Image.fromarray(picture).convert("RGB").save(study.root / "stimuli" / f"clip{number}.png")
    changes = (
        ('task = "video"', 'task = "video"\nper = "stimulus"'),
        ("[align]\ndelays = [1, 2, 3]\n", f"[compare]\nn_permutations = 99\n{DRAWN}"),
        ('repeats = "condition"\n', ""),
    )
    for subject in subjects:
        job = job_of(study, *changes, subject=subject)
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


def test_power_from_a_pilot_is_that_of_its_estimates(pilot, capsys):
    assert main(["power", "--pilot", str(pilot)]) == 0
    said = capsys.readouterr().out
    tests = [read_tests(pilot / f"sub-{subject}" / "inference") for subject in ("01", "02")]
    u = [np.mean([float(estimate(one.kernel(name)[0]).value) for one in tests]) for name in ("abc", "first")]
    assert u[0] > u[1] > 0
    assert f"r {u[0] ** 0.5:.3f} and {u[1] ** 0.5:.3f}" in said
    assert "3 and 1 features, 8 samples per run" in said
    design = design_of_pilot(pilot)
    assert design["r"] == pytest.approx((u[0] ** 0.5, u[1] ** 0.5))
    assert -0.5 < design["noise_autocorrelation"] < 0.5
    assert 1 <= design["n_targets"] <= 1000
    assert design["subject_sd"] >= 0


def test_intervals_of_fits_come_from_drawn_runs(pilot):
    claims = read_result(pilot / "sub-01").claims
    fits = claims[claims["claim"] == "fits"]
    assert (fits["df"] == 9).all()  # ten runs
    assert (fits["note"] == "interval from fits to 20 draws of runs with replacement").all()
    assert np.allclose((fits["high"] - fits["low"]) / 2, stats.t.ppf(0.975, 9) * fits["se"], atol=1e-5)
    assert (fits["se"] > 0).all()


def test_controls_look_at_the_files_of_stimuli(pilot):
    controls = read_result(pilot / "sub-01").summary.controls
    vision = next(control for control in controls.found if control.name == "vision")
    assert (vision.n_features, vision.why_not, vision.above_chance) == (3, "", False)  # pictures do not change
    assert controls.same_files == (("clip0", "clip79"),)
    assert controls.duplicates == ()


def test_nuisance_is_fitted_and_never_the_best(pilot):
    """The pilot's configuration with `first` as nuisance: "abc" holds it and more."""
    study = Path(pilot).parent / "bids"
    text = (Path(pilot).parent / "run.toml").read_text()
    text = text.replace("n_permutations = 99", 'n_permutations = 0\nnuisance = ["first"]')
    settings = parse_config(text)
    assert settings.single == ("abc",)
    job = Job(settings, Places(study, pilot.parent / "beyond", pilot / "work"), "01", "cpu")
    result = run_compare(job)
    claims = result.claims[result.claims["region"] == "all targets"].set_index(["claim", "space", "versus"])
    whole, alone = (result.scores["r2"].row(name).mean() for name in ("joint", "first"))
    assert claims.loc[("delta R2", "abc", "nuisance"), "value"] == pytest.approx(whole - alone, abs=1e-4)
    assert claims.loc[("beyond", "abc", "nuisance"), "value"] > 0.02
    assert ("chance", "first", "") not in claims.index
    assert (result.verdicts["best"] == "").all()
