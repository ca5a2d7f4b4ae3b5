"""What may import what, how long things take to import, and what no module may do."""

import ast
import functools
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from encoding.simulate.configs import run_config

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "encoding"
MODULES = sorted(PACKAGE.rglob("*.py"))
BIN = Path(sys.executable).parent
HEAVY = {"torch", "matplotlib", "nibabel", "nilearn", "sklearn", "scipy", "pandas", "bids", "himalaya"}

IMPORT = "import encoding"
HELP = """
import runpy, sys
sys.argv = ["encoding", "--help"]
try:
    runpy.run_module("encoding", run_name="__main__", alter_sys=True)
except SystemExit as error:
    assert not error.code, error.code
"""


CHECK = """
import sys
from encoding.config import read_config
read_config(sys.argv[1])
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def import_offences(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    names = [alias.name for alias in node.names]
    origin = getattr(node, "module", None) or ""
    for name in (*names, origin):
        if name.split(".")[0] in ("pickle", "cloudpickle", "dill", "shelve", "marshal"):
            yield f"import of {name}"
    if origin == "joblib" and {"dump", "load", "Memory"} & set(names):
        yield "pickle through joblib"


def call_offences(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    if name in ("print", "joblib.dump", "joblib.load", "joblib.Memory", "torch.save"):
        yield name
    safe = any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
    if name == "torch.load" and not safe:  # tensors, numbers and texts alone run nothing
        yield name
    if name.rpartition(".")[2] in ("read_pickle", "to_pickle"):
        yield name
    for keyword in node.keywords:
        refused = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg == "allow_pickle" and not refused:
            yield "allow_pickle"


def offences(tree: ast.AST) -> list[str]:
    """List what would let a file run code when it is read, and what prints."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [f"line {node.lineno}: {offence}" for offence in import_offences(node)]
        elif isinstance(node, ast.Call):
            found += [f"line {node.lineno}: {offence}" for offence in call_offences(node)]
    return found


@pytest.mark.parametrize(
    ("code", "offence"),
    [
        ("import pickle", "import of pickle"),
        ("from pickle import load", "import of pickle"),
        ("from joblib import dump", "pickle through joblib"),
        ("joblib.dump(x, path)", "joblib.dump"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("np.load(path, allow_pickle=flag)", "allow_pickle"),
        ("frame.to_pickle(path)", "frame.to_pickle"),
        ("torch.load(path)", "torch.load"),
        ("torch.load(path, weights_only=False)", "torch.load"),
        ("torch.load(path, weights_only=flag)", "torch.load"),
        ("print('hello')", "print"),
    ],
)
def test_offences_are_seen(code, offence):
    assert offences(ast.parse(code)) == [f"line 1: {offence}"]


def test_what_is_allowed_is_no_offence():
    code = "from joblib import Parallel\nnp.load(path)\nnp.load(path, allow_pickle=False)\nlogger.info('print(')"
    assert offences(ast.parse(code)) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_module_keeps_the_rules(path):
    prints = path.parent.name == "cli"
    found = [offence for offence in offences(parsed(path)) if not prints or not offence.endswith("print")]
    assert found == []
    assert path.name not in ("utils.py", "util.py", "helpers.py", "common.py", "misc.py"), "name it for what it does"
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= 600, f"{n_lines} lines: divide it"


def test_imports_follow_the_layers():
    result = run(BIN / "lint-imports", "--no-cache")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_nothing_heavy_is_imported(code):
    listing = "\nimport json, sys\nprint()\nprint(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    result = run(sys.executable, "-c", code + listing)
    assert result.returncode == 0, result.stderr
    imported = set(json.loads(result.stdout.splitlines()[-1]))
    assert {"encoding", "numpy"} <= imported
    assert imported & HEAVY == set()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The configuration of make demo."""
    path = tmp_path_factory.mktemp("demo") / "run.toml"
    path.write_text(run_config("surface", n_runs=4, judged=True), encoding="utf-8")
    return path


def test_a_configuration_is_read_without_libraries_of_fitting_and_drawing(demo):
    listing = "\nimport json\nprint(json.dumps(sorted(sys.modules)))"
    result = run(sys.executable, "-c", CHECK + listing, demo)
    assert result.returncode == 0, result.stderr
    assert {"torch", "sklearn", "nilearn", "nibabel", "matplotlib", "bids"} & set(json.loads(result.stdout)) == set()


def test_reports_are_drawn_without_libraries_of_loading_and_fitting():
    result = run(sys.executable, "-c", "import json, sys, encoding.pipeline\nprint(json.dumps(sorted(sys.modules)))")
    assert result.returncode == 0, result.stderr
    there = set(json.loads(result.stdout))
    assert "matplotlib" in there
    assert {"torch", "sklearn", "nilearn", "bids", "himalaya"} & there == set()


@pytest.mark.parametrize(
    ("code", "seconds"), [(IMPORT, 0.3), (HELP, 0.5), (CHECK, 1.0)], ids=["import", "help", "check"]
)
def test_start_is_quick(code, seconds, demo, record_property):
    # Processor time, the interpreter's own start included, best of five: wall time on a busy machine is anything.
    def measure() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = run(sys.executable, "-c", code, demo)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert result.returncode == 0, result.stderr
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    best = min(measure() for _ in range(5))
    record_property("seconds", best)
    assert best < seconds
