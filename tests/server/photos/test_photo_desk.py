"""A photo that is sent to the server becomes a face to speak with; what is none is refused, and harms nobody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import msgspec
import numpy as np
import pytest
from playwright.async_api import expect

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.avatar.catalogue import HOME_VARIABLE, find_avatar
from streamer.core.errors import PhotoError
from streamer.core.limits import PhotoLimits
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import vowels
from streamer.photo.child import make
from streamer.photo.messages import Made, MakeAvatar, Refused
from streamer.server.photos.photo_desk import notes_of, plain_title
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests import ROOT
from tests.e2e.browser import CHROMIUM, chromium_started

PHOTO = ROOT / "engines" / "starter" / "avatars" / "kofi" / "portrait.webp"
PATIENCE_MS = 90_000  # a photo is worked on at low priority, so a busy machine takes its time


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchedServer]:
    """The shipped family, which can make avatars, with an empty home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(tmp_path_factory.mktemp("home")))
        offer_only(LOOPBACK)
        with launch(["--sessions", "1", "--threads", "1"]) as launched:
            yield launched
        offer_only(None)


async def send(server: LaunchedServer, data: Any, query: str = "", **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{server.url}avatars{query}", data=data) as response,
    ):
        return response.status, await response.text()


async def listing(server: LaunchedServer) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}avatars") as response:
        return dict(await response.json())


@pytest.mark.process
async def test_a_photo_becomes_a_face_that_speaks(server: LaunchedServer) -> None:
    status, text = await send(server, PHOTO.read_bytes(), "?title=--me.png")
    assert status == 201, text
    (mine,) = [avatar for avatar in (await listing(server))["avatars"] if avatar["title"] == "--me"]
    async with aiohttp.ClientSession() as http, http.get(server.url + mine["picture"][1:]) as response:
        assert response.content_type == "image/png"
    async with Caller(server.url, vowels(60), f"avatar={mine['name']}") as caller, asyncio.timeout(120):
        while not _speaks(caller):  # noqa: ASYNC110 - pictures come from another process
            await asyncio.sleep(0.2)


def _speaks(caller: Caller) -> bool:
    mouths = [picture.mouth for picture in caller.recording.pictures]
    return len({mouth.tobytes() for mouth in mouths}) > 20 and np.ptp([mouth.mean() for mouth in mouths]) > 1


@pytest.mark.process
async def test_photos_are_worked_on_one_at_a_time(server: LaunchedServer) -> None:
    answers = await asyncio.gather(*(send(server, PHOTO.read_bytes()) for _ in range(3)))
    assert sorted(status for status, _ in answers) == [201, 503, 503]
    assert "try again in a moment" in min(answers, key=lambda answer: answer[0] == 201)[1]


async def pieces(size: int) -> Any:
    """So many bytes, the last of them alone: what is refused has been sent."""
    for _ in range(size >> 20):
        yield bytes(1 << 20)
    yield bytes(size % (1 << 20))


@pytest.mark.process
@pytest.mark.parametrize(
    ("data", "headers", "status", "words"),
    [
        (b"", {}, 422, "an empty file"),
        (b"#!/bin/sh", {}, 422, "not a picture"),
        (PHOTO.read_bytes()[:5_000], {}, 422, "cut-off"),
        ("announced", {}, 413, "larger than the 24 MiB"),
        ("pieces", {}, 422, "larger than the 24 MiB"),  # of a length that nothing announces
        (PHOTO.read_bytes(), {"X-Forwarded-For": "192.0.2.1"}, 403, "own machine only"),
        (PHOTO.read_bytes(), {"Origin": "http://elsewhere.example"}, 403, "other sites"),
    ],
)
async def test_an_unsupported_photo_is_refused(
    server: LaunchedServer, data: Any, headers: dict[str, str], status: int, words: str
) -> None:
    before = await listing(server)
    if data == "pieces":
        data = pieces(PhotoLimits().bytes + 1)
    elif data == "announced":
        data, headers = pieces(1), {"Content-Length": str(PhotoLimits().bytes + 1)}
    found, text = await send(server, data, **headers)
    assert (found, text.count("\n")) == (status, 1), text
    assert words in text
    assert not re.search(r"(^|\s)/", text)  # no path of the server's
    assert await listing(server) == before


@pytest.mark.process
async def test_a_family_that_makes_no_avatars_takes_no_photos(tiny_folder: Path) -> None:
    with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4"]) as server:
        assert (await listing(server))["photos"] is False
        assert (await send(server, PHOTO.read_bytes()))[0] == 403


