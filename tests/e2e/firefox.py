"""Firefox for tests: headless, with a fake microphone, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/).

Playwright drives a Firefox of its own making only; this one is the distribution's.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.fakes.ports import free_port

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
START_S = 120.0
COMMAND_S = 120.0
POLL_S = 0.1
# A microphone that hums, no questions, and nothing that looks for a network.
PREFERENCES: dict[str, bool | int | str] = {
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.autoplay.default": 0,
    "media.gmp-manager.updateEnabled": False,
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.discovery.enabled": False,
    "browser.region.network.url": "",
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.push.connection.enabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "security.OCSP.enabled": 0,
    "services.settings.server": "http://127.0.0.1:9/",
    "toolkit.telemetry.enabled": False,
}


# Firefox 140's own scripts say so now and then while a call begins; errors of a page's scripts have a stack.
FIREFOX_S_OWN = "Error: Permission denied to access property"


class BrowserError(Exception):
    """Firefox did not do what it was asked to."""


class Firefox:
    """One tab. `errors` are what its pages' scripts did not catch."""

    def __init__(self, socket_: aiohttp.ClientWebSocketResponse) -> None:
        self.errors: list[str] = []
        self._socket = socket_
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tab = ""

    async def begin(self) -> None:
        """Open the session and find the tab."""
        await self.command("session.new", capabilities={})
        await self.command("session.subscribe", events=["log.entryAdded"])
        self._tab = (await self.command("browsingContext.getTree"))["contexts"][0]["context"]

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Its result. Raises BrowserError."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(COMMAND_S):
            answer = await self._answers[number]
        if answer.get("type") == "error":
            raise BrowserError(f"{method}: {answer.get('message')}")
        result: dict[str, Any] = answer["result"]
        return result

    async def goto(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        await self.command("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def resize(self, width: int, height: int) -> None:
        """Give the tab this size, in CSS pixels."""
        size = {"width": width, "height": height}
        await self.command("browsingContext.setViewport", context=self._tab, viewport=size)

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise. Counts as a click of the user."""
        found = await self.command(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})) ?? null)()",
            target={"context": self._tab},
            awaitPromise=True,
            userActivation=True,
        )
        if found["type"] == "exception":
            raise BrowserError(found["exceptionDetails"]["text"])
        value = found["result"].get("value")
        return None if value is None else json.loads(value)

    async def choose_files(self, selector: str, *files: Path) -> None:
        """Choose files in an input, as a person does in the system's dialogue."""
        locator = {"type": "css", "value": selector}
        found = await self.command("browsingContext.locateNodes", context=self._tab, locator=locator)
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        await self.command("input.setFiles", context=self._tab, element=element, files=[str(file) for file in files])

    async def until(self, expression: str, seconds: float) -> None:
        """Wait until an expression is true. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not await self.evaluate(expression):  # noqa: ASYNC110 - the event is in another process
                await asyncio.sleep(POLL_S)

    async def screenshot(self) -> bytes:
        """What the tab shows, as PNG."""
        found = await self.command("browsingContext.captureScreenshot", context=self._tab)
        return base64.b64decode(found["data"])

    async def read(self) -> None:
        """Take what Firefox says, until it hangs up."""
        async for message in self._socket:
            told = json.loads(message.data)
            if (waiting := self._answers.pop(told.get("id") or 0, None)) is not None and not waiting.done():
                waiting.set_result(told)
            elif told.get("method") == "log.entryAdded" and told["params"]["level"] == "error":
                text = told["params"].get("text") or ""
                if "stackTrace" in told["params"] or not text.startswith(FIREFOX_S_OWN):
                    self.errors.append(text)


@asynccontextmanager
async def firefox(**preferences: bool | int | str) -> AsyncIterator[Firefox]:
    """A fresh Firefox with these preferences, too."""
    assert FIREFOX is not None
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as home:
        lines = (f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in (PREFERENCES | preferences).items())
        (Path(home) / "user.js").write_text("".join(lines))
        port = free_port()
        process = subprocess.Popen(  # noqa: ASYNC220 - it only starts
            [FIREFOX, "--headless", "--no-remote", "--profile", home, f"--remote-debugging-port={port}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": home, "MOZ_CRASHREPORTER_DISABLE": "1"},
        )
        try:
            async with aiohttp.ClientSession() as http, await _connected(http, port, process) as connected:
                tab = Firefox(connected)
                reading = asyncio.create_task(tab.read())
                try:
                    await tab.begin()
                    yield tab
                    with suppress(BrowserError, ConnectionError, TimeoutError):
                        await tab.command("browser.close")
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
        finally:
            await asyncio.to_thread(_end, process)


async def _connected(
    http: aiohttp.ClientSession, port: int, process: subprocess.Popen[bytes]
) -> aiohttp.ClientWebSocketResponse:
    async with asyncio.timeout(START_S):
        while True:
            if process.poll() is not None:
                raise BrowserError(f"{FIREFOX} ended with {process.returncode} as it was started")
            with suppress(aiohttp.ClientError):
                return await http.ws_connect(f"ws://127.0.0.1:{port}/session", max_msg_size=0)
            await asyncio.sleep(POLL_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(60)
