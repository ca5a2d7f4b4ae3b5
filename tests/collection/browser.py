"""A headless Chromium, driven over its debugging port."""

import asyncio
import itertools
import json
import shutil
import subprocess
import time
from contextlib import asynccontextmanager

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
