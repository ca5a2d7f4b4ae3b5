"""Settings that contradict themselves are refused before any file is touched."""

import re

import pytest

from encoding.core import ConfigError
from encoding.loading import Loader


def test_the_defaults_suit_fmriprep():
    loader = Loader()
    assert (loader.kind, loader.per, loader.confounds, loader.high_pass) == ("volume", "tr", ("motion",), 0.008)


def test_lists_become_tuples():
    loader = Loader(task=["a", "b"], confounds=["motion", "wm_csf"], res=2)
    assert loader.tasks == ("a", "b")
    assert loader.confounds == ("motion", "wm_csf")
    assert loader.res == "2"
    assert Loader(task="a").tasks == ("a",)


def test_the_cosines_of_the_file_become_a_strategy():
    assert Loader(high_pass="confounds").strategies == ("motion", "high_pass")
    assert Loader(high_pass="confounds", confounds=["high_pass", "compcor"]).strategies == ("high_pass", "compcor")


BAD = {
    "kind is 'volum'. Did you mean 'volume'": {"kind": "volum"},
    "per is 'run'": {"per": "run"},
    "missing_runs is 'skip'": {"missing_runs": "skip"},
    "estimated_within is 'fold'": {"estimated_within": "fold"},
    "detrend is 'yes', but must be true or false": {"detrend": "yes"},
    "confounds is 'motion', but a list": {"confounds": "motion"},
    "unknown confound strategy 'motoin'. Did you mean 'motion'": {"confounds": ["motoin"]},
    "unknown confound option 'fd'": {"confound_options": {"fd": 0.5}},
    "'wm_csf' does nothing without 'wm_csf' in confounds": {"confound_options": {"wm_csf": "basic"}},
    "confound_options.motion is 'all'": {"confound_options": {"motion": "all"}},
    "high_pass is True, but must be a cutoff": {"high_pass": True},
    "high_pass is 0, but must be a cutoff": {"high_pass": 0},
    "high_pass = 128 Hz would take out the responses": {"high_pass": 128},
    "would filter twice": {"confounds": ["motion", "high_pass"]},
    "compcor needs high_pass": {"confounds": ["compcor"]},
    "despike is -1": {"despike": -1},
    "window is 0": {"window": 0, "per": "stimulus"},
    "shift is 'four'": {"shift": "four"},
    "set `delays` of the models": {"shift": 6.0},
    "mask is 'm.nii', but for surface": {"kind": "surface", "mask": "m.nii"},
    "needs `file` and `events`": {"kind": "betas", "per": "stimulus"},
    'set per = "stimulus"': {"kind": "betas", "file": "b.nii", "events": "e.tsv"},
    "belong to kind": {"file": "b.nii"},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_settings_are_refused(message):
    with pytest.raises(ConfigError, match=r"\[load\].*" + re.escape(message)):
        Loader(**BAD[message])
