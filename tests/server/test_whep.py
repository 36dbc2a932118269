"""Many watch one session by WHEP, with real peer connections; whatever one does, the others and the session go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import numpy as np
import pytest
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from clients.speech import SpeechClient
from streamer.measure.launched_server import LaunchedServer, launch
from tests.fakes.spoken import SAMPLE_RATE, caller_of, steps
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
KEY = "a-key-that-is-long-enough"


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "1", "--threads", "1"]) as launched:
        yield launched


class Watcher:
    """One who watches: what came, and the resource's address."""

    def __init__(self) -> None:
        self.pictures: list[tuple[int, int]] = []
        self.loud = 0  # packets of sound
        self.location = ""
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in ("audio", "video"):
            self.peer.addTransceiver(kind, "recvonly")
        self._readers: list[asyncio.Task[None]] = []
        self.peer.on("track", lambda track: self._readers.append(asyncio.create_task(self._read(track))))

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if isinstance(frame, VideoFrame):
                    self.pictures.append((frame.width, frame.height))
                elif isinstance(frame, AudioFrame):
                    self.loud += int(np.abs(frame.to_ndarray()).max() > 2000)

    async def offer(self) -> str:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def leave(self) -> None:
        await self.peer.close()
        await asyncio.gather(*self._readers, return_exceptions=True)


@asynccontextmanager
async def watching(url: str, headers: dict[str, str] | None = None) -> AsyncIterator[Watcher]:
    watcher = Watcher()
    try:
        given = SDP | (headers or {})
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, data=await watcher.offer(), headers=given) as response,
        ):
            assert response.status == 201, await response.text()
            assert response.content_type == "application/sdp"
            assert response.headers["AI-Disclosure"] == "mode=ai-originated"
            watcher.location = urljoin(url, response.headers["Location"])
            answer = await response.text()
        assert "a=sendonly" in answer
        await watcher.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield watcher
    finally:
        await watcher.leave()


async def test_three_watch_one_session_and_see_and_hear_it(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(watching(urljoin(server.url, caller.watch))) for _ in range(3)]
        async with SpeechClient(caller.location) as speech:
            await speech.say(steps([0.5] * 5), SAMPLE_RATE)
            await eventually(lambda: all(len(w.pictures) > 10 and w.loud > 10 for w in watchers))
        assert len({w.pictures[-1] for w in watchers}) == 1
        async with aiohttp.ClientSession() as http:
            async with http.get(watchers[0].location) as response:
                assert (response.status, await response.text()) == (200, "")
            async with http.delete(watchers[0].location) as response:
                assert response.status == 200
            await watchers[1].peer.close()  # clients hang up first, and then say so
            for left in (watchers[0].location, watchers[1].location):
                async with http.delete(left) as response:
                    assert response.status == 200
            async with http.get(watchers[0].location) as response:
                assert response.status == 404
            async with http.delete(watchers[0].location + "x") as response:
                assert response.status == 404
        seen = len(watchers[2].pictures)
        await eventually(lambda: len(watchers[2].pictures) > seen + 10)
        assert len(caller.recording.pictures) > 10


async def test_the_end_of_a_session_disconnects_all_viewers(server: LaunchedServer) -> None:
    async with AsyncExitStack() as stack:
        async with caller_of(server) as caller:
            watcher = await stack.enter_async_context(watching(urljoin(server.url, caller.watch)))
            await eventually(lambda: watcher.pictures)
        await eventually(lambda: watcher.peer.connectionState == "closed")


async def test_a_key_is_a_bearer_token(server: LaunchedServer) -> None:
    async with caller_of(server, query=f"speech=1&key={KEY}"):
        async with watching(f"{server.url}whep", {"Authorization": f"Bearer {KEY}"}) as watcher:
            await eventually(lambda: watcher.pictures)
        async with watching(f"{server.url}whep/{KEY}") as watcher:
            await eventually(lambda: watcher.pictures)


async def test_a_viewer_may_not_speak(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, aiohttp.ClientSession() as http:
        name = caller.watch.rpartition("/")[2]
        for path in ("speech", "control"):
            async with http.get(f"{server.url}session/{name}/{path}") as response:
                assert response.status == 404
        async with http.delete(f"{server.url}session/{name}") as response:
            assert response.status == 404


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        ("", "v=0", SDP, 401, "bearer"),
        ("/nobody", "v=0", SDP, 404, "no such session"),
        ("/WATCH", "v=0", {"Content-Type": "text/plain"}, 415, "expected application/sdp"),
        ("/WATCH", "v=0", SDP, 400, "no audio"),
        ("/WATCH", "hello", SDP, 400, "must begin with v=0"),
        ("/WATCH", "v=0" * 40_000, SDP, 413, "larger than"),
        ("/WATCH", "v=0", SDP | {"Origin": "https://evil.example"}, 403, "other sites"),
    ],
)
async def test_what_cannot_be_watched_is_one_clear_line(
    server: LaunchedServer, path: str, body: str, headers: dict[str, str], status: int, words: str
) -> None:
    async with caller_of(server) as caller, aiohttp.ClientSession() as http:
        url = f"{server.url}whep" + path.replace("/WATCH", f"/{caller.watch.rpartition('/')[2]}")
        async with http.post(url, data=body, headers=headers) as response:
            text = await response.text()
            assert (response.status, text.count("\n")) == (status, 1), text
            assert words in text


async def test_candidates_are_taken_and_a_restart_is_refused(server: LaunchedServer) -> None:
    async with caller_of(server) as caller, watching(urljoin(server.url, caller.watch)) as watcher:
        ufrag = next(line for line in watcher.peer.localDescription.sdp.splitlines() if "ice-ufrag" in line)
        candidate = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host"
        async with aiohttp.ClientSession() as http:
            for body, headers, status in (
                (f"{ufrag}\r\na=ice-pwd:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n{candidate}\r\n", FRAGMENT, 204),
                (f"a=ice-ufrag:other\r\n{candidate}\r\n", FRAGMENT, 422),
                (candidate, FRAGMENT, 400),
                (ufrag, SDP, 415),
            ):
                async with http.patch(watcher.location, data=body, headers=headers) as response:
                    assert response.status == status
            async with http.options(f"{server.url}whep") as response:
                assert (response.status, response.headers["Accept-Post"]) == (200, "application/sdp")
        await eventually(lambda: watcher.pictures)