def two_people() -> bytes:
    """A photo of Mina and Kofi side by side."""
    files = (PHOTO.parents[1] / name / "portrait.webp" for name in ("mina", "kofi"))
    people = [np.asarray(cv2.imread(str(file)), np.uint8) for file in files]
    side = min(person.shape[0] for person in people)
    return cv2.imencode(".jpg", np.hstack([cv2.resize(person, (side, side)) for person in people]))[1].tobytes()


@pytest.mark.process
async def test_of_several_people_one_is_chosen(server: LaunchedServer) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{server.url}avatars", data=two_people()) as response:
            assert (response.status, response.headers["Avatar-Faces"]) == (422, "2")
            assert "choose one" in await response.text()
        async with http.post(f"{server.url}avatars?title=right&face=2", data=two_people()) as response:
            assert response.status == 201, await response.text()
            name = (await response.json())["avatar"]["name"]
        async with http.delete(f"{server.url}avatars/{name}") as response:
            assert response.status == 200
    for face, words in (("3", "2 faces found"), ("0", "expected 1 to 99"), ("x", "expected 1 to 99")):
        assert words in (await send(server, two_people(), f"?face={face}"))[1]


@pytest.mark.process
@pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the page is not tested on this machine")
async def test_on_the_page_a_photo_is_chosen_and_becomes_the_chosen_face(server: LaunchedServer) -> None:
    async with chromium_started() as chromium, chromium.page() as page:
        await page.goto(server.url)
        await expect(page.locator(".own")).to_be_visible()
        faces = await page.locator("#faces input[type=radio]").count()
        await page.set_input_files("#photo", {"name": "note.txt", "mimeType": "image/png", "buffer": b"no picture"})
        await expect(page.locator("#photo-note")).to_contain_text("not a picture", timeout=PATIENCE_MS)
        await page.set_input_files("#photo", {"name": "both.png", "mimeType": "image/png", "buffer": two_people()})
        await page.locator("#photo-note button", has_text="rightmost").click(timeout=PATIENCE_MS)
        await expect(page.locator("#faces input[type=radio]")).to_have_count(faces + 1, timeout=PATIENCE_MS)
        await page.locator("#faces button").last.click()
        for _ in range(2):
            await page.click("#edit-delete")
        await expect(page.locator("#faces input[type=radio]")).to_have_count(faces)
        await page.set_input_files("#photo", PHOTO)
        await expect(page.locator("#faces input[type=radio]")).to_have_count(faces + 1, timeout=PATIENCE_MS)
        await expect(page.locator("#faces label").nth(faces + 1)).to_contain_text("portrait")
        assert await page.locator("#faces input[type=radio]").nth(faces).is_checked()
        await expect(page.locator("#portrait")).to_have_attribute("src", re.compile(r"/avatars/portrait(-\d)?\.png$"))
        await page.locator("#faces button").last.click()
        await page.fill("#edit-name", "Anna Smith")
        await page.click("#edit-save")
        await expect(page.locator("#faces label").nth(faces + 1)).to_contain_text("Anna Smith")
        await page.locator("#faces button").last.click()
        await page.click("#edit-delete")
        await expect(page.locator("#faces input[type=radio]")).to_have_count(faces + 1)  # it asks again
        await page.click("#edit-delete")
        await expect(page.locator("#faces input[type=radio]")).to_have_count(faces)
        await expect(page.locator("#portrait")).to_have_attribute("src", re.compile("mina"))


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("me.jpeg", "me"),
        ("  a\tb\n.png", "a b"),
        ("x" * 99, "x" * 60),
        ("\u202e.jpg", ""),
        ("v1.2 final", "v1.2 final"),
    ],
)
def test_titles_are_plain_and_short(text: str, title: str) -> None:
    assert plain_title(text) == title


@pytest.mark.slow
def test_the_child_answers_with_the_remarks_about_a_photo() -> None:
    answer = make(MakeAvatar(str(PHOTO), "me", "Me", str(SHIPPED_FAMILY), owner="ada"))
    assert isinstance(answer, Made)
    assert find_avatar(Manifest.load(SHIPPED_FAMILY), "me").owner == "ada"
    assert notes_of(msgspec.json.encode(answer), b"") == answer.notes


@pytest.mark.slow
def test_the_child_refuses_a_file_that_is_not_a_photo_without_naming_a_path(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(b"note: made avatar me")
    answer = make(MakeAvatar(str(tmp_path / "photo"), "me", "Me", str(ROOT / "engines" / "starter")))
    assert isinstance(answer, Refused)
    assert str(tmp_path) not in answer.reason
    with pytest.raises(PhotoError, match="not a picture"):
        notes_of(msgspec.json.encode(answer), b"")


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"type": "made"', b'{"type": "made", "notes": 3}', b"note: fine"])
def test_a_child_that_dies_is_one_line(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PhotoError, match="ended unexpectedly"):
        notes_of(answer, b"Segmentation fault")
    assert "Segmentation fault" in caplog.text
