"""The data channel `control` of a real peer: what the control socket does, and what floods it ends the call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import RTCDataChannel, RTCPeerConnection
from aiortc.rtcsctptransport import SCTP_DATA_FIRST_FRAG, WEBRTC_STRING, DataChunk

from streamer.inference.worker import InferenceWorker
from streamer.server.peer_session import Session
from streamer.server.peer_state import State
from tests.server.calling import PATIENCE_S, Owner, calling

pytestmark = pytest.mark.process

HELLO = {"type": "hello", "version": 1}


class Steered:
    """A peer with a data channel, and the session that it talks to."""

    def __init__(self, session: Session, owner: Owner, peer: RTCPeerConnection, channel: RTCDataChannel) -> None:
        self.session, self.owner, self.peer, self.channel = session, owner, peer, channel
        self.closed = asyncio.Event()
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        channel.on("message", lambda text: self._events.put_nowait(json.loads(text)))
        channel.on("close", self.closed.set)

    def send(self, **message: Any) -> None:
        self.channel.send(json.dumps(message))

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while (event := await self._events.get())["type"] != kind:
                pass
        return event


@pytest.fixture
async def steered(worker: InferenceWorker) -> AsyncIterator[Steered]:
    opened = asyncio.Event()
    channels: list[RTCDataChannel] = []

    def prepare(peer: RTCPeerConnection) -> None:
        channels.append(peer.createDataChannel("control"))
        channels[0].on("open", opened.set)

    async with calling(worker, prepare, able=("nod",)) as (session, owner, peer):
        async with asyncio.timeout(PATIENCE_S):
            await opened.wait()
        yield Steered(session, owner, peer, channels[0])


async def test_a_channel_steers_tells_and_refuses_as_the_socket_does(steered: Steered) -> None:
    steered.send(**HELLO)
    assert "nod" in (await steered.until("hello"))["can"]
    steered.send(type="mute", on=True)
    while not (await steered.until("state"))["muted"]:
        pass
    steered.send(type="gesture", name="nod")
    assert (await steered.until("statistics"))["pictures"] >= 0
    for _ in range(17):
        steered.send(type="dance")
    async with asyncio.timeout(PATIENCE_S):
        while "17 messages refused" not in (await steered.until("error"))["message"]:
            pass
        await steered.closed.wait()
    assert steered.session.state is State.LIVE


async def test_who_says_no_hello_first_is_sent_away_and_other_channels_are_closed(steered: Steered) -> None:
    other = steered.peer.createDataChannel("chat")
    closed = asyncio.Event()
    other.on("close", closed.set)
    steered.send(type="gesture", name="nod")
    assert (await steered.until("error"))["message"] == "hello expected first"
    async with asyncio.timeout(PATIENCE_S):
        await steered.closed.wait()
        await closed.wait()
    assert steered.session.state is State.LIVE


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("fragments", "bytes that make no message"),
        ("streams", "stream 16, at most 15 is taken"),
        ("messages", "bytes that make no message"),  # each whole, but the first never comes
    ],
)
async def test_a_flood_ends_the_call_with_a_reason(steered: Steered, what: str, words: str) -> None:
    steered.send(**HELLO)
    await steered.until("hello")
    sctp = steered.peer.sctp
    assert sctp is not None
    number = sctp._local_tsn + 1_000  # ahead: what comes is kept until the gap is closed, which it never is
    for count in range(20_000):
        if steered.session.state is not State.LIVE:
            break
        chunk = DataChunk(flags=SCTP_DATA_FIRST_FRAG | (2 if what == "messages" else 0))
        chunk.tsn, chunk.stream_id, chunk.protocol = number + count, count if what == "streams" else 1, WEBRTC_STRING
        chunk.user_data = b"x" * (1 if what == "messages" else 1_000)
        try:
            await sctp._send_chunk(chunk)
        except ConnectionError:
            break
        await asyncio.sleep(0.002)
    reason = await steered.owner.wait()
    assert words in reason
    assert reason.endswith("on data channels")
