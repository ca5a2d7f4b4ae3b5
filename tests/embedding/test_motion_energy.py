"""Motion energy of small clips: what pymoten computes, kept clip by clip."""

import sys

import numpy as np
import pytest

from encoding.core import ConfigError, DataError
from encoding.embedding import MotionEnergy, measure_motion
from encoding.embedding import motion as module
from encoding.io.luminance import lightness, read_luminance

av = pytest.importorskip("av", reason="motion energy decodes videos with PyAV (extra motion)")
moten = pytest.importorskip("moten", reason="motion energy is computed by pymoten (extra motion)")

SMALL = {"size": 32, "spatial_frequencies": (0, 4), "temporal_frequencies": (0, 4)}
RATE, EDGE = 15, 32


def write_clip(path, image, *, frames=15):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width = stream.height = EDGE
        stream.pix_fmt = "bgr0"
        for number in range(frames):
            pixels = np.repeat(image(number / RATE)[:, :, None], 3, axis=2).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def grating(direction):
    """Four cycles per image, four per second."""
    x = np.arange(EDGE) / EDGE
    return lambda t: np.broadcast_to(128 + 100 * np.sin(2 * np.pi * 4 * (x - direction * t)), (EDGE, EDGE))


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    write_clip(folder / "0001.mkv", grating(1))
    write_clip(folder / "0002.mkv", grating(-1))
    write_clip(folder / "0010.mkv", lambda _: np.full((EDGE, EDGE), 128))
    return MotionEnergy("motion", "videos", pattern="*.mkv", **SMALL)


def test_energies_are_those_of_pymoten_and_know_the_direction(videos, tmp_path):
    space = measure_motion(videos, tmp_path, tmp_path / "kept")
    assert space.samples.stimulus.tolist() == ["1", "2", "10"]
    pyramid = moten.pyramids.MotionEnergyPyramid((32, 32), 15, spatial_frequencies=[0, 4], temporal_frequencies=[0, 4])
    images = read_luminance(tmp_path / "videos" / "0002.mkv", 32, 15.0)
    assert images.shape == (15, 32, 32)
    np.testing.assert_allclose(space.values[1], pyramid.project_stimulus(images).mean(0), atol=1e-4)
    moving = [
        number
        for number, one in enumerate(pyramid.filters)
        if one["spatial_freq"] == 4 and one["temporal_freq"] == 4 and one["direction"] in (0, 180)
    ]
    right = np.array([pyramid.filters[number]["direction"] == 0 for number in moving])
    lead = space.values[0, moving] - space.values[1, moving]
    assert abs(lead[right].mean()) > 0.5
    assert np.sign(lead[right].mean()) == -np.sign(lead[~right].mean())
    assert space.values[2, moving].max() < space.values[:2, moving].max(1).min()


def test_lightness_is_that_of_pymoten():
    colours = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    np.testing.assert_allclose(lightness(colours), moten.colorspace.rgb2lab(colours / 255.0)[..., 0], atol=0.01)


def test_an_interrupted_run_goes_on_where_it_stopped(videos, tmp_path, monkeypatch):
    first = measure_motion(videos, tmp_path, tmp_path / "kept")
    kept = sorted((tmp_path / "kept").rglob("*.npy"))
    assert len(kept) == 3
    kept[1].unlink()
    measured = []
    real = module._energy
    monkeypatch.setattr(module, "_energy", lambda *a: measured.append(a[2].name) or real(*a))
    again = measure_motion(videos, tmp_path, tmp_path / "kept")
    assert measured == ["0002.mkv"]
    np.testing.assert_array_equal(first.values, again.values)
    assert first.provenance.key == again.provenance.key


def test_default_channels_are_those_of_the_paper():
    settings = MotionEnergy("motion", "videos")
    pyramid = module._pyramid(settings)
    assert pyramid.nfilters == 6555


def test_clips_that_cannot_be_used_are_refused(videos, tmp_path):
    (tmp_path / "videos" / "0003.mkv").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"0003\.mkv: cannot be decoded"):
        measure_motion(videos, tmp_path, tmp_path / "kept")
    (tmp_path / "videos" / "0003.mkv").rename(tmp_path / "videos" / "1.mkv")
    with pytest.raises(DataError, match=r"0001.mkv and 1.mkv both name stimulus '1'"):
        measure_motion(videos, tmp_path, tmp_path / "kept")
    with pytest.raises(DataError, match=r"no file '\*.mp4'"):
        measure_motion(MotionEnergy("motion", "videos"), tmp_path, tmp_path / "kept")


def test_a_missing_package_is_named(videos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "moten.pyramids", None)
    with pytest.raises(DataError, match=r"needs pymoten .*brain-encoding\[motion\]"):
        measure_motion(videos, tmp_path, tmp_path / "kept")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temporal_frequencies": (0, 8)}, "twice the highest temporal frequency or more"),
        ({"size": 32}, "size = 32 pixels cannot show 32 cycles"),
        ({"spatial_frequencies": (2, 2)}, r"spatial_frequencies = \[2, 2\]"),
        ({"size": 4}, "size = 4"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        MotionEnergy("motion", "videos", **settings)
