"""The JSON schema accepts what the program accepts and refuses misspelt keys and wrong types; the page is current."""

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from encoding.cli import main
from encoding.config.recipes import RECIPES, expand
from encoding.config.schema import examples, examples_of, json_schema, settings_page, tables
from encoding.config.tables import TABLES, General
from encoding.core.settings import SETTINGS, annotations_of, needed
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


KINDS = [(table, kind) for table in tables() for kind in table.kinds if kind.cls in SETTINGS]


def named(pair):
    return " ".join((pair[0].name, *pair[1].names))


@pytest.mark.parametrize("pair", KINDS, ids=named)
def test_every_key_has_an_example_that_the_program_accepts(pair):
    table, kind = pair
    given = examples_of(table, kind)
    assert all(kind.cls(**one) for one in given)
    missing = set(annotations_of(kind.cls)) - {key for one in given for key in one}
    assert missing == set(), f"add an example to encoding/config/examples.toml, under [[{table.name}]]"


@pytest.mark.parametrize("pair", KINDS, ids=named)
def test_examples_show_another_value_than_the_default(pair):
    table, kind = pair
    made = [kind.cls(**one) for one in examples_of(table, kind)]
    for field in dataclasses.fields(kind.cls):
        if field.name != "kind" and field.default is not dataclasses.MISSING:
            assert any(getattr(one, field.name) != field.default for one in made), field.name


def test_examples_name_no_other_table_and_pass_the_schema():
    alone = {key: value for key, value in examples().items() if not isinstance(value, list)}
    assert General(**alone)
    assert set(annotations_of(General)) == set(alone)
    assert set(examples()) == set(TABLES)
    for table in tables():
        for one in examples()[table.name]:
            assert not [error.message for error in SCHEMA.iter_errors({table.name: [one] if table.several else one})]


# Numbers that are not counts and have no unit: shares, probabilities, ratios, terms of a penalty.
DIMENSIONLESS = {
    *("test", "validation", "least_mass", "temperature", "slot_bias", "test_share", "lambdas", "ridges", "spike"),
    *("slab", "share", "tol", "threshold", "validation_share", "keep_variance", "level", "p_level", "scale"),
    "learning_shares",
}


@pytest.mark.parametrize("pair", KINDS, ids=named)
def test_quantities_have_a_unit(pair):
    keys = json_schema()["properties"]  # descriptions for editors end with the unit
    table, kind = pair
    form = keys[table.name].get("items", keys[table.name])
    for one in form.get("anyOf", [form]):
        if kind.names and one["properties"]["kind"]["enum"] != list(kind.names):
            continue
        for key, annotation in annotations_of(kind.cls).items():
            if "number" in needed(annotation) and "Unit: " not in one["properties"][key]["description"]:
                assert key in DIMENSIONLESS, f"{key}: name a unit, Annotated[..., Unit(...)]"


def test_no_section_of_a_docstring_is_on_the_page():
    for text in (settings_page(), json.dumps(json_schema())):
        assert ">>>" not in text
        assert "----------" not in text.replace("|---|", "")


def test_the_page_of_settings_is_current():
    message = "run `encoding schema --format markdown > docs/settings.md`"
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page() + "\n", message


def test_the_command_prints_both(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
    assert main(["schema", "--format", "markdown"]) == 0
    assert "| a number from -3,600 to 3,600 | s | `4.0` | `5.0` |" in capsys.readouterr().out
