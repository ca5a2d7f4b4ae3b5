"""Noise ceilings come back from planted signals, with intervals that cover them."""

import numpy as np
import pytest

from encoding.numerics.ceilings import repeat_reliability, shared_signal


def shown(signal, n_repeats, rng):
    """Responses of unit noise to stimuli that are each shown several times, and their names."""
    stimulus = np.repeat(np.arange(len(signal)), n_repeats)
    return signal[stimulus] + rng.standard_normal((len(stimulus), signal.shape[1])), stimulus


@pytest.mark.parametrize("n_repeats", [2, 4])
@pytest.mark.parametrize("kind", ["gauss", "exponential"])
@pytest.mark.parametrize("snr", [0.2, 1.0])
def test_bias_and_coverage(n_repeats, kind, snr):
    rng = np.random.default_rng(0)
    draw = {"gauss": rng.standard_normal, "exponential": lambda size: rng.standard_exponential(size) - 1}[kind]
    values, stimulus = shown(np.sqrt(snr) * draw((60, 1500)), n_repeats, rng)
    for averaged in (1.0, float(n_repeats)):
        truth = snr / (snr + 1 / averaged)
        found = repeat_reliability(values, stimulus, averaged=averaged)
        assert abs(np.nanmean(found.value) - truth) < 0.01
        assert 0.91 <= np.mean((found.low <= truth) & (truth <= found.high)) <= 0.97


def test_noise_has_no_reliability_and_scatters_about_0():
    rng = np.random.default_rng(1)
    found = repeat_reliability(*shown(np.zeros((50, 2000)), 2, rng))
    assert abs(np.nanmean(found.value)) < 0.01
    assert np.mean(found.low > 0.1) < 0.02


def test_single_showings_do_not_matter():
    rng = np.random.default_rng(2)
    values, stimulus = shown(rng.standard_normal((30, 5)), 2, rng)
    alone = rng.standard_normal((40, 5)), 100 + np.arange(40)
    both = repeat_reliability(np.concatenate([values, alone[0]]), np.concatenate([stimulus, alone[1]]))
    np.testing.assert_allclose(both.value, repeat_reliability(values, stimulus).value)
    assert both.n_stimuli == 30


def test_few_repeated_stimuli_are_refused():
    with pytest.raises(ValueError, match="9 stimuli were shown more than once; 10 are needed"):
        repeat_reliability(np.zeros((18, 2)), np.repeat(np.arange(9), 2))


def test_shared_signal_is_the_correlation_with_the_others():
    rng = np.random.default_rng(3)
    common = rng.standard_normal((400, 2))
    values = common + rng.standard_normal((3, 400, 2))
    values[:, :, 1] = rng.standard_normal((3, 400))
    found = shared_signal(values)
    expected = np.corrcoef(values[0, :, 0], values[1:, :, 0].mean(0))[0, 1]
    assert found[0, 0] == pytest.approx(expected)
    assert abs(found[:, 1].mean()) < 0.1 < found[:, 0].min()
