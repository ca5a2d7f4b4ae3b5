"""The page of single trials, in a real browser: every filter changes what it should, and nothing is asked for."""

import asyncio
import json
from pathlib import Path

import pytest
from browser import CHROMIUM, assert_quiet, chromium, shoot, start
from loopback import by_hash
from test_command import MODEL, write
from test_runner import Serving

from encoding.cli import main

browsing = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed (Debian: apt install chromium)")
SECOND = MODEL.replace("captions-letter", "captions-text") + 'name = "in words"\npersona = "You are a painter."\n'


def answer(request):
    """Two prompts, of which one is refused where clip 3 is shown, and contradicts the other where clip 5 is."""
    found = by_hash(request)
    if "logprobs" in request:
        return found
    if "thing 3." in str(request["messages"][-1]):
        return {"content": "", "refusal": "I cannot <b>judge</b> this.", "tokens_in": 400}
    letter = found["content"]
    return {"content": "ABC"["ABC".index(letter) - 1] if "thing 5." in str(request["messages"][-1]) else letter}


def trials_of(folder, *options):
    with Serving(answer) as server:
        config = write(folder, MODEL.format(url=server.url) + SECOND.format(url=server.url), show="captions")
        assert main(["collect", "plan", "--config", config, "--dry-run", "0"]) == 0
        assert main(["collect", "run", "--config", config]) == 0
    assert main(["collect", "trials", "--config", config, *options]) == 0
    page = folder / "out" / "trials.html"
    text = page.read_text(encoding="utf-8")
    return page, json.loads(text.split('type="application/json">')[1].split("</script>")[0])


def odd(trial):
    return trial["items"][trial["choice"]] if trial["choice"] >= 0 else None


def test_both_judges_are_shown_on_the_same_trials(tmp_path):
    _, content = trials_of(tmp_path, "--most", "30")
    shown = {}
    for trial in content["trials"]:
        shown.setdefault(trial["judge"], set()).add(tuple(trial["items"]))
    first, second = shown.values()
    assert first == second
    assert 30 <= len(first) <= 60
    (row,) = content["agreement"]
    # Known truth: with clip 5 they contradict each other, elsewhere they say the same, with the first one's certainty.
    both = {}
    for trial in content["trials"]:
        both.setdefault(tuple(trial["items"]), {})[trial["judge"]] = trial
    same = [odd(a) == odd(b) for a, b in (pair.values() for pair in both.values()) if odd(a) and odd(b)]
    assert 0 < sum(same) < len(same)
    assert row["trials"] >= row["triplets"] > 80  # some are repeated in another order
    assert 1 / 3 < row["agreement"] < 1
    assert [len(drift["parts"]) for drift in content["drift"]] == [4, 4]
    assert "You are a painter." in content["prompts"]


@browsing
def test_filters_change_what_they_should_and_nothing_is_asked_for(tmp_path):
    page, content = trials_of(tmp_path)
    trials = content["trials"]
    by_triplet = {}
    for trial in trials:
        by_triplet.setdefault(tuple(sorted(trial["items"])), {})[trial["judge"]] = odd(trial)
    differing = [t for t in trials if len({o for o in by_triplet[tuple(sorted(t["items"]))].values() if o}) > 1]
    dear = sorted({trial["cost"] for trial in trials})[-1]
    wanted = {
        "get('judge').value = 'in words'": sum(trial["judge"] == "in words" for trial in trials),
        "get('outcome').value = 'refused'": sum(trial["outcome"] == "refused" for trial in trials),
        "get('stimulus').value = 'clip07'": sum("clip07" in trial["items"] for trial in trials),
        "get('least').value = '0.5'": sum(trial["disagreement"] >= 0.5 for trial in trials),
        f"get('cost').value = '{dear}'": sum(trial["cost"] >= dear for trial in trials),
        "get('differ').checked = true": len(differing),
    }
    assert all(0 < n < len(trials) for n in wanted.values()), wanted

    async def look():
        async with chromium(tmp_path / "profile") as tab:
            await start(tab, page.as_uri(), "document.readyState === 'complete'", width=1100, height=1400)
            assert await tab.run("document.querySelectorAll('article').length") == min(len(trials), 500)
            for code, n in wanted.items():
                await tab.run(f"get('filter').reset(); {code}; show()")
                assert await tab.run("document.querySelectorAll('article').length") == n, code
                assert (await tab.run("get('count').textContent")).startswith(f"{n} of {len(trials)} trials"), code
            await tab.run("get('filter').reset(); get('outcome').value = 'refused'; show()")
            assert "I cannot <b>judge</b> this." in await tab.run("document.querySelector('article').innerText")
            for order, key in (("disagreement", "disagreement"), ("cost", "cost")):
                await tab.run(f"get('filter').reset(); get('order').value = '{order}'; show()")
                first = await tab.run("document.querySelector('article > small').innerText")
                most = max(trial[key] for trial in trials)
                assert (f"disagreement {most:.2f}" if order == "disagreement" else f" {most} USD") in first
            await tab.run("get('filter').reset(); show(); get('judges').open = true")
            assert await tab.run("document.querySelectorAll('#drift svg').length") == 2
            assert await tab.run("document.querySelectorAll('#agreement tr').length") == 2
            accessible = (Path(__file__).parents[1] / "accessible.js").read_text(encoding="utf-8")
            assert await tab.run(accessible) == []
            await shoot(tab, tmp_path / "pictures", "trials")
            # By the keyboard and the mouse, as a person would.
            await tab.run("get('judges').open = false; get('together').scrollIntoView()")
            await tab.click("#together")
            rows = "[...document.querySelectorAll('article')].map((a) => a.querySelectorAll('tr').length)"
            groups = await tab.run(rows)
            assert len(groups) == len({tuple(sorted(trial["items"])) for trial in trials[:500]})
            assert sum(groups) == len(groups) + min(len(trials), 500)
            await tab.click("#stimulus")
            for letter in "clip05":
                await tab.press(letter)
            assert (await tab.run("get('count').textContent")).startswith(
                f"{sum('clip05' in trial['items'] for trial in trials)} of "
            )
            await shoot(tab, tmp_path / "pictures", "trials_together")
            assert_quiet(tab, page)

    asyncio.run(look())
