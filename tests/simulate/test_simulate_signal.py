"""The planted part is where the truth says, as strong as it says, and nowhere else."""

import numpy as np
import pytest
from nilearn.glm.first_level import compute_regressor

from encoding.simulate.noise import ar_noise
from encoding.simulate.presets import HEMISPHERES, REGIONS, TR, region_number
from encoding.simulate.signal import AR, block_means, build_design, plant_weights, planted_signal


@pytest.fixture(scope="module")
def weights(demo_plan, surface):
    return plant_weights(demo_plan[2], surface, subject=1, seed=0, snr=1.0)


def _rows(surface, wanted):
    numbers = [region_number(k, h) for k, region in enumerate(REGIONS) if wanted(region) for h in HEMISPHERES]
    return np.isin(surface.region, numbers)


def test_null_regions_and_the_medial_wall_have_exactly_no_signal(demo_plan, surface, weights):
    signal = planted_signal(demo_plan[2].runs[0], weights)
    null = _rows(surface, lambda region: not region.winner)
    assert null.sum() > 300
    assert not signal[null].any()
    assert not signal[~surface.measured].any()
    assert (signal[surface.measured & ~null].std(axis=1) > 0).all()


def test_planted_regions_load_on_their_winner_only(demo_plan, surface, weights):
    columns = demo_plan[2].columns
    for k, region in enumerate(REGIONS):
        rows = np.isin(surface.region, [region_number(k, h) for h in HEMISPHERES])
        if region.winner and rows.any():
            used = {name for name, part in columns.items() if weights[part][:, rows].any()}
            assert used == {region.winner}


def test_planted_r_is_the_correlation_of_block_means(demo_plan, surface, weights):
    _, plan, design = demo_plan
    rng = np.random.default_rng(5)
    rows = np.flatnonzero(_rows(surface, lambda region: region.name == "TPJ"))
    clean, noisy = [], []
    for features, run in zip(design.runs, plan, strict=True):
        signal = planted_signal(features, weights[:, rows])
        data = signal + ar_noise(len(rows), run.n_volumes, rng)
        for series, kept in ((signal, clean), (data, noisy)):
            means = block_means(series.T, run)
            kept.append(means - means.mean(axis=0))
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(np.concatenate(clean).T, np.concatenate(noisy).T, strict=True)]
    # 0.6 in the middle, a fifth less at the edge.
    assert 0.50 < np.median(r) < 0.58


def test_half_of_the_weights_of_a_region_is_shared_by_subjects(demo_plan, surface, weights):
    other = plant_weights(demo_plan[2], surface, subject=2, seed=0, snr=1.0)
    rows = _rows(surface, lambda region: region.name == "LOTC")
    part = demo_plan[2].columns["mllm"]
    r = np.corrcoef(weights[part][:, rows].mean(axis=1), other[part][:, rows].mean(axis=1))[0, 1]
    assert 0.5 < r < 0.99


def test_convolution_agrees_with_nilearn(demo_plan):
    spaces, plan, design = demo_plan
    run, column = plan[0], design.columns["mllm"].start
    clean = spaces["mllm"].clean
    scaled = (clean - clean.mean(axis=0)) / np.sqrt(clean.var(axis=0).sum())
    condition = np.stack([run.onset, run.seconds - 2.0, scaled[run.stimulus, 0]])
    frames = np.arange(run.n_volumes) * TR
    oracle, _ = compute_regressor(condition, "glover", frames, oversampling=50)
    assert np.corrcoef(design.runs[0][:, column], oracle[:, 0])[0, 1] > 0.995
    np.testing.assert_allclose(design.runs[0][:, column].std(), oracle[:, 0].std(), rtol=0.05)


def test_noise_of_a_block_mean_is_that_of_ar_noise(demo_plan):
    _, plan, design = demo_plan
    length = round(np.concatenate([run.seconds for run in plan]).mean() / TR)
    drawn = ar_noise(20000, length, np.random.default_rng(0)).mean(axis=1).std()
    assert design.noise == pytest.approx(drawn, rel=0.05)
    assert AR == 0.4


def test_design_is_centred_over_stimuli(demo_plan):
    spaces, plan, _ = demo_plan
    shifted = {name: type(space)(name, space.columns, space.clean + 3.0, space.table) for name, space in spaces.items()}
    np.testing.assert_allclose(build_design(shifted, plan).runs[1], demo_plan[2].runs[1], atol=1e-6)
