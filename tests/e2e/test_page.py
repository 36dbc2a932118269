"""What the page offers beside the call itself, in a real browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from playwright.async_api import Page, async_playwright, expect

from streamer.avatar.catalogue import HOME_VARIABLE
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import vowels
from tests.e2e.browser import ARGUMENTS, CHROMIUM, MICROPHONE, speaking
from tests.e2e.test_browser import SPY
from tests.fakes.ports import free_port
from tests.fakes.sound import write_wav
from tests.families import tiny_family

NO_MICROPHONE = ["--use-fake-device-for-media-stream", "--deny-permission-prompts"]
PATIENCE_MS = 30_000
MANY = 30
WIDE, PHONE = (1280, 720), (390, 844)

pytestmark = [
    pytest.mark.process,
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


@asynccontextmanager
async def browsing(*arguments: str) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments])
        page = await browser.new_page(viewport={"width": WIDE[0], "height": WIDE[1]})
        await page.add_init_script(SPY)
        yield page
        await browser.close()


async def ready(page: Page, url: str) -> None:
    await page.goto(url)
    await page.wait_for_selector("#start:enabled", timeout=PATIENCE_MS)


async def state(page: Page, wanted: str) -> None:
    await page.wait_for_function("wanted => document.body.dataset.state === wanted", arg=wanted, timeout=PATIENCE_MS)


async def heard(page: Page) -> None:
    """Wait until the avatar has been heard to speak."""
    energy = "() => inbound().then(({ audio }) => (audio?.totalAudioEnergy ?? 0) > 0.005)"
    await page.wait_for_function(energy, timeout=PATIENCE_MS)


async def test_a_caller_without_a_place_waits_in_line_and_is_admitted(tiny_folder: Path) -> None:
    with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "1"]) as small:
        async with browsing(*MICROPHONE) as page:
            async with Caller(small.url, vowels(60.0)):
                await ready(page, small.url)
                await page.click("#start")
                await state(page, "waiting")
                await expect(page.locator("#status")).to_contain_text("number 1 in line")
                await expect(page.locator("#status")).to_contain_text("come in by yourself")
            await state(page, "live")


async def test_a_page_calls_again_for_as_long_as_it_takes(tiny_folder: Path) -> None:
    port = free_port()
    arguments = ["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4", "--port", str(port)]
    async with browsing(*MICROPHONE) as page:
        with launch(arguments) as first:
            await ready(page, first.url)
            await page.click("#start")
            await state(page, "live")
        await page.wait_for_timeout(20_000)  # longer than the first tries, which come soon
        await expect(page.locator("#status")).to_contain_text("calling again")
        with launch(arguments):
            await state(page, "live")


async def test_a_clip_is_said_without_a_microphone(server: LaunchedServer) -> None:
    async with browsing(*NO_MICROPHONE) as page:
        await ready(page, server.url)
        await page.locator("#clips button").first.click()
        await state(page, "live")
        await heard(page)
        await page.click("#start")
        await state(page, "idle")


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="NO ESPEAK-NG: typed text is not tested")
async def test_typed_text_is_said_also_while_a_microphone_is_open(server: LaunchedServer, tmp_path: Path) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros(48_000 * 4, np.float32), rate=48_000)
    async with browsing(*speaking(silence)) as page:
        await ready(page, server.url)
        await page.click("#start")
        await state(page, "live")
        await page.fill("#text", "The sun is up, mute: m.")
        await page.press("#text", "Enter")
        await heard(page)
        assert await page.get_attribute("#mute", "aria-pressed") == "false"  # typing is no key of the page's


async def test_a_silent_microphone_is_reported_and_a_key_mutes_it(server: LaunchedServer, tmp_path: Path) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros(48_000 * 4, np.float32), rate=48_000)
    async with browsing(*speaking(silence)) as page:
        await ready(page, server.url)
        await page.click("#start")
        await expect(page.locator("#warning")).to_contain_text("We hear nothing", timeout=PATIENCE_MS)
        await page.keyboard.press("m")
        await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#warning")).to_contain_text("You are muted")
        await page.keyboard.press("m")
        await expect(page.locator("#mute")).to_have_attribute("aria-pressed", "false")


async def test_choices_are_remembered_and_an_address_comes_first(server: LaunchedServer) -> None:
    async with browsing() as page:
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
async def test_many_faces_move_nothing_out_of_view(server: LaunchedServer, size: tuple[int, int], colours: str) -> None:
    async with browsing() as page:
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


async def test_the_last_minute_is_saved_as_a_film(server: LaunchedServer, microphone: Path, tmp_path: Path) -> None:
    async with browsing(*speaking(microphone)) as page:
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


async def test_a_slow_server_is_said(server: LaunchedServer) -> None:
    """The page believes the server's count of new pictures: here one that stands still."""
    async with browsing(*MICROPHONE) as page:
        await page.route("**/session/*", lambda route: route.fulfill(json={"pictures": 7}))
        await ready(page, server.url)
        await page.click("#start")
        await expect(page.locator("#warning")).to_contain_text("0 of 25 pictures", timeout=PATIENCE_MS)


