"""The whole way, in a real browser: a person presses the button, speaks, and sees a face that speaks.

Chromium plays a WAV made here as its microphone. What is measured is what the browser decoded and painted.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, async_playwright

from streamer.measure.launched_server import LaunchedServer, launch
from tests import ROOT
from tests.e2e.browser import ARGUMENTS, CHROMIUM, MICROPHONE, speaking

WATCH_S = 24.0  # the microphone's recording, twice
# Lets the test ask the page's connection for its statistics, and keeps what the mouth looked like: one row of grey
# values each 100 ms while the page is watched.
SPY = """
(() => {
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...options) { super(...options); window.thePeer = this; }
  };
  window.inbound = async () => {
    const found = {};
    for (const stat of (await window.thePeer.getStats()).values())
      if (stat.type === "inbound-rtp") found[stat.kind] = stat;
    return found;
  };
  window.mouths = [];
  window.watchMouth = () => {
    const { video } = document.getElementById("avatar");
    const canvas = new OffscreenCanvas(32, 32);
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    setInterval(() => {
      const [w, h] = [video.videoWidth, video.videoHeight];
      pen.drawImage(video, 0.3 * w, 0.6 * h, 0.4 * w, 0.3 * h, 0, 0, 32, 32);
      const pixels = pen.getImageData(0, 0, 32, 32).data;
      window.mouths.push(Array.from({ length: 1024 }, (_, i) => pixels[4 * i + 1]));
    }, 100);
  };
})();
"""

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the browser's side is not tested on this machine"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[LaunchedServer]:
    """A server with the shipped family, as people run it."""
    with launch(["--sessions", "4"]) as launched:
        yield launched


@asynccontextmanager
async def page(url: str, *arguments: str) -> AsyncIterator[tuple[Page, list[str]]]:
    """The page in a fresh browser, and the errors it met."""
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=[*ARGUMENTS, *arguments]
        )
        opened = await browser.new_page(viewport={"width": 900, "height": 900})
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        await opened.add_init_script(SPY)
        await opened.goto(url)
        await opened.wait_for_selector("#start:enabled")
        yield opened, errors
        await browser.close()


async def state(opened: Page, wanted: str) -> str:
    """Wait for the page's state; what it says of it."""
    await opened.wait_for_function("wanted => document.body.dataset.state === wanted", arg=wanted, timeout=20_000)
    return await opened.inner_text("#status")


async def inbound(opened: Page) -> dict[str, dict[str, Any]]:
    """Statistics of what comes in, by kind."""
    found: dict[str, dict[str, Any]] = await opened.evaluate("inbound()")
    return found


async def test_a_conversation(server: LaunchedServer, microphone: Path) -> None:
    async with page(server.url, *speaking(microphone)) as (opened, errors):
        await opened.click("#start")
        await state(opened, "live")
        await opened.fill("#volume", "50")  # browsers do not decode sound that nobody hears
        await asyncio.sleep(2.0)  # the first pictures
        await opened.evaluate("watchMouth()")
        before = await inbound(opened)
        await asyncio.sleep(WATCH_S)
        after = await inbound(opened)
        mouths = np.array(await opened.evaluate("mouths"), np.float32)
        await opened.click("#start")
        await state(opened, "idle")
    seconds = (after["video"]["timestamp"] - before["video"]["timestamp"]) / 1000
    decoded = after["video"]["framesDecoded"] - before["video"]["framesDecoded"]
    assert decoded > seconds  # how many: `make latency`
    assert after["audio"]["packetsReceived"] - before["audio"]["packetsReceived"] >= 48 * seconds
    assert after["audio"]["totalAudioEnergy"] > before["audio"].get("totalAudioEnergy", 0.0) + 0.01
    lost = after["audio"]["packetsLost"] + after["video"]["packetsLost"]
    assert lost == 0
    # A still picture has a spread of 0, coding noise of less than 1 grey value; lips that part of several.
    assert mouths.std(axis=0).max() > 5.0
    changes = np.abs(np.diff(mouths, axis=0)).mean(axis=1)
    assert np.count_nonzero(changes > 0.2) > len(changes) / 4
    assert errors == []


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="NO ESPEAK-NG: the example that speaks is not tested")
async def test_typed_text_is_spoken_to_a_page_without_a_microphone(server: LaunchedServer) -> None:
    async with page(f"{server.url}?speech=1", "--deny-permission-prompts") as (opened, errors):
        await opened.click("#start")
        await state(opened, "live")
        address = (await opened.inner_text("#address")).split()[-1]
        await asyncio.sleep(1.0)
        silent = (await inbound(opened))["audio"].get("totalAudioEnergy", 0.0)
        await opened.evaluate("watchMouth()")
        example = await asyncio.create_subprocess_exec(
            *[sys.executable, "examples/say.py", address],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await example.communicate(b"The sun is up, and the birds are singing.\n")
        assert (example.returncode, output) == (0, b"")
        spoken = (await inbound(opened))["audio"]["totalAudioEnergy"]
        mouths = np.array(await opened.evaluate("mouths"), np.float32)
    assert spoken > silent + 0.01
    assert mouths.std(axis=0).max() > 5.0
    assert errors == []


async def test_a_refused_microphone_is_explained(server: LaunchedServer) -> None:
    async with page(server.url, "--use-fake-device-for-media-stream", "--deny-permission-prompts") as (opened, _):
        await opened.click("#start")
        assert "not allowed" in await state(opened, "failed")


async def test_a_machine_without_a_microphone_is_reported(server: LaunchedServer) -> None:
    async with page(server.url, "--use-fake-ui-for-media-stream") as (opened, _):
        await opened.evaluate(
            "() => { navigator.mediaDevices.getUserMedia = "
            "async () => { throw new DOMException('Requested device not found', 'NotFoundError'); }; }"
        )
        await opened.click("#start")
        assert "No microphone was found" in await state(opened, "failed")


async def test_a_server_that_is_lost_is_reported(tiny_folder: Path) -> None:
    with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4"]) as short_lived:
        async with page(short_lived.url, *MICROPHONE) as (opened, _):
            short_lived.process.terminate()
            await asyncio.to_thread(short_lived.process.wait, 10)
            await opened.click("#start")
            assert "cannot be reached" in await state(opened, "failed")


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_lies_beside_the_screen(server: LaunchedServer, width: int) -> None:
    async with page(server.url) as (opened, errors):
        await opened.set_viewport_size({"width": width, "height": 740})
        assert await opened.evaluate("document.documentElement.scrollWidth") <= width
        portrait = await opened.evaluate(
            "document.querySelector('avatar-view').shadowRoot.querySelector('img').naturalWidth"
        )
        assert portrait > 0
        unnamed = await opened.evaluate(
            "[...document.querySelectorAll('button, input')]"
            ".filter(e => !e.textContent && !e.labels?.length && !e.ariaLabel).map(e => e.id)"
        )
        assert unnamed == []
        assert errors == []
