"""What the page offers beside the call itself, in a real browser."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.async_api import Route, expect

from streamer.avatar.catalogue import HOME_VARIABLE
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import vowels
from tests import ROOT
from tests.e2e.browser import CHROMIUM, MICROPHONE, NO_MICROPHONE, PATIENCE_MS, Chromium, speaking
from tests.e2e.talk_page import WIDE, browsing, heard, inbound, lips_part, note, ready, state, were_said
from tests.fakes.ports import free_port
from tests.fakes.sound import write_wav
from tests.families import tiny_family

MANY = 30
KEY = "0123456789abcdef"
PHONE = (390, 844)

pytestmark = [
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("loopback"),
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the page is not tested on this machine"),
]


@pytest.fixture(scope="module")
def server(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchedServer]:
    """A server with many faces."""
    home = tmp_path_factory.mktemp("home")
    for number in range(MANY):
        folder = home / "avatars" / f"face-{number}"
        shutil.copytree(tiny_folder / "avatars" / tiny_family.NAME, folder)
        about = json.loads((folder / "avatar.json").read_text()) | {"name": folder.name, "title": f"Face {number}"}
        (folder / "avatar.json").write_text(json.dumps(about))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(home))
        with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4"]) as launched:
            yield launched


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A microphone that hears nothing."""
    path = tmp_path_factory.mktemp("microphone") / "silence.wav"
    return write_wav(path, np.zeros(48_000 * 4, np.float32), rate=48_000)


@pytest.mark.parametrize(
    ("path", "wanted"), [("", "#start:enabled"), ("obs?speech=1&key=0123456789abcdef", "[data-shown]")]
)
async def test_a_page_that_came_in_part_is_loaded_again(
    chromium: Chromium, server: LaunchedServer, path: str, wanted: str
) -> None:
    """A network that changes breaks off what is on its way; without one module, none of them runs."""
    broken: list[Route] = []

    async def break_off(route: Route) -> None:
        broken.append(route)
        await (route.abort("connectionreset") if len(broken) < 3 else route.continue_())

    async with browsing(chromium, *NO_MICROPHONE) as page:
        await page.route("**/voice.js", break_off)
        await page.route("**/overlay.js", break_off)
        await page.goto(server.url + path)
        await page.wait_for_selector(wanted, timeout=PATIENCE_MS)
    assert len(broken) >= 3


async def test_a_caller_without_a_place_waits_in_line_and_is_admitted(chromium: Chromium, tiny_folder: Path) -> None:
    with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "1"]) as small:
        async with browsing(chromium, *MICROPHONE) as page:
            async with Caller(small.url, vowels(60.0)):
                await ready(page, small.url)
                await page.click("#start")
                await state(page, "waiting")
                await expect(page.locator("#status")).to_contain_text("number 1 in line")
                await expect(page.locator("#status")).to_contain_text("come in by yourself")
            await state(page, "live")


async def test_a_page_calls_again_for_as_long_as_it_takes(chromium: Chromium, tiny_folder: Path) -> None:
    port = free_port()
    arguments = ["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4", "--port", str(port)]
    async with browsing(chromium, *MICROPHONE) as page:
        with launch(arguments) as first:
            await ready(page, first.url)
            await page.click("#start")
            await state(page, "live")
        async with asyncio.timeout(3 * PATIENCE_MS / 1000):
            while "calling again in 10 s" not in await page.inner_text("#status"):  # the tries that come soon are over
                await page.evaluate("dispatchEvent(new Event('online'))")  # which are hurried here
                await page.wait_for_timeout(50)
        with launch(arguments):
            await state(page, "live")


async def test_a_clip_is_said_without_a_microphone(chromium: Chromium, server: LaunchedServer) -> None:
    async with browsing(chromium, *NO_MICROPHONE) as page:
        await ready(page, server.url)
        await page.locator("#clips button").first.click()
        await state(page, "live")
        await heard(page)
        await page.click("#start")
        await state(page, "idle")


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="NO ESPEAK-NG: typed text is not tested")
async def test_typed_text_is_said_also_while_a_microphone_is_open(
    chromium: Chromium, server: LaunchedServer, silence: Path
) -> None:
    async with browsing(chromium, *speaking(silence)) as page:
        await ready(page, server.url)
        await page.click("#start")
        await state(page, "live")
        await page.fill("#text", "The sun is up, mute: m.")
        await page.press("#text", "Enter")
        await heard(page)
        assert await page.get_attribute("#mute", "aria-pressed") == "false"  # typing is no key of the page's


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="NO ESPEAK-NG: the example that speaks is not tested")
async def test_typed_text_is_spoken_to_a_page_without_a_microphone(chromium: Chromium, server: LaunchedServer) -> None:
    async with browsing(chromium, *NO_MICROPHONE) as page:
        await ready(page, f"{server.url}?speech=1")
        await page.click("#start")
        await state(page, "live")
        address = (await page.inner_text("#address")).split()[-1]
        silent = (await inbound(page)).get("audio", {}).get("totalAudioEnergy", 0.0)  # if there was a packet yet
        await page.evaluate("watchMouth()")
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
        await heard(page, silent + 0.01)
        await lips_part(page)


