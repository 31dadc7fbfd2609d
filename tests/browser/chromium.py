"""A headless Chromium that a test drives over the DevTools protocol, one page at a time."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip
_PATIENCE_S = 40.0


@contextmanager
def browser() -> Iterator[str]:
    """A browser without a profile; the address of its protocol."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.PIPE, text=True
        )
        try:
            assert process.stderr is not None
            yield next(found[0] for line in process.stderr if (found := re.search(r"ws://\S+", line)))
        finally:
            process.terminate()
            process.wait(10)
            assert process.stderr is not None
            process.stderr.close()


class Page:
    """One page. ``errors`` are what its console and its policy complained of."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._session = ""
        self._loaded = asyncio.Event()
        self.errors: list[str] = []

    async def attach(self) -> None:
        """Open it."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers; events that come before it are taken in."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        while True:
            said = await self._socket.receive_json(timeout=_PATIENCE_S)
            if said.get("id") == self._number:
                assert "error" not in said, said["error"]
                result: dict[str, Any] = said["result"]
                return result
            self._event(said)

    async def open(self, where: Path | str, width: int = 1280, height: int = 900, *, scripts: bool = True) -> None:
        """Show a file, or a URL, in a window of this size, without scripts if so, and wait until it is drawn."""
        await self.resize(width, height)
        await self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self._loaded.clear()
        await self.call("Page.navigate", url=where if isinstance(where, str) else where.as_uri())
        while not self._loaded.is_set():
            self._event(await self._socket.receive_json(timeout=_PATIENCE_S))
        if scripts:
            await self.drawn()

    async def resize(self, width: int, height: int = 900) -> None:
        """Change the size of the window."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def drawn(self) -> None:
        """Wait for two frames."""
        frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        await self.call("Runtime.evaluate", expression=frames, awaitPromise=True)

    async def run(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = await self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            allowUnsafeEvalBlockedByCSP=False,  # the page is not to be allowed more than it allows itself
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression: str, within_s: float = _PATIENCE_S) -> None:
        """Wait until an expression is true."""
        deadline = asyncio.get_running_loop().time() + within_s
        while not await self.run(expression):
            assert asyncio.get_running_loop().time() < deadline, (expression, self.errors)
            await asyncio.sleep(0.1)

    async def key(self, key: str) -> None:
        """Press a key, as for example ``ArrowRight`` or ``+``."""
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)
        await self.drawn()

    async def mouse(self, kind: str, x: float, y: float, *, held: bool = False) -> None:
        """``mouseMoved``, ``mousePressed`` or ``mouseReleased`` at a place in the window."""
        button = "none" if kind == "mouseMoved" and not held else "left"
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=int(held), clickCount=1)
        await self.drawn()

    async def screenshot(self, *, whole: bool = False) -> bytes:
        """A picture of the window, or of the ``whole`` page, as PNG."""
        found = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(found["data"])

    async def colours(self, picture: bytes) -> set[str]:
        """The colours of a picture, as ``rrggbb``; the page is left for an empty one, which may look at it."""
        await self.call("Page.navigate", url="about:blank")
        await self.drawn()
        encoded = base64.b64encode(picture).decode()
        found = await self.run(
            f"""(async () => {{
              const image = new Image(), canvas = document.createElement('canvas'), seen = new Set();
              image.src = 'data:image/png;base64,{encoded}';
              await image.decode();
              Object.assign(canvas, {{ width: image.width, height: image.height }});
              const ink = canvas.getContext('2d');
              ink.drawImage(image, 0, 0);
              const data = ink.getImageData(0, 0, image.width, image.height).data;
              for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
              return [...seen].map(each => each.toString(16).padStart(6, '0'));
            }})()"""
        )
        return set(found)

    async def pdf(self) -> bytes:
        """The page as it is printed."""
        found = await self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(found["data"])

    def _event(self, said: dict[str, Any]) -> None:
        match said.get("method"):
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.exceptionThrown":
                self.errors.append(str(said["params"]["exceptionDetails"]))
            case "Log.entryAdded" if said["params"]["entry"]["level"] == "error":
                self.errors.append(said["params"]["entry"]["text"])
            case "Runtime.consoleAPICalled" if said["params"]["type"] == "error":
                self.errors.append(str(said["params"]["args"]))


@asynccontextmanager
async def page(address: str) -> AsyncIterator[Page]:
    """A page of the browser at this address, closed in the end."""
    async with ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
        found = Page(socket)
        await found.attach()
        yield found
        await found.call("Page.close")
