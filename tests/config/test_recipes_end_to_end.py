"""Recipes take small simulated studies from files to tables, maps and pages, and find what was planted."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from encoding import pipeline
from encoding.config import parse_config
from encoding.io.stimulus_lists import read_list
from encoding.mapping.methods import describe_methods
from encoding.mapping.report import find_warnings
from encoding.mapping.selection import charts
from encoding.mapping.significance import differences_tested
from encoding.numerics.significance import discovery_rates
from encoding.pipeline import Job, Places, run_compare, run_group, run_participant
from encoding.simulate import PRESETS, simulate

HERE = """
[load]
task = "video"
space = "MNI152NLin2009cAsym"
res = "12"
stimulus = "stim_id"
stimuli = "none"

[map]
atlases = ["truth/tpl-MNI152NLin2009cAsym_res-12_atlas-Planted_dseg.nii.gz"]
dpi = 50
"""
SIX = '[split]\ngroups = [["1"], ["2"], ["3"], ["4"], ["5"], ["6"]]\nn_inner = 5\n'
FOUR = '[split]\ngroups = [["1"], ["2"], ["3"], ["4"]]\nn_inner = 3\n'


def features(**files):
    return "".join(f'[[features]]\nname = "{name}"\nfile = "stimuli/{file}"\n' for name, file in files.items())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One subject, enough blocks to find what is planted."""
    tiny = PRESETS["tiny"]
    PRESETS["tiny"] = replace(tiny, sessions=(0,), n_runs=6, n_blocks=24, snr=4.0)
    try:
        folder = simulate(tmp_path_factory.mktemp("recipes") / "study", preset="tiny")
    finally:
        PRESETS["tiny"] = tiny
    table = pd.read_csv(folder / "stimuli" / "stimuli.tsv", sep="\t")
    rng = np.random.default_rng(0)
    np.save(folder / "stimuli" / "channels.npy", rng.standard_normal((len(table), 200)))
    (folder / "stimuli" / "channels.txt").write_text("\n".join(table["stim_id"]))
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two subjects, 40 blocks each."""
    return simulate(tmp_path_factory.mktemp("recipes") / "two", preset="tiny")


def planted(root):
    return pd.read_csv(root / "truth" / "planted.tsv", sep="\t").set_index("roi")["winner"].dropna()


def rows_of(result, metric):
    rows = result.regions
    return rows[(rows["metric"] == metric) & (rows["level"] == "region") & (rows["atlas"] != "")]


def test_horikawa2020(root, tmp_path):
    spaces = features(**{name: f"feature-{name}.tsv" for name in ("category", "dimension", "mllm", "llm")})
    study = parse_config(f'recipe = "horikawa2020"\n{spaces}{HERE}{SIX}')
    result = run_compare(Job(study, Places(root, tmp_path / "out", tmp_path / "work"), "01"))
    table = rows_of(result, "pooled_r").pivot_table(index="region", columns="model", values="value")
    truth = planted(root)
    won = table.loc[truth.index].idxmax(axis=1) == truth
    assert won.mean() >= 0.8  # 142 blocks are few
    summary = result.summary
    assert summary.metric == "pooled_r"
    assert summary.models["mllm"].solver.method == "shared"
    np.testing.assert_allclose(summary.models["mllm"].alphas, np.logspace(1, 4, 20), rtol=1e-5)
    assert np.count_nonzero(summary.models["mllm"].chosen) <= 4
    told = describe_methods(summary)
    assert "Settings follow the recipe horikawa2020" in told
    assert "Left open by the paper: (1) Which nuisance signals" in told
    assert "on z-scored features per outer fold for all targets" in told
    assert "z-scored over the rows of all runs, held-out runs included" in find_warnings([result])[-2]
    splits = pd.read_csv(tmp_path / "out" / "sub-01" / "splits.tsv", sep="\t")
    assert splits["use"].value_counts().to_dict() == {
        "trained on and tested": 142,
        "left out: the same stimulus was shown before": 2,
    }


def test_du2023(root, tmp_path):
    spaces = features(emotion="feature-category.tsv", semantic="feature-llm.tsv", motion_energy="channels.npy")
    split = '[split]\ntest_runs = ["5-6"]\nn_inner = 4\n'
    study = parse_config(f'recipe = "du2023"\n{spaces}{HERE}{split}')
    result = run_participant(Job(study, Places(root, tmp_path / "out", tmp_path / "work"), "01"))
    assert result.summary.n_folds == 1
    scores = result.scores["r"]
    n = result.summary.n_tested[0]
    r = scores.values[0].astype(float)
    q = discovery_rates(stats.t.sf(r * np.sqrt((n - 2) / (1 - r**2)), n - 2))
    counted = result.summary.significant["banded"]
    assert counted.n == (q <= 0.01).sum() > 0
    brain = result.regions[(result.regions["level"] == "brain") & (result.regions["metric"] == "r")]
    assert brain["n_significant"].tolist() == [counted.n]
    (path,) = (tmp_path / "out" / "sub-01" / "func").glob("*_stat-q_statmap.nii.gz")
    volume = nib.load(path).get_fdata()
    assert (volume[np.isfinite(volume) & (volume != 0)] <= 0.01).sum() == counted.n
    page = (tmp_path / "out" / "sub-01.html").read_text()
    assert "Settings follow the recipe du2023" in page
    assert "inner = &#34;random&#34;  # du2023" in page
    assert "test against independent noise on the fixed test set; false discovery rate 0.01" in page
    assert "4 random splits that each validate on 20% of the runs" in page
    parts = rows_of(result, "split_r2").pivot_table(index="region", columns="feature", values="value")
    truth = planted(root).map({"category": "emotion", "llm": "semantic"}).dropna()
    assert (parts.loc[truth.index].idxmax(axis=1) == truth).mean() > 0.6


def test_du2025(two, tmp_path, monkeypatch):
    spaces = features(**{name: f"feature-{name}.tsv" for name in ("llm", "mllm", "category", "dimension")})
    spaces += '[[features]]\nname = "concat"\nkind = "concat"\nspaces = ["category", "dimension"]\n'
    # Voxels of the twin are six times as wide.
    lights = '[[rsa]]\nname = "similarity"\nregions = "searchlight"\nradius_mm = 26.0\nrepeats = "first"\n'
    lights += 'similarity = { llm = "choice_probability", mllm = "choice_probability" }\n'
    study = parse_config(f'recipe = "du2025"\n{spaces}{HERE}{FOUR}{lights}')
    places = Places(two, tmp_path / "out", tmp_path / "work")
    results = [run_compare(Job(study, places, subject)) for subject in ("01", "02")]
    assert results[0].summary.features["concat"] == 48
    similar = rows_of(results[0], "rsa")
    assert set(similar["feature"]) == {"llm", "mllm", "category", "dimension", "concat"}
    of_space = similar[similar["region"] == "LOTC_L"].set_index("feature")["value"]
    assert of_space.idxmax() == "mllm"
    given = {}
    monkeypatch.setattr(pipeline, "write_report", lambda *_, **keywords: given.update(keywords) or [])
    run_group(study, places, ("01", "02"), lambda *_: None)
    tested = pd.read_csv(tmp_path / "out" / "group" / "differences_tests.tsv", sep="\t", keep_default_na=False)
    both = pd.concat([result.differences for result in results])
    chosen = [
        table[(table["model_a"] == "mllm") & (table["model_b"] == "category") & (table["region"] == "TPJ_L")]
        for table in (both, tested, given["tests"])
    ]
    known = stats.ttest_1samp(chosen[0]["difference"], 0)
    for table in chosen[1:]:
        assert float(table["t"].iloc[0]) == pytest.approx(known.statistic, rel=1e-6)
        assert float(table["p"].iloc[0]) == pytest.approx(known.pvalue, rel=1e-6)
    assert set(tested["sign_flip_floor"].astype(float)) == {0.5}
    (table,) = differences_tested(charts(both.assign(metric="r"), "auto"), given["tests"])
    assert "A test by flipping signs could not give less than p = 0.5" in table.caption
    assert set(table.frame["first higher in"]) <= {"0 of 2", "1 of 2", "2 of 2"}


def test_the_shipped_list_finds_repeats_under_other_names(two, tmp_path):
    """Number the clips as in the study: 10 and 2195 are the same video there."""
    names = {f"video{n:04d}": str(n) for n in range(1, 39)}
    names |= {"video0009": "2195"}
    for path in two.rglob("*_events.tsv"):
        table = pd.read_csv(path, sep="\t", na_values="n/a")
        table["stim_number"] = [names.get(value) for value in table["stim_id"]]
        table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    frame = pd.read_csv(two / "stimuli" / "feature-mllm.tsv", sep="\t")
    frame["stim_id"] = read_list("cowen2017").canonical(frame["stim_id"].map(names).to_numpy(str))
    extra = frame.iloc[[0]].assign(stim_id=["2186"])  # where id 1 is sent
    frame = pd.concat([frame.drop_duplicates("stim_id"), extra]).drop_duplicates("stim_id")
    frame.to_csv(two / "stimuli" / "numbered.tsv", sep="\t", index=False)
    text = f'recipe = "horikawa2020"\n{features(mllm="numbered.tsv")}{HERE}{FOUR}'
    text = text.replace('stimulus = "stim_id"\nstimuli = "none"', 'stimulus = "stim_number"')
    study = parse_config(text)
    result = run_compare(Job(study, Places(two, tmp_path / "out", tmp_path / "work"), "01"))
    assert result.summary.n_stimuli == 37
    assert result.summary.n_presentations == 40
    told = describe_methods(result.summary)
    assert "40 presentations of 37 stimuli, with repeats under other names known from the list of Horikawa" in told
    assert ": 3 left out: the same stimulus was shown before, 37 trained on and tested." in told
    splits = pd.read_csv(tmp_path / "out" / "sub-01" / "splits.tsv", sep="\t")
    assert (splits["use"] == "left out: the same stimulus was shown before").sum() == 3