async def test_a_silent_microphone_is_reported_and_a_key_mutes_it(
    chromium: Chromium, server: LaunchedServer, silence: Path
) -> None:
    """Of a server that keeps up, however busy this machine is: to be short of time is worse, and said first."""
    async with browsing(chromium, *speaking(silence)) as page:
        await page.route("**/session/*", lambda route: route.fulfill(json={"pictures": round(25 * time.monotonic())}))
        await ready(page, server.url)
        await page.click("#start")
        await expect(page.locator("#warning")).to_contain_text("We hear nothing", timeout=PATIENCE_MS)
        await page.keyboard.press("m")
        await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#warning")).to_contain_text("You are muted")
        await page.keyboard.press("m")
        await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "false")


async def test_choices_are_remembered_and_an_address_comes_first(chromium: Chromium, server: LaunchedServer) -> None:
    async with browsing(chromium) as page:
        await ready(page, server.url)
        await page.check("#faces input[value=face-7]", force=True)
        await page.check("#swatches input[value=blur]", force=True)
        await ready(page, server.url)
        assert await page.is_checked("#faces input[value=face-7]")
        assert await page.is_checked("#swatches input[value=blur]")
        assert "background=blur" in (await page.get_attribute("#portrait", "src") or "")
        await ready(page, f"{server.url}?avatar=face-3&background=00b140")
        assert await page.is_checked("#faces input[value=face-3]")
        assert await page.is_checked("#swatches input[value='00b140']")
        await ready(page, f"{server.url}?avatar=nobody&background=<b>")
        assert await page.is_checked("#faces input[value=dot]")


@pytest.mark.parametrize("size", [WIDE, PHONE])
@pytest.mark.parametrize("colours", ["none", "active"])
async def test_many_faces_move_nothing_out_of_view(
    chromium: Chromium, server: LaunchedServer, size: tuple[int, int], colours: str
) -> None:
    async with browsing(chromium) as page:
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        await page.emulate_media(forced_colors="active" if colours == "active" else "none")
        await ready(page, server.url)
        await expect(page.locator("#faces input[type=radio]")).to_have_count(MANY + 1)
        for chosen in ("#stage", "#start", "#mute", "#full", "#picker legend", "#faces img >> nth=0"):
            await expect(page.locator(chosen)).to_be_in_viewport(ratio=0.9)
        assert await page.evaluate("document.documentElement.scrollWidth") <= size[0]
        if size == WIDE:
            assert await page.evaluate("document.documentElement.scrollHeight") <= size[1]
            await expect(page.locator("#share")).to_be_in_viewport(ratio=0.9)


async def test_the_last_minute_is_saved_as_a_film(
    chromium: Chromium, server: LaunchedServer, microphone: Path, tmp_path: Path
) -> None:
    async with browsing(chromium, *speaking(microphone)) as page:
        await ready(page, server.url)
        await page.click("#start")
        await state(page, "live")
        await page.fill("#volume", "50")  # nobody hears it otherwise, and it is not decoded
        await heard(page)
        seen = "() => document.getElementById('avatar').video.getVideoPlaybackQuality().totalVideoFrames > 25"
        await page.wait_for_function(seen, timeout=PATIENCE_MS)
        async with page.expect_download() as download:
            await page.click("#save")
        file = tmp_path / (await download.value).suggested_filename
        await (await download.value).save_as(file)
    with av.open(str(file)) as film:
        assert {stream.type for stream in film.streams} == {"audio", "video"}
        assert sum(1 for _ in film.decode(video=0)) > 1


async def test_a_slow_server_is_said(chromium: Chromium, server: LaunchedServer) -> None:
    """The page believes the server's count of new pictures: here one that stands still."""
    async with browsing(chromium, *MICROPHONE) as page:
        await page.route("**/session/*", lambda route: route.fulfill(json={"pictures": 7}))
        await ready(page, server.url)
        await page.click("#start")
        await expect(page.locator("#warning")).to_contain_text("0 of 25 pictures", timeout=PATIENCE_MS)


async def test_what_the_server_leaves_out_is_said_and_the_delay_that_it_takes(
    chromium: Chromium, server: LaunchedServer
) -> None:
    told: dict[str, object] = {"pictures": 7, "delay_ms": 4440, "left_out": "half as many pictures"}
    async with browsing(chromium, *MICROPHONE) as page:
        await page.route("**/session/*", lambda route: route.fulfill(json=told))
        await ready(page, server.url)
        await page.click("#start")
        warning = page.locator("#warning")
        await expect(warning).to_contain_text("half as many pictures; 0 of 25", timeout=PATIENCE_MS)
        await expect(page.locator("#latency")).to_contain_text("4440 ms")


