"""Reports as pages: in a browser, on paper, and as they may be shared with others."""

import asyncio
import base64
import json
import re
import zlib
from pathlib import Path

import pytest
from browser import CHROMIUM, assert_accessible, assert_quiet, box_of, chromium, shoot, start
from factories import write_config, write_study
from PIL import Image

from encoding.cli import main
from encoding.core import DataError
from encoding.mapping.sharing import Scrubber, require_clean

browsing = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed (Debian: apt install chromium)")
SUBJECTS = ("annalena", "kim7")
READY = "document.documentElement.classList.contains('js')"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two participants with telling labels, finished by the command line; arguments of `encoding report`."""
    top = tmp_path_factory.mktemp("pages")
    study = write_study(top / "bids", subjects=SUBJECTS)
    config = write_config(top, ("seed = 0", f"# data of {SUBJECTS[0]} from /home/somebody/secret/data.tsv\nseed = 0"))
    places = [str(study.root), str(top / "out")]
    for level in ("participant", "group"):
        assert main(["run", *places, level, "--config", str(config), "--device", "cpu"]) == 0
    return top / "out", [*places, "--config", str(config)]


def everything_in(path):
    """The bytes of a file, and what it holds compressed: text in the headers of pictures, data of the viewer."""
    yield path.read_bytes()
    if path.suffix == ".png":
        with Image.open(path) as image:
            yield repr(dict(image.info)).encode()
    for packed in re.findall(rb'id="data">([^<]*)<', path.read_bytes()):
        yield zlib.decompress(base64.b64decode(packed), -15)
    for packed in re.findall(rb"data:[a-z]+/[a-z]+[^,\"]*;base64,([A-Za-z0-9+/=]+)", path.read_bytes()):
        yield base64.b64decode(packed)


def test_a_shareable_report_has_no_label_and_no_path_in_any_byte(finished, capsys):
    out, arguments = finished
    assert main(["report", *arguments, "--shareable"]) == 0
    page = out / "shareable" / "report.html"
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    files = [path for path in (out / "shareable").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"report.html", "viewer.html"}
    assert len(files) > 10
    forbidden = [*SUBJECTS, str(out), str(out.parent), str(Path.home()), "/home/somebody", "/tmp/"]
    for path in files:
        assert not any(label in path.name for label in SUBJECTS)
        for content in everything_in(path):
            found = [word for word in forbidden if word.encode() in content]
            assert found == [], path
    text = page.read_text(encoding="utf-8")
    assert {"sub-P1", "sub-P2"} <= set(re.findall(r"sub-\w+", text))
    assert "(path)" in text
    labels = json.loads((out / "logs" / "shareable.json").read_text())
    assert {*labels} == {*SUBJECTS}
    assert {*labels.values()} == {"P1", "P2"}
    # The reports for ourselves are as they were.
    assert SUBJECTS[0] in (out / "report.html").read_text(encoding="utf-8")


def test_pages_of_embeddings_are_shared_only_when_asked_for(finished, capsys):
    out, arguments = finished
    (out / "embedding").mkdir(exist_ok=True)
    (out / "embedding" / "kept.html").write_text(
        f"<p>{out}/frames of sub-kim7</p><img src='data:x;base64,/9j/4AAQ/Sk='>"
    )
    assert main(["report", *arguments, "--shareable"]) == 0
    assert not (out / "shareable" / "kept.html").exists()
    assert main(["report", *arguments, "--shareable", "--frames"]) == 0
    text = (out / "shareable" / "kept.html").read_text()
    assert re.fullmatch(r"<p>\(path\)/frames of sub-P\d</p><img src='data:x;base64,/9j/4AAQ/Sk='>", text)
    # A page that cannot be cleaned is not left behind, and the one before stays.
    leak = base64.b64encode(zlib.compress(b"sub-kim7", wbits=-15)).decode()
    (out / "embedding" / "kept.html").write_text(f'<script id="data">{leak}</script>')
    assert main(["report", *arguments, "--shareable", "--frames"]) == 1
    assert "still holds 'sub-kim7', which must not be shared" in capsys.readouterr().err
    assert (out / "shareable" / "kept.html").read_text() == text
    assert not list(out.glob(".tmp-*"))
    assert main(["report", *arguments, "--frames"]) == 1
    assert "--frames goes with --shareable" in capsys.readouterr().err


def test_what_is_left_of_a_label_is_refused(tmp_path):
    scrubber = Scrubber({"01": "P2", "annalena": "P1"}, [Path("/data/study"), Path("/")])
    assert scrubber.text("sub-01 of 01, 0.01: annalena_run at /data/study/x.tsv, and /opt/a/b.txt; r/2") == (
        "sub-P2 of 01, 0.01: P1_run at (path), and (path); r/2"
    )
    for number, content in enumerate(("sub-01.", "annalena", "in /data/study.")):
        path = tmp_path / f"{number}.svg"
        path.write_text(content)
        with pytest.raises(DataError, match=rf"{number}\.svg: still holds"):
            require_clean([path], scrubber)
    (tmp_path / "clean.svg").write_text("sub-010 0.01 sub-P1")
    require_clean([tmp_path / "clean.svg"], scrubber)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = base64.b64encode(squeeze.compress(b"sub-01") + squeeze.flush()).decode()
    (tmp_path / "page.html").write_text(f'<script id="data">{packed}</script>')
    with pytest.raises(DataError, match="sub-01"):
        require_clean([tmp_path / "page.html"], scrubber)


@browsing
def test_a_report_in_a_browser_and_on_paper(finished, tmp_path):
    out, _ = finished
    page = out / "report.html"

    async def session():
        async with chromium(tmp_path / "profile") as tab:
            await start(tab, page.as_uri(), READY)
            assert_quiet(tab, page)
            links = "[...document.querySelectorAll('header a')].map((a) => a.getAttribute('href'))"
            assert "viewer.html" in await tab.run(links)
            headings = await tab.run("[...document.querySelectorAll('h2')].map((one) => one.textContent)")
            assert {"Which space is ahead", "Which space is ahead where", "Accuracy of each model"} <= set(headings)
            assert "No spaces were compared: " in await tab.run("document.querySelector('.answer p').textContent")
            for scheme in ("light", "dark"):
                await tab.call(
                    "Emulation.setEmulatedMedia",
                    media="screen",
                    features=[{"name": "prefers-color-scheme", "value": scheme}],
                )
                pixels = await shoot(tab, tmp_path, f"report-{scheme}")
                await assert_accessible(tab, tmp_path)
            # In the dark nothing is white: no card, and no chart.
            await tab.run("document.querySelector('.card, .plot').scrollIntoView()")
            pixels = await shoot(tab, tmp_path, "report-dark-figures")
            assert (pixels.min(axis=2) > 245).mean() < 0.01
            await tab.call("Emulation.setEmulatedMedia", media="screen", features=[])
            await start(tab, page.as_uri(), READY, width=390, height=844)
            await shoot(tab, tmp_path, "report-phone")
            assert await tab.run("document.documentElement.scrollWidth") <= 390
            # Paper: every part is open, also without scripts, and nothing is wider than the page.
            await tab.call("Emulation.setScriptExecutionDisabled", value=True)
            await start_without_scripts(tab, page.as_uri())
            await tab.call("Emulation.setEmulatedMedia", media="print", features=[])
            assert await tab.run("document.documentElement.scrollWidth") <= 720
            last = "[...document.querySelectorAll('details:not([open])')].at(-1)"
            assert await tab.run(f"{last}.querySelector('.blocks > *').getBoundingClientRect().height") > 10
            printed = await tab.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
            content = base64.b64decode(printed["data"])
            (tmp_path / "report.pdf").write_bytes(content)
            n_pages = len(re.findall(rb"/Type\s*/Page[^s]", content))
            assert 1 < n_pages <= 20
            assert (await box_of(tab, "h1"))[2] > 100

    asyncio.run(session())


async def start_without_scripts(tab, address):
    """Open a page on a sheet of A4 less its margins."""
    await tab.call("Emulation.setDeviceMetricsOverride", width=703, height=1032, deviceScaleFactor=1, mobile=False)
    await tab.open("about:blank")
    await tab.open(address)
