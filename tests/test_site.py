"""Every page of the built site in headless Chromium, from the disk: no complaint, no request, and a search that finds.

``make docs`` runs this after the build; elsewhere it skips where there is no site or no Chromium.
"""

import asyncio
from pathlib import Path

import pytest
from browser import CHROMIUM, chromium, shoot

SITE = Path(__file__).resolve().parents[1] / "docs" / "_build" / "html"
# Written by Sphinx from source files, one like the other: some stand for all.
SOURCE = "_modules/encoding/core"
PAGES = [
    path
    for path in sorted(SITE.rglob("*.html"))
    if path.relative_to(SITE).parts[0] != "_static"
    and ("_modules" not in path.parts or path.relative_to(SITE).as_posix().startswith(SOURCE))
]
SHOWN = ("index", "start", "faq", "_gallery/index", "_gallery/plot_01_first_model", "_generated/api", "inference")

pytestmark = pytest.mark.skipif(not PAGES or not CHROMIUM, reason="needs Chromium and a site: make docs")
# Chromium's own remarks on the viewer, on machines without a graphics card.
NO_GRAPHICS_CARD = ("fallback to software WebGL", "GPU stall due to ReadPixels")
LOUD = ("Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed")


def complaints(events):
    """What pages told in the console, and what they asked for beyond the disk."""
    told = [f"{event['method']}: {event['params']}" for event in events if event["method"] in LOUD]
    told = [one for one in told if not any(remark in one for remark in NO_GRAPHICS_CARD)]
    calls = [event["params"] for event in events if event["method"] == "Runtime.consoleAPICalled"]
    told += [str(call) for call in calls if call["type"] in ("error", "warning", "assert")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return told + [url for url in asked if not url.startswith(("file://", "data:", "about:", "blob:"))]


async def look_at_all(profile, folder):
    found = {}
    async with chromium(profile) as tab:
        for domain in ("Runtime", "Log", "Network"):
            await tab.call(f"{domain}.enable")
        await tab.call("Emulation.setDeviceMetricsOverride", width=1280, height=1600, deviceScaleFactor=1, mobile=False)
        for page in PAGES:
            tab.events.clear()
            await tab.open(page.as_uri())
            name = page.relative_to(SITE).as_posix()
            if told := complaints(tab.events):
                found[name] = told
            if name.removesuffix(".html") in SHOWN:
                await shoot(tab, folder, name.removesuffix(".html").replace("/", "-"))
        tab.events.clear()
        await tab.open(f"{(SITE / 'search.html').as_uri()}?q=noise+ceiling")
        await tab.until("document.querySelectorAll('#search-results li').length > 0")
        first = await tab.run(
            "[...document.querySelectorAll('#search-results li a')].map(a => a.textContent).join('|')"
        )
        if told := complaints(tab.events):
            found["search.html?q"] = told
    return found, first


def test_all_pages_are_quiet_and_search_works_from_the_disk(tmp_path):
    profile = tmp_path / "profile"
    profile.mkdir()
    found, first = asyncio.run(look_at_all(profile, tmp_path / "shots"))
    assert found == {}
    assert "eiling" in first


def test_no_page_names_another_place_to_load_from():
    tags = ('src="http', "src='http", 'rel="stylesheet" href="http', 'rel="preconnect"', "@import url(http")
    texts = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    assert [(name, tag) for name, text in texts.items() for tag in tags if tag in text] == []


def test_links_between_pages_are_links():
    """Of the first page, of a page, and of a copy of a file that lies elsewhere."""
    for page, linked in (
        ("index", ("start.html", "_gallery/index.html", "claims.html")),
        ("claims", ("inference.html", "_generated/results/calibration.html")),
        ("_generated/changelog", ("../cluster.html", "../data.html")),
    ):
        text = (SITE / f"{page}.html").read_text(encoding="utf-8")
        article = text[text.index("<article") : text.index("</article>")]
        assert [link for link in linked if f'href="{link}' not in article] == []
