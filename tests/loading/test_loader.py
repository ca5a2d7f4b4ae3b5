"""Settings that contradict themselves are refused before any file is touched."""

import dataclasses
import pickle
import re

import pytest

from encoding.core import ConfigError, digest
from encoding.loading import LOADERS, Loader, Scans

REQUIRED = {
    "array": {"file": "run-{run}.npy", "t_r": 2.0},
    "betas": {"file": "b.nii", "events": "e.tsv", "per": "stimulus"},
    "bdata": {"file": "s{number}.h5", "per": "stimulus"},
}


def test_the_defaults_suit_fmriprep():
    loader = Loader()
    assert (loader.kind, loader.per, loader.confounds, loader.high_pass) == ("volume", "tr", ("motion",), 0.008)


def test_the_kind_chooses_the_class():
    assert {name: type(Loader(**REQUIRED.get(name, {}), kind=name)) for name in LOADERS} == LOADERS
    assert type(Loader()) is Scans
    assert dataclasses.replace(Loader(kind="surface"), space="fsaverage5") == Scans("surface", space="fsaverage5")
    assert pickle.loads(pickle.dumps(Loader(kind="cifti"))) == Scans("cifti")


def test_keys_of_results_hold_the_settings_of_all_kinds():
    settings = [Loader(**REQUIRED.get(name, {}), kind=name).resolved() for name in LOADERS]
    assert {len(found) for found in settings} == {25, 26}  # arrays need a repetition time
    # As version 0.1 wrote it, so that its results are found again.
    assert digest(Loader().resolved()) == "19b9b8278c090328"
    betas = Loader(kind="betas", file="b.nii", events="e.tsv", per="stimulus", estimated_within="run")
    assert digest(betas.resolved()) == "794e349699403fdb"


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
    "kind = 'volum': 'volume', 'surface', 'cifti', 'array', 'betas' or 'bdata' is needed (did you mean 'volume'?)": {
        "kind": "volum"
    },
    "per = 'run': 'tr' or 'stimulus'": {"per": "run"},
    "missing_runs = 'skip': 'error' or 'exclude'": {"missing_runs": "skip"},
    "estimated_within = 'fold': ": {"kind": "betas", "estimated_within": "fold"},
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
    "labels does not belong to kind = 'volume', but to 'bdata'": {"labels": "{label}"},
    "shift does not belong to kind = 'betas', but to 'volume', 'surface', 'cifti', 'array'": {
        "kind": "betas",
        "shift": 6.0,
    },
    "events does not belong to kind = 'bdata', but to 'volume', 'surface', 'cifti', 'array', 'betas'": {
        "kind": "bdata",
        "events": "e.tsv",
    },
    "unknown key 'fil'. Did you mean 'file'": {"kind": "betas", "fil": "b.nii"},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_settings_are_refused(message):
    with pytest.raises(ConfigError, match=r"\[load\].*" + re.escape(message)):
        Loader(**BAD[message])