async def test_what_the_server_leaves_out_is_said_and_the_delay_that_it_takes(server: LaunchedServer) -> None:
    told: dict[str, object] = {"pictures": 7, "delay_ms": 4440, "left_out": "half as many pictures"}
    async with browsing(*MICROPHONE) as page:
        await page.route("**/session/*", lambda route: route.fulfill(json=told))
        await ready(page, server.url)
        await page.click("#start")
        warning = page.locator("#warning")
        await expect(warning).to_contain_text("half as many pictures; 0 of 25", timeout=PATIENCE_MS)
        await expect(page.locator("#latency")).to_contain_text("4440 ms")


async def test_full_screen_and_picture_in_picture_come_and_go(server: LaunchedServer) -> None:
    async with browsing(*MICROPHONE) as page:
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


async def test_another_face_is_put_on_within_a_call(server: LaunchedServer) -> None:
    async with browsing(*MICROPHONE) as page:
        sockets: list[object] = []
        page.on("websocket", sockets.append)
        await ready(page, server.url)
        await page.evaluate("window.view = document.querySelector('avatar-view')")
        await page.click("#start")
        await state(page, "live")
        session = await page.evaluate("view.session")
        events = "window.told = []; view.addEventListener('avatar-event', ({ detail }) => told.push(detail.type))"
        await page.evaluate(events)
        await page.check("#faces input[value=face-7]", force=True)
        await page.check("#swatches input[value='00b140']", force=True)
        await page.wait_for_function("() => told.includes('statistics')", timeout=PATIENCE_MS)
        assert await page.evaluate("view.session") == session
        assert "error" not in await page.evaluate("told")
        assert sockets == []  # it is steered by the call's data channel
        await page.evaluate("view.setAttribute('mode', 'crop')")  # what a call is begun with: another one is made
        await page.wait_for_function(
            "before => view.session && view.session !== before", arg=session, timeout=PATIENCE_MS
        )
        await state(page, "live")


async def test_addresses_are_copied(server: LaunchedServer) -> None:
    async with browsing(*NO_MICROPHONE) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await ready(page, f"{server.url}?avatar=face-3&background=blur&speech=1")
        for button, path in (("#share", ""), ("#share-obs", "obs")):
            await page.click(button)
            await expect(page.locator(button)).to_have_text("Copied")
            copied = await page.evaluate("navigator.clipboard.readText()")
            assert copied == f"{server.url}{path}?avatar=face-3&background=blur&speech=1"
            await expect(page.locator(button)).not_to_have_text("Copied")
        await page.click("#start")
        await state(page, "live")
        await page.click("#copy-address")
        await expect(page.locator("#copy-address")).to_have_text("Copied")
        assert f"{server.url}session/" in await page.evaluate("navigator.clipboard.readText()")


async def test_the_microphone_is_changed_within_a_call(server: LaunchedServer) -> None:
    async with browsing(*MICROPHONE) as page:
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
