"""Unique and shared variance: identities, closed forms, and planted truth through the whole fit."""

from itertools import combinations

import numpy as np
import pytest

from encoding.comparison import evaluate
from encoding.comparison.evaluate import partition
from encoding.config import parse_config
from encoding.core import ConfigError, FeatureSpace, Responses, Samples, Targets
from encoding.fitting import BandedRidge, Ridge, Split, cross_predict_all, make_folds, models_of_subsets
from encoding.numerics import metrics

BANDS = ("a", "b", "c")


@pytest.fixture
def models(make_predictions):
    """A model of every subset of three bands, with arbitrary predictions; target 3 has no responses."""
    rng = np.random.default_rng(0)
    y = rng.standard_normal((40, 4))
    y[:, 3] = np.nan
    made = {}
    for size in (1, 2, 3):
        for bands in combinations(BANDS, size):
            parts = 0.2 * y + 0.2 * rng.standard_normal((size, 40, 4))
            made["".join(bands)] = make_predictions("".join(bands), y, parts, band_names=bands)
    return made


def r2(prediction):
    m = prediction.moments
    return metrics.r2(m.yy, m.pp, m.yp)


def test_parts_add_up_and_unique_parts_are_what_is_lost_without_a_band(models):
    parts = partition(models["abc"], list(models.values()))
    assert list(parts) == ["a", "b", "c", "a+b", "a+c", "b+c", "a+b+c"]
    whole = r2(models["abc"])
    assert np.allclose(np.sum(list(parts.values()), axis=0)[:3], whole[:3])
    assert np.allclose(parts["a"][:3], (whole - r2(models["bc"]))[:3])
    assert np.allclose(parts["c"][:3], (whole - r2(models["ab"]))[:3])
    # What a model of one band explains is everything in which that band takes part.
    for band in BANDS:
        with_it = np.sum([values for name, values in parts.items() if band in name], axis=0)
        assert np.allclose(with_it[:3], r2(models[band])[:3])
    assert all(np.isnan(values[3]) for values in parts.values())


def test_two_bands_are_the_textbook_case(models):
    parts = partition(models["ab"], list(models.values()))
    one, other, both = (r2(models[name]) for name in ("a", "b", "ab"))
    assert np.allclose(parts["a"][:3], (both - other)[:3])
    assert np.allclose(parts["b"][:3], (both - one)[:3])
    assert np.allclose(parts["a+b"][:3], (one + other - both)[:3])


def test_nothing_is_divided_without_all_subsets(models):
    some = [model for name, model in models.items() if name != "bc"]
    assert partition(models["abc"], some) == {}
    assert partition(models["a"], some) == {}
    scores = evaluate(some, "partition_r2")
    assert [str(row) for row in scores.rows] == [
        "ab/a", "ab/b", "ab/a+b", "ac/a", "ac/c", "ac/a+c",
    ]  # fmt: skip


def test_every_subset_gets_candidates_in_proportion():
    made = models_of_subsets(BandedRidge(("a", "b", "c", "d"), "joint", (1.0, 10.0), n_iter=100, subsets=True))
    assert [model.name for model in made[:5]] == ["a", "b", "c", "d", "a+b"]
    assert len(made) == 14
    assert all(isinstance(model, Ridge) for model in made[:4])
    assert {len(model.bands): model.n_iter for model in made[4:]} == {2: 50, 3: 75}
    assert not any(model.subsets for model in made[4:])
    assert {model.alphas for model in made} == {(1.0, 10.0)}
    with pytest.raises(ConfigError, match="with 6 bands, but at most 5 are possible"):
        BandedRidge(tuple("abcdef"), subsets=True)


def test_configuration_adds_the_models_that_are_missing():
    spaces = "".join(f'[[features]]\nname = "{name}"\nfile = "{name}.tsv"\n' for name in BANDS)
    fit = '[[fit]]\nkind = "banded_ridge"\nname = "joint"\nbands = ["a", "b", "c"]\nsubsets = true\nn_iter = 9\n'
    listed = '[[fit]]\nkind = "ridge"\nname = "first"\nbands = ["a"]\n'
    study = parse_config(f'{spaces}[load]\nkind = "surface"\n{listed}{fit}')
    assert [model.name for model in study.models] == ["first", "joint", "b", "c", "a+b", "a+c", "b+c"]
    assert study.auxiliary == ("a+b", "a+c", "b+c")
    assert study.single == ("first", "b", "c")
    assert parse_config(f'{spaces}[load]\nkind = "surface"\n{fit.replace("true", "false")}').auxiliary == ()


def test_planted_unique_and_shared_variance_are_found(tmp_path):
    """Target 0 follows what only a has, target 1 what a and b have in common, target 2 half of each, target 3 c."""
    rng = np.random.default_rng(1)
    n = 800
    own_a, common, own_b, c = (rng.standard_normal((n, 3)) for _ in range(4))
    signal = np.stack([own_a.sum(1), common.sum(1), own_a.sum(1) / 2**0.5 + common.sum(1) / 2**0.5, c.sum(1)], axis=1)
    values = signal / 3**0.5 + rng.standard_normal((n, 4))  # half of the variance can be explained
    run = np.repeat([f"run-{k}" for k in range(8)], n // 8)
    samples = Samples(np.arange(n).astype(str), np.arange(n) * 2.0, np.full(n, 2.0), run, "stimulus")
    spaces = [
        FeatureSpace(name, X.astype(np.float32), samples, [f"{name}{k}" for k in range(X.shape[1])])
        for name, X in (("a", np.hstack([own_a, common])), ("b", np.hstack([common, own_b])), ("c", c))
    ]
    targets = Targets.of_columns([f"t{k}" for k in range(4)])
    responses = Responses(values, samples, targets, samples, np.empty((n, 0)), "01", "video", 2.0)
    folds = make_folds(Split(n_outer=4, n_inner=3), samples, (np.arange(n), samples.stimulus))
    joint = BandedRidge(BANDS, "joint", alphas=(0.1, 1.0, 10.0, 100.0), n_iter=12, subsets=True)
    models = [joint, *models_of_subsets(joint)]
    fitted = cross_predict_all(models, spaces, responses, folds, [tmp_path / model.name for model in models])
    scores = evaluate(fitted, "partition_r2")
    found = np.array([scores.row("joint", name) for name in ("a", "b", "c", "a+b", "a+c", "b+c", "a+b+c")])
    wanted = np.zeros((7, 4))
    wanted[0] = 0.5, 0, 0.25, 0
    wanted[2, 3] = 0.5
    wanted[3] = 0, 0.5, 0.25, 0
    np.testing.assert_allclose(found, wanted, atol=0.06)
