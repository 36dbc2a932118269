"""The page that people talk on, as tests drive it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from playwright.async_api import ConsoleMessage, Page

from tests.e2e.browser import PATIENCE_MS, Chromium

WIDE = (1280, 720)
# Lets the test ask the page's connection for its statistics, and keeps what the mouth looked like: one row of grey
# values each 100 ms while the page is watched; and the texts of elements that are noted.
SPY = """
(() => {
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...options) { super(...options); window.thePeer = this; }
  };
  window.inbound = async () => {
    const found = {};
    for (const stat of (await window.thePeer?.getStats())?.values() ?? [])
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
  const texts = {};
  window.note = (selector) => {
    const [element, kept] = [document.querySelector(selector), (texts[selector] = [])];
    const options = { childList: true, characterData: true, subtree: true };
    new MutationObserver(() => kept.push(element.textContent)).observe(element, options);
  };
  window.wereSaid = (selector, wanted) => {
    let found = 0;
    for (const text of texts[selector]) if (text.includes(wanted[found])) found += 1;
    return found === wanted.length;
  };
})();
"""


@asynccontextmanager
async def browsing(chromium: Chromium, *arguments: str) -> AsyncIterator[Page]:
    """An empty page of a browser with these arguments."""
    async with chromium.page(*arguments, viewport={"width": WIDE[0], "height": WIDE[1]}) as page:
        await page.add_init_script(SPY)
        yield page


async def ready(page: Page, url: str) -> None:
    """Open the page, and wait until one can begin."""
    await page.goto(url)
    await page.wait_for_selector("#start:enabled", timeout=PATIENCE_MS)


async def state(page: Page, wanted: str) -> str:
    """Wait for the page's state; return what it says of it."""
    await page.wait_for_function("wanted => document.body.dataset.state === wanted", arg=wanted, timeout=PATIENCE_MS)
    return await page.inner_text("#status")


async def heard(page: Page, energy: float = 0.005) -> None:
    """Wait until the avatar has been heard to speak: until so much energy of sound has come."""
    enough = "energy => inbound().then(({ audio }) => (audio?.totalAudioEnergy ?? 0) > energy)"
    await page.wait_for_function(enough, arg=energy, timeout=PATIENCE_MS)


async def seen(page: Page) -> None:
    """Wait until a picture has been decoded."""
    decoded = "() => inbound().then(({ video }) => (video?.framesDecoded ?? 0) > 0)"
    await page.wait_for_function(decoded, timeout=PATIENCE_MS)


async def inbound(opened: Page) -> dict[str, dict[str, Any]]:
    """Statistics of what comes in, by kind."""
    found: dict[str, dict[str, Any]] = await opened.evaluate("inbound()")
    return found


def complaints(opened: Page) -> list[str]:
    """Errors that the page meets from now on. That a session has ended is none: a busy page calls again."""
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))

    def take(line: ConsoleMessage) -> None:
        if line.type == "error" and "/session" not in line.location.get("url", ""):
            errors.append(line.text)

    opened.on("console", take)
    return errors


async def note(opened: Page, *selectors: str) -> None:
    """Keep every text that these elements have from now on: some stand there for a moment only."""
    for selector in selectors:
        await opened.evaluate("selector => note(selector)", selector)


async def were_said(opened: Page, selector: str, *texts: str) -> None:
    """Wait until a noted element has had these texts, in this order."""
    said = "([selector, texts]) => wereSaid(selector, texts)"
    await opened.wait_for_function(said, arg=[selector, list(texts)], timeout=PATIENCE_MS)


async def goes_on(opened: Page) -> None:
    """Wait until a stretch of sound and pictures has come of which no packet was lost.

    A machine that is held up drops some, and a page that calls again counts anew: either begins another stretch.
    """
    more = """({ packets, pictures }) => inbound().then(({ audio, video }) =>
        audio?.packetsReceived >= packets && video?.framesDecoded >= pictures)"""
    async with asyncio.timeout(2 * PATIENCE_MS / 1000):
        while True:
            packets, pictures, lost = _counts(await inbound(opened))
            wanted = {"packets": packets + 25, "pictures": pictures + 5}
            await opened.wait_for_function(more, arg=wanted, timeout=PATIENCE_MS)
            if _counts(await inbound(opened))[2] == lost:
                return


def _counts(found: dict[str, dict[str, Any]]) -> tuple[int, int, int]:
    """Packets of sound, pictures, and lost packets of either."""
    sound, video = found.get("audio", {}), found.get("video", {})
    lost = sound.get("packetsLost", 0) + video.get("packetsLost", 0)
    return sound.get("packetsReceived", 0), video.get("framesDecoded", 0), lost


async def lips_part(opened: Page) -> None:
    """Wait until the watched mouth has been seen to speak: not once, but in picture after picture.

    A still picture has a spread of 0, coding noise of less than 1 grey value; lips that part of several.
    """
    async with asyncio.timeout(2 * PATIENCE_MS / 1000):
        while True:
            mouths = np.array(await opened.evaluate("mouths"), np.float32).reshape(-1, 1024)
            changes = np.abs(np.diff(mouths, axis=0)).mean(axis=1)
            if len(mouths) and mouths.std(axis=0).max() > 5.0 and np.count_nonzero(changes > 0.2) > 10:
                return
            await asyncio.sleep(0.2)
