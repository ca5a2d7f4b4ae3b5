"""One simulated subject as BIDS and as bdata files of both releases: the same responses, regions and scores."""

import dataclasses
import json
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat

from encoding.cli import build_parser
from encoding.config import Study, read_config
from encoding.core import ConfigError, DataError
from encoding.io.bids.index import PybidsIndex
from encoding.io.bids.runs import PlainFolder, RunQuery
from encoding.io.store import load
from encoding.loading import Loader, load_responses
from encoding.mapping.methods import describe_methods
from encoding.pipeline import run_compare
from encoding.simulate import PRESETS, simulate
from encoding.simulate.bdata import AREAS_OF, BlockTable, write_sessions
from encoding.simulate.dataset import simulate_volumes
from encoding.workflow.jobs import Job, Places, subjects_of
from encoding.workflow.simulated_bdata import FEATURES, FIRST, SECOND, simulate_bdata, twin_loader

SEED = 3
PLANTED = "truth/tpl-MNI152NLin2009cAsym_res-12_atlas-Planted_dseg.nii.gz"


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bdata")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # as from a command line, where a path is relative
        return simulate_bdata("study", preset="tiny", seed=SEED)


@pytest.fixture(scope="module")
def bids(tmp_path_factory):
    out = tmp_path_factory.mktemp("bids") / "study"
    return simulate_volumes(out, PRESETS["tiny"], SEED, 1)


@pytest.fixture(scope="module")
def results(twin, bids, tmp_path_factory):
    """Responses and results of sub-01 in every format, analysed alike."""
    found = {}
    for name, root in (("bids", bids), (FIRST, twin), (SECOND, twin)):
        study: Study = read_config(twin / f"run_{SECOND if name == 'bids' else name}.toml")
        # Two models are enough to compare formats, and cost a third.
        study = dataclasses.replace(study, models=study.models[2:4])
        if name == "bids":
            load_ = dataclasses.replace(twin_loader("12"), scale_rows=True, stimuli="stimuli/stimuli.tsv")
            study = dataclasses.replace(
                study, load=load_, maps=dataclasses.replace(study.maps, atlases=(str(twin / PLANTED),))
            )
        top = tmp_path_factory.mktemp(name)
        job = Job(study, Places(root, top / "out", top / "work"), "01", "cpu")
        found[name] = (run_compare(job), load(job.work / "responses"))
    return found


def by_place(responses):
    """Order of the voxels in space, whatever their grid."""
    grid = responses.targets.grid
    ijk = np.stack(np.unravel_index(responses.targets.index, grid.shape), axis=1)
    xyz = ijk @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    order = np.lexsort(np.round(xyz, 3).T)
    return order, xyz[order]


def test_formats_give_the_same_responses(results):
    (_, expected), *others = (results[name] for name in ("bids", FIRST, SECOND))
    order, xyz = by_place(expected)
    for _, responses in others:
        here, theirs = by_place(responses)
        np.testing.assert_allclose(theirs, xyz, atol=1e-6)
        np.testing.assert_allclose(responses.values[:, here], expected.values[:, order], atol=1e-5)
        assert responses.samples.stimulus.tolist() == expected.samples.stimulus.tolist()
        changes = [np.flatnonzero(r.samples.run[1:] != r.samples.run[:-1]) for r in (responses, expected)]
        np.testing.assert_array_equal(*changes)
        assert responses.usable.all()


def test_formats_give_the_same_scores(results):
    order, _ = by_place(results["bids"][1])
    for name in (FIRST, SECOND):
        here, _ = by_place(results[name][1])
        for metric, scores in results[name][0].scores.items():
            expected = results["bids"][0].scores[metric]
            assert scores.rows == expected.rows
            np.testing.assert_allclose(scores.values[:, here], expected.values[:, order], atol=1e-5)


