"""Folds named by the places of runs, and inner folds drawn at random."""

import numpy as np
import pytest

from encoding.core import ConfigError, SplitError
from encoding.fitting import Split, make_folds

SIX = tuple((f"{10 * k + 1}-{10 * k + 10 if k < 5 else 61}",) for k in range(6))


def runs_of(samples, rows):
    return list(dict.fromkeys(samples.run[rows].tolist()))


@pytest.fixture
def sixty_one(make_samples):
    samples = make_samples([3] * 61)
    return samples, (np.arange(len(samples)), samples.stimulus)


def test_places_are_those_of_runs_in_their_order(sixty_one):
    samples, shown = sixty_one
    folds = make_folds(Split(groups=SIX), samples, shown).folds
    assert [len(runs_of(samples, fold.test)) for fold in folds] == [10, 10, 10, 10, 10, 11]
    assert runs_of(samples, folds[1].test) == [f"run-{n}" for n in range(11, 21)]


def test_test_runs_can_be_places(sixty_one):
    samples, shown = sixty_one
    (fold,) = make_folds(Split(kind="fixed", test_runs=("1", "53-61")), samples, shown).folds
    assert runs_of(samples, fold.test) == ["run-01", *(f"run-{n}" for n in range(53, 62))]
    assert (len(fold.train), len(fold.test)) == (51 * 3, 10 * 3)


@pytest.mark.parametrize("place", ["60-62", "5-4"])
def test_places_that_are_not_there_are_refused(sixty_one, place):
    samples, shown = sixty_one
    with pytest.raises(SplitError, match=f"test_runs: '{place}' is not a valid range of run positions .1-61."):
        make_folds(Split(kind="fixed", test_runs=(place,)), samples, shown)


def test_random_inner_splits_hold_out_whole_runs(sixty_one):
    samples, shown = sixty_one
    split = Split(kind="fixed", test_runs=("52-61",), inner="random", n_inner=10, validation_share=0.2)
    (fold,) = make_folds(split, samples, shown).folds
    held = [runs_of(samples, fold.train[validation]) for _, validation in fold.inner]
    assert [len(runs) for runs in held] == [10] * 10
    assert len({tuple(runs) for runs in held}) == 10
    for fit, validation in fold.inner:
        assert not set(runs_of(samples, fold.train[fit])) & set(runs_of(samples, fold.train[validation]))
        assert len(fit) + len(validation) == len(fold.train)
    (again,) = make_folds(split, samples, shown).folds
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(fold.inner, again.inner, strict=True))


def test_membership_names_all_random_splits_of_a_row(make_samples):
    samples = make_samples([2] * 5)
    split = Split(kind="fixed", test_runs=("5",), inner="random", n_inner=6, validation_share=0.5)
    folds = make_folds(split, samples, (np.arange(10), samples.stimulus))
    column = folds.membership()["inner_of_outer_0"]
    for row, text in enumerate(column.tolist()):
        inside = [j for j, (_, held) in enumerate(folds.folds[0].inner) if row in folds.folds[0].train[held]]
        assert text == ("+".join(map(str, inside)) or "-1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner": "shuffle"}, "inner = 'shuffle': 'runs' or 'random' is needed"),
        ({"inner": "random", "n_inner": "leave_one_out"}, "needs a number for n_inner"),
        ({"inner": "random", "kind": "blocks", "n_outer": 3}, 'no kind = "blocks"'),
        ({"validation_share": 1.0}, "validation_share = 1.0: a number above 0 and below 1"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        Split(**settings)
