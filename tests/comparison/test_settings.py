"""What is compared with what."""

import pytest

from encoding.comparison import Comparison
from encoding.core import ConfigError


def test_all_pairs_of_single_spaces_unless_given():
    single, models = ["a", "b", "c"], ["a", "b", "c", "a+b"]
    assert Comparison().resolve(single, models) == (("a", "b"), ("a", "c"), ("b", "c"))
    assert Comparison(pairs=(("a+b", "c"),)).resolve(single, models) == (("a+b", "c"),)
    assert Comparison().resolve(["a"], ["a"]) == ()


def test_settings_that_cannot_be_meant():
    with pytest.raises(ConfigError, match=r"metric = 'r3': 'r', 'pooled_r' or 'r2' is needed"):
        Comparison(metric="r3")
    with pytest.raises(ConfigError, match=r"pairs = \[\['a', 'a'\]\]: a list of lists of two different models"):
        Comparison(pairs=(("a", "a"),))
    with pytest.raises(ConfigError, match=r"pairs = \[\['a'\]\]: a list of lists of two different models"):
        Comparison(pairs=(("a",),))
    with pytest.raises(ConfigError, match=r"no model 'motoin' in \[\[fit\]\]. Did you mean 'motion'\?"):
        Comparison(pairs=(("motoin", "sound"),)).resolve(["motion", "sound"], ["motion", "sound"])
