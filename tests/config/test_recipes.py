"""Recipes expand into explicit settings that can be overridden, and read back as what was printed."""

import tomllib

import numpy as np
import pytest

from encoding.cli import main
from encoding.config import parse_config
from encoding.config.recipes import RECIPES, expand
from encoding.config.recipes.expanding import write_toml
from encoding.core import ConfigError

SHORTEST = 'recipe = "{}"\n[load]\ntask = "video"\nspace = "T1w"\n'


@pytest.mark.parametrize("name", RECIPES)
def test_one_word_is_a_whole_configuration(name):
    study = parse_config(SHORTEST.format(name))
    assert study.recipe.name == name
    assert study.load.task == "video"
    assert len(study.recipe.open) >= 5
    assert study.resolved()["recipe"]["open"] == study.recipe.open


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_printed_reads_back_as_the_same_study(name):
    study = parse_config(SHORTEST.format(name))
    again = parse_config(study.expanded)
    assert again.resolved() | {"recipe": None} == study.resolved() | {"recipe": None}
    assert again.recipe is None


def test_horikawa_is_as_published():
    study = parse_config(SHORTEST.format("horikawa2020"))
    load, split = study.load, study.split
    assert (load.shift, load.window, load.despike, load.scale_rows) == (4.0, "block", 3.0, "all")
    assert (load.stimuli, load.high_pass, load.standardize) == ("cowen2017", False, False)
    assert [group[0] for group in split.groups] == ["1-10", "11-20", "21-30", "31-40", "41-50", "51-61"]
    assert (split.n_inner, split.repeats) == (5, "drop_later")
    assert study.single == ("category", "dimension", "semantic", "vision")
    for model in study.models:
        np.testing.assert_allclose(model.alphas, np.logspace(1, 4, 20), rtol=1e-5)
        assert (model.alpha_unit, model.alpha_per_target) == ("zscored", False)
    assert (study.compare.metric, study.maps.threshold) == ("pooled_r", 0.111)


def test_du2023_is_as_published():
    study = parse_config(SHORTEST.format("du2023"))
    (model,) = study.models
    assert model.bands == ("emotion", "semantic", "motion_energy")
    assert len(model.alphas) == 20
    assert (study.split.kind, study.split.test_runs) == ("fixed", ("52-61",))
    assert (study.split.inner, study.split.n_inner) == ("random", 10)
    assert (study.compare.significance, study.compare.level, study.maps.threshold) == ("noise", 0.01, "fdr")


def test_du2025_compares_five_spaces_over_subjects():
    study = parse_config(SHORTEST.format("du2025"))
    assert study.single == ("llm", "mllm", "category", "dimension", "concat")
    assert len(study.pairs) == 10
    assert study.compare.group_test == "paired_t"
    assert any("0.0625" in point for point in study.recipe.open)


def test_settings_of_the_file_go_first():
    text = SHORTEST.format("horikawa2020") + 'shift = 5.0\nstimuli = "none"\n[split]\ngroups = []\nn_outer = 3\n'
    text += '[[features]]\nname = "mine"\nfile = "x.tsv"\n'
    study = parse_config(text)
    assert (study.load.shift, study.load.stimuli, study.load.window) == (5.0, "none", "block")
    assert (study.split.groups, study.split.n_outer, study.split.n_inner) == ((), 3, 5)
    assert [feature.name for feature in study.features] == ["mine"]
    assert study.single == ("mine",)


def test_lines_of_the_recipe_are_marked():
    study = parse_config(SHORTEST.format("horikawa2020") + "shift = 5.0\n")
    lines = study.expanded.splitlines()
    assert "shift = 5.0" in lines
    assert 'window = "block"  # horikawa2020' in lines
    assert 'name = "category"  # horikawa2020' in lines
    assert "]  # horikawa2020" in lines
    assert 'task = "video"' in lines


def test_without_a_recipe_nothing_is_added():
    content = {"seed": 1, "load": {"task": "video"}}
    expanded = expand(content)
    assert (expanded.content, expanded.recipe) == (content, None)


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ConfigError, match=r"recipe = 'horikawa2021'\. Did you mean 'horikawa2020'"):
        parse_config(SHORTEST.format("horikawa2021"))


def test_check_prints_all_settings_and_what_is_open(tmp_path, capsys):
    path = tmp_path / "run.toml"
    path.write_text(SHORTEST.format("du2023"))
    assert main(["check", str(path)]) == 0
    told = capsys.readouterr().out
    assert "recipe          du2023: Encoding analysis of Du, Fu, Wen & He (2023)" in told
    assert "  - Which 10 of the 61 runs were tested is not known: the last ten are taken." in told
    assert 'inner = "random"  # du2023' in told
    study = parse_config(SHORTEST.format("du2023"))
    assert study.expanded in told


AWKWARD = {
    "text": 'quotes " and \\ and \n and ä and #',
    "numbers": [1, -2.5, 1e-07, 1e16, True],
    "empty": [],
    "nested": [["a"], ["b", "c"]],
    "long": [float(n) / 7 for n in range(40)],
    "table": {"odd key!": 1, "inline": {"motion": "basic", "empty": {}}},
    "tables": [{"name": "a"}, {"name": "b", "list": ["x"]}],
}


def test_toml_reads_back_as_it_was():
    assert tomllib.loads(write_toml(AWKWARD)) == AWKWARD
    marked = write_toml(AWKWARD, marked=[("long",), ("table", "inline"), ("tables",)], mark="recipe")
    assert tomllib.loads(marked) == AWKWARD
    assert marked.count("# recipe") == 1 + 1 + 3
