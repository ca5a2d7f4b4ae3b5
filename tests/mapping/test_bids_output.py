"""What is written is BIDS: the validator has no error, and pybids tells maps apart."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from encoding.core import Grid, Targets
from encoding.drawing.scales import PALETTE, TIE_COLOR
from encoding.io.images.formats import write_labels
from encoding.mapping import METRICS, Region, TargetTests, read_parcels, write_maps, write_parcels
from encoding.mapping.derivative import prepare_derivative
from encoding.simulate import simulate
from encoding.workflow.group_maps import write_group_maps

TABLE = [(1, "ratings", PALETTE[0]), (2, "mllm", PALETTE[1]), (3, "tie", TIE_COLOR)]


def voxels():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    return Targets("voxel", "MNI152NLin2009cAsym", np.arange(8), np.full(8, ""), Grid((2, 2, 3), affine), density="2")


def vertices(size=642):
    index = np.concatenate([np.arange(size)] * 2)
    sizes = {"CORTEX_LEFT": size, "CORTEX_RIGHT": size}
    return Targets("vertex", "fsaverage3", index, np.repeat(list(sizes), size), n_vertices=sizes)


def grayordinates():
    sizes = {"CORTEX_LEFT": 5, "CORTEX_RIGHT": 5}
    structure = np.array(["CORTEX_LEFT"] * 4 + ["CORTEX_RIGHT"] * 5 + ["AMYGDALA_LEFT"] * 3)
    index = np.concatenate([[0, 1, 2, 4], np.arange(5), [0, 4, 7]])
    return Targets("grayordinate", "fsLR", index, structure, Grid((2, 2, 2), np.eye(4)), sizes, "91k")


def passed_of(targets):
    n = len(targets)
    u, q = np.full((2, n), 0.1), np.full((2, n), 0.5)
    q[:, : n // 2] = 0.001
    winner = np.where(np.arange(n) < n // 4, 1, -1)
    return TargetTests(("ratings", "mllm"), u, q, q, winner, 0.05, {}, ("ratings", "mllm"))


# Inside the files


@pytest.mark.parametrize("make", [voxels, vertices, grayordinates], ids=["NIfTI", "GIFTI", "CIFTI"])
def test_labels_come_back_with_names_and_colors(tmp_path, make):
    targets = make()
    numbers = np.arange(len(targets)) % 4
    entities = {"sub": "01", "task": "video", "model": "winner", "feature": "all", "stat": "winner"}
    written = write_labels(tmp_path, entities, numbers, targets, TABLE, {"Units": "label"})
    assert all("_stat-winner_dseg." in path.name for path in written)
    if targets.kind == "voxel":
        image, table = written
        values = nib.load(image).get_fdata().ravel()[targets.index]
        frame = pd.read_csv(table, sep="\t", keep_default_na=False)
        assert frame["name"].tolist() == ["none", "ratings", "mllm", "tie"]
        assert frame["color"].tolist() == ["n/a", PALETTE[0], PALETTE[1], TIE_COLOR]
        assert nib.load(image).header.get_intent()[0] == "label"
    elif targets.kind == "vertex":
        images = [nib.load(path) for path in written]
        values = np.concatenate([image.darrays[0].data for image in images])
        for image in images:
            assert image.labeltable.get_labels_as_dict() == {0: "none", 1: "ratings", 2: "mllm", 3: "tie"}
            assert image.darrays[0].intent == nib.nifti1.intent_codes["NIFTI_INTENT_LABEL"]
            assert image.darrays[0].meta["Name"] == "sub-01 winner: named spaces"
            red, green, blue, alpha = image.labeltable.labels[2].rgba
            assert (round(255 * red), round(255 * green), round(255 * blue), alpha) == (0xD5, 0x5E, 0x00, 1)
    else:
        image = nib.load(written[0])
        values = np.asarray(image.dataobj)[0]
        axis = image.header.get_axis(0)
        assert axis.name[0] == "sub-01 winner: named spaces"
        assert [name for name, _ in axis.label[0].values()] == ["none", "ratings", "mllm", "tie"]
        np.testing.assert_allclose(axis.label[0][1][1], [0, 0x72 / 255, 0xB2 / 255, 1], atol=1e-6)
        assert written[0].name.endswith(".dlabel.nii")
    np.testing.assert_array_equal(values, numbers)
    sidecars = [path for path in tmp_path.iterdir() if path.suffix == ".json"]
    assert len(sidecars) == (2 if targets.kind == "vertex" else 1)


@pytest.mark.parametrize("make", [voxels, vertices, grayordinates], ids=["NIfTI", "GIFTI", "CIFTI"])
def test_maps_have_names_inside_and_sidecars_that_say_how_they_were_made(tmp_path, make_result, make):
    targets = make()
    values = np.linspace(0, 0.5, len(targets))
    result = make_result("01", values, values / 2, targets=targets, n_tested=(90, 95))
    written = write_maps(
        tmp_path / "func", {"sub": "01", "task": "video"}, {"r": result.scores["r"]}, metric="r",
        pairs=[("ratings", "mllm")], tests=passed_of(targets), about=result,
    )  # fmt: skip
    (path, *_) = [path for path in written if "_model-mllm_feature-all_stat-r_" in path.name]
    sidecar = json.loads(path.with_name(f"{path.name.split('.')[0]}.json").read_text())
    assert sidecar["Units"] == "correlation coefficient"
    assert (sidecar["NumberOfSamples"], sidecar["NumberOfHeldOutSamples"], sidecar["NumberOfFolds"]) == (200, 185, 2)
    assert sidecar["Estimator"] == "ridge"
    assert sidecar["Alphas"] == [1.0, 10.0, 100.0]
    assert sidecar["Sources"] == ["bids::sub-01/scores/metric-r"]
    assert sidecar["Threshold"] is None
    assert {"SoftwareVersion", "ResultKey", "InputKeys"} <= set(sidecar)
    image = nib.load(path)
    name = {
        "voxel": lambda: bytes(image.header["descrip"]).decode().strip("\0"),
        "vertex": lambda: image.darrays[0].meta["Name"],
        "grayordinate": lambda: image.header.get_axis(0).name[0],
    }[targets.kind]()
    assert name == "sub-01 mllm: r"
    both = next(path for path in written if "ratingsminusmllm" in path.name)
    assert set(json.loads(both.with_name(f"{both.name.split('.')[0]}.json").read_text())["Models"]) == {
        "ratings",
        "mllm",
    }


# Of the group


def test_maps_of_a_group_are_means_counts_and_named_regions(tmp_path, make_result, monkeypatch):
    targets = vertices()
    n = len(targets)
    rng = np.random.default_rng(0)
    maps = rng.normal(0, 0.1, (3, 2, n))
    maps[1, 0, 5] = np.nan
    results = [make_result(f"0{k + 1}", *maps[k], targets=targets) for k in range(3)]
    region = np.arange(n) < 100
    write_parcels(results[0].folder, [Region("mine", "region", "", "V1", "L", region)])
    assert read_parcels(results[0].folder)[0].place == ("mine", "region", "", "V1", "L")
    tested = passed_of(targets)
    monkeypatch.setattr("encoding.mapping.results.Result.tests", tested)
    p = np.where(np.arange(n) < 10, 0.001, 0.9) * np.ones((2, 1))
    monkeypatch.setattr("encoding.mapping.results.Result.target_tests", lambda _: {"p": p})
    columns = {"atlas": "mine", "level": "region", "set": "", "region": "V1", "hemi": "L", "best": "mllm"}
    written = write_group_maps(tmp_path / "group", results, pd.DataFrame([columns]))
    found = {}
    for path in written:
        key = path.name.split("_feature-all_")[0].split("_model-")[1], path.name.split("_stat-")[1].split("_")[0]
        desc = path.name.split("_desc-")[1].split("_")[0] if "_desc-" in path.name else ""
        found.setdefault((*key, desc), []).append(nib.load(path).darrays[0].data)
    both = {key: np.concatenate(halves) for key, halves in found.items()}
    mean = maps[:, 0].mean(axis=0)
    np.testing.assert_allclose(both["ratings", "r", "mean"], mean, atol=1e-6)
    assert np.isnan(both["ratings", "r", "mean"][5])
    np.testing.assert_allclose(both["ratingsminusmllm", "r", "mean"], (maps[:, 0] - maps[:, 1]).mean(axis=0), atol=1e-6)
    assert both["mllm", "qchance", "count"].tolist() == [3] * (n // 2) + [0] * (n - n // 2)
    assert both["mllm", "winner", "count"].tolist() == [3] * (n // 4) + [0] * (n - n // 4)
    prevalence = both["mllm", "prevalence", ""]
    assert set(prevalence[:10]) == {1.0}
    assert set(prevalence[10:]) == {0.0}
    assert both["winner", "winner", ""].tolist() == [2] * 100 + [0] * (n - 100)
    sidecar = json.loads(next(tmp_path.glob("group/func/*model-mllm_*stat-r_desc-mean_statmap.json")).read_text())
    assert sidecar["NumberOfParticipants"] == 3
    assert sidecar["NumberOfSamples"] == {"sub-01": 200, "sub-02": 200, "sub-03": 200}
    assert len(sidecar["Sources"]) == 3


def test_participants_with_other_targets_have_no_map_of_the_group(tmp_path, make_result):
    one, two = make_result("01", [0.1] * 8, [0.2] * 8, targets=voxels()), make_result("02", [0.1] * 5, [0.2] * 5)
    assert write_group_maps(tmp_path, [one, two], None) == []
    assert write_group_maps(tmp_path, [one], None) == []


# The whole dataset


@pytest.fixture
def derivative(tmp_path, make_result):
    """A derivative with maps, scores and regions of one participant."""
    targets = voxels()
    values = np.linspace(0, 0.5, 8)
    result = make_result("01", values, values / 2, targets=targets)
    source = tmp_path.parent / f"{tmp_path.name}-raw"
    source.mkdir()
    prepare_derivative(tmp_path, source, text="seed = 0\n", settings={}, command=["run"])
    folder = result.folder / "func"
    for metric in METRICS:
        write_maps(
            folder, {"sub": "01", "task": "video"}, {metric: result.scores[metric]}, metric=metric,
            pairs=[("ratings", "mllm")], tests=passed_of(targets), about=result,
        )  # fmt: skip
    write_parcels(result.folder, [Region("mine", "region", "", "V1", "L", np.ones(8, bool))])
    for name in ("sub-01.html", "report.html", "sub-01/figures/a.png", "sub-01/inference/targets.npz", "group/a.tsv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.fixture
def errors_of():
    """Return a function that lists the errors that the BIDS validator finds in a dataset."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = os.environ.get("BIDS_VALIDATOR") or shutil.which("bids-validator-deno", path=beside)
    if found is None:
        pytest.skip("bids-validator-deno is not installed (pip install bids-validator-deno, or BIDS_VALIDATOR=path)")
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(found).parent), beside])}

    def errors(folder):
        command = [found, "--format", "json", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
        issues = json.loads(done.stdout)["issues"]["issues"]
        assert issues  # there are always hints; none would mean that nothing was read
        return [f"{issue['code']} {issue.get('location')}" for issue in issues if issue.get("severity") == "error"]

    return errors


def test_the_validator_finds_no_error_in_a_derivative(derivative, errors_of):
    assert errors_of(derivative) == []
    (derivative / "sub-01" / "func" / "sub-01_nonsense").write_text("x")
    assert any("nonsense" in error for error in errors_of(derivative))


def test_the_validator_finds_no_error_in_simulated_data(tmp_path, errors_of):
    simulate(tmp_path / "raw", preset="tiny", clips=False)
    assert errors_of(tmp_path / "raw") == []


def test_pybids_tells_maps_apart(derivative):
    from bids import BIDSLayout
    from bids.layout import BIDSLayoutIndexer

    layout = BIDSLayout(
        derivative,
        indexer=BIDSLayoutIndexer(validate=False, index_metadata=False),
        config=["bids", str(derivative / "code" / "pybids.json")],
    )
    (found,) = layout.get(subject="01", model="mllm", feature="all", stat="r", extension=".nii.gz")
    assert found.filename == (
        "sub-01_task-video_space-MNI152NLin2009cAsym_res-2_model-mllm_feature-all_stat-r_statmap.nii.gz"
    )
    assert {"r", "pooledr", "r2", "u", "pfwe", "winner"} <= set(layout.get_stat())
    assert set(layout.get_model()) == {"ratings", "mllm", "ratingsminusmllm", "winner"}
    entities = {**found.get_entities(), "stat": "u"}
    assert Path(layout.build_path(entities, validate=False)).name.endswith(
        "_model-mllm_feature-all_stat-u_statmap.nii.gz"
    )
