"""Docstrings: numpydoc in full for public names, at least one line for everything else (ruff holds that)."""

import ast
import dataclasses
import importlib
import inspect
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.hooks.validate_docstrings import parse_config, process_file

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "encoding"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__main__.py"
}
SETTINGS = parse_config(ROOT)


def declares_all(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def public_objects() -> dict[str, object]:
    """Functions and classes that some ``__all__`` names, and the classes of ours that those inherit from."""
    found: dict[str, object] = {}
    for name, path in MODULES.items():
        if not declares_all(path):
            continue
        module = importlib.import_module(name)
        for public in module.__all__:
            thing = getattr(module, public)
            for part in thing.__mro__ if inspect.isclass(thing) else [thing]:
                part = inspect.unwrap(part)
                named = inspect.isclass(part) or inspect.isfunction(part)
                if named and part.__module__ in MODULES and not part.__name__.startswith("_"):
                    found[f"{part.__module__}:{part.__qualname__}"] = part
    return found


PUBLIC = public_objects()


def public_names(module: str) -> set[str]:
    return {name.partition(":")[2] for name in PUBLIC if name.partition(":")[0] == module}


def overriding(module: str) -> set[str]:
    """Methods of public classes that a base of ours documents; one line says what is different."""
    found = set()
    for name in public_names(module):
        thing = PUBLIC[f"{module}:{name}"]
        bases = [base for base in thing.__mro__[1:] if base.__module__ in MODULES] if inspect.isclass(thing) else []
        found |= {f"{name}.{method}" for base in bases for method in vars(base) if method in vars(thing)}
    return found


def findings(path: Path, names: set[str]) -> list[str]:
    """List what numpydoc finds in the docstrings of some names of a file, and of the methods of such classes."""
    listed = []
    for line, name, check, description in process_file(str(path), SETTINGS):
        if name.partition(".")[2].partition(".")[0] in names:
            listed.append(f"{line} {name}: {check} {description}")
    return listed


def silent_about_result(tree: ast.Module, names: set[str]) -> list[str]:
    """List public functions that return something of which their docstring says nothing; properties may."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in names]
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    found = []
    for prefix, body in [(f"{cls.name}.", cls.body) for cls in classes] + [("", functions)]:
        for node in body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
            returns = any(isinstance(part, ast.Return) and part.value for part in ast.walk(node))
            documented = any(f"\n{word}\n---" in (ast.get_docstring(node) or "") for word in ("Returns", "Yields"))
            if returns and not documented and not decorators & {"property", "cached_property"}:
                found.append(prefix + node.name)
    return found


def test_public_names_are_found():
    names = {name.partition(":")[2] for name in PUBLIC}
    assert {"FeatureSpace", "BandedRidgeCV", "cross_predict", "simulate"} <= names
    assert len(names) > 100


@pytest.mark.parametrize("name", sorted({name.partition(":")[0] for name in PUBLIC}))
def test_public_names_are_documented(name):
    wrong = findings(MODULES[name], public_names(name))
    silent = silent_about_result(ast.parse(MODULES[name].read_text(encoding="utf-8")), public_names(name))
    inherited = overriding(name)
    assert [line for line in wrong if line.split()[1].rstrip(":").partition(".")[2] not in inherited] == []
    assert [method for method in silent if method not in inherited] == []


BAD = '''"""A module."""


def double(x):
    """Double a number."""
    return 2 * x


def triple(x):
    """Triple a number."""
    return 3 * x


class Thing:
    """A thing."""

    @property
    def size(self):
        """Number of parts."""
        return 1

    def double(self, x):
        """Double a number."""
        return 2 * x
'''


def test_a_public_name_without_numpydoc_would_be_seen(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(BAD, encoding="utf-8")
    found = findings(bad, {"double", "Thing"})
    assert [line.split()[1] for line in found if "PR01" in line] == ["bad.double:", "bad.Thing.double:"]
    assert silent_about_result(ast.parse(BAD), {"double", "Thing"}) == ["Thing.double", "double"]


def test_one_line_is_enough_for_other_names(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(BAD, encoding="utf-8")
    assert findings(path, set()) == []
    assert silent_about_result(ast.parse(BAD), set()) == []


def field_docstrings(cls: type) -> set[str]:
    """Names of the fields, inherited ones too, that are followed by a docstring of their own."""
    ours = [base for base in cls.__mro__ if base.__module__ in MODULES]
    return {
        first.target.id
        for base in ours
        for first, second in pairwise(ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body)
        if isinstance(first, ast.AnnAssign) and isinstance(first.target, ast.Name)
        if isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant)
    }


def listed_attributes(cls: type) -> list[str]:
    attributes = NumpyDocString(inspect.cleandoc(cls.__doc__ or ""))["Attributes"]
    return [name.strip() for attribute in attributes for name in attribute.name.split(",")]


def dataclasses_of_package() -> dict[str, type]:
    found = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for thing in vars(module).values():
            if inspect.isclass(thing) and dataclasses.is_dataclass(thing) and thing.__module__ == name:
                found[f"{name}:{thing.__qualname__}"] = thing
    return found


@pytest.mark.parametrize(("name", "cls"), dataclasses_of_package().items())
def test_public_fields_are_documented_and_documented_names_exist(name, cls):
    names = listed_attributes(cls)
    fields = [field.name for field in dataclasses.fields(cls) if not field.name.startswith("_")]
    properties = [key for key, value in vars(cls).items() if isinstance(value, property)]
    if name in PUBLIC:
        documented = {*names, *field_docstrings(cls)}
        assert [field for field in fields if field not in documented] == []
    assert [extra for extra in names if extra not in (*fields, *properties)] == []
