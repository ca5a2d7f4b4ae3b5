"""The space that drives a region of the simulated study wins its analysis of similarity; null regions show nothing."""

from dataclasses import replace

import numpy as np
import pytest

from encoding.comparison import Rsa, compare_similarity
from encoding.core import Atlas, FeatureSpace, Responses, Samples, Targets
from encoding.simulate.noise import ar_noise
from encoding.simulate.presets import HEMISPHERES, PRESETS, REGIONS, region_number
from encoding.simulate.signal import block_means, build_design, plant_weights, planted_signal
from encoding.simulate.spaces import simulate_spaces
from encoding.simulate.stimuli import clip_durations, plan_runs
from encoding.simulate.targets import surface_targets

CORTEX = [(number, region) for number, region in enumerate(REGIONS) if not region.aseg]


@pytest.fixture(scope="module")
def planted():
    """Sixteen runs of the demo's kind in the cortical regions of one subject: responses, spaces, and an atlas."""
    preset = replace(PRESETS["demo"], n_runs=16)
    n = preset.n_runs * preset.n_blocks - preset.n_repeats
    plan = plan_runs(preset, clip_durations(n, preset.longest_clip, np.random.default_rng(0)), 0)
    simulated, surface = simulate_spaces(n, 0), surface_targets()
    design = build_design(simulated, plan)
    numbers = {region_number(k, hemi): (region, hemi) for k, region in CORTEX for hemi in HEMISPHERES}
    index = np.flatnonzero(np.isin(surface.region, list(numbers)))
    weights = plant_weights(design, surface, subject=1, seed=0, snr=1.0)[:, index]
    rng, values = np.random.default_rng(1), []
    for features, run in zip(design.runs, plan, strict=True):
        noise = ar_noise(len(index), run.n_volumes, rng)
        means = block_means((planted_signal(features, weights) + noise).T, run)
        values.append((means - means.mean(0)) / means.std(0))
    names = [np.array([f"s{k}" for k in run.stimulus]) for run in plan]
    runs = np.concatenate([np.full(len(of_run), f"run-{k}") for k, of_run in enumerate(names)])
    onset = np.arange(len(runs)) * 12.0
    samples = Samples(np.concatenate(names), onset, np.full(len(runs), 10.0), runs, "stimulus")
    targets = Targets.of_columns([str(k) for k in index])
    none = np.zeros((len(runs), 0))
    responses = Responses(np.concatenate(values), samples, targets, samples, none, "01", "video", 2.0)
    of_stimuli = Samples.of_stimuli([f"s{k}" for k in range(n)])
    spaces = [FeatureSpace(name, space.table, of_stimuli, space.columns) for name, space in simulated.items()]
    labels = surface.region[index].astype(int)
    there = [number for number in numbers if (labels == number).any()]
    regions = tuple(f"{numbers[number][0].name}_{numbers[number][1]}" for number in there)
    hemi = tuple(numbers[number][1] for number in there)
    n_regions = len(there)
    atlas = Atlas("Planted", labels, targets, there, regions, hemi, ("",) * n_regions, ("#888888",) * n_regions)
    return responses, spaces, atlas


@pytest.fixture(scope="module")
def table(planted, tmp_path_factory):
    responses, spaces, atlas = planted
    settings = Rsa("x", repeats="average", similarity="dot")
    folder = tmp_path_factory.mktemp("rsa") / "x"
    found = compare_similarity(settings, spaces, responses, [(atlas, atlas.labels)], folder)
    return found.table.pivot_table(index="region", columns="feature", values="value", sort=False)


def test_planted_winners_win(table):
    winner = {f"{region.name}_{hemi}": region.winner for _, region in CORTEX for hemi in HEMISPHERES if region.winner}
    rows = table.loc[[name for name in winner if name in table.index]]
    assert len(rows) >= 14
    right = rows.idxmax(axis=1) == [winner[name] for name in rows.index]
    assert right.all(), rows.round(3)
    # As large as published values: of the order of a hundredth to a tenth.
    assert 0.01 < rows.max(axis=1).median() < 0.2


def test_null_regions_lie_within_noise(table):
    null = table.loc[[name for name in table.index if name.split("_")[0] in ("M1", "EVC")]]
    assert len(null) == 4
    assert null.abs().to_numpy().max() < 0.012, null
