"""Packages whose public names are imported when they are first used, so that reading a configuration stays quick."""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package in which a public name hides the module of the same name (`encoding.loading.align`)."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system sets every imported submodule as an attribute of its package, over the public name.
        if isinstance(value, ModuleType) and self.__dict__.get("_origins", {}).get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


def lazy_names(package: str) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package that imports, on first use, what its ``if TYPE_CHECKING`` block imports.

    Type checkers and import-linter read that block as it is; nothing has to be written twice.
    """
    module = sys.modules[package]
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    origins = {
        alias.asname or alias.name: node.module
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
    module.__dict__["_origins"] = origins
    # Names show up in `dir` and in completion before they are imported.
    module.__dict__["__dir__"] = lambda: sorted({*module.__dict__, *origins} - {"__dir__"})
    module.__class__ = LazyPackage

    def load(name: str) -> Any:
        if name not in origins:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{origins[name]}", package), name)
        module.__dict__[name] = value
        return value

    return load


def later(module: str, name: str) -> Any:
    """Import a name of this package when it is called for.

    For methods that users look for on a noun but that need files or images, which nouns do not know.
    """
    return getattr(importlib.import_module(f"encoding.{module}"), name)
