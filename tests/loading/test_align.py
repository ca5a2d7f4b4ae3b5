"""Features arrive where the responses are, in time and in what was taken out of them."""

import dataclasses

import numpy as np
import pytest
from factories import T_R, write_study

from encoding.core import AlignmentError, ConfigError, DataError, FeatureSpace, Responses, Samples, Targets
from encoding.embedding import FeatureTable, embed
from encoding.io.bids.index import PybidsIndex
from encoding.loading import Loader, align, drop_constant, load_responses, stimuli_of_rows, unused_stimuli


def responses_by_hand(*, kept=None, n=6, runs=("1", "2"), drift=None, t_r=2.0):
    """Two runs of six volumes; "a" is on from 1 s to 5 s and "b" from 8 s to the end of each."""
    kept = np.arange(n) if kept is None else np.asarray(kept)
    rows = Samples(
        [""] * len(kept) * len(runs), np.tile(kept * t_r, len(runs)), [t_r] * len(kept) * len(runs),
        np.repeat(runs, len(kept)), "tr",
    )  # fmt: skip
    m = len(runs)
    shown = Samples(["a", "b"] * m, [1.0, 8.0] * m, [4.0, 4.0] * m, np.repeat(runs, 2), "stimulus")
    drift = np.zeros((len(rows), 0)) if drift is None else drift
    values = np.zeros((len(rows), 1))
    return Responses(values, rows, Targets.of_columns(["x"]), shown, drift, "01", "video", t_r)


def space_of(values=((1.0, 10.0), (2.0, 30.0)), names=("a", "b")):
    values = np.asarray(values)
    return FeatureSpace("emotion", values, Samples.of_stimuli(list(names)), [f"f{k}" for k in range(values.shape[1])])


def per_presentation(responses):
    shown = responses.presentations
    return dataclasses.replace(
        responses, values=np.zeros((len(shown), 1)), samples=shown, drift=np.zeros((len(shown), 0))
    )


def test_delays_shift_by_volumes_and_weigh_by_time():
    aligned = align(space_of(), responses_by_hand(), delays=[0, 1, 3])
    assert aligned.features == ("f0@0", "f1@0", "f0@1", "f1@1", "f0@3", "f1@3")
    assert aligned.samples.clock == "tr"
    # "a" fills half of volume 0, all of 1, half of 2; "b" fills 4 and 5.
    now = np.array([0.5, 1, 0.5, 0, 2, 2])
    for run in range(2):
        rows = slice(6 * run, 6 * run + 6)
        np.testing.assert_allclose(aligned.values[rows, 0], now)
        np.testing.assert_allclose(aligned.values[rows, 1], [5, 10, 5, 0, 30, 30])
        np.testing.assert_allclose(aligned.values[rows, 2], [0, *now[:-1]])
        np.testing.assert_allclose(aligned.values[rows, 4], [0, 0, 0, *now[:-3]])


def test_nothing_crosses_into_the_next_run():
    """Without the presentations of the second run, its rows are empty although "b" ends the first."""
    responses = responses_by_hand()
    first = responses.presentations.run == "1"
    responses = dataclasses.replace(responses, presentations=responses.presentations[first])
    aligned = align(space_of(), responses, delays=[1, 2, 3, 4, 5])
    assert not aligned.values[6:].any()
    assert aligned.values[:6].any()


def test_left_out_volumes_do_not_move_the_others():
    whole = align(space_of(), responses_by_hand(), delays=[0, 2])
    kept = [0, 1, 3, 5]
    part = align(space_of(), responses_by_hand(kept=kept), delays=[0, 2])
    np.testing.assert_allclose(part.values, whole.values[[*kept, *(6 + k for k in kept)]])


