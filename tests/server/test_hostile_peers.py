"""What an admitted peer sends that no honest one does, over real connections: it is bounded, or ends its own call."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from aiortc import RTCPeerConnection
from aiortc.rtp import RTCP_RTPFB_NACK, RtcpByePacket, RtcpRtpfbPacket

from streamer.inference.worker import InferenceWorker
from streamer.server.peer_session import Session
from streamer.server.peer_state import State
from streamer.webrtc.private_parts import Transport, transports_of
from tests.server.calling import PATIENCE_S, Owner, calling

pytestmark = pytest.mark.process

OPUS = b"\xf8\xff\xfe"  # 20 ms
OPUS_120 = bytes([0xF8 | 3, 6]) + b"\xff\xfe" * 6

Send = Callable[[bytes], Awaitable[None]]


class Hostile:
    """A peer in a session, and its means: what it sends is encrypted and sent as it is."""

    def __init__(self, session: Session, owner: Owner, peer: RTCPeerConnection, transport: Transport) -> None:
        self.session, self.owner = session, owner
        self.received: list[bytes] = []
        self._peer = peer
        found: list[Send] = []

        def keep(send: Send) -> Send:
            found.append(send)
            return send

        transport.replace_send(keep)
        self.send = found[0]
        transport.filter_media(self._note, lambda data: b"")

    def _note(self, data: bytes) -> bool:
        self.received.append(data)
        return False

    @property
    def opus(self) -> int:
        """The payload type of sound."""
        return int(re.findall(r"a=rtpmap:(\d+) opus", self._peer.remoteDescription.sdp)[0])

    async def flood(self, packet: Callable[[int], bytes], count: int) -> None:
        """Send until all is sent or the call has ended. The loop takes one datagram a turn: more would get lost."""
        for number in range(count):
            if self.session.state is not State.LIVE:
                return
            with suppress(ConnectionError):
                await self.send(packet(number))
            await asyncio.sleep(0)


@pytest.fixture
async def hostile(worker: InferenceWorker) -> AsyncIterator[Hostile]:
    async with calling(worker) as (session, owner, peer):
        async with asyncio.timeout(PATIENCE_S):
            while (session.state, peer.connectionState) != (State.LIVE, "connected"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield Hostile(session, owner, peer, transports_of(peer)[0])


def media(payload_type: int, number: int, ssrc: int, payload: bytes = OPUS) -> bytes:
    return struct.pack("!BBHLL", 0x80, payload_type, number & 0xFFFF, number * 960 & 0xFFFFFFFF, ssrc) + payload


async def test_another_ssrc_in_every_packet_ends_the_call(hostile: Hostile) -> None:
    await hostile.flood(lambda number: media(hostile.opus, number, 1_000 + number), 5_000)
    assert await hostile.owner.wait() == "the peer sent too many streams (SSRC)"


async def test_sound_much_faster_than_real_time_ends_the_call(hostile: Hostile) -> None:
    await hostile.flood(lambda number: media(hostile.opus, number, 7, OPUS_120), 20_000)
    assert "much faster than it is heard" in await hostile.owner.wait()


async def test_retransmissions_stay_within_a_budget(hostile: Hostile) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not any(len(packet) > 300 for packet in hostile.received):  # noqa: ASYNC110 - a picture's
            await asyncio.sleep(0.01)
    packet = next(packet for packet in hostile.received if len(packet) > 300)
    (ssrc,) = struct.unpack("!L", packet[8:12])
    (number,) = struct.unpack("!H", packet[2:4])
    asked = [(number + ahead) & 0xFFFF for ahead in range(-64, 64)]
    report = bytes(RtcpRtpfbPacket(RTCP_RTPFB_NACK, 1, ssrc, sorted(asked)))
    hostile.received.clear()
    await hostile.flood(lambda _: report, 5_000)
    assert await hostile.owner.wait() == "the peer sent too many requests to send again (NACK)"
    again: dict[bytes, int] = {}
    for packet in hostile.received:
        again[packet[2:12]] = again.get(packet[2:12], 0) + 1
    assert sum(again.values()) < 1_500


async def test_a_flood_of_datagrams_ends_the_call(hostile: Hostile) -> None:
    await hostile.flood(lambda number: media(1, number, 7), 60_000)
    assert await hostile.owner.wait() == "the peer sent too many packets"


async def test_a_goodbye_holds_up_nothing(hostile: Hostile) -> None:
    """aiortc waits on the event loop until its decoder has ended."""
    await hostile.send(media(hostile.opus, 0, 7))
    await hostile.send(bytes(RtcpByePacket([7])))
    heard = hostile.session.microphone.order
    await asyncio.sleep(0.5)
    assert hostile.session.state is State.LIVE
    assert heard.late + heard.lost >= 0


async def test_reports_that_cannot_be_read_change_nothing(hostile: Hostile) -> None:
    for nonsense in (b"\x81\xc9\x00\x01abcd", b"\x81\xce\x00\x09abcd", b"\x9f\xcd\x00\x01abcd"):
        await hostile.send(nonsense)
    await hostile.send(struct.pack("!BBHLL", 0x90, hostile.opus, 1, 1, 7) + struct.pack("!HHL", 0xBEDE, 1, 0xFFFFFFFF))
    count = len(hostile.received)
    async with asyncio.timeout(PATIENCE_S):
        while len(hostile.received) < count + 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert hostile.session.state is State.LIVE
