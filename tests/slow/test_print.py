"""The report of the demo on paper: how many pages, and how large the letters are, read back from the PDF.

ENCODING_DEMO names a folder with `dataset` and `results`, as `make demo` leaves them; without it the demo is made here.
"""

import asyncio
import base64
import os
import shutil
from pathlib import Path

import pytest
from browser import CHROMIUM, chromium, start

from encoding.cli import main

pytestmark = [
    pytest.mark.accidents,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed (Debian: apt install chromium)"),
]
MOST_PAGES, FEWEST_POINTS = 20, 6.0
PAPER = {"A4": (8.27, 11.69), "Letter": (8.5, 11.0)}
DRAWN = 8.0  # points of the smallest letters in maps, which are pictures
# Width on paper of every picture, over the width that it was drawn for, in inches.
SHARES = """[...document.querySelectorAll('.card img')].map((one) => {
  const box = one.getBoundingClientRect(), fit = Math.min(box.width / one.width, box.height / one.height);
  return fit * one.width / 96 / (9 * Number(one.parentElement.style.getPropertyValue('--part')));
})"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of the group, written by this version."""
    top = Path(os.environ.get("ENCODING_DEMO") or tmp_path_factory.mktemp("demo"))
    places, config = [str(top / "dataset"), str(top / "results")], str(top / "dataset" / "run.toml")
    if not (top / "results" / "report.html").is_file():
        assert main(["simulate", places[0], "--preset", "demo"]) == 0
        for name in ("clips", "captions"):
            assert main(["collect", "all", "--config", f"{places[0]}/collect_{name}.toml"]) == 0
        assert main(["run", *places, "participant", "--config", config]) == 0
    assert main(["run", *places, "group", "--config", config]) == 0
    return top / "results" / "report.html"


def letters_of(page):
    """Sizes of all letters of a page of a PDF, in points, as they are seen."""
    import pypdfium2.raw as pdfium

    text = page.get_textpage()
    for place in range(text.count_chars()):
        if chr(pdfium.FPDFText_GetUnicode(text, place)).isspace():
            continue
        turned = pdfium.FS_MATRIX()
        assert pdfium.FPDFText_GetMatrix(text, place, turned)
        yield pdfium.FPDFText_GetFontSize(text, place) * abs(turned.a * turned.d - turned.b * turned.c) ** 0.5


@pytest.mark.parametrize("paper", PAPER)
def test_the_report_of_the_demo_has_twenty_pages_and_letters_that_can_be_read(report, paper, tmp_path, record_property):
    pdfium = pytest.importorskip("pypdfium2")
    width, height = PAPER[paper]

    async def session():
        async with chromium(tmp_path / "profile") as tab:
            await start(tab, report.as_uri(), "true", width=round(96 * width - 76), height=round(96 * height - 76))
            await tab.call("Emulation.setEmulatedMedia", media="print", features=[])
            shares = await tab.run(SHARES)
            wide = await tab.run("document.documentElement.scrollWidth")
            printed = await tab.call("Page.printToPDF", paperWidth=width, paperHeight=height, printBackground=True)
            return shares, wide, base64.b64decode(printed["data"])

    shares, wide, content = asyncio.run(session())
    assert wide <= round(96 * width - 76)  # wider ones would be scaled down, letters and all
    assert min(shares) * DRAWN >= FEWEST_POINTS
    pages = list(pdfium.PdfDocument(content))
    sizes = [size for page in pages for size in letters_of(page)]
    record_property("pages", len(pages))
    record_property("smallest", f"{min(sizes):.2f} pt as text, {min(shares) * DRAWN:.2f} pt in maps")
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)
    assert len(sizes) > 10_000
    assert min(sizes) >= FEWEST_POINTS
    assert len(pages) <= MOST_PAGES