def test_what_was_taken_out_of_responses_is_taken_out_of_features(tmp_path):
    study = write_study(tmp_path / "bids")
    loader = Loader(confound_options={"motion": "basic"}, high_pass=0.02)
    responses = load_responses(loader, PybidsIndex(study.root), "01", tmp_path / "work")
    aligned = align(embed(FeatureTable("abc", "stimuli/feature-abc.tsv"), study.root), responses)
    for run in responses.samples.runs:
        rows = responses.samples.run == run
        np.testing.assert_allclose(responses.drift[rows].T @ aligned.values[rows], 0, atol=1e-4)
    plain = align(space_of_table(study), dataclasses.replace(responses, drift=np.zeros((180, 0))))
    basis = responses.drift[:60].astype(np.float64)
    expected = plain.values[:60] - basis @ np.linalg.lstsq(basis, plain.values[:60], rcond=None)[0]
    np.testing.assert_allclose(aligned.values[:60], expected, atol=1e-5)


def space_of_table(study):
    return embed(FeatureTable("abc", "stimuli/feature-abc.tsv"), study.root)


@pytest.mark.parametrize("per", ["tr", "stimulus"])
def test_planted_weights_are_found_again(tmp_path, per):
    study = write_study(tmp_path / "bids", noise=0.01, trend=0.0)
    settings = {"per": "stimulus", "shift": 4.0} if per == "stimulus" else {}
    loader = Loader(confounds=[], high_pass=False, detrend=False, standardize=False, scale_rows=False, **settings)
    responses = load_responses(loader, PybidsIndex(study.root), "01", tmp_path / "work")
    # A window of 4 to 12 s is what was shown two volumes before, on either clock.
    aligned = align(space_of_table(study), responses, delays=[2])
    weights = np.linalg.lstsq(aligned.values, responses.values, rcond=None)[0]
    np.testing.assert_allclose(weights, 10 * study.weights[:, 20:120], atol=0.1)


def test_presentations_get_their_row_centred_in_each_run():
    responses = per_presentation(responses_by_hand())
    raw = align(space_of(), responses, delays=None, centre=False)
    np.testing.assert_array_equal(raw.values, [[1, 10], [2, 30]] * 2)
    assert raw.features == ("f0", "f1")
    centred = align(space_of(), responses, delays=(1, 2))
    np.testing.assert_allclose(centred.values, [[-0.5, -10], [0.5, 10]] * 2)
    assert centred.provenance.key != raw.provenance.key


def test_shown_stimuli_need_features():
    for responses in (responses_by_hand(), per_presentation(responses_by_hand())):
        with pytest.raises(AlignmentError, match=r"'emotion': 1 stimuli shown to sub-01 have no features \('b'\)"):
            align(space_of(names=("a", "c")), responses)


def test_stimuli_without_presentations_are_listed():
    space = space_of(np.ones((3, 1)), ("a", "b", "never"))
    (exclusion,) = unused_stimuli(space, responses_by_hand())
    assert (exclusion.what, exclusion.n) == ("stimuli", 1)
    assert exclusion.reason == "feature space 'emotion': never shown to sub-01 (never)"
    assert unused_stimuli(space_of(), responses_by_hand()) == ()


def test_a_space_that_is_laid_out_must_fit():
    responses = responses_by_hand()
    aligned = align(space_of(), responses)
    assert align(aligned, responses) is aligned
    with pytest.raises(AlignmentError, match=r"is on Samples.*, but the responses are on"):
        align(aligned, responses_by_hand(kept=[0, 1, 2]))
    with pytest.raises(AlignmentError, match=r"clock 'tr'.*clock 'stimulus'"):
        align(aligned, per_presentation(responses))


@pytest.mark.parametrize("delays", [None, [], [-1], [1, 1], [1.5], [True]])
def test_delays_must_be_whole_and_different(delays):
    with pytest.raises(ConfigError, match="delays"):
        align(space_of(), responses_by_hand(), delays=delays)


def test_constant_features_are_dropped_and_said():
    responses = per_presentation(responses_by_hand())
    for centre in (True, False):
        aligned = align(space_of([[1, 0.1], [2, 0.1]]), responses, centre=centre)
        kept, (exclusion,) = drop_constant(aligned)
        assert kept.features == ("f0",)
        assert (exclusion.what, exclusion.n) == ("features", 1)
        assert exclusion.reason == "feature space 'emotion': constant over all samples (f1)"
    assert drop_constant(kept) == (kept, ())