def test_formats_give_the_same_regions(results):
    keys = ["level", "set", "region", "hemi", "model", "feature", "metric"]
    tables = {name: result.regions for name, (result, _) in results.items()}

    def planted(name):
        table = tables[name]
        return table[~table.atlas.isin(["hcp180", "yeo17", "subcortex"])].set_index(keys).sort_index()

    expected = planted("bids")
    assert len(expected) > 100
    for name in (FIRST, SECOND):
        pd.testing.assert_frame_equal(planted(name), expected, rtol=0, atol=1e-5, check_dtype=False)
    masks = [tables[name][tables[name].atlas.isin(["hcp180", "yeo17", "subcortex"])] for name in (FIRST, SECOND)]
    assert set(masks[0].set.dropna()) >= {"horikawa2020_cortical"}
    pd.testing.assert_frame_equal(*(m.reset_index(drop=True) for m in masks), rtol=0, atol=1e-5)


def test_groups_of_areas_and_structures_are_the_planted_regions(results, twin):
    table = results[SECOND][0].regions
    table = table[(table.metric == "r") & (table.feature.isin(["all"]))]
    mean = {(row.atlas, row.region, row.model): (row.value, row.n_targets) for row in table.itertuples()}
    atlas = table.atlas[table.atlas.str.contains("Planted")].iloc[0]
    for model in table.model.unique():
        both = [mean[atlas, f"TPJ_{hemi}", model] for hemi in "LR"]
        value = sum(v * n for v, n in both) / sum(n for _, n in both)
        assert mean["hcp180", "TPJ", model][0] == pytest.approx(value, abs=1e-6)
        assert mean["hcp180", "TPJ", model][1] == sum(n for _, n in both)
    assert set(AREAS_OF) <= set(pd.read_csv(twin / "truth" / "planted.tsv", sep="\t").group)
    amygdala = {model: mean["subcortex", "amygdala", model] for model in table.model.unique()}
    parts = [mean[atlas, f"Amygdala_{hemi}", "mllm"] for hemi in "LR"]
    assert amygdala["mllm"][0] == pytest.approx(sum(v * n for v, n in parts) / sum(n for _, n in parts), abs=1e-6)


def test_released_groups_are_taken_when_asked_for(twin, tmp_path, results):
    study = read_config(twin / f"run_{SECOND}.toml")
    maps = dataclasses.replace(study.maps, atlases=("bdata:hcp180",), as_released=True)
    study = dataclasses.replace(study, models=study.models[2:4], maps=maps)
    table = run_compare(Job(study, Places(twin, tmp_path / "out", tmp_path / "work"), "01", "cpu")).regions
    ours = results[SECOND][0].regions
    value = {
        (row.set, row.region): row.value
        for row in pd.concat([ours, table]).itertuples()
        if row.metric == "r" and row.model == "mllm" and row.feature == "all" and row.level == "roi_set"
    }
    here, released = "horikawa2020_cortical", "horikawa2020_cortical_as_released"
    assert value[here, "ACC"] == pytest.approx(value[released, "Insula"])
    assert value[here, "Insula"] == pytest.approx(value[released, "ACC"])
    assert value[here, "ACC"] != pytest.approx(value[here, "Insula"])
    assert value[here, "VC"] == pytest.approx(value[released, "VC"])


def test_methods_say_what_was_read(results):
    text = describe_methods(results[SECOND][0].summary)
    assert "block means, preprocessed elsewhere, read from 'release2/fmri_Subject{number}.h5'" in text
    assert "They were then z-scored over the presentations of each run." in text
    assert "confounds" not in text.split("\n\n")[0]


def test_maps_of_both_formats_put_values_at_the_same_place(results, tmp_path):
    from encoding.io.images.volumes import volume_of

    points = []
    for _, responses in results.values():
        volume, affine = volume_of(responses.values[5], responses.targets)
        ijk = np.argwhere(np.isfinite(volume))
        xyz = ijk @ affine[:3, :3].T + affine[:3, 3]
        order = np.lexsort(np.round(xyz, 3).T)
        points.append(np.column_stack([xyz[order], volume[tuple(ijk[order].T)]]))
    np.testing.assert_allclose(points[1], points[0], atol=1e-5)
    np.testing.assert_allclose(points[2], points[0], atol=1e-5)


