"""All feature spaces of a study, whatever they are made of and in whatever order they are listed."""

import numpy as np
import pytest

from encoding.config import parse_config
from encoding.core import ConfigError, FeatureSpace, Samples
from encoding.workflow.features import learn_spaces
from encoding.workflow.jobs import Places

REST = '\n[load]\ntask = "video"\n[[fit]]\nkind = "ridge"\nbands = "each"\n'
BOTH = '[[features]]\nname = "both"\nkind = "concat"\nspaces = ["b", "a"]\n'
TABLES = "".join(f'[[features]]\nname = "{name}"\nfile = "{name}.tsv"\n' for name in "ab")


def test_a_concat_may_be_listed_first(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.tsv").write_text(f"stim_id\t{name}1\n7\t1\n8\t2\n")
    study = parse_config(BOTH + TABLES + REST)
    spaces = learn_spaces(study, Places(tmp_path, tmp_path / "out", tmp_path / "work"))
    assert [space.name for space in spaces] == ["both", "a", "b"]
    assert spaces[0].features == ("b1", "a1")
    assert study.single == ("both", "a", "b")


def test_motion_energy_is_kept_with_what_is_learned(tmp_path, monkeypatch):
    made = FeatureSpace("motion", np.arange(4.0).reshape(2, 2), Samples.of_stimuli(np.array(["1", "2"])), ("m1", "m2"))
    asked = []
    monkeypatch.setattr("encoding.workflow.features.measure_motion", lambda *given, **_: asked.append(given) or made)
    text = '[[features]]\nname = "motion"\nkind = "motion_energy"\nvideos = "clips"\n'
    study = parse_config(text + REST)
    (space,) = learn_spaces(study, Places(tmp_path, tmp_path / "out", tmp_path / "work"))
    assert space is made
    assert asked == [(study.features[0], tmp_path, tmp_path / "out" / "embedding")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOTH.replace('"b"', '"c"') + TABLES + REST, r"'both': spaces names 'c'.*Known: a, b"),
        (BOTH.replace('"b"', '"both"') + TABLES + REST, r"'both': spaces names 'both', which is no feature space"),
        (TABLES + REST + '[map]\nthreshold = "fdr"\n', r'threshold = "fdr" needs significance = "noise"'),
        (
            (TABLES + REST).replace("[[fit]]", 'per = "stimulus"\nscale_rows = "all"\n[[fit]]'),
            r'scale_rows = all with \[align\] centre = true.*scale_rows = "all" goes with centre = false',
        ),
    ],
)
def test_what_does_not_go_together_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(text)
