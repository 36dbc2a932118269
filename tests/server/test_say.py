"""Text that is said in a session is heard there, in order and one at a time, and is cut off at once."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from clients.speech import SpeechClient
from streamer.measure.launched_server import LaunchedServer, launch
from tests.fakes.spoken import caller_of, until_heard, until_silent, voiced

pytestmark = [
    pytest.mark.process,
    pytest.mark.usefixtures("loopback"),
    pytest.mark.skipif(
        shutil.which("espeak-ng") is None, reason="NO ESPEAK-NG: said text is not tested on this machine"
    ),
]
LONG = "This goes on and on. " * 20


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "2", "--threads", "1"]) as launched:
        yield launched


async def say(location: str, text: bytes, query: str = "") -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.post(f"{location}/say{query}", data=text) as response:
        return response.status, await (response.json() if response.status == 200 else response.text())


async def hush(location: str) -> int:
    async with aiohttp.ClientSession() as http, http.delete(f"{location}/say") as response:
        assert response.status == 200
        return int((await response.json())["heard_ms"])


async def test_text_is_heard(server: LaunchedServer) -> None:
    async with caller_of(server) as caller:
        assert await say(caller.location, b"Good morning.") == (200, {"speech": 1})
        assert await say(caller.location, "Guten Tag! Schön.".encode(), "?language=de") == (200, {"speech": 2})
        await until_heard(caller, 1000)


async def test_who_controls_the_session_reads_what_is_said_as_it_is_heard(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{caller.location}/control") as control:
            await control.send_json({"type": "hello", "version": 1})
            assert await say(caller.location, b"Good morning to all of you. How are you?") == (200, {"speech": 1})
            captions: list[dict[str, Any]] = []
            async with asyncio.timeout(60):
                while not (captions and captions[-1]["final"]):
                    if (event := await control.receive_json())["type"] == "caption":
                        captions.append(event)
        texts = [caption["text"] for caption in captions]
        assert texts[-1] == "Good morning to all of you. How are you?"
        assert all(texts[-1].startswith(text) for text in texts)
        assert len(set(texts)) > 1
        assert {(caption["of"], caption["interrupted"]) for caption in captions} == {("face", False)}


async def test_silence_comes_at_once_and_reports_the_position_heard(server: LaunchedServer) -> None:
    async with caller_of(server) as caller:
        saying = asyncio.create_task(say(caller.location, LONG.encode()))
        await until_heard(caller, 500)
        heard_ms = await hush(caller.location)
        assert 300 < heard_ms < 20_000
        assert (await saying)[1]["speech"] in (1, None)
        await until_silent(caller)
        before = len(voiced(caller.recording))
        await asyncio.sleep(0.5)
        assert len(voiced(caller.recording)) == before
        assert await hush(caller.location) == 0


async def test_a_text_may_take_the_place_of_the_one_that_is_said(server: LaunchedServer) -> None:
    async with caller_of(server) as caller:
        first = asyncio.create_task(say(caller.location, LONG.encode()))
        await until_heard(caller, 300)
        assert (await say(caller.location, b"Stop.", "?interrupt=1"))[0] == 200
        async with asyncio.timeout(60), SpeechClient(await free(caller.location)):
            pass
        await first


async def free(location: str) -> str:
    """The location, once nothing is said there any more: a speech client is let in."""
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.ws_connect(f"{location}/speech"):
                    return location
            except aiohttp.WSServerHandshakeError as error:
                if error.status != 409:
                    raise
            await asyncio.sleep(0.1)


async def test_a_speech_client_is_not_talked_over(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, SpeechClient(caller.location):
        status, text = await say(caller.location, b"Hello.")
        assert (status, text) == (409, "a speech client speaks for this session\n")


@pytest.mark.parametrize(
    ("text", "query", "status", "words"),
    [
        (b"", "", 400, "no text"),
        (b"\xff", "", 400, "not UTF-8"),
        (b"a" * 2_001, "", 413, "2000 are taken"),
        (b"a" * 9_000, "", 413, "longer than the 2000 characters"),
        (b"hello", "?language=-f", 400, "expected one such as"),
        (b"hello", "?language=xx", 422, "does not speak xx"),
        (b"hello", "?interrupt=yes", 400, "expected 0 or 1"),
    ],
)
async def test_what_cannot_be_said_is_one_clear_line(
    server: LaunchedServer, text: bytes, query: str, status: int, words: str
) -> None:
    async with caller_of(server) as caller:
        found, answer = await say(caller.location, text, query)
        assert (found, answer.count("\n")) == (status, 1)
        assert words in answer
        assert (await say(caller.location, b"Yes."))[0] == 200  # no harm was done


async def test_nothing_is_said_where_there_is_no_session(server: LaunchedServer) -> None:
    assert (await say(f"{server.url}session/nobody", b"hello"))[0] == 404
