"""Pictures and files of this package as text for a page."""

import base64
import io
from importlib.resources import files
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from ..core.errors import DataError
from .figure import render

READABLE = {".png", ".webp", ".jpg", ".jpeg"}
DPI = 160  # of figures inside a page


def asset(name: str) -> str:
    """Read a template, style or script of this package."""
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def script(name: str) -> str:
    """Read a script without the indentation and the comments of whoever reads the source; a tenth is saved."""
    lines = (line.strip() for line in asset(name).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def open_picture(figure: Figure | Path | str) -> Image.Image:
    """Open a figure or a file as an opaque image; its `info` says how many dots an inch has."""
    source: io.BytesIO | Path
    if isinstance(figure, Figure):
        source = io.BytesIO()
        render(figure, source, "png", dpi=DPI)
        source.seek(0)
    else:
        source = Path(figure)
        if source.suffix.lower() not in READABLE:
            raise DataError(f"Picture {source}: {source.suffix!r} cannot be shown; needed one of {sorted(READABLE)}.")
        if not source.is_file():
            raise DataError(f"Picture {source}: there is no such file. Draw it before the report is written.")
    with Image.open(source) as image:
        opaque = _on_white(image)
        opaque.info["dpi"] = image.info.get("dpi", (DPI, DPI))
    return opaque


def encode_picture(figure: Figure | Path | str, widest: int, quality: int) -> tuple[str, tuple[int, int]]:
    """Turn a picture into base64 WebP, and return its size in pixels too."""
    return encode(open_picture(figure), widest, quality)


def encode(pixels: Image.Image, widest: int, quality: int) -> tuple[str, tuple[int, int]]:
    """Turn pixels into base64 WebP (a fifth of a PNG), scaled down to a width if they are wider."""
    if pixels.width > widest:
        pixels = pixels.resize((widest, round(pixels.height * widest / pixels.width)), Image.Resampling.LANCZOS)
    target = io.BytesIO()
    pixels.save(target, format="WEBP", quality=quality, method=2)  # twice as fast as 4, and 4% larger
    return base64.b64encode(target.getvalue()).decode("ascii"), pixels.size


def _on_white(image: Image.Image) -> Image.Image:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")
