"""The pages for OBS's Browser Source, in a real browser: the face over nothing, by itself and for ever.

OBS shows what Chromium paints with its alpha; so does a screenshot without the browser's own background.
"""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Page

from clients.speech import SpeechClient
from streamer.core.frames import ByteArray, FloatArray
from streamer.desktop.preview import MOST_VIEWERS, Preview
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.stages.face_option_table import OPTIONS
from tests import ROOT
from tests.e2e.browser import ARGUMENTS, CHROMIUM, NO_MICROPHONE, Chromium, speaking
from tests.e2e.talk_page import complaints
from tests.fakes import faces
from tests.fakes.ports import free_port
from tests.fakes.sound import speech_like

SIDE = 512  # of the browser source, in pixels
PATIENCE_S = 60.0
KEY = "a-secret-of-the-stage"
SAMPLE_RATE = 16_000
# Keeps the connection for its statistics, and what each picture looked like once the page has painted it: the alpha of
# a corner and of the face's middle, and the mouth's grey values.
SPY = """
(() => {
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...options) { super(...options); window.thePeer = this; }
  };
  window.energy = async () => {
    for (const stat of (await window.thePeer.getStats()).values())
      if (stat.type === "inbound-rtp" && stat.kind === "audio") return stat.totalAudioEnergy ?? 0;
    return 0;
  };
  window.watch = () => {
    window.seen = [];
    const video = document.getElementById("avatar");
    const pen = new OffscreenCanvas(64, 64).getContext("2d", { willReadFrequently: true });
    const look = () => {
      pen.clearRect(0, 0, 64, 64);
      pen.drawImage(document.getElementById("joined"), 0, 0, 64, 64);
      const pixels = pen.getImageData(0, 0, 64, 64).data;
      const mouth = [];
      for (let y = 40; y < 56; y++) for (let x = 20; x < 44; x++) mouth.push(pixels[4 * (64 * y + x) + 1]);
      window.seen.push([pixels[4 * (64 * 2 + 2) + 3], pixels[4 * (64 * 32 + 32) + 3], mouth]);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look); // asked for after the page has, so called after it, too
  };
})();
"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="NO CHROMIUM: the browser's side is not tested on this machine"
)


@pytest.fixture(scope="module")
def server() -> Iterator[LaunchedServer]:
    """A server with the shipped family, as people run it."""
    with launch(["--sessions", "4"]) as launched:
        yield launched


@asynccontextmanager
async def browser(chromium: Chromium, *arguments: str) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page as a Browser Source has it, and the errors it met. Not `--disable-gpu`: it would take WebGL along."""
    usual = [*(argument for argument in ARGUMENTS if argument != "--disable-gpu"), "--enable-unsafe-swiftshader"]
    async with chromium.page(*arguments, base=usual, viewport={"width": SIDE, "height": SIDE}) as opened:
        await opened.add_init_script(SPY)
        yield opened, complaints(opened)


async def shown(opened: Page, kind: str = "canvas") -> None:
    """Wait until the face is live on the page."""
    await opened.wait_for_function("kind => document.body.dataset.shown === kind", arg=kind, timeout=1000 * PATIENCE_S)


async def lips_part(opened: Page) -> None:
    """Wait until the face has been seen to speak since `watch()`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            mouths = np.array([mouth for _, _, mouth in await opened.evaluate("seen")])
            if len(mouths) and mouths.std(axis=0).max() > 5.0:
                return
            await asyncio.sleep(0.5)


async def told(opened: Page) -> str:
    """Wait for the page's line."""
    await opened.wait_for_function("() => document.getElementById('note').textContent !== ''")
    return await opened.inner_text("#note")


async def screenshot(opened: Page) -> ByteArray:
    """RGBA [height, width, 4], with nothing where the page has nothing."""
    png = await opened.screenshot(omit_background=True)
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGBA"), np.uint8)


