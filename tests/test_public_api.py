"""The names that users may rely on."""

import ast
import importlib
import tomllib
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import encoding

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ["encoding", *(f"encoding.{path.parent.name}" for path in sorted(ROOT.glob("encoding/*/__init__.py")))]
NOUNS = ("StimulusSet", "Judgments", "FeatureSpace", "Responses", "Predictions", "Scores", "Atlas")


def offered_names(module) -> set[str]:
    """Names without underscore that the package's own file takes from its modules, or defines."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    lazy = [node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    body = [*tree.body, *(node for nodes in lazy for node in nodes)]
    imports = [node for node in body if isinstance(node, ast.ImportFrom) and node.level == 1]
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assigned += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    names = [alias.asname or alias.name for node in imports for alias in node.names]
    names += [target.id for target in assigned if isinstance(target, ast.Name)]
    return {name for name in names if not name.startswith("_")}


def test_every_part_is_a_package():
    parts = {"cli", "core", "numerics", "io", "drawing", "embedding", "loading", "fitting", "comparison", "mapping"}
    assert {f"encoding.{part}" for part in (*parts, "simulate", "collection", "config", "workflow")} == {
        name for name in PACKAGES if name.count(".") == 1
    }


@pytest.mark.parametrize("name", PACKAGES)
def test_all_lists_what_is_public(name):
    module = importlib.import_module(name)
    public = list(getattr(module, "__all__", []))
    assert sorted(set(public)) == sorted(public), "a name is listed twice"
    assert set(public) == offered_names(module)
    starred: dict[str, object] = {}
    exec(f"from {name} import *", starred)
    starred.pop("__builtins__")
    if public:  # without __all__, a star takes whatever has been imported so far
        assert set(starred) == set(public)


@pytest.mark.parametrize("name", PACKAGES)
def test_public_objects_are_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        thing = getattr(module, public)
        if callable(thing) and hasattr(thing, "__module__") and hasattr(thing, "__name__"):
            assert thing.__doc__, f"{name}.{public} has no docstring"


@pytest.mark.parametrize("noun", NOUNS)
def test_nouns_are_frozen_dataclasses(noun):
    cls = getattr(encoding, noun)
    assert noun in encoding.__all__
    assert is_dataclass(cls)
    assert cls.__dataclass_params__.frozen


def test_version_is_the_one_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert encoding.__version__ == project["version"]


@pytest.mark.parametrize("name", ["ConfigError", "DataError", "AlignmentError", "SplitError"])
def test_every_error_of_ours_is_caught_with_one_name(name):
    error = getattr(importlib.import_module("encoding.core"), name)
    assert issubclass(error, encoding.EncodingError)
    assert issubclass(error, ValueError)
