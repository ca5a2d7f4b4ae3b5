"""The luminance of a clip, small and at a steady rate."""

from pathlib import Path

import numpy as np

from ..core import DataError
from .clips import LEAST, stated_duration, upright

MOTION_PACKAGES = "pip install 'brain-encoding[motion]'"


# Weights of the linear primaries of sRGB in luminance (CIE 1931, D65).
PRIMARIES = np.array([0.212671, 0.715160, 0.072169])


def lightness(pixels: np.ndarray) -> np.ndarray:
    """Turn sRGB colours into CIE 1976 lightness L*.

    Shapes: `pixels` (..., 3); returns (...).

    Examples
    --------
    >>> lightness(np.array([[0, 0, 0], [119, 119, 119], [255, 255, 255]], dtype=np.uint8)).round().tolist()
    [0.0, 50.0, 100.0]
    """
    value = pixels / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    Y = linear @ PRIMARIES
    cube = np.where(Y > (6 / 29) ** 3, np.cbrt(Y), Y * (29 / 6) ** 2 / 3 + 4 / 29)
    return (116 * cube - 16).astype(np.float32)


def _resized(pixels: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS))


def read_luminance(path: Path, size: int, rate: float) -> np.ndarray:
    """Decode a clip into square luminance images.

    Returns (n_images, size, size).
    """
    try:
        import av
    except ImportError as error:
        raise DataError(f"The luminance of videos needs PyAV ({error}): {MOTION_PACKAGES}.") from error
    images: list[np.ndarray] = []
    shown, start, end, shot = None, None, 0.0, 0.0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: has no video.")
            stream = container.streams.video[0]
            stated = stated_duration(container, stream)
            shot = 1.0 / float(stream.average_rate) if stream.average_rate else 1.0 / rate
            for frame in container.decode(video=0):
                start = (frame.time or 0.0) if start is None else start
                now = (frame.time or 0.0) - start
                while shown is not None and (len(images) + 0.5) / rate < now:
                    images.append(shown)
                if frame.is_corrupt:
                    raise DataError(f"{path}: has a damaged frame at {now:.2f} s. Encode or download it again.")
                shown = lightness(_resized(upright(frame), size))
                end = now + shot
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"{path}: cannot be decoded ({error}).") from error
    if shown is None:
        raise DataError(f"{path}: has no frames.")
    if end < LEAST * stated:
        raise DataError(f"{path}: breaks off at {end:.2f} of {stated:.2f} s. Encode or download it again.")
    while (len(images) + 0.5) / rate < end or not images:
        images.append(shown)
    return np.stack(images)
