"""A face is published by WHIP to a real endpoint, which may redirect, refuse, or be lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from streamer.audio.format import AUDIO_BLOCK, CHANNELS, Samples
from streamer.core.errors import DeviceError
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.webrtc.ice import LOOPBACK, offer_only
from streamer.webrtc.whip_client import ice_servers
from streamer.webrtc.whip_output import WhipOutput
from tests.fakes.whip_endpoint import LINK, WhipEndpoint, whip_endpoint
from tests.waiting import PATIENCE_S

FIT = Fit(64, 48)
SOUND: Samples = np.full((AUDIO_BLOCK, CHANNELS), 8_000, np.int16)
SOUND[::2] *= -1


@pytest.fixture(autouse=True)
def loopback_only() -> Iterator[None]:
    offer_only(LOOPBACK)
    yield
    offer_only(None)


async def opened(endpoint: WhipEndpoint, path: str = "/whip/live", token: str | None = None) -> WhipOutput:
    given = endpoint.token if token is None else token
    return await asyncio.to_thread(WhipOutput, endpoint.url + path, "whip+http://here", given, FIT)


def grey(shade: int) -> ByteArray:
    return np.full((48, 48, 3), shade, np.uint8)


async def feed(output: WhipOutput, enough: Callable[[], object], lost: bool = False) -> None:
    """Give it pictures and sound at their pace until there is enough of them, or it says that it is gone."""
    async with asyncio.timeout(PATIENCE_S):
        block = 0
        while not enough():
            output.play(block, SOUND)
            output.play(block + 1, SOUND)
            block += 2
            with contextlib.suppress(*() if lost else (DeviceError,)):
                output.show(block // 2, grey(200 + block % 50))
            await asyncio.sleep(0.04)


@pytest.mark.slow
async def test_pictures_and_sound_arrive_where_a_redirection_leads_and_the_session_is_ended() -> None:
    async with whip_endpoint() as endpoint:
        output = await opened(endpoint, "/elsewhere")
        output.show(-1, grey(200))  # before there is a session
        output.begin(360)
        await feed(output, lambda: len(endpoint.pictures) > 10 and len(endpoint.sounds) > 20)
        await asyncio.to_thread(output.close)
        picture = endpoint.pictures[-1].to_ndarray(format="rgb24")
        assert picture.shape == (48, 64, 3)
        assert picture[24, 32].min() > 150
        assert picture[24, 2].max() < 60  # a bar beside the square
        assert max(np.abs(sound.to_ndarray()).max() for sound in endpoint.sounds) > 3_000
        bearer = f"Bearer {endpoint.token}"
        paths = [("POST", "/elsewhere"), ("POST", "/whip/live"), ("DELETE", "/sessions/1")]
        assert endpoint.requests == [(method, path, bearer) for method, path in paths]


@pytest.mark.parametrize(
    ("path", "token", "words"),
    [
        ("/whip/live", "another", "403: this stream's token is another one"),
        ("/page", None, "not a WHIP endpoint"),
        ("/circle", None, "more than 5 redirections"),
    ],
)
async def test_a_refusal_is_told_when_it_is_opened(path: str, token: str | None, words: str) -> None:
    async with whip_endpoint() as endpoint:
        with pytest.raises(DeviceError, match=f"whip\\+http://here: cannot be opened .*{words}"):
            await opened(endpoint, path, token)


async def test_nobody_there_is_told() -> None:
    async with whip_endpoint() as endpoint:
        pass
    with pytest.raises(DeviceError, match="cannot be reached"):
        await opened(endpoint)


@pytest.mark.slow
async def test_a_stream_that_is_lost_is_published_again() -> None:
    async with whip_endpoint() as endpoint:
        output = await opened(endpoint)
        output.begin(360)
        await feed(output, lambda: endpoint.pictures)
        assert endpoint.peer is not None
        await endpoint.peer.close()
        with pytest.raises(DeviceError, match="whip\\+http://here is gone"):
            await feed(output, lambda: False, lost=True)
        endpoint.pictures.clear()
        await feed(output, lambda: endpoint.pictures)
        await asyncio.to_thread(output.close)
    assert [method for method, *_ in endpoint.requests] == ["POST", "DELETE", "POST", "DELETE"]


def test_servers_of_links_are_read_and_others_left() -> None:
    others = '<https://a.example>; rel="next", <turn:b.example>; rel=other'
    links = ['<stun:stun.example>; rel="ice-server"', LINK, others]
    found = [(server.urls, server.username, server.credential) for server in ice_servers(links)]
    assert found == [(["stun:stun.example"], None, None), (["turn:turn.example:3478?transport=udp"], "me", "a, b")]
