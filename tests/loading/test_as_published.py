"""What published analyses need of loading: block means, one scaling for all runs, a closed list of stimuli."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from factories import write_study

from encoding.core import ConfigError, DataError, Samples, StimulusSet
from encoding.core.stimuli import number_name
from encoding.io.bids.index import PybidsIndex
from encoding.io.stimulus_lists import LISTS, list_path, read_list
from encoding.io.store import load, save
from encoding.loading import Loader, load_responses
from encoding.loading.runs import window_lengths
from encoding.numerics.intervals import mean_weights, overlaps

BLOCKS = {
    "per": "stimulus",
    "shift": 4.0,
    "window": "block",
    "confound_options": {"motion": "basic"},
    "high_pass": False,
    "standardize": False,
    "despike": 3.0,
    "scale_rows": "all",
}


def responses_of(study, **settings):
    return load_responses(Loader(**(BLOCKS | settings)), PybidsIndex(study.root), "01", study.root.parent / "work")


def renumber(study, name):
    """Rename the eight clips of every run in events.tsv."""
    for path in study.root.rglob("*_events.tsv"):
        table = pd.read_csv(path, sep="\t", na_values="n/a")
        table["stim_id"] = [name(str(v)) if isinstance(v, str) else None for v in table["stim_id"]]
        table.to_csv(path, sep="\t", index=False, na_rep="n/a")


def slow_chain(study):
    """Regress, despike, shift, average every block with its rest, z-score over all blocks: step after step."""
    rows = []
    for run in "123":
        table = pd.read_csv(study.find(f"*run-{run}_desc-confounds*.tsv"), sep="\t", na_values="n/a")
        motion = table[[f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]].to_numpy()
        raw = nib.load(study.find(f"*run-{run}*preproc_bold.nii.gz")).get_fdata().reshape(-1, 60).T[:, 20:]
        X = np.column_stack([np.ones(60), np.linspace(-1, 1, 60), motion])
        left = raw - X @ np.linalg.lstsq(X, raw, rcond=None)[0]
        limit = 3 * left.std(0, ddof=1)
        left = np.clip(left, -limit, limit)
        left -= left.mean(0)
        for block in range(8):  # blocks of 12 s with their rest, from 6 s; responses are 4 s later
            start, stop = 6 + 12 * block + 4, min(6 + 12 * block + 16, 120)
            weights = mean_weights(overlaps([start], [stop], 2.0 * np.arange(60), 2.0 * np.arange(60) + 2))
            rows.append(weights[0] @ left)
    rows = np.asarray(rows)
    return (rows - rows.mean(0)) / rows.std(0, ddof=1)


def test_the_chain_is_that_of_the_paper_step_by_step(tmp_path):
    study = write_study(tmp_path / "bids")
    responses = responses_of(study)
    np.testing.assert_allclose(responses.values, slow_chain(study), atol=2e-4)
    (note,) = responses.warnings
    assert "z-scored over the rows of all runs, held-out runs included" in note


def test_a_block_ends_where_the_next_begins():
    onset, duration = np.array([10.0, 22.0, 40.0]), np.array([8.0, 14.0, 9.0])
    shown = Samples(np.array(["a", "b", "c"]), onset, duration, np.full(3, "run-1"), "stimulus")
    assert window_lengths(shown, "block").tolist() == [12.0, 18.0, 13.0]
    assert window_lengths(shown, None).tolist() == [8.0, 14.0, 9.0]
    assert window_lengths(shown, 5.0).tolist() == [5.0] * 3
    assert window_lengths(shown[np.array([0])], "block").tolist() == [8.0]


def test_numbers_are_recognised_in_every_spelling_and_repeats_are_known(tmp_path):
    study = write_study(tmp_path / "bids")
    names = {"clip0": "0001", "clip1": "2186", "clip2": "17.0", "clip3": "859.mp4"}
    renumber(study, lambda clip: names.get(clip, clip[-1] + "0"))
    shown = responses_of(study, stimuli="cowen2017").samples.stimulus
    assert set(shown.tolist()) == {"2186", "17", "472", "40", "50", "60", "70"}
    assert np.sum(shown == "2186") == 6


def test_a_stimulus_that_is_not_listed_is_refused(tmp_path):
    study = write_study(tmp_path / "bids")
    with pytest.raises(DataError, match="8 stimuli are not in the list of 2196 stimuli: 'clip0', 'clip1'"):
        responses_of(study, stimuli="cowen2017")
    renumber(study, lambda clip: f"{2190 + int(clip[-1])}")
    with pytest.raises(DataError, match="1 stimuli are not in the list of 2196 stimuli: '2197'"):
        responses_of(study, stimuli="cowen2017")


def test_no_list_can_be_asked_for(tmp_path):
    study = write_study(tmp_path / "bids")
    assert "clip0" in responses_of(study, stimuli="none").samples.stimulus


@pytest.mark.parametrize("name", LISTS)
def test_shipped_lists_have_the_published_counts(name):
    stimuli = read_list(name)
    assert len(stimuli) == 2196
    assert len(np.unique(stimuli.canonical(stimuli.stimulus))) == {"cowen2017": 2181, "cowen2017-2180": 2180}[name]
    copies = stimuli.stimulus[stimuli.duplicate_of != ""].astype(int).tolist()
    released = [1, 4, 5, 6, 7, 8, 11, 859, 866, 1673, 2157, 2187, 2188, 2194, 2195]
    assert sorted(set(copies) - {1363}) == released
    assert (1363 in copies) == (name == "cowen2017-2180")


def test_the_list_counts_2185_files():
    table = pd.read_csv(list_path("cowen2017"), sep="\t")
    assert table["file"].nunique() == 2185
    assert (table["reason"] == "same file").sum() == 11
    assert (table["reason"] == "same video").sum() == 4
    same = table.set_index("stimulus")["file"]
    for row in table[table["reason"] == "same file"].itertuples():
        assert same[row.stimulus] == same[int(row.duplicate_of)]


def test_an_unknown_list_is_refused():
    with pytest.raises(DataError, match=r"no stimulus list 'cowen2018'.*cowen2017"):
        read_list("cowen2018")


def test_a_closed_list_is_saved_as_such(tmp_path):
    again = load(save(read_list("cowen2017"), tmp_path / "list"))
    assert isinstance(again, StimulusSet)
    assert again.closed
    assert again.canonical(np.array(["0011"])).tolist() == ["2196"]


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("17", "17"),
        ("0017", "17"),
        ("17.0", "17"),
        ("0017.mp4", "17"),
        ("clip17", "clip17"),
        ("0", "0"),
        ("1.5", "1.5"),
    ],
)
def test_numbers_have_one_spelling(name, spelled):
    assert number_name(name) == spelled


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": "blocks"}, "window = 'blocks': a number above 0 or 'block' is needed"),
        ({"scale_rows": "run"}, "scale_rows = 'run': true, false or 'all' is needed"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        Loader(per="stimulus", **settings)
