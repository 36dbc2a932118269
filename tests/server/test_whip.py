"""A microphone comes by WHIP, as OBS and browsers send it, and its face is watched by WHEP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import VideoStreamTrack

from streamer.core.aio import MonotonicClock
from streamer.measure.caller import Recording, SoundTrack
from streamer.measure.launched_server import LaunchedServer, launch
from tests.server.test_whep import FRAGMENT, SDP, watching
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]

KEY = "the-stream-key-of-a-studio"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "1", "--threads", "1"]) as launched:
        yield launched


class Studio:
    """Who publishes: sound, and video as a studio has it, which nobody wants."""

    def __init__(self, video: bool) -> None:
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        tone = (8000 * np.sin(np.arange(48_000 * 20) / 20)).astype(np.int16)
        self.peer.addTransceiver(SoundTrack(tone, Recording(), MonotonicClock()), "sendonly")
        if video:
            self.peer.addTransceiver(VideoStreamTrack(), "sendonly")
        self.answer = self.location = self.watch = ""


@asynccontextmanager
async def publishing(server: LaunchedServer, video: bool = False) -> AsyncIterator[Studio]:
    studio = Studio(video)
    try:
        await studio.peer.setLocalDescription(await studio.peer.createOffer())
        url, offer = f"{server.url}whip", studio.peer.localDescription.sdp
        async with aiohttp.ClientSession() as http, http.post(url, data=offer, headers=SDP | BEARER) as response:
            assert response.status == 201, await response.text()
            assert response.headers["AI-Disclosure"] == "mode=ai-originated"
            studio.answer = await response.text()
            studio.location = urljoin(url, response.headers["Location"])
            studio.watch = urljoin(url, response.headers["Avatar-Watch"])
        if not video:  # browsers and studios take a rejected section, aiortc does not
            await studio.peer.setRemoteDescription(RTCSessionDescription(studio.answer, "answer"))
        yield studio
    finally:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http, http.delete(studio.location) as response:
                assert response.status in (200, 404)
        await studio.peer.close()


async def test_a_microphone_is_published_and_its_face_is_watched(server: LaunchedServer) -> None:
    async with publishing(server) as studio:
        assert "a=recvonly" in studio.answer
        assert "a=send" not in studio.answer
        async with watching(f"{server.url}whep", BEARER) as watcher, watching(studio.watch) as other:
            await eventually(lambda: len(watcher.pictures) > 10 and watcher.loud > 20)
            await eventually(lambda: other.loud > 20)


async def test_a_studios_video_is_rejected_in_the_answer(server: LaunchedServer) -> None:
    async with publishing(server, video=True) as studio:
        audio, video = studio.answer.split("m=")[1:]
        assert (audio[:6], video[:8]) == ("audio ", "video 0 ")
        assert "a=recvonly" in audio


async def test_a_session_is_looked_at_trickled_to_and_ended(server: LaunchedServer) -> None:
    async with publishing(server) as studio, aiohttp.ClientSession() as http:
        ufrag = next(line for line in studio.peer.localDescription.sdp.splitlines() if "ice-ufrag" in line)
        async with http.get(studio.location) as response:
            assert (response.status, await response.text()) == (200, "")
        async with http.patch(studio.location, data=f"{ufrag}\r\n", headers=FRAGMENT) as response:
            assert response.status == 204
        async with http.patch(studio.location, data="a=ice-ufrag:new\r\n", headers=FRAGMENT) as response:
            assert response.status == 422
        for _ in range(2):
            async with http.delete(studio.location) as response:
                assert response.status == 200
        async with http.get(studio.location) as response:
            assert response.status == 404


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        ("v=0", SDP, 400, "no audio"),
        ("v=0", {"Content-Type": "text/plain"}, 415, "expected application/sdp"),
        ("v=0", SDP | {"Authorization": "Bearer short"}, 401, "16 to 128"),
    ],
)
async def test_what_cannot_be_published_is_one_clear_line(
    server: LaunchedServer, body: str, headers: dict[str, str], status: int, words: str
) -> None:
    async with aiohttp.ClientSession() as http, http.post(f"{server.url}whip", data=body, headers=headers) as response:
        text = await response.text()
        assert (response.status, text.count("\n")) == (status, 1)
        assert words in text


async def test_a_receiving_peer_has_nothing_to_publish(server: LaunchedServer) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", "recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp
    async with aiohttp.ClientSession() as http, http.post(f"{server.url}whip", data=offer, headers=SDP) as response:
        assert (response.status, "must send a microphone" in await response.text()) == (400, True)
    await peer.close()
