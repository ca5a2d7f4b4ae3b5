"""Examples of the API page: every public name has one, and what each prints is true."""

import doctest
import importlib
import inspect
import os
import runpy
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    *("encoding", "encoding.simulate", "encoding.collection", "encoding.embedding", "encoding.loading"),
    *("encoding.fitting", "encoding.comparison", "encoding.mapping", "encoding.config", "encoding.pipeline"),
)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def public():
    """Functions and classes of the API page, each once; constants have no docstring."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                found.setdefault(id(thing), (f"{package}.{name}", thing))
    return list(found.values())


NAMES = public()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Names that examples share, in the folder that they were made in."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("examples"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield runpy.run_path(str(ROOT / "docs" / "api_setup.py"))
    finally:
        os.chdir(before)


def test_every_public_name_has_an_example():
    def examples(thing):
        own = [vars(thing)[name] for name in vars(thing)] if inspect.isclass(thing) else []
        return any(">>>" in (getattr(one, "__doc__", None) or "") for one in (thing, *own))

    assert [name for name, thing in NAMES if not examples(thing)] == []


def test_no_example_is_skipped():
    assert [name for name, thing in NAMES if "+SKIP" in (thing.__doc__ or "")] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_examples_are_true(package, shared, capsys):
    finder, runner = doctest.DocTestFinder(recurse=True), doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for name, thing in NAMES:
        if name.rpartition(".")[0] == package:
            module = importlib.import_module(thing.__module__)
            for test in finder.find(thing, name, module, globs={**vars(module), **shared}):
                runner.run(test)
    assert runner.failures == 0, capsys.readouterr().out[-3000:]
