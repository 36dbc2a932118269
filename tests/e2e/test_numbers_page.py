"""A face for other people's programs: <avatar-view numbers> tells units, and the example moves a VRM model by them."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from PIL import Image
from playwright.async_api import Page

from streamer.measure.launched_server import LaunchedServer, launch
from tests import ROOT
from tests.e2e.browser import ARGUMENTS, CHROMIUM, PATIENCE_MS, Chromium, speaking

EXAMPLE = ROOT / "examples" / "vrm"
PAGE = """<!doctype html><title>A program's page</title>
<script>
  window.frames_ = []; window.errors = [];
  addEventListener("avatar-numbers", ({ detail }) => frames_.push(detail));
  addEventListener("avatar-error", ({ detail }) => errors.push(detail.message));
</script>
<script type="module" src="SERVERavatar-view.js"></script>
<avatar-view server="SERVER" numbers="50"></avatar-view>
"""

pytestmark = [
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the browser's side is not tested on this machine"),
]


@dataclass(frozen=True)
class Site:
    server: LaunchedServer
    listener: socket.socket


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server with the shipped family, and a listener for the site that it lets use it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with launch(["--sessions", "2", "--allow-origin", origin]) as server:
            yield Site(server, listener)


@asynccontextmanager
async def page(chromium: Chromium, site: Site, microphone: Path, path: str) -> AsyncIterator[Page]:
    """A page of the site: of the example, or "/bare"."""

    async def bare(request: web.Request) -> web.Response:
        return web.Response(text=PAGE.replace("SERVER", site.server.url), content_type="text/html")

    app = web.Application()
    app.router.add_get("/bare", bare)
    app.router.add_static("/", EXAMPLE)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, site.listener.dup()).start()
    usual = [argument for argument in ARGUMENTS if argument != "--disable-gpu"]  # it would take WebGL along
    arguments = ["--enable-unsafe-swiftshader", *speaking(microphone)]
    try:
        async with chromium.page(*arguments, base=usual, viewport={"width": 320, "height": 320}) as opened:
            await opened.goto(f"http://127.0.0.1:{site.listener.getsockname()[1]}{path}")
            yield opened
    finally:
        await runner.cleanup()


async def test_units_and_pose_come_with_the_voice_and_no_picture_does(
    chromium: Chromium, site: Site, microphone: Path
) -> None:
    async with page(chromium, site, microphone, "/bare") as opened:
        await opened.wait_for_function("Boolean(customElements.get('avatar-view'))", timeout=PATIENCE_MS)
        await opened.evaluate("window.view = document.querySelector('avatar-view'); view.start()")
        spoken = "frames_.some(({ blendshapes }) => blendshapes.jawOpen > 0.1) && frames_.length > 50"
        await opened.wait_for_function(spoken, timeout=PATIENCE_MS)
        frame = await opened.evaluate("frames_.at(-1)")
        assert len(frame["blendshapes"]) == 52
        assert set(frame["head"]) == {"pitch", "yaw", "roll", "tx", "ty", "tz"}
        moments = np.array(await opened.evaluate("frames_.map(({ time_ms }) => time_ms)"))
        assert (np.diff(moments) > 0).all()
        assert await opened.evaluate("view.video.srcObject.getTracks().map(({ kind }) => kind)") == ["audio"]
        assert await opened.evaluate("errors") == []


@pytest.mark.skipif(
    not (EXAMPLE / "node_modules" / "three").is_dir(), reason="NO THREE.JS: `npm install` in examples/vrm is not done"
)
async def test_the_example_moves_a_head(chromium: Chromium, site: Site, microphone: Path) -> None:
    async with page(chromium, site, microphone, f"/index.html?server={site.server.url}") as opened:
        await opened.wait_for_selector("body[data-ready]", timeout=PATIENCE_MS)
        rest = await picture(opened)
        assert rest.std() > 20  # a head, and not a plain ground
        await opened.click("#start")
        await opened.wait_for_function("Number(document.body.dataset.jaw) > 0.1", timeout=PATIENCE_MS)
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while np.abs(await picture(opened) - rest).mean() <= 1:  # noqa: ASYNC110 - the page is another process
                await asyncio.sleep(0.1)


async def picture(opened: Page) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with Image.open(io.BytesIO(await opened.screenshot())) as found:
        return np.asarray(found.convert("L"), np.float32)
