"""Weights of a whole run: maps of features, components over participants, and predictions of what was not fitted."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import write_config, write_study

from encoding.cli import main
from encoding.config.settings import read_config
from encoding.core import ConfigError, DataError
from encoding.io.store import load
from encoding.numerics.components import shared_components
from encoding.pipeline import run_compare
from encoding.workflow.jobs import Job, Places
from encoding.workflow.weights import choose_weights, map_components, map_weights

RUNS = tuple(("", str(number)) for number in range(1, 7))
KEEP = ('kind = "ridge"\nbands = "each"', 'kind = "ridge"\nbands = ["abc"]\nkeep_weights = "folds"')


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Two participants with kept weights, and three runs more of the same brains, which were not fitted."""
    folder = tmp_path_factory.mktemp("weights")
    first = write_study(folder / "first", subjects=("01", "02"))
    # The same random numbers: features, weights and the runs before are those of the first, further runs are new.
    other = write_study(folder / "other", runs=RUNS)
    config = write_config(folder, KEEP)
    for root in (other.root, other.derivatives):
        for path in root.rglob("*_run-[123]_*"):
            path.unlink()
    settings, places = read_config(config), Places(first.root, folder / "out", folder / "out" / "work")
    results = [run_compare(Job(settings, places, subject)) for subject in ("01", "02")]
    for result in results:
        map_weights(result, settings)
    map_components(results, folder / "out" / "group", settings)
    return first, other, config, folder / "out"


def test_a_map_of_every_feature_finds_the_planted_weights(studies):
    first, _, _, out = studies
    images = sorted((out / "sub-01" / "func").glob("*_feature-abc_dim-*_stat-tuning_statmap.nii.gz"))
    assert [path.name.split("_dim-")[1].split("_")[0] for path in images] == ["001a", "002b", "003c"]
    found = np.stack([nib.load(path).get_fdata().ravel() for path in images])
    planted = first.weights[:, : found.shape[1]]
    there = np.isfinite(found).all(0) & (np.linalg.norm(planted, axis=0) > 1)
    assert there.sum() > 20
    alike = [np.corrcoef(found[:, column], planted[:, column])[0, 1] for column in np.flatnonzero(there)]
    assert np.median(alike) > 0.95
    assert np.quantile(alike, 0.1) > 0.6
    table = pd.read_csv(out / "group" / "components.tsv", sep="\t")
    assert set(table.columns) == {"model", "feature_space", "component", "explained", "feature", "loading"}
    explained = table.groupby("component")["explained"].first()
    assert explained.is_monotonic_decreasing
    assert explained.sum() == pytest.approx(1.0)
    assert len(list((out / "group" / "func").glob("sub-02_*_comp-1_stat-tuning_statmap.nii.gz"))) == 1