def test_block_means_are_those_of_our_loader(twin, bids, tmp_path):
    responses = load_responses(twin_loader("12"), PybidsIndex(bids), "01", tmp_path)
    with h5py.File(twin / SECOND / "fmri_Subject1.h5") as file:
        np.testing.assert_array_equal(file["dataset"][:, : len(responses.targets)], responses.values)
        assert file["dataset"].dtype == np.float64


def test_bdpy_reads_what_we_write(twin):
    bdata_class = pytest.importorskip("bdpy", reason="bdpy is not installed").BData
    second = bdata_class(str(twin / SECOND / "fmri_Subject1.h5"))
    stimuli = pd.read_csv(twin / "stimuli" / "stimuli.tsv", sep="\t")
    originals = stimuli.stim_id[stimuli.duplicate_of.isna()]
    labels = second.get_labels("stimulus_name")
    assert len(labels) == 40
    assert set(labels) == set(originals)
    whole = second.select("WholeBrain = 1", verbose=False)
    thalamus = second.select("thalamus = 1", verbose=False)
    assert whole.shape[1] > 500 > thalamus.shape[1] > 0
    np.testing.assert_array_equal(second.get("Run").ravel(), np.repeat([1, 2, 3, 4], 10))
    first = bdata_class(str(twin / FIRST / "fmri_Subject1_Session1.h5"))
    np.testing.assert_array_equal(first.select("VoxelData", verbose=False), second.select("VoxelData", verbose=False))
    assert first.get("Label").shape == (40, 3)
    number = {name: k for k, name in enumerate(stimuli.stim_id, start=1)}
    shown = [number[name] for name in labels]
    assert np.sum(first.get("Label")[:, 2] != shown) == 2  # those that are shown again
    for key in ("voxel_x", "voxel_k", "hcp180_r_lh.L_V1_ROI"):
        values = [data.get_metadata(key, where="VoxelData") for data in (first, second)]
        np.testing.assert_array_equal(*values)


def test_large_matrices_are_packed_in_tenths(twin, tmp_path, monkeypatch):
    whole = load_bdata_of(twin, tmp_path / "whole")
    with h5py.File(twin / FIRST / "fmri_Subject1_Session1.h5") as file:
        assert file["dataset"].chunks is None
        columns, blocks = file["dataset"][:, :1092], file["dataset"][:, 1092:]
        table = BlockTable(
            values=columns.astype(np.float32),
            session=blocks[:, 0].astype(int),
            run=blocks[:, 1].astype(int),
            label=blocks[:, -1].astype(int),
            stimulus=blocks[:, -1].astype(int),
            names={},
            ijk=np.stack(np.unravel_index(whole.targets.index, whole.targets.grid.shape), axis=1),
            grid=whole.targets.grid,
        )
    monkeypatch.setattr("encoding.simulate.bdata.PACKED_BYTES", 1000)
    (tmp_path / FIRST).mkdir()
    (path,) = write_sessions(tmp_path / FIRST, 1, table, {})
    with h5py.File(path) as file:
        assert file["dataset"].chunks == (5, 110)
        assert file["dataset"].compression == "gzip"
    packed = load_bdata_of(tmp_path, tmp_path / "packed")
    np.testing.assert_array_equal(packed.values, whole.values)


def load_bdata_of(folder, work):
    loader = Loader(kind="bdata", file=f"{FIRST}/fmri_Subject{{number}}_Session{{session}}.h5", per="stimulus")
    return load_responses(loader, PlainFolder(folder, folder), "01", work)


