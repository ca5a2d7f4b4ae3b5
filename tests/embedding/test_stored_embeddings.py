"""Embeddings as vision and language models leave them, in every format the same."""

import json
import pickle

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from encoding.config.settings import parse_config
from encoding.core import ConfigError, DataError
from encoding.embedding import FeatureTable, embed

NAMES = ["b.mp4", "a.mp4", "c.mp4"]
VALUES = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
OTHER = np.random.default_rng(1).standard_normal((3, 2)).astype(np.float32)


def write_pt(path, **arrays):
    torch.save({"stimuli": NAMES, **{name: torch.from_numpy(values) for name, values in arrays.items()}}, path)


def write_safetensors(path, **arrays):
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
    save_file(tensors, path, metadata={"stimuli": json.dumps(NAMES)})


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        file["stimuli"] = NAMES
        for name, values in arrays.items():
            file[name] = values


def write_npz(path, **arrays):
    np.savez(path, stimuli=np.asarray(NAMES), **arrays)


def write_parquet(path, **arrays):
    frame = pd.DataFrame({"stimulus": NAMES, **{name: list(values) for name, values in arrays.items()}})
    frame.to_parquet(path)


WRITERS = {
    "x.pt": write_pt,
    "x.safetensors": write_safetensors,
    "x.h5": write_h5,
    "x.npz": write_npz,
    "x.parquet": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_space(tmp_path, name):
    WRITERS[name](tmp_path / name, fc6=VALUES)
    space = embed(FeatureTable("net", name), tmp_path)
    assert space.samples.stimulus.tolist() == NAMES
    np.testing.assert_array_equal(space.values, VALUES)
    assert len(space.features) == 4
    assert list(space.provenance.inputs) == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_a_layer_of_several_is_chosen_or_asked_for(tmp_path, name):
    WRITERS[name](tmp_path / name, fc6=VALUES, conv=OTHER)
    with pytest.raises(DataError, match="`layer`, or several with `layers`"):
        embed(FeatureTable("net", name), tmp_path)
    np.testing.assert_array_equal(embed(FeatureTable("net", name, layer="conv"), tmp_path).values, OTHER)
    with pytest.raises(DataError, match=r"'fc7'.*Did you mean 'fc6'"):
        embed(FeatureTable("net", name, layer="fc7"), tmp_path)


def test_layers_of_one_file_become_spaces(tmp_path):
    write_safetensors(tmp_path / "x.safetensors", **{"block.1": VALUES, "block.2": OTHER})
    study = parse_config("""
        [[features]]
        name = "net"
        file = "x.safetensors"
        layers = ["block.1", "block.2"]
        [load]
        kind = "volume"
        task = "video"
        [[fit]]
        kind = "ridge"
        bands = "each"
    """)
    assert [source.name for source in study.features] == ["net_block_1", "net_block_2"]
    assert study.single == ("net_block_1", "net_block_2")
    spaces = [embed(source, tmp_path) for source in study.features]
    np.testing.assert_array_equal(spaces[1].values, OTHER)
    with pytest.raises(ConfigError, match="differ in characters only"):
        FeatureTable("net", "x.pt", layers=["a.b", "a-b"]).split()
    with pytest.raises(ConfigError, match="`layer` and `layers` are both given"):
        FeatureTable("net", "x.pt", layer="a", layers=["b"])


def test_one_vector_per_stimulus_is_a_matrix(tmp_path):
    torch.save({name: torch.from_numpy(row) for name, row in zip(NAMES, VALUES, strict=True)}, tmp_path / "x.pt")
    space = embed(FeatureTable("net", "x.pt"), tmp_path)
    assert space.samples.stimulus.tolist() == NAMES
    np.testing.assert_array_equal(space.values, VALUES)
    torch.save({"a": torch.zeros(3), "b": torch.zeros(4)}, tmp_path / "x.pt")
    with pytest.raises(DataError, match="vectors of 3 to 4 numbers"):
        embed(FeatureTable("net", "x.pt"), tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
def test_precisions_of_safetensors_are_read_as_safetensors_reads_them(tmp_path, dtype):
    tensor = (100 * torch.from_numpy(VALUES)).to(dtype)
    save_file({"x": tensor}, tmp_path / "x.safetensors")
    (tmp_path / "x.txt").write_text("\n".join(NAMES))
    space = embed(FeatureTable("net", "x.safetensors"), tmp_path)
    np.testing.assert_array_equal(space.values, tensor.to(torch.float32).numpy())


class Harmful:
    """What a pickled file could run."""

    def __reduce__(self):
        return (print, ("run",))


def test_nothing_in_a_file_is_run(tmp_path, capsys):
    torch.save({"x": torch.zeros(3, 2), "run": Harmful()}, tmp_path / "x.pt")
    with pytest.raises(DataError, match="Only tensors, numbers, texts"):
        embed(FeatureTable("net", "x.pt"), tmp_path)
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(DataError, match="Only tensors"):
        embed(FeatureTable("net", "y.pt"), tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_are_named(tmp_path, name):
    WRITERS[name](tmp_path / name, fc6=VALUES)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        embed(FeatureTable("net", name), tmp_path)


def test_headers_of_safetensors_that_lie_are_refused(tmp_path):
    header = json.dumps({"x": {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 10**12]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(48))
    with pytest.raises(DataError, match="'x' has shape"):
        embed(FeatureTable("net", "x.safetensors"), tmp_path)


def test_tokens_and_other_axes_are_refused(tmp_path):
    write_pt(tmp_path / "x.pt", tokens=np.zeros((3, 5, 4), np.float32))
    with pytest.raises(DataError, match=r"shape \(3, 5, 4\).*Average or flatten"):
        embed(FeatureTable("net", "x.pt"), tmp_path)


def test_missing_values_are_left_out_only_when_asked(tmp_path):
    values = VALUES.copy()
    values[1, 2] = np.nan
    write_h5(tmp_path / "x.h5", fc6=values)
    with pytest.raises(DataError, match=r'1 value is missing.*fill = "mean"'):
        embed(FeatureTable("net", "x.h5"), tmp_path)
    space = embed(FeatureTable("net", "x.h5", fill="mean"), tmp_path)
    assert space.samples.stimulus.tolist() == ["b.mp4", "c.mp4"]
