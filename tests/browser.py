"""A headless Chromium, driven over its debugging port."""

import asyncio
import base64
import io
import itertools
import json
import os
import shutil
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


class Tab:
    """One page of a browser."""

    def __init__(self, socket):
        self._socket, self._ids = socket, itertools.count(1)
        self.events = []  # what the browser told in between

    async def call(self, method, **parameters):
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    async def run(self, code):
        found = await self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, code, seconds=20):
        end = time.monotonic() + seconds
        while not (value := await self.run(f"Boolean({code})")):
            assert time.monotonic() < end, f"{code} did not become true: {await self.run('document.body.innerText')}"
            await asyncio.sleep(0.02)
        return value

    async def open(self, address):
        await self.call("Page.enable")
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState === 'complete'")

    async def press(self, key):
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" else "")

    async def centre(self, selector):
        code = f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect(); "
        return await self.run(code + "return [b.x + b.width / 2, b.y + b.height / 2]; })()")

    async def click(self, selector):
        x, y = await self.centre(selector)
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def touch(self, selector):
        x, y = await self.centre(selector)
        await self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        await self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])


@asynccontextmanager
async def chromium(profile):
    """Start a browser with this profile, and close it at the end."""
    import aiohttp

    port_file = profile / "DevToolsActivePort"
    port_file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--mute-audio", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not (port_file.is_file() and len(port_file.read_text().splitlines()) >= 2):
            assert process.poll() is None, "Chromium did not start"
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        port = port_file.read_text().splitlines()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as reply:
                (page,) = [target for target in await reply.json(content_type=None) if target["type"] == "page"]
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
                await socket.send_json({"id": 0, "method": "Browser.close"})
                await asyncio.to_thread(process.wait, 20)  # what the page keeps is on disk then
    finally:
        process.kill()
        process.wait()


# What tests of pages share


async def start(tab, address, ready="document.body.dataset.ready === 'true'", width=1280, height=900):
    """Open a page in a window of some size, and wait until it says that it is ready."""
    await tab.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
    )
    for domain in ("Runtime", "Log", "Network"):
        await tab.call(f"{domain}.enable")
    await tab.open("about:blank")
    await tab.open(address)
    await tab.until(ready)


async def box_of(tab, selector):
    """Left, top, width and height of an element."""
    code = f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect(); "
    return await tab.run(code + "return [b.x, b.y, b.width, b.height]; })()")


async def shoot(tab, folder, name):
    """Keep a screenshot where ENCODING_SCREENSHOTS says, or with the files of the test; return its pixels."""
    import numpy as np
    from PIL import Image

    pixels = base64.b64decode((await tab.call("Page.captureScreenshot", format="png"))["data"])
    folder = Path(os.environ.get("ENCODING_SCREENSHOTS", folder))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(pixels)
    return np.asarray(Image.open(io.BytesIO(pixels)).convert("RGB")).astype(int)


def assert_quiet(tab, page):
    """Nothing but the page itself was asked for, and nothing was complained about."""
    told = {
        kind: [e["params"] for e in tab.events if e["method"] == kind] for kind in {e["method"] for e in tab.events}
    }
    asked = [one["request"]["url"] for one in told.get("Network.requestWillBeSent", [])]
    assert [url for url in asked if not url.startswith(("about:", "data:", "blob:", page.as_uri()))] == []
    assert told.get("Runtime.exceptionThrown", []) == []
    assert [one for one in told.get("Log.entryAdded", []) if one["entry"]["level"] == "error"] == []
    assert [one for one in told.get("Runtime.consoleAPICalled", []) if one["type"] in ("error", "assert")] == []


async def assert_accessible(tab, folder):
    """No finding of our own check of names and contrast, nor of axe-core where npm has it."""
    assert await tab.run((Path(__file__).parent / "accessible.js").read_text(encoding="utf-8")) == []
    script = axe(folder)
    if script:
        await tab.run(script)
        told = "r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html).join(' '))"
        assert await tab.run(f"axe.run().then((r) => {told})") == []


def axe(folder):
    """The script of axe-core, from the file that ENCODING_AXE names or from npm; "" where neither has it."""
    if "ENCODING_AXE" in os.environ:
        return Path(os.environ["ENCODING_AXE"]).read_text(encoding="utf-8")
    npm = shutil.which("npm")
    if npm is None:
        return ""
    try:
        subprocess.run([npm, "pack", "axe-core@4.14.1"], cwd=folder, capture_output=True, timeout=30, check=True)
        subprocess.run(["tar", "xzf", "axe-core-4.14.1.tgz", "package/axe.min.js"], cwd=folder, check=True, timeout=30)
    except (subprocess.SubprocessError, OSError):
        return ""
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")
