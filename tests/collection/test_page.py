"""The page that asks people, in a real browser: a whole session, closed and taken up again, and read back."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, assert_quiet, chromium, shoot, start
from test_command import COSINE, write
from test_servers import serving

from encoding.cli import main
from encoding.config.collect import read_collection
from encoding.core import DataError

browsing = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed (Debian: apt install chromium)")
TRUE = np.random.default_rng(3).normal(size=12)


def planned(folder, show="captions", **replace):
    config = write(folder, COSINE, show=show, **replace)
    assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
    return config


def content_of(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(text.split('type="application/json">')[1].split("</script>")[0])


def test_page_holds_everything_and_nothing_else(tmp_path, capsys):
    config = planned(tmp_path)
    (tmp_path / "consent.txt").write_text("I </script><script>alert(1)</script> agree", encoding="utf-8")
    assert main(["collect", "page", "--config", config, "--trials", "30", "--lists", "4", "--consent",
                 str(tmp_path / "consent.txt")]) == 0  # fmt: skip
    page = tmp_path / "out" / "experiment.html"
    assert str(page) in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert text.count("<script") == 2
    content = content_of(page)
    assert [len(part) for part in content["lists"]] == [35] * 4
    seen = [tuple(sorted(trial["items"])) for part in content["lists"] for trial in part if trial["kind"] == "trial"]
    assert len(set(seen)) > 100
    for part in content["lists"]:
        for trial in part:
            if trial["kind"] == "catch":
                assert trial["items"].count(trial["expected"]) == 1
                assert len(set(trial["items"])) == 2
    assert main(["collect", "page", "--config", config, "--trials", "300"]) == 1
    assert "but the plan has" in capsys.readouterr().err


@browsing
def test_a_session_by_mouse_keyboard_and_touch_is_interrupted_taken_up_and_sent(tmp_path):
    config = planned(tmp_path)
    posted = []

    def answer(_handler, method, path, body):
        if method == "POST":
            posted.append((path, json.loads(body)))
        return 200, {}, {"Access-Control-Allow-Origin": "*"}

    with serving(answer, whole=True) as (url, _):
        (tmp_path / "consent.txt").write_text("Do you take part?", encoding="utf-8")
        page = tmp_path / "out" / "experiment.html"
        options = ["--trials", "9", "--catch", "2", "--practice", "1", "--pause", "10", "--post", f"{url}/answers"]
        assert main(["collect", "page", "--config", config, "--consent", str(tmp_path / "consent.txt"), *options]) == 0

        async def first():
            async with chromium(tmp_path / "profile") as tab:
                await tab.open(page.as_uri())
                assert await tab.run("document.getElementById('next').disabled")
                await tab.click("#agree")
                await tab.click("#next")
                await tab.until("document.getElementById('participant')")
                for letter in "ann":
                    await tab.press(letter)
                await tab.click("#next")
                assert "odd one out" in await tab.run("document.body.innerText")
                await tab.click("#next")
                acts = (lambda: tab.click("[data-slot='0']"), lambda: tab.press("2"),
                        lambda: tab.touch("[data-slot='2']"), lambda: tab.press("3"))  # fmt: skip
                for place, act in enumerate(acts):
                    await tab.until(
                        f"shown && shown.since && document.getElementById('place').innerText === '{place + 1} / 12'"
                    )
                    await act()
                await tab.until("state.place === 4")

        async def second():
            async with chromium(tmp_path / "profile") as tab:
                await tab.open(page.as_uri() + "?participant=ann")
                await tab.click("#agree")
                await tab.click("#next")
                assert "Welcome back" in await tab.run("document.body.innerText")
                await tab.click("#next")
                for place in range(4, 12):
                    await tab.until(
                        f"shown && shown.since && document.getElementById('place').innerText === '{place + 1} / 12'"
                    )
                    await tab.press("1")
                await tab.until("document.body.dataset.done === 'true'")
                assert "were sent" in await tab.run("document.body.innerText")

        asyncio.run(first())
        assert not posted
        asyncio.run(second())
    ((path, found),) = posted
    assert path == "/v1/answers"
    rows = found["trials"]
    assert [row["slot"] for row in rows] == [0, 1, 2, 2, *[0] * 8]
    assert [row["input"] for row in rows] == ["mouse", "keyboard", "touch", *["keyboard"] * 9]
    content = content_of(page)
    assert [[row[f"item_{k}"] for k in (1, 2, 3)] for row in rows] == [
        trial["items"] for trial in [*content["practice"], *content["lists"][0]]
    ]
    assert all(row["odd"] == row[f"item_{row['slot'] + 1}"] for row in rows)
    assert all(0 < row["reaction_time"] < 20 for row in rows)
    assert len(found["resumed"]) == 1


ANSWER = """
(async () => {{
  const slots = {slots};
  for (let place = 0; place < slots.length; place += 1) {{
    while (!(shown && shown.since !== null && !shown.done && state.place === place)) await new Promise(setTimeout);
    if ({slow}) shown.since -= 900;
    document.dispatchEvent(new KeyboardEvent("keydown", {{ key: String(slots[place] + 1) }}));
  }}
  while (!state.finished) await new Promise(setTimeout);
  return JSON.stringify(result());
}})()"""


@browsing
def test_simulated_participants_are_read_back_and_the_bad_ones_flagged(tmp_path, capsys):
    config = planned(tmp_path, **{"repeated = 5": "repeated = 0"})
    assert main(["collect", "page", "--config", config, "--trials", "100", "--catch", "4", "--practice", "1",
                 "--pause", "0"]) == 0  # fmt: skip
    page = tmp_path / "out" / "experiment.html"
    content = content_of(page)
    names = [f"clip{i:02d}" for i in range(12)]
    trials = [*content["practice"], *content["lists"][0]]
    people = ["p1", "p2", "p3", "p4", "random", "biased", "lapsing"]
    rng = np.random.default_rng(1)

    def slots(name):
        chosen = []
        for place, trial in enumerate(trials):
            score = 3 * TRUE[[names.index(item) for item in trial["items"]]]
            if trial["kind"] == "catch":
                score = np.array([9.0 if item == trial["expected"] else 0.0 for item in trial["items"]])
            if name == "biased":
                score = score + np.array([4.0, 0.0, 0.0])
            if name == "random" or (name == "lapsing" and place > 70):
                score = np.zeros(3)
            p = np.exp(score - score.max())
            chosen.append(int(rng.choice(3, p=p / p.sum())))
        return chosen

    (tmp_path / "results").mkdir()

    async def everybody():
        async with chromium(tmp_path / "profile") as tab:
            for name in people:
                await tab.open(f"{page.as_uri()}?participant={name}")
                await tab.click("#next")
                slow = f"!({json.dumps(name)} === 'lapsing' && place > 70)"
                text = await tab.run(ANSWER.format(slots=slots(name), slow=slow))
                (tmp_path / "results" / f"{name}.json").write_text(text, encoding="utf-8")

    asyncio.run(everybody())
    people_table = '[[annotator]]\nkind = "table"\nfile = "results"\nsource = "page"\nexclude_flagged = true\n'
    config = write(tmp_path, people_table, show="captions", **{"repeated = 5": "repeated = 0"})
    capsys.readouterr()
    assert main(["collect", "all", "--config", config]) == 0
    table = pd.read_parquet(tmp_path / "out" / "export" / "people" / "judgments.parquet")
    assert len(table) == 700
    flagged = set(table.loc[table["weight"] == 0, "participant"].astype(str))
    assert flagged == {"random", "biased", "lapsing"}
    assert main(["collect", "check", "--config", config]) == 0
    warnings = capsys.readouterr().err
    assert "participant random agrees with the others as by chance" in warnings
    assert "participant biased" in warnings
    assert "prefers a slot" in warnings
    assert "participant lapsing" in warnings
    assert "faster than anybody can look" in warnings
    # Good participants answer a triplet as a model of them says: the ceiling is that of their probabilities.
    good = table[table["participant"].astype(str).str.startswith("p")]
    items = np.array(
        [[names.index(name) for name in row] for row in good[["item_1", "item_2", "item_3"]].astype(str).to_numpy()]
    )
    p = np.exp(3 * TRUE[items])
    p /= p.sum(axis=1, keepdims=True)
    from encoding.collection.quality import repeat_agreement

    pairs = repeat_agreement(items, good["choice"].to_numpy(), who=good["participant"].astype(str).to_numpy())[1]
    assert pairs.share == pytest.approx((p**2).sum(axis=1).mean(), abs=0.06)


def clips(folder, n=4):
    """Clips of one colour each, as browsers play them, and a plan of all their triplets."""
    import av
    from PIL import Image

    for k in range(n):
        with av.open(str(folder / f"{k}.webm"), "w") as container:
            stream = container.add_stream("libvpx", rate=8)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(8):
                image = Image.new("RGB", (64, 48), (60 * k, 90, 200 - 60 * k))
                container.mux(stream.encode(av.VideoFrame.from_image(image)))
            container.mux(stream.encode())
    (folder / "s.tsv").write_text("stimulus\tpath\n" + "".join(f"v{k}\t{k}.webm\n" for k in range(n)), encoding="utf-8")
    (folder / "c.toml").write_text(
        '[stimuli]\ntable = "s.tsv"\nshow = "frames"\nn_frames = 2\n[design]\nkind = "full"\n'
        '[[annotator]]\nkind = "colours"\n[collect]\nfolder = "out"\n', encoding="utf-8",
    )  # fmt: skip
    assert main(["collect", "plan", "--config", str(folder / "c.toml"), "--dry-run", "0"]) == 0
    return str(folder / "c.toml")


@browsing
def test_pictures_and_videos_are_seen_before_the_clock_runs(tmp_path):
    config = clips(tmp_path)
    pages = {}
    for show in ("pictures", "videos"):
        pages[show] = tmp_path / f"{show}.html"
        options = ["--trials", "4", "--practice", "0", "--catch", "0", "--show", show, "--output", str(pages[show])]
        assert main(["collect", "page", "--config", config, *options]) == 0
    ready = {
        "pictures": "[...document.images].every((i) => i.complete && i.naturalWidth === 64)",
        "videos": "[...document.querySelectorAll('video')].every((v) => v.readyState >= 2 && v.muted && v.loop)",
    }
    tags = {"pictures": "img", "videos": "video"}
    accessible = (Path(__file__).parents[1] / "accessible.js").read_text(encoding="utf-8")

    async def look():
        for show, page in pages.items():
            async with chromium(tmp_path / f"profile-{show}") as tab:
                await start(tab, f"{page.as_uri()}?participant=eva", "document.readyState === 'complete'", 1000, 640)
                assert await tab.run(accessible) == []
                await tab.click("#next")
                await tab.until("shown && shown.since !== null")
                assert await tab.run(f"document.querySelectorAll('#items {tags[show]}').length") == 3
                assert await tab.run(ready[show])
                assert await tab.run(accessible) == []
                pixels = await shoot(tab, tmp_path / "pictures", f"page_{show}")
                names = await tab.run("shown.trial.items")
                boxes = [await tab.centre(f"[data-slot='{slot}'] {tags[show]}") for slot in range(3)]
                for name, (x, y) in zip(names, boxes, strict=True):  # each in its place, in its colour
                    k = int(name[1:])
                    assert np.abs(pixels[int(y), int(x)] - (60 * k, 90, 200 - 60 * k)).max() < 25
                await tab.press("3")
                await tab.until("state.place === 1")
                assert await tab.run("state.rows[0].slot") == 2
                assert_quiet(tab, page)

    asyncio.run(look())


def test_what_cannot_be_shown_is_refused(tmp_path):
    from encoding.collection import Experiment, open_collection, write_page

    config = planned(tmp_path)
    opened = open_collection(read_collection(config))
    with pytest.raises(DataError, match="has nothing to show as 'videos'"):
        write_page(opened, tmp_path / "x.html", Experiment(trials=5, show="videos"))


@browsing
def test_on_a_phone_all_items_are_seen_and_a_scrolling_finger_chooses_none(tmp_path):
    config = clips(tmp_path)
    page = tmp_path / "phone.html"
    options = ["--trials", "4", "--practice", "0", "--catch", "0", "--pause", "0", "--show", "pictures"]
    assert main(["collect", "page", "--config", config, *options, "--output", str(page)]) == 0
    box = "document.querySelector(\"[data-slot='2']\").getBoundingClientRect()"

    async def look():
        async with chromium(tmp_path / "profile") as tab:
            await tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
            address = f"{page.as_uri()}?participant=eva"
            await start(tab, address, "document.readyState === 'complete'", 360, 640)
            await tab.click("#next")
            await tab.until("shown && shown.since !== null")
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
            assert await tab.run(f"{box}.bottom <= innerHeight")
            # The pointer rests where the button to go on was: nothing is marked before it moves.
            borders = "[...document.querySelectorAll('#items button')].map((b) => getComputedStyle(b).borderColor)"
            assert len(set(await tab.run(borders))) == 1
            x, y = await tab.centre("[data-slot='1']")
            await tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
            for step in (20, 60, 120):
                await tab.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y - step}])
            await tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            assert await tab.run("state.place") == 0
            await tab.touch("[data-slot='1']")
            await tab.until("state.place === 1")
            assert await tab.run("[state.rows[0].slot, state.rows[0].input]") == [1, "touch"]

    asyncio.run(look())


@browsing
def test_a_browser_that_keeps_nothing_says_so(tmp_path):
    config = planned(tmp_path)
    assert main(["collect", "page", "--config", config, "--trials", "3", "--practice", "0", "--catch", "0"]) == 0
    page = tmp_path / "out" / "experiment.html"
    broken = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('denied'); } })"

    async def look():
        async with chromium(tmp_path / "profile") as tab:
            await tab.call("Page.enable")
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=broken)
            await tab.open(page.as_uri() + "?participant=ann")
            assert "keeps nothing" in await tab.run("document.body.innerText")
            await tab.click("#next")
            for place in range(3):
                await tab.until(f"state.place === {place} && shown && shown.since !== null && !shown.done")
                await tab.press("1")
            await tab.until("state.finished")
            assert await tab.run("result().trials.length") == 3

    asyncio.run(look())
