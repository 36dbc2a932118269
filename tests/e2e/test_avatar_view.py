"""<avatar-view> on a page of another origin, in a real browser: it calls, speaks and is steered."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Page

from clients.speech import SpeechClient
from streamer.measure.launched_server import LaunchedServer, launch
from tests import ROOT
from tests.e2e.browser import CHROMIUM, Chromium
from tests.e2e.firefox import FIREFOX, firefox
from tests.fakes.spoken import SAMPLE_RATE, steps

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the browser's side is not tested on this machine"),
]

PAGE = """<!doctype html><title>Another site</title>
<script>
  window.states = []; window.heard = []; window.errors = [];
  addEventListener("avatar-state", ({ detail }) => states.push(detail.state));
  addEventListener("avatar-event", ({ detail }) => heard.push(detail));
  addEventListener("avatar-error", ({ detail }) => errors.push(detail.message));
</script>
<script type="module" src="SERVERavatar-view.js"></script>
<avatar-view server="SERVER" avatar="dot" speech style="width: 200px"></avatar-view>
"""


ALPHAS = """
window.alphas = [];
const pen = new OffscreenCanvas(64, 64).getContext("2d", { willReadFrequently: true });
const look = () => { // after the element has: it asked first
  view.video.requestVideoFrameCallback(look);
  pen.clearRect(0, 0, 64, 64);
  pen.drawImage(view.canvas, 0, 0, 64, 64);
  alphas = [...pen.getImageData(0, 0, 64, 64).data].filter((_, at) => at % 4 === 3);
};
view.video.requestVideoFrameCallback(look);
"""


@dataclass(frozen=True)
class Site:
    """A server, and a listener for the pages of the site that it lets use it."""

    server: LaunchedServer
    listener: socket.socket


@pytest.fixture(scope="module")
def site(tiny_folder: Path) -> Iterator[Site]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        arguments = ["--engines", str(tiny_folder), "--sessions", "1", "--threads", "1", "--allow-origin", origin]
        with launch(arguments) as server:
            yield Site(server, listener)


@asynccontextmanager
async def pages(site: Site, listener: socket.socket) -> AsyncIterator[str]:
    """The address of a page with the element, of the site that is listened for."""

    async def index(request: web.Request) -> web.Response:
        return web.Response(text=PAGE.replace("SERVER", site.server.url), content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", index)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener.dup()).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def page(chromium: Chromium, site: Site, listener: socket.socket) -> AsyncIterator[Page]:
    async with pages(site, listener) as url, chromium.page() as opened:
        await opened.goto(url)
        yield opened


@pytest.mark.asyncio(loop_scope="module")
async def test_it_lives_on_another_site(chromium: Chromium, site: Site) -> None:
    async with page(chromium, site, site.listener) as opened:
        await opened.wait_for_function("Boolean(customElements.get('avatar-view'))")
        await opened.evaluate("window.view = document.querySelector('avatar-view')")
        await opened.wait_for_function("view.shadowRoot.querySelector('img').naturalWidth > 0")  # its portrait
        assert await opened.evaluate("view.state") == "idle"
        await opened.evaluate("view.start()")
        await opened.wait_for_function("view.state === 'live' && view.video.videoWidth > 0")
        await opened.wait_for_function("heard.some(({ type }) => type === 'statistics')")
        location = await opened.evaluate("view.session")
        async with SpeechClient(location) as speech:
            await speech.say(steps([0.5] * 3), SAMPLE_RATE)
            await opened.wait_for_function("heard.some(({ type, state }) => type === 'state' && state === 'speaking')")
            async with asyncio.timeout(60):
                await speech.idle()
        await opened.evaluate("view.control({ type: 'gesture', name: 'nod' })")
        await opened.evaluate("view.control({ type: 'mute', on: true })")
        await opened.wait_for_function("heard.some(({ type, muted }) => type === 'state' && muted)")
        if shutil.which("espeak-ng"):
            assert await opened.evaluate("view.say('Hello there.')") == 1
            assert await opened.evaluate("view.interrupt()") >= 0
        assert await opened.evaluate("errors") == []
        await opened.evaluate("view.remove()")
        await opened.wait_for_function("view.state === 'idle' && view.session === null")
        assert (await opened.evaluate("states"))[:2] == ["connecting", "live"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_face_without_a_background_lies_over_the_page(chromium: Chromium, site: Site) -> None:
    async with page(chromium, site, site.listener) as opened:
        await opened.wait_for_function("Boolean(customElements.get('avatar-view'))")
        await opened.evaluate("window.view = document.querySelector('avatar-view')")
        await opened.evaluate("view.setAttribute('background', 'transparent'); view.start()")
        patience = 60_000  # two calls, and WebGL in software
        await opened.wait_for_function("getComputedStyle(view.canvas).opacity === '1'", timeout=patience)
        await opened.wait_for_function("view.canvas.width > 0 && 2 * view.canvas.width === view.video.videoWidth")
        assert await opened.evaluate("getComputedStyle(view.video).opacity") == "0"
        await opened.evaluate(ALPHAS)
        await opened.wait_for_function("alphas.includes(0) && alphas.includes(255)", timeout=patience)
        await opened.evaluate("view.setAttribute('background', '#00ff00')")  # which is another call
        await opened.wait_for_function("getComputedStyle(view.video).opacity === '1'", timeout=patience)
        assert await opened.evaluate("getComputedStyle(view.canvas).opacity") == "0"


@pytest.mark.skipif(FIREFOX is None, reason="NO FIREFOX: its side is not tested on this machine")
async def test_it_lives_in_firefox(site: Site) -> None:
    async with pages(site, site.listener) as url, firefox() as tab:
        await tab.goto(url)
        await tab.until("Boolean(customElements.get('avatar-view'))", 60)
        await tab.evaluate("(document.querySelector('avatar-view').start(), 1)")
        await tab.until("document.querySelector('avatar-view').video.videoWidth > 0", 60)
        await tab.until("heard.some(({ type }) => type === 'statistics')", 60)
        assert await tab.evaluate("errors") == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_page_of_a_site_that_is_not_named_gets_nothing(chromium: Chromium, site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with page(chromium, site, listener) as opened:
            await opened.wait_for_timeout(500)
            assert not await opened.evaluate("Boolean(customElements.get('avatar-view'))")
            status = await opened.evaluate(
                f"fetch('{site.server.url}avatars').then(({{ status }}) => status, (error) => error.name)"
            )
            assert status == "TypeError"


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_the_package_has_what_the_element_imports(tmp_path: Path) -> None:
    done = subprocess.run(
        ["npm", "pack", "--dry-run", "--json"],
        cwd=ROOT / "clients" / "web",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    packed = {file["path"] for file in json.loads(done.stdout)[0]["files"]}
    pending, needed = ["avatar-view.js"], set()
    while pending:
        needed.add(name := pending.pop())
        lines = (ROOT / "clients" / "web" / name).read_text().splitlines()
        found = {line.split('"./')[1].rstrip('";') for line in lines if line.startswith("import ") and '"./' in line}
        pending += found - needed
    assert needed | {"avatar-view.d.ts", "package.json"} == packed
