"""Recipes on responses and features in the layouts of both releases."""

import numpy as np
import pytest

from encoding.config import parse_config
from encoding.core import AlignmentError, DataError
from encoding.pipeline import Job, Places, load_subject, run_compare
from encoding.workflow.simulated_bdata import simulate_bdata

SPACES = ("category", "mllm")
FIRST = {
    "file": "release1/fmri_Subject{number}_Session{session}.h5",
    "features": [f'name = "{name}"\nfile = "release1/feature/{name}.mat"\nrows = 40' for name in SPACES],
}
SECOND = {
    "file": "release2/fmri_Subject{number}.h5",
    "features": [
        f'name = "{name}"\nfile = "release2/features/amt/mean_score_concat/{name}"\nrows = 38' for name in SPACES
    ],
}


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    return simulate_bdata(tmp_path_factory.mktemp("bdata") / "twin", preset="tiny")


def job_of(twin, tmp_path, release, *, stimuli="none", changes=()):
    text = 'recipe = "horikawa2020"\n' + "".join(f"[[features]]\n{table}\n" for table in release["features"])
    text += f'[load]\nkind = "bdata"\nfile = "{release["file"]}"\nstimuli = "{stimuli}"\n'
    text += '[split]\ngroups = [["1"], ["2"], ["3"], ["4"]]\nn_inner = 3\n'
    text += '[map]\natlases = ["bdata:hcp180", "bdata:subcortex"]\nroi_set = "horikawa2020_cortical"\n'
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return Job(parse_config(text), Places(twin, tmp_path / "out", tmp_path / "work"), "01")


def test_rows_of_a_matrix_and_files_of_stimuli_give_the_same_features(twin, tmp_path):
    first = load_subject(job_of(twin, tmp_path / "first", FIRST))
    second = load_subject(job_of(twin, tmp_path / "second", SECOND))
    np.testing.assert_allclose(first.responses.values, second.responses.values, atol=1e-5)
    for a, b in zip(first.spaces, second.spaces, strict=True):
        assert len(a.samples) == 40
        np.testing.assert_allclose(a.values, b.values, atol=1e-4)
    # Names as released, and only where there is one file for all stimuli.
    assert "Amusement" in first.spaces[0].features
    assert first.spaces[0].samples.stimulus[0].isdigit()


def test_a_recipe_runs_from_block_means(twin, tmp_path):
    result = run_compare(job_of(twin, tmp_path, SECOND))
    rois = result.regions[result.regions["set"] == "horikawa2020_cortical"]
    assert set(rois["region"]) >= {"ACC", "Insula", "TPJ", "VC"}
    assert result.summary.n_stimuli == 38
    assert np.isfinite(result.scores["pooled_r"].values).all()


def test_features_that_know_other_stimuli_are_refused(twin, tmp_path):
    changes = [("release2/features/amt/mean_score_concat/mllm", "stimuli/feature-mllm.tsv")]
    load_subject(job_of(twin, tmp_path / "good", SECOND, changes=changes))
    changes = list(zip(SECOND["features"], FIRST["features"], strict=True))
    other = job_of(twin, tmp_path / "other", SECOND, changes=changes)
    with pytest.raises(AlignmentError, match=r"38 stimuli shown to sub-01 have no features .*such as '1'"):
        load_subject(other)
    other = job_of(twin, tmp_path / "list", SECOND, stimuli="cowen2017")
    with pytest.raises(DataError, match="are not in the list of 2196 stimuli: 'video0001'"):
        load_subject(other)
