"""What the documents say is true: their code runs, their commands parse, their numbers agree."""

import argparse
import doctest
import importlib
import re
import runpy
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml
from test_examples import NAMES

import encoding
from encoding.cli import build_parser
from encoding.config import read_config
from encoding.simulate import simulate

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roi_atlases/*.md")])
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "encoding").rglob("*.py"))
    if path.name != "__main__.py"
}


def blocks(text: str, *languages: str) -> list[str]:
    """Contents of the fenced blocks of these languages, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [content for language, content in found if language in languages]


def commands(text: str) -> list[list[str]]:
    """Command lines of the shell blocks, continued lines joined, prompts and comments dropped."""
    lines = "\n".join(blocks(text, "sh", "bash", "shell", "console")).replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [line for line in words if line]


def subcommands(parser: argparse.ArgumentParser) -> list[str]:
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [name for action in actions for name in action.choices]


# README


def test_blocks_and_commands_are_found():
    text = "x\n```sh\nmake demo  # all\n\n$ encoding run a \\\n  b\n```\n```python\n1\n```\n"
    assert commands(text) == [["make", "demo"], ["encoding", "run", "a", "b"]]
    assert blocks(text, "python") == ["1\n"]


def test_readme_begins_with_make_demo_and_make_test():
    assert commands(README)[:2] == [["make", "demo"], ["make", "test"]]


def test_readme_targets_are_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {line[1] for line in commands(README) if line[0] == "make"}
    assert named
    assert named <= targets


def test_readme_names_every_command():
    missing = [name for name in subcommands(build_parser()) if not re.search(rf"\bencoding {name}\b", README)]
    assert missing == []


def test_readme_commands_parse():
    lines = [line for line in commands(README) if line[0] == "encoding"]
    assert lines
    for line in lines:
        if "--help" not in line and "--version" not in line:
            build_parser().parse_args(line[1:])


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Folder in which the README's Python was run, with a small study where it expects the demo."""
    folder = tmp_path_factory.mktemp("readme")
    dataset = folder / "demo" / "dataset"
    simulate(dataset, preset="tiny")
    shutil.copy(dataset / "run_volume.toml", dataset / "run.toml")  # a thousand voxels are drawn sooner than a cortex
    script = folder / "example.py"
    script.write_text("\n".join(blocks(README, "python")), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = runpy.run_path(str(script), run_name="__main__")
    return folder, names


def test_readme_run_is_short():
    code = blocks(README, "python")[0].splitlines()
    assert 0 < len([line for line in code if line.strip() and not line.lstrip().startswith("#")]) <= 20


@pytest.mark.slow
def test_readme_python_runs_and_writes_a_report(example):
    folder, names = example
    assert names["encoding"] is encoding
    reports = sorted(path.name for path in folder.glob("demo/results/*.html"))
    assert "report.html" in reports
    assert "sub-01.html" in reports


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s#]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text)
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []
    parts = re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", text)
    assert [
        f"{file}#{part}" for file, part in parts if part not in headings(path.parent / file if file else path)
    ] == []


def headings(path: Path) -> set[str]:
    """Anchors of a page: its headings in small letters, without punctuation, with dashes for blanks."""
    lines = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL).splitlines()
    titles = [line.lstrip("#").strip() for line in lines if re.match(r"#{1,6} ", line)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/*.md")), ids=lambda path: path.name)
def test_pages_begin_with_a_sentence(path):
    """Which says what the page is for, before any table, list or code."""
    title, _, rest = path.read_text(encoding="utf-8").partition("\n")
    first = rest.strip().split("\n\n")[0]
    assert title.startswith("# ")
    assert re.match(r"[A-Z*`\[]", first), first
    assert "." in first or "?" in first, first


def test_readme_shows_a_picture():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", README) + re.findall(r'<img [^>]*src="([^"]+)"', README)
    assert [picture for picture in pictures if (ROOT / picture).is_file()]


# Citation, changes, contributing, examples


def test_citation_agrees_with_the_package():
    assert CITATION["title"] == PROJECT["name"]
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["abstract"] == PROJECT["description"]
    assert [author["name"] for author in CITATION["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_licence_is_the_declared_one():
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "BSD-3-Clause"
    assert "BSD 3-Clause" in licence or "Neither the name" in licence


def test_changelog_tells_of_this_version_with_its_date():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{PROJECT['version']}] - {CITATION['date-released']}\n" in changelog
    headings = re.findall(r"^### (.*)$", changelog, flags=re.MULTILINE)
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_contributing_names_the_commands_and_places():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for word in ("make test", "make check", "MODELS", "SOURCES", "roi_atlases", "encoding/drawing"):
        assert word in text
    named = re.findall(r"`((?:encoding|tests|roi_atlases|examples|requirements)/[\w./-]*)`", text)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.toml")), ids=lambda path: path.name)
def test_example_configurations_are_good(path):
    assert read_config(path).models


def test_there_is_an_example():
    assert (ROOT / "examples" / "haxby.toml").is_file()


def test_readme_configurations_are_good(tmp_path):
    for number, text in enumerate(blocks(README, "toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        assert read_config(path).models


DATA = blocks((ROOT / "docs" / "data.md").read_text(encoding="utf-8"), "toml")


@pytest.mark.parametrize("text", DATA)
def test_configurations_of_the_page_on_data_are_accepted(text, tmp_path):
    """Each shows the lines that differ; what all share is added."""
    if "[[features]]" not in text:
        text = f'[[features]]\nname = "x"\nfile = "x.tsv"\n{text}'
    path = tmp_path / "run.toml"
    path.write_text(f'{text}\n[[fit]]\nkind = "ridge"\nbands = "each"\n')
    assert read_config(path).models


DECISIONS = blocks((ROOT / "docs" / "choose.md").read_text(encoding="utf-8"), "toml")


@pytest.mark.parametrize("number", range(len(DECISIONS)))
def test_every_decision_ends_in_a_configuration(number, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(DECISIONS[number], encoding="utf-8")
    study = read_config(path)
    assert study.models or study.rsa


def test_every_row_of_the_decision_table_leads_to_a_configuration():
    text = (ROOT / "docs" / "choose.md").read_text(encoding="utf-8")
    leaves = re.findall(r"\| \[[^\]]+\]\(#([^)]+)\) \|$", text, flags=re.MULTILINE)
    parts = {heading.lower().replace(" ", "-"): body for heading, body in re.findall(r"^## (.*)\n([^#]*)", text, re.M)}
    assert len(leaves) == len(DECISIONS)
    assert all("```toml" in parts[leaf] for leaf in leaves)


def test_lines_of_other_packages_agree_with_ours(tmp_path, monkeypatch):
    """The page asserts that both sides give the same numbers."""
    monkeypatch.chdir(tmp_path)
    code = "".join(blocks((ROOT / "docs" / "others.md").read_text(encoding="utf-8"), "python"))
    assert code.count("assert ") == 3
    exec(compile(code, "others.md", "exec"), {})


def test_pins_cover_what_is_needed():
    pins = (ROOT / "requirements" / "constraints.txt").read_text(encoding="utf-8")
    pinned = {name.lower().replace("_", "-") for name in re.findall(r"^([\w.-]+)==", pins, flags=re.MULTILINE)}
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    data = (ROOT / "requirements" / "data-packages.txt").read_text(encoding="utf-8").splitlines()
    wanted = [
        *PROJECT["dependencies"],
        *groups["test"],
        *groups["check"],
        *groups["docs"],
        *(line for line in data if line[:1] != "#"),
    ]
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in wanted}
    assert names <= pinned
    assert "+" not in "".join(line for line in pins.splitlines() if not line.startswith("#"))


# Docstrings


@pytest.mark.parametrize("name", [name for name, path in MODULES.items() if ">>>" in path.read_text(encoding="utf-8")])
def test_examples_in_docstrings_are_true(name):
    """Of what is not public; those of the API page share names, and run in test_examples.py."""
    module, runner = importlib.import_module(name), doctest.DocTestRunner(verbose=False)
    public = {id(thing) for _, thing in NAMES}
    for test in doctest.DocTestFinder().find(module, name):
        owner = test.name.removeprefix(name).lstrip(".").partition(".")[0]
        if not owner or id(getattr(module, owner)) not in public:
            runner.run(test)
    assert runner.failures == 0
