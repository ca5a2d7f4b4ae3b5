"""Dictionaries of arrays that numpy pickled: read as numpy reads them, while nothing that a pickle asks for is done."""

import io
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

from encoding.core import DataError
from encoding.io.pickled import is_pickled, read_pickled_arrays

RNG = np.random.default_rng(0)
ARRAYS = {
    "betasmd": RNG.random((5, 4, 3, 20)).astype(np.float32),
    "large": RNG.random((300, 100)),  # beside the frames of the pickle
    "columns": np.asfortranarray(RNG.random((200, 150))),
    "index": RNG.integers(0, 20, (5, 4, 3)),
    "swapped": np.arange(6, dtype=">i2"),
    "none": np.zeros((0, 3)),
    "flat": np.float32(RNG.random(7)),
}
OTHERS = {"pcnum": np.int64(3), "list": [np.ones((4, 5))], "name": "ä" * 300, "no": None, "f": 1.5, "n": -(10**15)}
OTHERS |= {"b": True, "words": np.array(["a", "b"]), "deeper": {"a": np.ones(3)}, "flags": np.array([True, False])}


def header() -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    return stream.getvalue()


def wrapped(content: object, protocol: int) -> bytes:
    inner = np.empty((), dtype=object)
    inner[()] = content
    return header() + pickle.dumps(inner, protocol=protocol)


@pytest.mark.parametrize("protocol", [3, 4])  # of numpy 1 and 2
def test_arrays_are_those_that_numpy_reads(tmp_path, protocol):
    path = tmp_path / "x.npy"
    path.write_bytes(wrapped(ARRAYS | OTHERS, protocol))
    assert is_pickled(path)
    found = read_pickled_arrays(path)
    assert set(found) == set(ARRAYS)
    expected = np.load(path, allow_pickle=True).item()
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name])
        assert values.dtype.newbyteorder("=") == expected[name].dtype  # numpy swaps bytes while it loads
        assert not values.flags.writeable


def test_what_numpy_saves_is_read(tmp_path):
    np.save(tmp_path / "x.npy", ARRAYS)
    found = read_pickled_arrays(tmp_path / "x.npy")
    np.testing.assert_array_equal(found["betasmd"], ARRAYS["betasmd"])
    np.save(tmp_path / "plain.npy", ARRAYS["betasmd"])
    assert not is_pickled(tmp_path / "plain.npy")


class Calls:
    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def attacks(marker: Path) -> dict[str, bytes]:
    """Pickles that make a file when they are loaded, each by another way, and some that only ask for much."""
    shell = f"touch {marker}"
    found = {}
    for protocol in range(5):
        found[f"os.system, protocol {protocol}"] = wrapped({"betasmd": Calls(os.system, shell)}, protocol)
    found["instead of an array"] = header() + pickle.dumps(Calls(os.system, shell))
    found["eval"] = wrapped({"x": Calls(eval, f"__import__('pathlib').Path({str(marker)!r}).touch()")}, 4)
    found["a subprocess in a list"] = wrapped({"x": [1, (Calls(subprocess.call, ["touch", str(marker)]),)]}, 4)
    found["a method"] = wrapped({"x": Calls(Path.touch, marker)}, 4)
    found["a function of numpy"] = wrapped({"x": Calls(np.save, str(marker), np.ones(2))}, 4)
    text = shell.encode()
    found["INST"] = header() + b"(S'" + text + b"'\nios\nsystem\n."
    found["OBJ"] = header() + b"(cos\nsystem\nS'" + text + b"'\no."
    found["NEWOBJ"] = header() + b"\x80\x02cos\nsystem\nX" + len(text).to_bytes(4, "little") + text + b"\x85\x81."
    found["a name with a dot"] = header() + b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__class__.x\x93."
    found["a name joined by a space"] = header() + b"\x80\x04\x8c\x02os\x8c\x0dsystem numpy \x93."
    found["extension"] = header() + b"\x80\x02\x82\x01."
    found["persistent"] = header() + b"Pabc\n."
    found["BUILD of a name"] = header() + b"\x80\x02cnumpy\nndarray\n}b."
    found["call of a result"] = header() + b"\x80\x02cnumpy\nndarray\n)R)R."
    found["buffer"] = header() + b"\x80\x05\x97."
    found["memo of 4 GB"] = header() + b"\x80\x02]r\xff\xff\xff\xff."
    found["text of 8 EB"] = header() + b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f."
    return found


@pytest.mark.parametrize("name", list(attacks(Path("marker"))))
def test_nothing_is_called(tmp_path, name):
    marker = tmp_path / "marker"
    path = tmp_path / "x.npy"
    path.write_bytes(attacks(marker)[name])
    with pytest.raises(DataError, match="of which only a dictionary of arrays of numbers"):
        read_pickled_arrays(path)
    assert not marker.exists()


def test_the_attacks_are_attacks(tmp_path):
    """Were numpy to load them, they would make the file."""
    marker = tmp_path / "marker"
    for name, content in attacks(marker).items():
        if "os.system" in name or name in ("eval", "INST", "OBJ", "a method", "a function of numpy"):
            stream = io.BytesIO(content[len(header()) :])
            pickle.load(stream)
            assert marker.exists() or Path(f"{marker}.npy").exists(), name
            marker.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "state",
    [
        (1, (2, 2), np.dtype("f8"), False, b"123"),
        (1, (-1,), np.dtype("f8"), False, b"12345678"),
        (1, (1 << 60,), np.dtype("f8"), False, b""),
        (1, (True,), np.dtype("f8"), False, b"12345678"),
        (1, "12", np.dtype("f8"), False, b"12345678"),
        (1, (1,), np.dtype("f8"), False, ["12345678"]),
    ],
)
def test_states_that_do_not_fit_are_refused(tmp_path, state):
    class Crafted:
        def __reduce__(self):
            return np.zeros(0).__reduce__()[0], (np.ndarray, (0,), b"b"), state

    (tmp_path / "x.npy").write_bytes(wrapped({"betasmd": Crafted()}, 4))
    with pytest.raises(DataError, match="of which only a dictionary"):
        read_pickled_arrays(tmp_path / "x.npy")


def test_damage_is_reported_and_nothing_else_happens(tmp_path):
    whole = wrapped({"betasmd": np.arange(6.0).reshape(2, 3), "a": 1}, 4)
    path, start = tmp_path / "x.npy", len(header())
    for at in range(start, len(whole)):
        path.write_bytes(whole[:at])
        with pytest.raises(DataError, match=r"x\.npy"):
            read_pickled_arrays(path)
    for at in range(start, len(whole)):
        for value in (0, 40, 82, 255):
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                read_pickled_arrays(path)
            except DataError:
                continue