async def face_over_nothing(opened: Page) -> None:
    """Wait until the page shows a face over nothing."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_face_over_nothing(await screenshot(opened)):  # noqa: ASYNC110 - the page is another process
            await asyncio.sleep(0.1)


def is_face_over_nothing(picture: ByteArray) -> bool:
    """Whether the upper corners are empty and the middle is solid."""
    corners = picture[:24, :24, 3].max(), picture[:24, -24:, 3].max()
    middle = picture[SIDE // 2 - 24 : SIDE // 2 + 24, SIDE // 2 - 24 : SIDE // 2 + 24]
    return bool(max(corners) == 0 and middle[..., 3].min() == 255 and middle[..., :3].std() > 1)


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("painter", "arguments"), [("webgl2", []), ("2d", ["--disable-3d-apis"])])
async def test_the_face_speaks_over_nothing(
    chromium: Chromium, server: LaunchedServer, microphone: Path, painter: str, arguments: list[str]
) -> None:
    async with browser(chromium, *speaking(microphone), *arguments) as (opened, errors):
        await opened.goto(f"{server.url}obs?avatar=kofi")
        await shown(opened)
        await opened.evaluate("watch()")
        await opened.wait_for_function("() => seen.length > 40", timeout=2000 * PATIENCE_S)
        await lips_part(opened)
        corners, middles, _ = map(np.array, zip(*await opened.evaluate("seen"), strict=True))
        await face_over_nothing(opened)
        silent = await opened.evaluate("document.getElementById('avatar').muted")
        controls = await opened.evaluate("document.querySelectorAll('button, input, select, a, [controls]').length")
        assert await opened.evaluate("document.body.dataset.painter") == painter
        if painter == "webgl2":  # the graphics card goes away in the middle: the processor takes over
            await opened.evaluate(
                "document.getElementById('joined').getContext('webgl2').getExtension('WEBGL_lose_context').loseContext()"
            )
            await opened.wait_for_function("() => document.body.dataset.painter === '2d'")
            await face_over_nothing(opened)
    assert (corners.max(), middles.min()) == (0, 255)  # in every picture: nothing shimmers
    assert (silent, controls, errors) == (True, 0, [])


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
async def test_speech_is_seen_and_heard_after_a_restart_too_until_a_newer_page_comes(
    chromium: Chromium, tiny_folder: Path
) -> None:
    port = free_port()
    arguments = ["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4", "--port", str(port)]
    speech = (speech_like(1.0) * 3 * 32767).clip(-32768, 32767).astype("<i2").tobytes()

    async def speak(opened: Page) -> None:
        await shown(opened)
        await opened.evaluate("watch()")
        before = await opened.evaluate("energy()")
        async with SpeechClient(f"http://localhost:{port}/session/{KEY}") as client:
            await client.say(speech, SAMPLE_RATE)
            await client.idle()
        await opened.wait_for_function("before => energy().then((now) => now > before + 0.01)", arg=before)
        await lips_part(opened)

    async with browser(chromium, "--deny-permission-prompts") as (opened, _):
        with launch(arguments) as first:
            await opened.goto(f"{first.url}obs?speech=1&key={KEY}")
            await speak(opened)
            assert await opened.evaluate("document.getElementById('note').textContent") == ""
            assert KEY not in await opened.content()  # nobody who watches sees it
        await opened.wait_for_function("() => !document.body.dataset.shown")
        await face_over_nothing(opened)  # the portrait, meanwhile
        with launch(arguments) as second:
            await speak(opened)
            newer = await opened.context.new_page()
            await newer.goto(f"{second.url}obs?speech=1&key={KEY}")
            await shown(newer)
            assert "taken this one's place" in await told(opened)
            await asyncio.sleep(1.5)  # longer than it waits before it calls again
            await shown(newer)  # it would have failed for good


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
async def test_without_a_microphone_the_portrait_stays_and_a_line_says_what_to_do(
    chromium: Chromium, server: LaunchedServer
) -> None:
    async with browser(chromium, *NO_MICROPHONE) as (opened, errors):
        await opened.goto(f"{server.url}obs?avatar=mina")
        line = await told(opened)
        await face_over_nothing(opened)
    for way in ("--enable-media-stream", "avatar mic", "avatar camera --output", "speech=1"):
        assert way in line
    assert errors == []


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
async def test_other_backgrounds_fill_the_picture(chromium: Chromium, server: LaunchedServer, microphone: Path) -> None:
    async with browser(chromium, *speaking(microphone)) as (opened, errors):
        await opened.goto(f"{server.url}obs?background=00b140&fit=cover")
        await shown(opened, "video")
        await filled(opened, np.array([0, 177, 64]), 12)
        await opened.goto(f"{server.url}obs?background=none")  # the portrait's own
        await shown(opened, "video")
        await filled(opened, faces.portrait("mina")[:8, :8].mean((0, 1)), 16)
    assert errors == []


async def filled(opened: Page, wall: FloatArray, within: float) -> None:
    """Wait until nothing shows through, and the corner has this colour."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            picture = await screenshot(opened)
            corner = picture[:8, :8, :3].mean((0, 1))
            if picture[..., 3].min() == 255 and np.abs(corner - wall).max() < within:
                return
            await asyncio.sleep(0.1)