async def test_full_screen_and_picture_in_picture_come_and_go(chromium: Chromium, server: LaunchedServer) -> None:
    async with browsing(chromium, *MICROPHONE) as page:
        await ready(page, server.url)
        await expect(page.locator("#pip")).to_be_disabled()
        await page.click("#start")
        await state(page, "live")
        await page.click("#full")
        await page.wait_for_function("() => document.fullscreenElement?.id === 'stage'", timeout=PATIENCE_MS)
        await page.keyboard.press("f")
        await page.wait_for_function("() => document.fullscreenElement === null", timeout=PATIENCE_MS)
        await page.click("#pip")
        await page.wait_for_function("() => document.pictureInPictureElement?.id === 'avatar'", timeout=PATIENCE_MS)
        await page.keyboard.press("p")
        await page.wait_for_function("() => document.pictureInPictureElement === null", timeout=PATIENCE_MS)
        await state(page, "live")


async def test_another_face_is_put_on_within_a_call(chromium: Chromium, server: LaunchedServer) -> None:
    async with browsing(chromium, *MICROPHONE) as page:
        sockets: list[object] = []
        page.on("websocket", lambda socket: sockets.append(socket))
        await ready(page, server.url)
        await page.evaluate("window.view = document.querySelector('avatar-view')")
        await page.click("#start")
        await state(page, "live")
        events = "window.told = []; view.addEventListener('avatar-event', ({ detail }) => told.push(detail.type))"
        await page.evaluate(events)
        states = "window.states = []; view.addEventListener('avatar-state', ({ detail }) => states.push(detail.state))"
        await page.evaluate(states)
        session = await page.evaluate("view.session")
        await page.check("#faces input[value=face-7]", force=True)
        await page.check("#swatches input[value='00b140']", force=True)
        await page.wait_for_function("() => told.includes('statistics')", timeout=PATIENCE_MS)
        kept, states = await page.evaluate("[view.session, states]")
        assert kept == session or "lost" in states  # a page that a busy machine holds up calls again
        assert "error" not in await page.evaluate("told")
        assert sockets == []  # it is steered by the call's data channel
        await page.evaluate("view.setAttribute('mode', 'crop')")  # what a call is begun with: another one is made
        another = "before => view.session && view.session !== before"
        await page.wait_for_function(another, arg=kept, timeout=PATIENCE_MS)
        await state(page, "live")


async def test_addresses_are_copied(chromium: Chromium, server: LaunchedServer) -> None:
    async with browsing(chromium, *NO_MICROPHONE) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await ready(page, f"{server.url}?avatar=face-3&background=blur&speech=1")
        await note(page, "#share", "#share-obs", "#copy-address")
        for button, path in (("#share", ""), ("#share-obs", "obs")):
            label = await page.inner_text(button)
            await page.click(button)
            await were_said(page, button, "Copied", label)
            copied = await page.evaluate("navigator.clipboard.readText()")
            assert copied == f"{server.url}{path}?avatar=face-3&background=blur&speech=1"
        await page.click("#start")
        await state(page, "live")
        await page.click("#copy-address")
        await were_said(page, "#copy-address", "Copied")
        assert f"{server.url}session/" in await page.evaluate("navigator.clipboard.readText()")


async def test_the_microphone_is_changed_within_a_call(chromium: Chromium, server: LaunchedServer) -> None:
    async with browsing(chromium, *MICROPHONE) as page:
        await ready(page, server.url)
        await page.click("#start")
        await state(page, "live")
        sent = "thePeer.getSenders().find(({ track }) => track?.kind === 'audio').track.label"
        before = await page.evaluate(sent)
        names = await page.locator("#device option").all_text_contents()
        other = next(name for name in reversed(names) if name.startswith("Fake") and name != before)
        await page.select_option("#device", label=other)
        await page.wait_for_function(f"other => {sent} === other", arg=other, timeout=PATIENCE_MS)
        await state(page, "live")
        await page.fill("#volume", "50")
        await heard(page)  # the fake devices beep


async def test_a_page_that_was_held_up_does_not_take_it_for_silence(chromium: Chromium, server: LaunchedServer) -> None:
    """It looks every 250 ms for packets: after four seconds without a look, it may not have read what came."""
    looks = """async () => {
      const { Pulse } = await import(new URL("pulse.js", document.baseURI));
      let now = 0;
      performance.now = () => now;
      const pulse = new Pulse({ getReceivers: () => [], getStats: async () => new Map() });
      const found = [];
      for (const passed of [250, 250, 4_000, 250, 1_000]) {
        now += passed;
        found.push(await pulse.quiet());
      }
      return found;
    }"""
    async with chromium.page() as page:
        await page.goto(server.url)
        assert await page.evaluate(looks) == [250, 500, 1_500, 1_750, 2_750]
