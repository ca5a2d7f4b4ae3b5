"""Settings of several tables that contradict each other are refused, with what to do instead."""

import pytest

from encoding.config.settings import parse_config
from encoding.core import ConfigError

STUDY = """
[[features]]
name = "a"
file = "a.tsv"
[load]
kind = "volume"
{load}
[split]
kind = {split}
[[fit]]
kind = "ridge"
bands = "each"
alphas = [1.0, 2.0]
[compare]
{compare}
"""
BLOCKS, RUNS, FIXED = (
    '"blocks"\nn_outer = 3\nn_inner = 2',
    '"runs"\nrepeats = "drop_later"',
    '"fixed"\ntest_runs = ["1"]',
)
NOISE = 'significance = "noise"'


def parse(load="", split=RUNS, compare=""):
    return parse_config(STUDY.format(load=load, split=split, compare=compare))


@pytest.mark.parametrize(
    ("load", "named"),
    [
        ("", "high_pass = 0.008, detrend = true"),
        ("high_pass = false", r"\[load\] detrend = true"),
        ('high_pass = "confounds"\ndetrend = false', "high_pass = 'confounds'"),
    ],
)
def test_filters_over_whole_runs_are_refused_where_folds_divide_runs(load, named):
    with pytest.raises(ConfigError, match=f"{named} fits slow signals to whole runs.*or hold out whole runs"):
        parse(load, BLOCKS)
    parse(load)


def test_blocks_without_filters_are_fine():
    study = parse("high_pass = false\ndetrend = false", BLOCKS)
    assert (study.load.high_pass, study.load.detrend, study.split.kind) == (False, False, "blocks")


def test_noise_needs_one_fixed_test_set_of_presentations():
    assert parse('per = "stimulus"', FIXED, NOISE).compare.significance == "noise"
    with pytest.raises(ConfigError, match=r'kind = "runs" tests every sample .* set significance = "none"'):
        parse('per = "stimulus"', RUNS, NOISE)
    with pytest.raises(ConfigError, match=r'per = "tr" in .* tests volumes, which are autocorrelated'):
        parse("", FIXED, NOISE)
