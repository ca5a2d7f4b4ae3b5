"""The JSON schema accepts what the program accepts and refuses misspelt keys and wrong types; the page is current."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from encoding.cli import main
from encoding.config.recipes import RECIPES, expand
from encoding.config.schema import json_schema, settings_page, tables
from encoding.config.tables import TABLES
from encoding.simulate.configs import bdata_config, collect_config, run_config

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Draft7Validator(json_schema())
BLOCKS = [
    block
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for block in re.findall(r"^```toml\n(.*?)^```$", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
]
GOOD = {
    **{path.name: path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("examples/*.toml"))},
    **{f"document {number}": text for number, text in enumerate(BLOCKS)},
    **{recipe: expand({"recipe": recipe}).text for recipe in RECIPES},
    "collect": collect_config("clips", 30),
    "surface": run_config("surface", n_runs=4, judged=True),
    "volume": run_config("volume", n_runs=4, resolution="2"),
    "bdata": bdata_config("s{number}.h5", n_runs=4, resolution="2", numbered=True),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_shipped_and_documented_fits_the_schema(name):
    found = [f"{error.json_path}: {error.message}" for error in SCHEMA.iter_errors(tomllib.loads(GOOD[name]))]
    assert found == []


START = '[[features]]\nname = "a"\nfile = "a.tsv"\n[load]\n'
WRONG = [
    ("sead = 1\n", "'sead' was unexpected"),
    ("[aling]\n", "'aling' was unexpected"),
    ('[map]\natlases = "Schaefer2018-200"\n', "is not of type 'array'"),
    ("[map]\natlases = [true]\n", "True is not of type 'string'"),
    ("[map]\ndpi = 100.5\n", "is not of type 'integer'"),
    ("[split]\ngroups = 5\n", "is not of type 'array'"),
    ("[align]\ndelays = [100000000000000000000]\n", "greater than the maximum"),
    ("[align]\ncentre = 1\n", "is not of type 'boolean'"),
    ("[load]\nspace = 5\n", "is not valid under any"),
    ('[load]\nkind = "betas"\nhigh_pass = 0.01\n', "is not valid under any"),
    ('[[fit]]\nbands = "each"\n', "is not valid under any"),
    ('[[fit]]\nkind = "ridge"\nbands = "all"\n', "is not valid under any"),
    ('[compare]\nmetric = "R2"\n', "'R2' is not one of"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_does_not(text, message):
    found = [error.message for error in SCHEMA.iter_errors(tomllib.loads(text))]
    assert len(found) == 1
    assert message in found[0]


def test_every_table_is_described():
    assert {table.name for table in tables()} | {"recipe", "seed"} == set(TABLES)
    assert set(json_schema()["properties"]) == set(TABLES)
    Draft7Validator.check_schema(json_schema())


def test_every_key_has_a_description():
    def keys(node):
        if isinstance(node, dict):
            for name, inner in node.get("properties", {}).items():
                yield name, inner
            for inner in node.values():
                yield from keys(inner)
        elif isinstance(node, list):
            for inner in node:
                yield from keys(inner)

    forms = [form for table in json_schema()["properties"].values() for form in [table, *table.get("anyOf", [])]]
    for form in forms:
        for name, inner in form.get("properties", {}).items():
            assert inner["description"].strip(), name
    assert len(list(keys(json_schema()))) > 150


def test_the_page_of_settings_is_current():
    message = "run `encoding schema --format markdown > docs/settings.md`"
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page() + "\n", message


def test_the_command_prints_both(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
    assert main(["schema", "--format", "markdown"]) == 0
    assert "| `shift` | a number from -3,600 to 3,600 | s | `4.0` |" in capsys.readouterr().out
