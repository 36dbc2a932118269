"""The whole way, in a real browser: a person presses the button, speaks, and sees a face that speaks.

Chromium plays a WAV made here as its microphone. What is measured is what the browser decoded and painted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page

from streamer.measure.launched_server import LaunchedServer, launch
from tests.e2e.browser import CHROMIUM, MICROPHONE, NO_MICROPHONE, Chromium, speaking
from tests.e2e.talk_page import browsing, complaints, goes_on, heard, lips_part, ready, seen, state

pytestmark = [
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the browser's side is not tested on this machine"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[LaunchedServer]:
    """A server with the shipped family, as people run it."""
    with launch(["--sessions", "4"]) as launched:
        yield launched


@asynccontextmanager
async def page(chromium: Chromium, url: str, *arguments: str) -> AsyncIterator[tuple[Page, list[str]]]:
    """The page, ready, and the errors it met."""
    async with browsing(chromium, *arguments) as opened:
        errors = complaints(opened)
        await ready(opened, url)
        yield opened, errors


async def test_a_conversation(chromium: Chromium, server: LaunchedServer, microphone: Path) -> None:
    async with page(chromium, server.url, *speaking(microphone)) as (opened, errors):
        await opened.click("#start")
        await state(opened, "live")
        await opened.fill("#volume", "50")  # browsers do not decode sound that nobody hears
        await heard(opened)
        await seen(opened)
        await opened.evaluate("watchMouth()")
        await lips_part(opened)
        await goes_on(opened)  # how many pictures a second: `make latency`
        await opened.click("#start")
        await state(opened, "idle")
    assert errors == []


async def test_a_refused_microphone_is_explained(chromium: Chromium, server: LaunchedServer) -> None:
    async with page(chromium, server.url, *NO_MICROPHONE) as (opened, _):
        await opened.click("#start")
        assert "not allowed" in await state(opened, "failed")


async def test_a_machine_without_a_microphone_is_reported(chromium: Chromium, server: LaunchedServer) -> None:
    async with page(chromium, server.url, "--use-fake-ui-for-media-stream") as (opened, _):
        await opened.evaluate(
            "() => { navigator.mediaDevices.getUserMedia = "
            "async () => { throw new DOMException('Requested device not found', 'NotFoundError'); }; }"
        )
        await opened.click("#start")
        assert "No microphone was found" in await state(opened, "failed")


async def test_a_server_that_is_lost_is_reported(chromium: Chromium, tiny_folder: Path) -> None:
    with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4"]) as short_lived:
        async with page(chromium, short_lived.url, *MICROPHONE) as (opened, _):
            short_lived.process.terminate()
            await asyncio.to_thread(short_lived.process.wait, 60)
            await opened.click("#start")
            assert "cannot be reached" in await state(opened, "failed")


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_lies_beside_the_screen(chromium: Chromium, server: LaunchedServer, width: int) -> None:
    async with page(chromium, server.url) as (opened, errors):
        await opened.set_viewport_size({"width": width, "height": 740})
        assert await opened.evaluate("document.documentElement.scrollWidth") <= width
        await opened.wait_for_function(
            "document.querySelector('avatar-view').shadowRoot.querySelector('img').naturalWidth > 0"
        )
        unnamed = await opened.evaluate(
            "[...document.querySelectorAll('button, input')]"
            ".filter(e => !e.textContent && !e.labels?.length && !e.ariaLabel).map(e => e.id)"
        )
        assert unnamed == []
        assert errors == []
