"""Feature matrices in the layouts of the emotion-video releases, and spaces side by side."""

import h5py
import numpy as np
import pytest
import scipy.io

from encoding.core import AlignmentError, ConfigError, DataError, FeatureSpace, Samples
from encoding.embedding import ConcatTable, FeatureTable, concatenate, embed

NAMES = ("Admiration", "Empathic_pain", "Joy")


def values_of(n=12):
    return np.random.default_rng(0).random((n, 3))


def cell(names):
    made = np.empty((1, len(names)), dtype=object)
    made[0] = [np.array([name]) for name in names]
    return made


def write_v5(path, feat, names=NAMES, *, compressed=True):
    scipy.io.savemat(path, {"L": {"feat": feat, "featname": cell(names)}}, do_compression=compressed)


def write_v73(path, feat, names=NAMES):
    """As MATLAB saves with -v7.3: 512 bytes of text, then HDF5 with axes reversed and texts behind references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("L")
        group["feat"] = feat.T
        texts = [file.create_dataset(f"#refs#/{n}", data=[[ord(c)] for c in name]) for n, name in enumerate(names)]
        for text in texts:
            text.attrs["MATLAB_class"] = np.bytes_("char")
        references = np.array([[text.ref] for text in texts], dtype=h5py.ref_dtype)
        group.create_dataset("featname", data=references, dtype=h5py.ref_dtype)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_rows_of_a_struct_are_stimulus_ids(tmp_path, write):
    feat = values_of()
    write(tmp_path / "category.mat", feat)
    space = embed(FeatureTable("category", "category.mat", rows=12), tmp_path)
    assert space.samples.stimulus.tolist() == [str(n) for n in range(1, 13)]
    assert space.features == NAMES
    np.testing.assert_allclose(space.values, feat, rtol=1e-6)
    some = embed(FeatureTable("category", "category.mat", rows=12, columns=["Joy"]), tmp_path)
    np.testing.assert_allclose(some.values, feat[:, [2]], rtol=1e-6)


def test_a_struct_must_have_all_ids_of_the_study(tmp_path):
    write_v5(tmp_path / "x.mat", values_of())
    with pytest.raises(DataError, match=r"'x' .*x.mat.*: 12 stimuli, but 2196 were needed; rows of a .mat"):
        embed(FeatureTable("x", "x.mat"), tmp_path)
    write_v5(tmp_path / "x.mat", values_of(2196))
    assert len(embed(FeatureTable("x", "x.mat"), tmp_path).samples) == 2196


def damage(content):
    return {
        "no struct": ({"M": 1.0}, "no variable 'L'"),
        "no names": ({"L": {"feat": content}}, "must be a struct with feat and featname, but holds .*feat"),
        "not a struct": ({"L": content}, "must be a struct"),
        "names": ({"L": {"feat": content, "featname": cell(NAMES[:2])}}, r"shape \(12, 3\), but .* names 2 features"),
        "an empty name": ({"L": {"feat": content, "featname": cell(("a", " ", "c"))}}, "featname 2 is empty"),
        "the same name": ({"L": {"feat": content, "featname": cell(("a", "b", "a"))}}, "'a' occurs more than once"),
        "text": ({"L": {"feat": "abc", "featname": cell(NAMES)}}, "L.feat is .*; an array of numbers"),
        "numbers for names": ({"L": {"feat": content, "featname": np.arange(3)}}, "featname is .*cell array of names"),
        "NaN": ({"L": {"feat": np.where(content == content[4, 1], np.nan, content), "featname": cell(NAMES)}},
                "1 value is missing or not finite; the first is 'Empathic_pain' of '5'"),
    }  # fmt: skip


@pytest.mark.parametrize("what", damage(values_of()))
def test_a_struct_that_is_not_as_released_is_refused(tmp_path, what):
    content, message = damage(values_of())[what]
    scipy.io.savemat(tmp_path / "x.mat", content)
    with pytest.raises(DataError, match=message):
        embed(FeatureTable("x", "x.mat", rows=12), tmp_path)


def test_an_unknown_column_of_a_struct_is_refused(tmp_path):
    write_v5(tmp_path / "x.mat", values_of())
    with pytest.raises(DataError, match=r"no feature 'joy'\. Did you mean 'Joy'"):
        embed(FeatureTable("x", "x.mat", rows=12, columns=["joy"]), tmp_path)


def refused_or_right(folder, feat):
    """Read a damaged file: an error that names it, or the right values."""
    try:
        space = embed(FeatureTable("x", "x.mat", rows=12), folder)
    except DataError as error:
        return "x.mat" in str(error)
    np.testing.assert_allclose(space.values, feat, rtol=1e-6)
    return False


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_truncated_files_give_an_error_or_the_truth(tmp_path, write):
    feat = values_of()
    write(tmp_path / "x.mat", feat)
    whole = (tmp_path / "x.mat").read_bytes()
    refused = 0
    for size in np.linspace(0, len(whole) - 1, 25).astype(int):
        (tmp_path / "x.mat").write_bytes(whole[:size])
        refused += refused_or_right(tmp_path, feat)
    assert refused >= 20


@pytest.mark.parametrize("seed", range(20))
def test_flipped_bytes_of_a_compressed_file_give_an_error_or_the_truth(tmp_path, seed):
    feat = values_of()
    write_v5(tmp_path / "x.mat", feat)
    content = bytearray((tmp_path / "x.mat").read_bytes())
    rng = np.random.default_rng(seed)
    # Behind the header of text; what is compressed has a checksum.
    content[int(rng.integers(124, len(content)))] ^= int(rng.integers(1, 256))
    (tmp_path / "x.mat").write_bytes(bytes(content))
    refused_or_right(tmp_path, feat)


def write_folder(folder, feat, stems):
    folder.mkdir(parents=True)
    for stem, row in zip(stems, feat, strict=True):
        scipy.io.savemat(folder / f"{stem}.mat", {"feat": row[None]})


def test_files_per_stimulus_are_read_by_their_names(tmp_path):
    feat = values_of(4)
    write_folder(tmp_path / "mean_score_concat" / "category", feat, ["0010", "0002", "1", "clip"])
    table = FeatureTable("category", "mean_score_concat/category", columns=NAMES)
    space = embed(table, tmp_path)
    known = dict(zip(space.samples.stimulus.tolist(), space.values, strict=True))
    assert set(known) == {"10", "2", "1", "clip"}
    for name, row in zip(["10", "2", "1", "clip"], feat, strict=True):
        np.testing.assert_allclose(known[name], row, rtol=1e-6)
    assert space.features == NAMES
    assert embed(FeatureTable("c", "mean_score_concat/category"), tmp_path).features == ("c_1", "c_2", "c_3")


def test_files_per_stimulus_may_be_hdf5_with_reversed_axes(tmp_path):
    (tmp_path / "f").mkdir()
    for name, row in zip("12", values_of(2), strict=True):
        with h5py.File(tmp_path / "f" / f"{name}.mat", "w") as file:
            file["feat"] = row[:, None]
    np.testing.assert_allclose(embed(FeatureTable("f", "f"), tmp_path).values, values_of(2), rtol=1e-6)


def test_two_files_of_one_stimulus_are_refused(tmp_path):
    write_folder(tmp_path / "f", values_of(2), ["17", "0017"])
    with pytest.raises(DataError, match=r"0017.mat and 17.mat both name stimulus '17'"):
        embed(FeatureTable("f", "f"), tmp_path)


@pytest.mark.parametrize(
    ("feat", "message"),
    [
        (np.ones((1, 4)), r"2.mat: 4 features, but 1.mat has 3"),
        (np.ones((3, 3)), r"2.mat: feat has shape \(3, 3\); .* a vector"),
        (np.array([[1.0, np.nan, 2.0]]), "not finite; the first is 'f_2' of '2'"),
    ],
)
def test_files_per_stimulus_must_agree(tmp_path, feat, message):
    write_folder(tmp_path / "f", values_of(1), ["1"])
    scipy.io.savemat(tmp_path / "f" / "2.mat", {"feat": feat})
    with pytest.raises(DataError, match=message):
        embed(FeatureTable("f", "f"), tmp_path)


def test_a_folder_is_counted_and_never_empty(tmp_path):
    write_folder(tmp_path / "f", values_of(2), ["1", "2"])
    with pytest.raises(DataError, match="2 stimuli, but 3 were needed"):
        embed(FeatureTable("f", "f", rows=3), tmp_path)
    with pytest.raises(DataError, match="names 2"):
        embed(FeatureTable("f", "f", columns=["a", "b"]), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"without \*\.mat files"):
        embed(FeatureTable("f", "empty"), tmp_path)


def test_rows_must_be_a_number():
    with pytest.raises(ConfigError, match="rows = 0: an integer of 1 or more"):
        FeatureTable("f", "x.mat", rows=0)


def space(name, stimuli, features, start=0):
    values = start + np.arange(len(stimuli) * len(features), dtype=float).reshape(len(stimuli), -1)
    return FeatureSpace(name, values, Samples.of_stimuli(np.asarray(stimuli)), features)


def test_spaces_are_joined_by_the_names_of_stimuli():
    a, b = space("category", ["1", "2", "10"], ["Joy", "Fear"]), space("dimension", ["2", "10", "1"], ["Fear"], 100)
    both = concatenate(ConcatTable("both", ["category", "dimension"]), {"category": a, "dimension": b})
    assert both.features == ("Joy", "category.Fear", "dimension.Fear")
    assert both.samples.stimulus.tolist() == ["1", "2", "10"]
    assert both.values.tolist() == [[0, 1, 102], [2, 3, 100], [4, 5, 101]]


def test_spaces_of_other_stimuli_are_not_joined():
    known = {"a": space("a", ["1", "2"], ["x"]), "b": space("b", ["1", "2", "3"], ["y"])}
    with pytest.raises(AlignmentError, match="1 stimulus of 'b' is not in 'a', the first is '3'"):
        concatenate(ConcatTable("both", ["a", "b"]), known)


@pytest.mark.parametrize("spaces", ["ab", ["a"], ["a", "a"]])
def test_a_concat_names_two_spaces(spaces):
    with pytest.raises(ConfigError, match="two or more different"):
        ConcatTable("both", spaces)