def test_features_are_written_as_released(twin):
    frame = pd.read_csv(twin / "stimuli" / "feature-category.tsv", sep="\t").set_index("stim_id")
    stimuli = pd.read_csv(twin / "stimuli" / "stimuli.tsv", sep="\t", na_values="n/a")
    content = loadmat(twin / FIRST / FEATURES[FIRST] / "category.mat", simplify_cells=True)["L"]
    assert content["feat"].shape == (40, 34)
    assert list(content["featname"]) == list(frame.columns)
    original = stimuli.duplicate_of.fillna(stimuli.stim_id)
    assert stimuli.duplicate_of.notna().sum() == 2
    np.testing.assert_allclose(content["feat"], frame.loc[original].to_numpy())
    for name in frame.index:
        values = loadmat(twin / SECOND / FEATURES[SECOND] / "category" / f"{name}.mat")["feat"]
        np.testing.assert_allclose(values, frame.loc[[name]].to_numpy())


def test_configurations_find_the_subjects_without_bids(twin, tmp_path):
    places = Places(twin, tmp_path / "out", tmp_path / "work")
    for release in (FIRST, SECOND):
        study = read_config(twin / f"run_{release}.toml")
        assert subjects_of(places, (), study.load) == ["01", "02"]
        with pytest.raises(DataError, match=r"there is no sub-1\. Did you mean '01'"):
            subjects_of(places, ("1",), study.load)
        empty = Places(tmp_path / "none", tmp_path / "out", tmp_path / "work")
        with pytest.raises(DataError, match=r"no subject was found. Files named release\d/fmri_Subject\{number\}"):
            subjects_of(empty, (), study.load)
        assert Job(study, places, "01").index().runs("01", RunQuery("volume")) == []
    assert not list(twin.glob("sub-*"))


def test_masks_of_bdata_need_bdata(twin, bids, tmp_path):
    text = (twin / f"run_{SECOND}.toml").read_text()
    start, stop = text.index("[load]"), text.index("[split]")
    path = tmp_path / "run.toml"
    path.write_text(text[:start] + '[load]\nkind = "volume"\nper = "stimulus"\n\n' + text[stop:])
    with pytest.raises(ConfigError, match=r'bdata:hcp180.* names masks in bdata files, but .* kind = "volume"'):
        read_config(path)


def test_an_interrupted_simulation_goes_on(twin):
    said = []
    one, other = (twin / SECOND / f"fmri_Subject{number}.h5" for number in (1, 2))
    before, content = one.stat().st_mtime_ns, other.read_bytes()
    other.unlink()
    simulate_bdata(twin, preset="tiny", seed=SEED, progress=said.append)
    assert one.stat().st_mtime_ns == before
    assert len(other.read_bytes()) == len(content)
    assert [line.split(") ")[-1] for line in said[:2]] == ["was there", "written"]
    assert not (twin / ".bids").exists()
    assert json.loads((twin / "truth" / "truth.json").read_text())["format"] == "bdata"
    with pytest.raises(ConfigError, match="holds a study with other parameters"):
        simulate(twin, preset="tiny", seed=SEED)


def test_the_documented_configuration_is_good(tmp_path):
    text = (Path(__file__).resolve().parents[2] / "docs" / "bdata.md").read_text(encoding="utf-8")
    path = tmp_path / "run.toml"
    path.write_text(re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)[0], encoding="utf-8")
    study = read_config(path)
    assert (study.load.kind, study.load.n_runs, study.maps.as_released) == ("bdata", 61, False)
    commands = [line.split()[1:] for line in text.splitlines() if line.startswith("encoding ")]
    assert len(commands) == 2
    for command in commands:
        build_parser().parse_args(command)


def test_the_command_has_the_formats():
    assert build_parser().parse_args(["simulate", "out", "--format", "bdata"]).format == "bdata"
    assert build_parser().parse_args(["simulate", "out"]).format == "bids"
