"""Chromium for tests and measurements: headless, with a file for a microphone."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, Playwright, async_playwright, expect

PATIENCE_MS = 60_000  # for whatever a page is to show: a busy machine takes seconds for what takes none
expect.set_options(timeout=PATIENCE_MS)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",  # containers have no user namespaces; the only pages it sees are ours
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]
MICROPHONE = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
NO_MICROPHONE = ["--use-fake-device-for-media-stream", "--deny-permission-prompts"]


def speaking(sound: Path) -> list[str]:
    """Arguments for a microphone that hears a WAV file, again and again."""
    return [*MICROPHONE, f"--use-file-for-fake-audio-capture={sound}"]


class Chromium:
    """Chromium, started once for each set of arguments and kept: its start takes longer than many a test."""

    def __init__(self, playwright: Playwright) -> None:
        self._playwright = playwright
        self._running: dict[tuple[str, ...], Browser] = {}

    @asynccontextmanager
    async def page(self, *arguments: str, base: list[str] = ARGUMENTS, **context: Any) -> AsyncIterator[Page]:
        """A page in a context of its own: it shares no storage, permission or cache with another. `context`: options
        of `Browser.new_context`."""
        browser = self._running.get(key := (*base, *arguments))
        if browser is None:
            browser = await self._playwright.chromium.launch(
                executable_path=CHROMIUM, args=list(key), timeout=2 * PATIENCE_MS
            )
            self._running[key] = browser
        own = await browser.new_context(**context)
        own.set_default_timeout(PATIENCE_MS)
        try:
            yield await own.new_page()
        finally:
            await own.close()

    async def close(self) -> None:
        """End all browsers."""
        for browser in self._running.values():
            await browser.close()


@asynccontextmanager
async def chromium_started() -> AsyncIterator[Chromium]:
    """Chromium, until the context is left."""
    async with async_playwright() as playwright:
        chromium = Chromium(playwright)
        try:
            yield chromium
        finally:
            await chromium.close()
