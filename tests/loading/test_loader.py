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
    "kind = 'volum': 'volume', 'surface', 'cifti', 'betas' or 'bdata' is needed (did you mean 'volume'?)": {
        "kind": "volum"
    },
    "per = 'run': 'tr' or 'stimulus'": {"per": "run"},
    "missing_runs = 'skip': 'error' or 'exclude'": {"missing_runs": "skip"},
    "estimated_within = 'fold': ": {"estimated_within": "fold"},
    "detrend = 'yes': true or false is needed": {"detrend": "yes"},
    "confounds = 'motion': a list": {"confounds": "motion"},
    "is needed (did you mean 'motion'?)": {"confounds": ["motoin"]},
    "confound_options: unknown key 'fd'. Known: motion, wm_csf": {"confound_options": {"fd": 0.5}},
    "'wm_csf' does nothing without 'wm_csf' in confounds": {"confound_options": {"wm_csf": "basic"}},
    "confound_options.motion = 'all': 'basic', 'power2'": {"confound_options": {"motion": "all"}},
    "high_pass = true: a number above 0, false or 'confounds' is needed": {"high_pass": True},
    "high_pass = 0: a number above 0": {"high_pass": 0},
    "high_pass = 128 Hz would remove the responses": {"high_pass": 128},
    "would filter twice": {"confounds": ["motion", "high_pass"]},
    "compcor needs high_pass": {"confounds": ["compcor"]},
    "despike = -1: a number above 0": {"despike": -1},
    "window = 0: a number above 0 or 'block' is needed": {"window": 0, "per": "stimulus"},
    "shift = 'four': a number from -3,600 to 3,600 is needed": {"shift": "four"},
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