def test_new_stimuli_are_predicted(studies, tmp_path, capsys):
    first, _, _, out = studies
    new = pd.DataFrame(np.eye(3), index=pd.Index(["x", "y", "z"], name="stim_id"), columns=list("abc"))
    new.to_csv(tmp_path / "new.tsv", sep="\t")
    assert main(["predict", str(out / "sub-01"), str(tmp_path / "new"), "--features", str(tmp_path / "new.tsv")]) == 0
    assert "predicted" in capsys.readouterr().out
    predicted = load(tmp_path / "new" / "predicted")
    assert predicted.samples.stimulus.tolist() == ["x", "y", "z"]
    responding = np.flatnonzero(predicted.targets.index < first.n_targets // 2)
    differences = predicted.values[:2, responding] - predicted.values[2, responding]
    planted = first.weights[:, predicted.targets.index[responding]]
    assert np.corrcoef(differences.ravel(), (planted[:2] - planted[2]).ravel())[0, 1] > 0.95


def test_another_dataset_is_predicted_and_scored(studies, tmp_path, capsys):
    first, other, config, out = studies
    arguments = ["--config", str(config), "--bids-dir", str(other.root)]
    assert main(["predict", str(out / "sub-01"), str(tmp_path / "p"), *arguments]) == 0
    assert "median r of 100 targets" in capsys.readouterr().err
    scores = load(tmp_path / "p" / "scores" / "r")
    responds = scores.targets.index < first.n_targets // 2
    assert np.median(scores.values[0, responds]) > 0.4
    assert np.quantile(scores.values[0, responds], 0.9) > 0.6
    assert abs(np.median(scores.values[0, ~responds])) < 0.1
    predicted = load(tmp_path / "p" / "predicted")
    assert predicted.values.shape == (1, 180, 100)
    assert pd.read_csv(tmp_path / "p" / "scores.tsv", sep="\t")["metric"].tolist() == ["r", "r2"]


def test_runs_that_were_fitted_are_not_scored_again(studies, tmp_path, capsys):
    first, _, config, out = studies
    arguments = ["--config", str(config), "--bids-dir", str(first.root)]
    assert main(["predict", str(out / "sub-01"), str(tmp_path / "p"), *arguments]) == 1
    assert "3 of the 3 runs are among those that the weights were fitted to" in capsys.readouterr().err
    # The other participant of the same stimuli is another brain.
    assert main(["predict", str(out / "sub-01"), str(tmp_path / "q"), *arguments, "--participant-label", "02"]) == 0


def test_what_is_missing_is_said(studies, tmp_path, capsys):
    _, _, _, out = studies
    with pytest.raises(DataError, match=r'holds no weights. Set keep_weights = "mean"'):
        choose_weights(tmp_path, None)
    with pytest.raises(ConfigError, match=r"no weights of model 'abd'.*'abc'"):
        choose_weights(out / "sub-01", "abd")
    assert main(["predict", str(out / "sub-01"), str(tmp_path / "p")]) == 1
    assert "either --features (new stimuli) or --config" in capsys.readouterr().err


def test_weights_are_kept_without_fitting_anew(studies, tmp_path, capsys):
    _, _, config, out = studies
    before = {path: path.stat().st_mtime_ns for path in (out / "work" / "sub-01" / "model-joint").glob("*.npy")}
    both = tmp_path / "both.toml"
    both.write_text(config.read_text().replace('name = "joint"', 'name = "joint"\nkeep_weights = "mean"'))
    first = studies[0]
    assert (
        main(["run", str(first.root), str(out), "participant", "--config", str(both), "--participant-label", "01"]) == 0
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert load(out / "sub-01" / "weights" / "joint").spaces == ("abc", "first")
    images = (out / "sub-01" / "func").glob("*_model-joint_feature-*_dim-*_statmap.nii.gz")
    assert len(list(images)) == 4
    with pytest.raises(ConfigError, match=r"weights of abc, joint. Say which with --model"):
        choose_weights(out / "sub-01", None)
    new = pd.DataFrame(np.eye(3), index=pd.Index(["x", "y", "z"], name="stim_id"), columns=list("abc"))
    new.to_csv(tmp_path / "new.tsv", sep="\t")
    arguments = ["predict", str(out / "sub-01"), str(tmp_path / "new"), "--model", "joint", "--features"]
    assert main([*arguments, f"abc={tmp_path / 'new.tsv'}"]) == 1
    assert "no table for first. Every space of the model needs one" in capsys.readouterr().err
    assert main([*arguments, f"abc={tmp_path / 'new.tsv'}", f"first={tmp_path / 'new.tsv'}"]) == 0
    assert load(tmp_path / "new" / "predicted").values.shape == (3, 100)


def test_components_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    part = np.diag([3.0, 2, 1, 0.5]) @ rng.standard_normal((4, 50))
    components, explained = shared_components([part, part], 2)
    oracle = PCA(2).fit(part.T)
    np.testing.assert_allclose(np.abs(components), np.abs(oracle.components_), atol=1e-8)
    np.testing.assert_allclose(explained[1], oracle.explained_variance_ratio_, atol=1e-8)
