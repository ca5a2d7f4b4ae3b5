"""Ceilings over participants and showings: what is planted in common comes back, what is not gives none."""

from dataclasses import replace

import numpy as np
import pytest
from test_inference import N_TARGETS, answers, at, regions, shown

from encoding.comparison import Inference, Rsa, infer_similarity
from encoding.comparison.shared_signal import (
    group_signal,
    kept_pairs,
    name_numbers,
    save_region_means,
    similarity_ceilings,
    within_reliability,
)
from encoding.core import FeatureSpace, Samples

NONE = Inference(0)


def group_of_rsa(tmp_path, comparison="pearson", n=3):
    """Participants who saw the same stimuli in other orders; the first eight targets follow "a"."""
    rng = np.random.default_rng(30)
    settings = Rsa("patterns", min_targets=5, comparison=comparison)
    folders, truth = [], rng.standard_normal((96, 6))
    weights = rng.standard_normal((6, 8)) / 2
    for number in range(n):
        order = rng.permutation(96)
        samples = shown(8, 12, stimuli=order)
        Y = rng.standard_normal((96, N_TARGETS))
        Y[:, :8] += truth[order] @ weights
        responses = replace_values(answers(rng, samples, truth[order]), Y, f"{number}")
        space = FeatureSpace("a", truth, Samples.of_stimuli([f"s{k:04d}" for k in range(96)]), tuple("abcdef"))
        folders.append(tmp_path / f"{comparison}-{number}")
        found = infer_similarity(settings, [space], responses, regions(), folders[-1], inference=NONE)
    return folders, found


def replace_values(responses, Y, subject):
    return replace(responses, values=Y.astype(np.float32), subject=subject)


@pytest.mark.parametrize("comparison", ["pearson", "spearman"])
def test_bounds_hold_what_participants_share_and_nothing_else(tmp_path, comparison):
    folders, found = group_of_rsa(tmp_path, comparison)
    table = similarity_ceilings(folders, found.places, "patterns", comparison)
    shared, noise = at(table, "A"), at(table, "B")
    assert 0.2 < shared["lower"] < shared["upper"] < 1
    assert abs(noise["lower"]) < 0.05
    assert noise["upper"] > 0.5  # of three: the mean contains the participant
    # Only pairs that no participant saw in one run are common to all.
    assert 0.5 * 96 * 95 / 2 < shared["n_pairs"] < 96 * 95 / 2
    assert np.isnan(shared["within"])  # every stimulus was shown once


def test_one_participant_has_no_bounds(tmp_path):
    folders, found = group_of_rsa(tmp_path, n=1)
    table = similarity_ceilings(folders, found.places, "patterns", "pearson")
    assert table[["lower", "upper"]].isna().all(axis=None)
    assert table["note"].str.startswith("1 participant(s)").all()


def test_the_same_pairs_are_kept_whatever_their_order():
    names = np.array([f"clip-{k}" for k in range(700)])
    assert len(set(name_numbers(names).tolist())) == 700
    left, right = np.tril_indices(700, -1)
    first = kept_pairs(names, left, right, 1)
    order = np.random.default_rng(0).permutation(700)
    other = kept_pairs(names[order], left, right, 1)
    pairs = [
        {frozenset(pair) for pair in zip(of[left[kept]], of[right[kept]], strict=True)}
        for of, kept in ((names, first), (names[order], other))
    ]
    assert pairs[0] == pairs[1]
    assert len(pairs[0]) == 100_000


def test_reliability_of_similarities_is_that_of_the_planted_ones():
    """Halves of independent noise: the root of the stepped-up correlation approaches that with the truth."""
    rng = np.random.default_rng(31)
    truth, weights = rng.standard_normal((40, 6)), rng.standard_normal((6, N_TARGETS))
    order = np.concatenate([rng.permutation(40) for _ in range(6)])
    samples = shown(6, 40, stimuli=order)
    signal = truth @ weights
    Y = signal[order] + 4 * rng.standard_normal((240, N_TARGETS))
    responses = replace_values(answers(rng, samples, truth[order]), Y, "01")
    settings = Rsa("patterns", repeats="average", same_run=True, min_targets=5)
    columns = [np.arange(N_TARGETS), np.arange(3)]
    found = within_reliability(settings, responses, columns)
    mean = np.stack([Y[order == k].mean(0) for k in range(40)])
    low = np.tril_indices(40, -1)
    with_truth = np.corrcoef(np.corrcoef(mean)[low], np.corrcoef(signal)[low])[0, 1]
    assert found[0] == pytest.approx(with_truth, abs=0.1)
    assert np.isnan(found[1])  # fewer targets than the analysis asks for
    once = replace_values(answers(rng, shown(6, 40), np.zeros((240, 2))), rng.standard_normal((240, N_TARGETS)), "01")
    assert np.isnan(within_reliability(settings, once, columns)).all()


def test_shared_signal_of_region_means(tmp_path):
    rng = np.random.default_rng(32)
    common = rng.standard_normal(80)
    folders = []
    for number in range(4):
        order = rng.permutation(80)
        samples = shown(8, 10, stimuli=order)
        Y = rng.standard_normal((80, N_TARGETS))
        Y[:, :8] += common[order, None]
        folders.append(tmp_path / f"sub-{number}")
        folders[-1].mkdir()
        save_region_means(folders[-1], replace_values(answers(rng, samples, Y), Y, f"{number}"), regions())
    table = group_signal(folders)
    # The mean of eight targets has noise of variance 1/8, that of three others a third of it.
    expected = 1 / np.sqrt((1 + 1 / 8) * (1 + 1 / 24))
    assert at(table, "A")["r"] == pytest.approx(expected, abs=0.03)
    assert abs(at(table, "B")["r"]) < 0.15
    assert (table["n_samples"] == 80).all()
    assert not len(group_signal(folders[:1]))


def test_volumes_are_matched_only_where_the_same_was_shown(tmp_path):
    rng = np.random.default_rng(33)
    for number, stimuli in enumerate((np.arange(40), np.arange(40)[::-1])):
        presentations, samples = shown(4, 10, stimuli=stimuli), shown(4, 30, clock="tr")
        responses = answers(rng, samples, rng.standard_normal((120, 2)), presentations=presentations)
        (tmp_path / f"{number}").mkdir()
        save_region_means(tmp_path / f"{number}", responses, regions())
    assert not len(group_signal([tmp_path / "0", tmp_path / "1"]))
    assert len(group_signal([tmp_path / "0", tmp_path / "0"]))
