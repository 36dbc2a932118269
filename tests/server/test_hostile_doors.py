"""Every door of a server, and who knocks wrongly: each is refused in a line, and the session beside goes on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from aiortc import InvalidStateError, RTCDataChannel, RTCPeerConnection

from streamer.access.grant import SCOPES
from streamer.access.secret import new_secret, public_text
from streamer.access.tokens import mint
from streamer.core.limits import RateLimits
from streamer.inference.worker import InferenceWorker
from streamer.measure.caller import Caller
from streamer.measure.onsets import vowels
from streamer.server.peer_state import State
from tests.server.calling import PATIENCE_S, calling
from tests.server.serving import UNBOUNDED, served
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]

SECRET = new_secret()
TOKEN = mint(SECRET, "ada", SCOPES, 3_600)
SDP = {"Content-Type": "application/sdp"}
SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
AGAIN = 25  # packets of the session beside that have to come after an attack: half a second of its sound
KNOCKS = 40  # at each door, all at once
FLOODED = replace(UNBOUNDED, requests_each=(20.0, 60), requests=(40.0, 100), patience_s=0.5)


@dataclass(frozen=True)
class Door:
    """One way in. `mistaken`: what it answers to a request of the wrong kind, the body `wrong` with these headers."""

    method: str
    path: str
    headers: dict[str, str]
    wrong: bytes
    mistaken: int
    wrong_headers: dict[str, str]


def doors(session: str, watch: str) -> list[Door]:
    """All of them, those of a session at one that is talked in."""
    text = {"Content-Type": "text/plain"}
    posts = [Door("POST", path, SDP, b"v=0", 415, text) for path in ("session", "whip", watch)]
    sockets = [
        Door("GET", f"{session}/{name}", SOCKET, b"", status, {})
        for name, status in (("speech", 426), ("control", 426), ("numbers", 409))  # its face is drawn
    ]
    return [*posts, *sockets, Door("POST", f"{session}/say", text, b"\xff", 400, text)]


@dataclass
class Beside:
    """A session whose sound goes on, whatever happens at the doors."""

    url: str
    caller: Caller

    @property
    def doors(self) -> list[Door]:
        return doors(self.caller.location.removeprefix(self.url), self.caller.watch.lstrip("/"))

    async def goes_on(self) -> None:
        packets = len(self.caller.recording.sound)
        await eventually(lambda: len(self.caller.recording.sound) > packets + AGAIN)
        assert not self.caller.ended


@asynccontextmanager
async def talking(folder: Path, rates: RateLimits = UNBOUNDED) -> AsyncIterator[Beside]:
    async with (
        served(folder, rates, [public_text(SECRET)]) as (url, _),
        Caller(url, vowels(120.0), token=TOKEN) as caller,
    ):
        beside = Beside(url, caller)
        await beside.goes_on()
        yield beside


async def knock(
    http: aiohttp.ClientSession, url: str, door: Door, body: bytes, headers: dict[str, str]
) -> tuple[int, str]:
    """What a door answers."""
    async with http.request(door.method, url + door.path, data=body or None, headers=headers) as found:
        return found.status, await found.text()


async def test_a_wrong_token_origin_or_kind_is_refused_in_a_line_at_every_door(tiny_folder: Path) -> None:
    stranger = mint(new_secret(), "ada", SCOPES, 3_600)
    async with talking(tiny_folder) as beside, aiohttp.ClientSession() as http:
        for door in beside.doors:
            ours, theirs = {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": f"Bearer {stranger}"}
            for status, body, headers in (
                (401, b"", door.headers | theirs),
                (403, b"", door.headers | ours | {"Origin": "https://evil.example"}),
                (door.mistaken, door.wrong, door.wrong_headers | ours),
            ):
                found, text = await knock(http, beside.url, door, body, headers)
                assert (found, text.count("\n")) == (status, 1), (door.path, text)
        await beside.goes_on()


async def test_a_flood_at_every_door_is_refused_in_part_and_others_go_on(tiny_folder: Path) -> None:
    async with talking(tiny_folder, FLOODED) as beside:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            knocks = [(door, door.wrong_headers) for door in beside.doors for _ in range(KNOCKS)]
            tried = (knock(http, beside.url, door, door.wrong, headers) for door, headers in knocks)
            answers = Counter(status for status, _ in await asyncio.gather(*tried))
        assert set(answers) <= {400, 409, 415, 426, 429}
        assert answers[429] > len(knocks) // 4
        await beside.goes_on()


async def test_a_client_of_another_version_or_without_end_loses_its_socket_alone(tiny_folder: Path) -> None:
    async with (
        talking(tiny_folder) as beside,
        Caller(beside.url, None, "speech=1", token=TOKEN) as caller,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
    ):
        for path, first, then, code in (
            ("control", {"type": "hello", "version": 99}, "", 1008),
            ("control", {"type": "hello", "version": 1}, '{"type": "gesture", "name": "fly"}', 1008),
            ("speech", {"type": "hello", "version": 99}, "", 1002),
            ("speech", {"type": "hello", "version": 1}, '{"type": "sing"}', 1008),
        ):
            async with http.ws_connect(f"{caller.location}/{path}") as socket, asyncio.timeout(PATIENCE_S):
                await socket.send_str(json.dumps(first))
                with suppress(ConnectionError):
                    for _ in range(100 if then else 0):
                        await socket.send_str(then)
                while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
                assert socket.close_code == code, (path, first)
        assert not caller.ended
        await beside.goes_on()


async def test_a_flood_on_a_data_channel_closes_it_and_harms_nobody_beside(worker: InferenceWorker) -> None:
    opened, closed = asyncio.Event(), asyncio.Event()
    channels: list[RTCDataChannel] = []

    def prepare(peer: RTCPeerConnection) -> None:
        channels.append(peer.createDataChannel("control"))
        channels[0].on("open", opened.set)
        channels[0].on("close", closed.set)

    async with calling(worker) as (other, _, _), calling(worker, prepare), asyncio.timeout(2 * PATIENCE_S):
        await opened.wait()
        while not closed.is_set():
            with suppress(InvalidStateError):  # it is closing
                channels[0].send('{"type": "hello", "version": 1}')
            await asyncio.sleep(0.001)
        heard = other.microphone.order.taken
        await eventually(lambda: other.microphone.order.taken > heard + AGAIN)
        assert other.state is State.LIVE