MISTAKES = [
    ("fitt=cover", "no parameter fitt; there are fit, sound"),
    ("fit=stretch", "fit is stretch, expected contain or cover"),
    ("sound=yes&avatar=mina", "sound is yes, expected 0 or 1"),
    ("sound=1&sound=0", "sound is there twice"),
    ("speech=1", "needs key=SECRET"),
    ("speech=1&key=short", "16 to 128 letters"),
    (f"speech=1&key={'x' * 129}", "16 to 128 letters"),
    ("speech=1&key=<img src=x>aaaaaaaaaaaa", "16 to 128 letters"),
    ("<img src%3Dx onerror%3Dalert(1)>=1", "no parameter <img src=x onerror"),
    ("avatar=nobody", "no avatar nobody; there are mina, kofi"),
    (f"speech=1&key={KEY}&background=mauve", "background is 'mauve', expected a colour"),
    (f"speech=1&key={KEY}&yaw=80", "yaw of 80 degrees"),
    (f"speech=1&key={KEY}&pose-style=46", "has 0 to 45"),
    (f"speech=1&key={KEY}&lookahead=9999", "takes 0 to"),
]


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
async def test_a_mistake_in_the_address_is_one_line_on_the_page(chromium: Chromium, server: LaunchedServer) -> None:
    async with browser(chromium, *NO_MICROPHONE) as (opened, _):
        elements = None
        for query, words in MISTAKES:
            await opened.goto(f"{server.url}obs?{query}")
            line = await told(opened)
            assert words in line
            assert "\n" not in line
            elements = elements or await opened.evaluate("document.querySelectorAll('*').length")
            assert await opened.evaluate("document.querySelectorAll('*').length") == elements


STYLE = """css => {
    const style = document.createElement("style");
    style.appendChild(document.createTextNode(css));
    document.head.appendChild(style);
    return getComputedStyle(document.body).opacity;
}"""


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
async def test_custom_css_of_obs_is_taken(chromium: Chromium, server: LaunchedServer) -> None:
    async with browser(chromium) as (opened, _), Preview(clear=True).served(0) as page:
        for address in (f"{server.url}obs", page):
            await opened.goto(address, wait_until="commit")
            await opened.wait_for_selector("body", state="attached")
            assert await opened.evaluate(STYLE, "body { opacity: 0.25 }") == "0.25"
        await opened.goto(server.url)
        assert await opened.evaluate(STYLE, "body { opacity: 0.25 }") == "1"


def test_every_option_is_one_of_the_page() -> None:
    page = (ROOT / "clients/web/obs.js").read_text()
    assert [option.name for option in OPTIONS if option.live and f'"{option.name}"' not in page] == []


async def picture_of(opened: Page, red: int) -> ByteArray:
    """Wait until the page shows that disc."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            picture = await screenshot(opened)
            if picture[SIDE // 2, SIDE // 2].tolist() == [red, 60, 60, 255]:
                return picture
            await asyncio.sleep(0.1)


def disc(red: int) -> ByteArray:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[16:48, 16:48] = (red, 60, 60, 255)
    return rgba


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
async def test_the_page_of_avatar_mic_is_clear_and_finds_a_program_that_was_started_anew(
    chromium: Chromium,
) -> None:
    async with browser(chromium) as (opened, errors):
        first = Preview(clear=True)
        async with first.served(0) as page:
            port = int(page.rstrip("/").rpartition(":")[2])
            first.show(0, disc(50))
            async with opened.expect_response("**/run"):  # it knows who is there
                await opened.goto(page, wait_until="commit")
            assert (await picture_of(opened, 50))[:64, :64, 3].max() == 0
            first.show(1, disc(200))
            await picture_of(opened, 200)
        second = Preview(clear=True)
        second.show(0, disc(120))
        async with second.served(port):
            await picture_of(opened, 120)
    assert all("net::ERR_" in error for error in errors)  # nobody was there for a moment


@pytest.mark.process
@pytest.mark.asyncio(loop_scope="module")
async def test_a_page_of_avatar_mic_that_was_one_too_many_shows_the_face_when_another_is_closed(
    chromium: Chromium,
) -> None:
    preview = Preview(clear=True)
    async with browser(chromium) as (opened, _), preview.served(0) as page:
        preview.show(0, disc(50))
        async with aiohttp.ClientSession() as http, AsyncExitStack() as others:
            for _ in range(MOST_VIEWERS):
                assert (await others.enter_async_context(http.get(f"{page}picture"))).status == 200
            await opened.goto(page, wait_until="load")
            await opened.wait_for_function("(({ complete, naturalWidth }) => complete && !naturalWidth)(picture)")
        showing = asyncio.create_task(keep_showing(preview, disc(50)))  # that they have gone is noticed by sending
        await picture_of(opened, 50)
        showing.cancel()


async def keep_showing(preview: Preview, picture: ByteArray) -> None:
    for frame in itertools.count(1):
        preview.show(frame, picture)
        await asyncio.sleep(0.02)
