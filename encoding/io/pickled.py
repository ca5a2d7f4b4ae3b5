"""Arrays out of dictionaries that ``numpy.save`` pickled, as GLMsingle does, without running what a pickle asks for.

A pickle is a program that names functions and calls them. Nothing is called here: the instructions that arrays of
numbers need are followed on a stack of plain values, names are kept as text, any other instruction or name is refused,
and arrays are made afterwards from the bytes that were found. numpy's own loading is not used either, since crafted
states of its types can corrupt memory.
"""

import math
import mmap
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core import DataError
from .arrays import HEADERS

NAMES = re.compile(r"numpy(\._?core\.multiarray)? (ndarray|dtype|_reconstruct|scalar)")
LARGE = 1 << 16
NOTHING = ("PROTO", "FRAME", "STOP")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
VALUES = (
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
)
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(slots=True, eq=False)
class _Name:
    """A name of numpy, as text."""

    text: str


@dataclass(slots=True, eq=False)
class _Made:
    """What calling a name would give: the arguments and the state, which nothing has looked at."""

    args: Any
    state: Any = None


class _Map:
    """A mapped file that is read in views where much is read, so that arrays stay on the disk until they are used."""

    def __init__(self, content: mmap.mmap, start: int) -> None:
        self.view, self.at = memoryview(content), start

    def read(self, n: int) -> Any:
        part = self.view[self.at : self.at + n]
        self.at += len(part)
        return part if n > LARGE else bytes(part)

    def readline(self) -> bytes:
        line = bytes(self.view[self.at : self.at + 256]).partition(b"\n")[0] + b"\n"
        self.at += len(line)
        return line


def is_pickled(path: Path) -> bool:
    """Return True if the header of a ``.npy`` file says that it holds Python objects."""
    try:
        with path.open("rb") as stream:
            return bool(HEADERS[np.lib.format.read_magic(stream)](stream)[2].hasobject)
    except Exception:  # whatever is wrong with it, who reads it as an array says so
        return False


def read_pickled_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the numeric arrays of a dictionary in a ``.npy`` file; large ones are mapped, and all are read-only."""
    try:
        with path.open("rb") as stream:
            shape, _, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
            if shape != () or dtype != np.dtype(object):
                raise ValueError(f"it holds an array {shape} of {dtype}")
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            saved = _Machine().run(_Map(content, stream.tell()))
        _, _, _, _, (values,) = saved.state
        if not isinstance(values, dict):
            raise ValueError(f"it holds a {type(values).__name__}")
        return {key: _array(value) for key, value in values.items() if _kind(value)}
    except OSError:
        raise
    # A damaged pickle raises nearly anything.
    except Exception as error:
        told = " ".join(str(error).split())
        raise DataError(
            f"{path}: holds Python objects, of which only a dictionary of arrays of numbers, as GLMsingle saves it, is "
            f"read ({type(error).__name__}: {told}). Save the array itself with numpy.save, or run GLMsingle with "
            f"wanthdf5 = 1."
        ) from error


class _Machine:
    """A stack of plain values, on which the instructions of a pickle are followed without calling anything."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: _Map) -> Any:
        """Follow all instructions and return what they leave."""
        for operation, value, _ in pickletools.genops(stream):  # type: ignore[arg-type]
            name = operation.name
            if name in CONSTANTS:
                self.stack.append(CONSTANTS[name])
            elif name in VALUES:
                self.stack.append(value)
            elif name in TUPLES:
                self.stack[-TUPLES[name] :] = [tuple(self.stack[-TUPLES[name] :])]
            elif name in FOLLOWED:
                FOLLOWED[name](self, value)
            elif name not in NOTHING:
                raise ValueError(f"its instruction {name} is not one of an array of numbers")
        (left,) = self.stack
        return left

    def since_mark(self) -> list[Any]:
        """Remove and return what lies above the last mark."""
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def name(self, text: str | None) -> None:
        """Note a name of numpy, and refuse every other."""
        if text is None:
            attribute, module = _require(str, self.stack.pop()), _require(str, self.stack.pop())
            text = f"{module} {attribute}"
        if not NAMES.fullmatch(text):
            raise ValueError(f"it asks for {text.replace(' ', '.', 1)}, which is no part of an array of numbers")
        self.stack.append(_Name(text))

    def remember(self, number: int | None) -> None:
        """Keep what lies on top under a number."""
        self.memo[len(self.memo) if number is None else number] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        """Append to the list on top."""
        _require(list, self.stack[-1]).extend(values)

    def update(self, pairs: list[Any]) -> None:
        """Add keys and values to the dictionary on top; keys are texts."""
        keys = [_require(str, key) for key in pairs[::2]]
        _require(dict, self.stack[-1]).update(zip(keys, pairs[1::2], strict=True))

    def make(self) -> None:
        """Replace a name and its arguments by a record of both."""
        args = self.stack.pop()
        _require(_Name, self.stack.pop())
        self.stack.append(_Made(args))

    def build(self) -> None:
        """Note the state of the record below it."""
        state = self.stack.pop()
        _require(_Made, self.stack[-1]).state = state


FOLLOWED: dict[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name,
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "MEMOIZE": _Machine.remember,
    "BINGET": lambda machine, number: machine.stack.append(machine.memo[number]),
    "LONG_BINGET": lambda machine, number: machine.stack.append(machine.memo[number]),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.update([machine.stack.pop(-2), machine.stack.pop()]),
    "SETITEMS": lambda machine, _: machine.update(machine.since_mark()),
    "REDUCE": lambda machine, _: machine.make(),
    "BUILD": lambda machine, _: machine.build(),
}


def _require(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"a {type(value).__name__} stands where a {kind.__name__.strip('_')} belongs")
    return value


def _kind(value: Any) -> str:
    """Return the type of an array, such as "<f4", or "" where it is none of numbers."""
    if not (type(value) is _Made and type(value.state) is tuple and len(value.state) == 5):
        return ""
    dtype = value.state[2]
    if not (type(dtype) is _Made and type(dtype.state) is tuple and len(dtype.state) > 1 and dtype.args):
        return ""
    order, letters = dtype.state[1], dtype.args[0]
    if type(order) is not str or type(letters) is not str:
        return ""
    kind = f"{order}{letters}"
    return kind if re.fullmatch(r"[<>=|][fiu][1248]", kind, flags=re.ASCII) else ""


def _array(value: _Made) -> np.ndarray:
    _, shape, _, columns_first, content = value.state
    dtype = np.dtype(_kind(value))
    if any(type(n) is not int or n < 0 for n in shape):
        raise ValueError("an array whose shape holds no whole numbers of 0 or more")
    values = np.frombuffer(content or b"\0" * 8, dtype)[: None if len(content) else 0]  # no buffer is empty
    if math.prod(shape) != values.size:
        raise ValueError(f"an array of shape {shape} has {values.size} values")
    return values.reshape(shape, order="F" if columns_first is True else "C")
