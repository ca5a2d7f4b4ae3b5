"""Images are read back as they were written, and a failed write leaves nothing."""

import nibabel as nib
import numpy as np
import pytest

from encoding.simulate import writing
from encoding.simulate.writing import to_intensity, write_gifti_series, write_volume


def test_gifti_series_equals_that_of_nibabel(tmp_path):
    data = np.random.default_rng(0).normal(1000, 10, (50, 7)).astype(np.float32)
    write_gifti_series(tmp_path / "ours.func.gii", data, hemi="R")
    arrays = [nib.gifti.GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES") for row in data.T.copy()]
    nib.save(nib.GiftiImage(darrays=arrays), tmp_path / "theirs.func.gii")
    ours, theirs = (nib.load(tmp_path / f"{name}.func.gii") for name in ("ours", "theirs"))
    np.testing.assert_array_equal(ours.agg_data(), theirs.agg_data())
    np.testing.assert_array_equal(ours.agg_data(), data)
    assert {array.intent for array in ours.darrays} == {array.intent for array in theirs.darrays}
    assert ours.meta["AnatomicalStructurePrimary"] == "CortexRight"


def test_intensities_are_coarse_but_true():
    fluctuation = np.random.default_rng(0).standard_normal((200, 100)).astype(np.float32)
    made = to_intensity(np.full(200, 9900, np.float32), fluctuation.copy())
    assert not (made % 64).any()
    error = (made - 9900) / 128 - fluctuation
    assert np.abs(error).max() <= 0.2501
    assert error.var() == pytest.approx(1 / 48, rel=0.1)


def test_volume_keeps_grid_tr_and_values(tmp_path, coarse):
    targets, grid = coarse
    values = np.arange(len(targets) * 3).reshape(-1, 3) % 9000
    write_volume(tmp_path / "a_bold.nii.gz", values, grid)
    image = nib.load(tmp_path / "a_bold.nii.gz")
    np.testing.assert_array_equal(image.affine, grid.affine)
    assert image.header.get_zooms() == (12.0, 12.0, 12.0, 2.0)
    np.testing.assert_array_equal(np.asarray(image.dataobj)[grid.mask], values)
    assert not np.asarray(image.dataobj)[~grid.mask].any()


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(writing.zlib, "compress", fail)
    with pytest.raises(OSError, match="disk full"):
        write_gifti_series(tmp_path / "x.func.gii", np.zeros((5, 2), np.float32), hemi="L")
    assert not list(tmp_path.iterdir())
