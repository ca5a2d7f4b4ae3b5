"""Settings of models and the candidates that they search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoding.core import ConfigError
from encoding.fitting import MODELS, BandedRidge, Ridge, one_model_each


def test_names_follow_the_bands():
    assert Ridge(("motion",)).name == "motion"
    assert Ridge(("motion", "sound")).name == "motion+sound"
    assert BandedRidge(("motion", "sound"), "joint").name == "joint"


def test_ridge_has_one_candidate():
    np.testing.assert_array_equal(Ridge(("a", "b")).candidates(np.random.default_rng(0)), [[1.0]])


@settings(max_examples=40, deadline=None)
@given(n_bands=st.integers(2, 12), extra=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_candidates_lie_on_the_simplex(n_bands, extra, seed):
    model = BandedRidge([f"band{k}" for k in range(n_bands)], n_iter=n_bands + 1 + extra)
    gammas = model.candidates(np.random.default_rng(seed))
    assert gammas.shape == (n_bands + 1 + extra, n_bands)
    assert (gammas >= 0).all()
    np.testing.assert_allclose(gammas.sum(1), 1, atol=1e-12)
    # The equal mixture and each band alone come first.
    np.testing.assert_array_equal(gammas[0], np.full(n_bands, 1 / n_bands))
    np.testing.assert_array_equal(gammas[1 : n_bands + 1], np.eye(n_bands))


def test_candidates_are_drawn_from_both_dirichlet_distributions():
    gammas = BandedRidge(("a", "b", "c", "d"), n_iter=4005).candidates(np.random.default_rng(0))[5:]
    # For Dirichlet(c, c, c, c): var = (1/4)(3/4) / (4c + 1); 2,000 draws put the estimate within 10%.
    for draws, concentration in ((gammas[::2], 0.1), (gammas[1::2], 1.0)):
        np.testing.assert_allclose(draws.mean(0), 0.25, atol=0.04)
        np.testing.assert_allclose(draws.var(0), 0.1875 / (4 * concentration + 1), rtol=0.1)


def test_candidates_follow_the_seed():
    model = BandedRidge(("a", "b"))
    first, again, other = (model.candidates(np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_one_model_each():
    models = one_model_each(["motion", "sound"], alphas=(1.0, 2.0))
    assert models == (Ridge(("motion",), alphas=(1.0, 2.0)), Ridge(("sound",), alphas=(1.0, 2.0)))


@pytest.mark.parametrize("kind", sorted(MODELS))
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bands": ()}, r"bands = \[\]: a list of feature spaces, each once, is needed"),
        ({"bands": ("a", "a")}, r"bands = \['a', 'a'\]: a list of feature spaces, each once, is needed"),
        ({"bands": "motion"}, r"bands = 'motion': a list of feature spaces"),
        ({"bands": ("a", "b"), "alphas": ()}, r"alphas = \[\]: a list of numbers above 0 is needed"),
        ({"bands": ("a", "b"), "alphas": (1.0, 0.0)}, r"alphas = \[1.0, 0.0\]"),
        ({"bands": ("a", "b"), "alphas": (1.0, float("nan"))}, r"alphas = \[1.0, nan\]"),
        ({"bands": ("a", "b"), "alphas": (float("inf"),)}, r"alphas = \[inf\]"),
    ],
)
def test_settings_that_cannot_be_meant(kind, settings, message):
    with pytest.raises(ConfigError, match=message):
        MODELS[kind](**settings)


def test_banded_ridge_needs_bands_and_candidates():
    with pytest.raises(ConfigError, match="needs two or more bands"):
        BandedRidge(("a",))
    with pytest.raises(ConfigError, match=r"n_iter = 3, but 3 bands need at least 4 candidates"):
        BandedRidge(("a", "b", "c"), n_iter=3)
    BandedRidge(("a", "b", "c"), n_iter=4)


def test_search_and_method_must_go_together():
    assert BandedRidge(("a", "b"), search="guided").method == "auto"
    with pytest.raises(ConfigError, match=r"search = 'guide': .*did you mean 'guided'"):
        BandedRidge(("a", "b"), search="guide")
    with pytest.raises(ConfigError, match=r'search = "guided" needs method = "statistics", not \'kernel\''):
        BandedRidge(("a", "b"), search="guided", method="kernel")


@pytest.mark.parametrize("cls", [Ridge, BandedRidge])
def test_unknown_method(cls):
    with pytest.raises(ConfigError, match=r"method = 'kernels': .*did you mean 'kernel'"):
        cls(("a", "b"), method="kernels")
