"""A session's face is steered and tells what it does; whatever a client sends, the session and the others go on."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
import pytest
from av.audio.resampler import AudioResampler

from clients.speech import SpeechClient
from streamer.core.errors import SessionError
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.web.control_socket import MOST_CLIENTS
from tests import ROOT
from tests.fakes.spoken import SAMPLE_RATE, caller_of, steps, until_heard, until_silent, voiced

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]

HELLO = {"type": "hello", "version": 1}


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "1", "--threads", "1"]) as launched:
        yield launched


class Remote:
    """A client of the control channel."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next event of a kind that has these fields."""
        async with asyncio.timeout(60):
            while True:
                event = json.loads(await self.socket.receive_str())
                if event["type"] == kind and fields.items() <= event.items():
                    return dict(event)


@asynccontextmanager
async def remote(caller: Caller, greet: bool = True) -> AsyncIterator[Remote]:
    async with aiohttp.ClientSession() as http, http.ws_connect(caller.location + "/control") as socket:
        found = Remote(socket)
        if greet:
            await found.send(**HELLO)
        yield found


async def test_the_greeting_tells_what_this_face_can_and_what_it_does(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, remote(caller) as control:
        hello = await control.until("hello")
        assert hello["version"] == 1
        assert {"energy", "nod", "shake", "pause", "mute", "background", "interrupt"} <= set(hello["can"])
        assert "gaze" not in hello["can"]  # this family has no eyes that turn
        assert (await control.until("state"))["state"] == "idle"
        first = await control.until("statistics")
        later = await control.until("statistics")
        assert later["pictures"] + later["repeated"] > first["pictures"] + first["repeated"]


async def test_speech_is_reported_paused_and_interrupted(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, remote(caller) as control, SpeechClient(caller.location) as speech:
        await speech.say(steps([0.5] * 50), SAMPLE_RATE)
        await control.until("state", state="speaking")
        await control.until("started", speech=1)
        await control.send(type="pause", on=True)
        await control.until("state", state="idle", paused=True)
        await until_silent(caller)
        before = len(voiced(caller.recording))
        await asyncio.sleep(0.5)
        assert len(voiced(caller.recording)) == before
        await control.send(type="pause", on=False)
        await control.until("state", state="speaking", paused=False)
        await control.send(type="interrupt")
        played = await control.until("played", final=True)
        assert played["interrupted"]
        await speech.idle()  # who speaks is told, too
        await control.until("state", state="idle")


async def test_what_a_face_is_asked_for_is_taken(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, remote(caller) as control:
        for message in (
            {"type": "energy", "value": 1.5},
            {"type": "gesture", "name": "nod"},
            {"type": "gesture", "name": "shake", "strength": 0.5},
            {"type": "mute", "on": True},
        ):
            await control.send(**message)
        await control.until("state", muted=True)
        await control.send(type="background", value="#00ff00")
        before = (await control.until("statistics"))["pictures"]
        while (await control.until("statistics"))["pictures"] <= before:  # new ones come
            pass


async def test_the_person_talked_to_is_listened_to_and_not_played(server: LaunchedServer) -> None:
    with av.open(str(ROOT / "tests" / "data" / "speech.ogg")) as file:
        cutter = AudioResampler("s16", "mono", 48_000)
        parts = [part.to_ndarray()[0] for frame in file.decode(audio=0) for part in cutter.resample(frame)]
    person = np.concatenate([np.zeros(48_000, np.int16), *parts])[: 4 * 48_000]
    async with caller_of(server, person, "listen=1") as caller, remote(caller) as control:
        await control.until("state", state="listening")
        await control.until("state", state="thinking")
        assert not len(voiced(caller.recording))
        await control.send(type="listening", on=False)
        async with SpeechClient(caller.location) as speech:
            await speech.say(steps([0.5] * 5), SAMPLE_RATE)
            await control.until("state", state="speaking")
            await control.until("state", state="idle")


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("nonsense", "JSON is malformed"),
        ("[]", "Expected `object`"),
        ('{"type": "dance"}', "Invalid value 'dance'"),
        ('{"type": "energy", "value": 3}', "Expected `float` <= 2.0"),
        ('{"type": "energy", "value": "much"}', "Expected `float`"),
        ('{"type": "energy"}', "missing required field `value`"),
        ('{"type": "energy", "value": 1, "speed": 2}', "unknown field `speed`"),
        ('{"type": "gaze", "at": "camera"}', "this face has no gaze; it can energy, nod"),
        ('{"type": "emotion", "value": "happy"}', "this face has no emotion; it can energy, nod"),
        ('{"type": "emotion", "value": "hungry"}', "Invalid enum value 'hungry'"),
        ('{"type": "gaze", "at": [2, 0]}', "<= 1.0"),
        ('{"type": "gesture", "name": "wink"}', "Invalid enum value 'wink'"),
        ('{"type": "background", "value": "plaid"}', "expected a colour"),
        ('{"type": "background", "value": "transparent"}', "from a session's beginning on"),
        ('{"type": "avatar", "name": "nobody"}', "nobody"),
        ('{"type": "avatar", "name": ""}', "length >= 1"),
        ('{"type": "size", "value": 300}', "size"),
        ('{"type": "hello", "version": 1}', "hello was said already"),
        ("[" * 1000, ""),
        ('"' + "a" * 2000 + '"', "at most 1024"),
    ],
)
async def test_a_message_that_is_not_taken_is_one_error_and_changes_nothing(
    server: LaunchedServer, sent: str, words: str
) -> None:
    async with caller_of(server) as caller, remote(caller) as control, remote(caller) as other:
        await control.socket.send_str(sent)
        assert words in (await control.until("error"))["message"]
        await control.send(type="mute", on=True)  # the next message is taken
        await control.until("state", muted=True)
        await other.until("state", muted=True)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ('{"type": "hello", "version": 2}', "<= 1"),
        ('{"type": "energy", "value": 1}', "hello expected first"),
        ("?", "malformed"),
    ],
)
async def test_a_client_that_does_not_greet_is_disconnected(server: LaunchedServer, first: str, reason: str) -> None:
    async with caller_of(server) as caller, remote(caller, greet=False) as control:
        await control.socket.send_str(first)
        async with asyncio.timeout(60):
            closing = await control.socket.receive()
        assert (closing.type, closing.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        assert re.search(reason, str(closing.extra))


async def test_a_flood_and_endless_mistakes_end_a_connection_and_nothing_else(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, remote(caller) as other:
        for message in ('{"type": "gesture", "name": "nod"}', "?"):
            async with remote(caller) as control:
                async with asyncio.timeout(60):
                    for _ in range(200):
                        await control.socket.send_str(message)
                    while (event := await control.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                        pass
                assert event.data == 1008
        await other.send(type="mute", on=True)
        await other.until("state", muted=True)
        await until_heard(caller, 0)


async def test_numbers_are_refused_where_they_are_no_units_that_others_know(server: LaunchedServer) -> None:
    with pytest.raises(SessionError, match="what family tiny computes is none"):
        async with Caller(server.url, None, "speech=1&pictures=0"):
            pass
    with pytest.raises(SessionError, match="pictures is 'no', expected 0 or 1"):
        async with Caller(server.url, None, "speech=1&pictures=no"):
            pass
    async with (
        caller_of(server) as caller,
        aiohttp.ClientSession() as http,
        http.get(caller.location + "/numbers") as response,
    ):
        assert (response.status, "pictures=0" in await response.text()) == (409, True)


async def test_a_missing_session_cannot_be_controlled(server: LaunchedServer) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}session/nobody/control") as response:
            assert response.status == 404
        async with caller_of(server) as caller, http.get(caller.location + "/control") as response:
            assert response.status == 426
            assert "docs/control.md" in await response.text()


async def test_a_flood_of_pings_or_of_sockets_ends_no_session(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, remote(caller) as steering, aiohttp.ClientSession() as http:
        await steering.until("hello")
        url = caller.location + "/control"
        async with http.ws_connect(url, autoping=False) as socket:
            await socket.send_str(json.dumps(HELLO))
            with suppress(ConnectionError):
                for _ in range(200):
                    await socket.ping()
            async with asyncio.timeout(20):
                while not socket.closed:
                    await socket.receive()
        async with AsyncExitStack() as stack:
            for _ in range(MOST_CLIENTS - 1):
                await stack.enter_async_context(http.ws_connect(url))
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await http.ws_connect(url)
        await steering.send(type="mute", on=True)
        await steering.until("state", muted=True)
        assert not caller.ended
