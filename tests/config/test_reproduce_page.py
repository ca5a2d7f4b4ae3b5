"""The page on the emotion-video study says what the recipes do."""

import re
import tomllib
from pathlib import Path

import pytest

from encoding.collection.stimuli import Stimuli
from encoding.config import build, parse_config

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reproduce.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```text\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", [block for block in BLOCKS if block.startswith("recipe")])
def test_configurations_are_good(text):
    study = parse_config(text)
    assert study.recipe.name == "horikawa2020"
    assert study.models


def test_the_configuration_of_captions_is_good():
    (text,) = [block for block in BLOCKS if block.startswith("[stimuli]")]
    stimuli = build(Stimuli, tomllib.loads(text)["stimuli"], "[stimuli]")
    assert (stimuli.table, stimuli.captions_each) == ("cowen2017", 20)


def test_numbers_of_the_page_are_those_of_the_recipes():
    for name, test in (("horikawa2020", "runs 1-10"), ("du2023", "the last 10 runs")):
        study = parse_config(f'recipe = "{name}"\n[load]\ntask = "video"\n')
        assert test in PAGE
        assert f"{len(study.models[0].alphas)} from" in PAGE
    assert re.search(r"with 34 features . = 100 is . = 2\.94", PAGE)
    assert round(100 / 34, 2) == 2.94