def test_what_is_only_drift_is_constant():
    """A feature of a stimulus that is on in every volume is the run's mean, which is taken out."""
    n = 40
    basis = np.tile(np.full((n, 1), n**-0.5), (2, 1))
    responses = responses_by_hand(n=n, drift=basis)
    always = Samples(["a", "a", "b"], [-20.0, -20, 4], [200.0, 200, 4], ["1", "2", "1"], "stimulus")
    aligned = align(space_of([[0.1, 0.3], [0, 0.7]]), dataclasses.replace(responses, presentations=always), delays=[1])
    kept, (exclusion,) = drop_constant(aligned)
    assert kept.features == ("f1@1",)
    assert exclusion.n == 1


def test_a_space_of_constants_is_an_error():
    with pytest.raises(DataError, match="'emotion': all 1 columns are constant over the samples of sub-01"):
        align(space_of([[0.3], [0.3]]), per_presentation(responses_by_hand()))
    constant = FeatureSpace("x", np.ones((2, 1)), Samples.of_stimuli(["a", "b"]), ["f"])
    with pytest.raises(DataError, match="all 1 features are constant"):
        drop_constant(constant)


def test_rows_know_the_stimuli_that_enter_them():
    rows, stimulus = stimuli_of_rows(responses_by_hand(), [0, 2])
    pairs = set(zip(rows.tolist(), stimulus.tolist(), strict=True))
    first = {(0, "a"), (1, "a"), (2, "a"), (3, "a"), (4, "a"), (4, "b"), (5, "b")}
    assert pairs == first | {(row + 6, name) for row, name in first}
    assert (np.diff(rows) >= 0).all()
    rows, stimulus = stimuli_of_rows(per_presentation(responses_by_hand()))
    assert stimulus.tolist() == ["a", "b", "a", "b"]


def test_rows_know_exactly_the_stimuli_that_change_them():
    """Changing the features of a stimulus changes the rows that are listed for it, and no other."""
    responses = responses_by_hand(kept=[0, 2, 3, 4, 5])
    rows, stimulus = stimuli_of_rows(responses, [1, 3])
    before = align(space_of(), responses, delays=[1, 3]).values
    after = align(space_of([[1, 10], [5, 70]]), responses, delays=[1, 3]).values
    changed = np.flatnonzero((before != after).any(axis=1))
    assert changed.tolist() == rows[stimulus == "b"].tolist()


def test_the_key_knows_features_and_responses():
    responses = responses_by_hand()
    keys = {
        align(space_of(), responses).provenance.key,
        align(space_of([[1, 10], [2, 31]]), responses).provenance.key,
        align(space_of(), responses, delays=[1]).provenance.key,
        align(space_of(), responses_by_hand(kept=[0, 1, 2, 3, 4])).provenance.key,
    }
    assert len(keys) == 4
    assert responses.t_r == T_R


ORACLE = {"category": 105, "animacy": 100}


@pytest.mark.parametrize("name", ORACLE)
def test_haxby_is_predicted_as_well_as_by_a_plain_script(haxby, tmp_path, name):
    """A plain script found held-out r > .3 in 110 and 104 of the 530 voxels."""
    loader = Loader(confound_options={"motion": "basic"})
    responses = load_responses(loader, PybidsIndex(haxby), "01", tmp_path / "work")
    X = align(embed(FeatureTable(name, f"stimuli/feature-{name}.tsv"), haxby), responses).values
    Y, runs, r = responses.values, responses.samples.run, []
    for run in responses.samples.runs:
        test = runs == run
        mean, sd = X[~test].mean(0), X[~test].std(0)
        train, held_out = (X[~test] - mean) / sd, (X[test] - mean) / sd
        weights = np.linalg.solve(train.T @ train + 300 * np.eye(X.shape[1]), train.T @ Y[~test])
        predicted = held_out @ weights
        r.append([np.corrcoef(predicted[:, v], Y[test, v])[0, 1] for v in range(Y.shape[1])])
    assert np.sum(np.tanh(np.arctanh(r).mean(axis=0)) > 0.3) >= ORACLE[name]
