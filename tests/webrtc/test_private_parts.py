"""What is used of aiortc's and aioice's private parts is there in the installed versions, and does what we believe."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection
from aiortc.jitterbuffer import JitterFrame
from aiortc.mediastreams import AudioStreamTrack
from aiortc.rtp import RtpPacket, is_rtcp
from av import AudioFrame

from streamer.core.errors import SessionError
from streamer.webrtc.ice import LOOPBACK, offer_only
from streamer.webrtc.private_parts import Receiver, Transport, payload_of, transports_of

PATIENCE_S = 60.0


class Pair:
    """Two connected peers: `one` sends sound (and has a data channel), `other` receives it."""

    def __init__(self) -> None:
        self.one, self.other = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
        self.one.addTrack(AudioStreamTrack())
        self.channel: RTCDataChannel = self.one.createDataChannel("x")
        self.live = asyncio.Event()
        self.one.on("connectionstatechange", self._changed)

    def _changed(self) -> None:
        if self.one.connectionState == "connected":
            self.live.set()

    async def connect(self, before: Callable[[Transport], None] = lambda transport: None) -> Transport:
        """Connect; `before` gets the other's transport before anything is sent."""
        await self.one.setLocalDescription(await self.one.createOffer())
        await self.other.setRemoteDescription(self.one.localDescription)
        (transport,) = transports_of(self.other)
        before(transport)
        await self.other.setLocalDescription(await self.other.createAnswer())
        await self.one.setRemoteDescription(self.other.localDescription)
        async with asyncio.timeout(PATIENCE_S):
            await self.live.wait()
        return transport


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    offer_only(LOOPBACK)
    async with AsyncExitStack() as stack:
        made = Pair()
        stack.push_async_callback(made.other.close)
        stack.push_async_callback(made.one.close)
        yield made
    offer_only(None)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not done():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_every_packet_of_media_and_reports_passes_the_filters(pair: Pair) -> None:
    media: list[bytes] = []
    reports: list[bytes] = []

    def rtcp(data: bytes) -> bytes:
        reports.append(data)
        return b""

    def rtp(data: bytes) -> bool:
        media.append(data)
        return False

    await pair.connect(lambda transport: transport.filter_media(rtp, rtcp))
    receiver = Receiver(pair.other.getReceivers()[0])
    await until(lambda: len(media) > 20 and len(reports) > 0)
    assert receiver.codec_of(media[0][1] & 0x7F) == "audio/opus"
    assert receiver.codec_of(1) == ""
    assert all(is_rtcp(report) for report in reports)
    assert receiver.backlog == 0  # what is filtered is not decoded


async def test_unread_sound_is_a_backlog(pair: Pair) -> None:
    await pair.connect()
    receiver = Receiver(pair.other.getReceivers()[0])
    await until(lambda: receiver.backlog > 10)


@pytest.mark.slow
async def test_what_aiortc_fails_on_does_not_end_the_transport(pair: Pair) -> None:
    media: list[bytes] = []

    def rtp(data: bytes) -> bool:
        media.append(data)
        return True

    transport = await pair.connect(lambda transport: transport.filter_media(rtp, lambda data: data))
    (ours,) = transports_of(pair.one)
    sent: list[Callable[[bytes], Any]] = []
    ours.replace_send(lambda send: sent.append(send) or send)  # type: ignore[func-returns-value]
    identifier = next(
        line.split(":")[1].split()[0]
        for line in pair.other.localDescription.sdp.splitlines()
        if line.startswith("a=extmap:") and "audio-level" in line
    )
    # An audio level of two bytes, where aiortc unpacks one: struct.error.
    head = struct.pack("!BBHLL", 0x90, 96, 1, 1, 1)
    await sent[0](head + struct.pack("!HHBBBB", 0xBEDE, 1, int(identifier) << 4 | 1, 0, 0, 0) + b"\xf8\xff\xfe")
    count = len(media)
    await until(lambda: len(media) > count + 20)
    assert pair.other.connectionState == "connected"
    assert transport.backlog < 100


async def test_datagrams_pass_a_filter_that_knows_the_peers_address(pair: Pair) -> None:
    transport = await pair.connect()
    seen: list[tuple[str, int]] = []

    def take(data: bytes, address: tuple[str, int]) -> bool:
        seen.append(address)
        return True

    transport.filter_datagrams(take)
    await until(lambda: len(seen) > 20)
    assert all(transport.is_peer(address) for address in seen)
    assert not transport.is_peer(("192.0.2.1", 9))


async def test_sending_can_be_replaced_and_the_network_dropped(pair: Pair) -> None:
    await pair.connect()
    (ours,) = transports_of(pair.one)
    passed: list[bytes] = []

    def noting(send: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
        async def note(data: bytes) -> None:
            passed.append(data)
            await send(data)

        return note

    ours.replace_send(noting)
    await until(lambda: len(passed) > 5)
    await ours.drop_network()
    await until(lambda: pair.one.connectionState in ("failed", "closed"))


@pytest.mark.slow
async def test_what_data_channels_send_can_be_left_untaken(pair: Pair) -> None:
    opened: list[RTCDataChannel] = []
    pair.other.on("datachannel", opened.append)
    await pair.connect(lambda transport: transport.take_no_data())
    frames: list[bytes] = []

    def noted(data: bytes) -> bool:
        frames.append(data)
        return True

    (theirs,) = transports_of(pair.other)
    theirs.filter_media(noted, lambda data: data)
    await until(lambda: len(frames) > 50)  # a second, in which a channel would have opened
    assert (opened, pair.channel.readyState) == ([], "connecting")


async def test_a_frame_is_delivered_to_the_decoder_beside_the_buffer(pair: Pair) -> None:
    await pair.connect(lambda transport: transport.filter_media(lambda data: False, lambda data: b""))
    receiver = Receiver(pair.other.getReceivers()[0])
    packet = RtpPacket(payload_type=96, sequence_number=1, timestamp=960)
    await until(lambda: receiver.codec_of(96) == "audio/opus")
    track = pair.other.getReceivers()[0].track
    receiver.deliver(packet, JitterFrame(b"\xf8\xff\xfe", 960))
    frame = await asyncio.wait_for(track.recv(), PATIENCE_S)
    assert frame.pts == 0  # counted from the first
    receiver.decode(packet, JitterFrame(b"\xff", 1920))  # nothing that Opus knows: dropped
    receiver.decode(packet, JitterFrame(b"\xf8\xff\xfe", 2880))
    assert receiver.backlog == 1
    frame = await asyncio.wait_for(track.recv(), PATIENCE_S)
    assert isinstance(frame, AudioFrame)
    assert (frame.pts, frame.samples) == (1920, 960)


def test_a_parsed_payload_is_known() -> None:
    packet = RtpPacket()
    with pytest.raises(SessionError, match=r"aiortc has no RtpPacket\._data"):
        payload_of(packet)
    packet._data = b"opus"  # type: ignore[attr-defined]
    assert payload_of(packet) == b"opus"


@pytest.mark.parametrize("name", ["_send_rtp", "_handle_rtp_data", "_handle_rtcp_data"])
async def test_a_transport_built_otherwise_is_named(name: str) -> None:
    class Ice:
        _connection = object()

    class Dtls:
        transport = Ice()

    for attribute in ("_send_rtp", "_handle_rtp_data", "_handle_rtcp_data"):
        if attribute != name:
            setattr(Dtls, attribute, None)
    with pytest.raises(SessionError, match=rf"aiortc has no RTCDtlsTransport\.{name}; install aiortc 1\.16"):
        Transport(Dtls())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["_queue", "_protocols"])
async def test_an_ice_connection_built_otherwise_is_named(name: str) -> None:
    class Ice:
        def __init__(self) -> None:
            self._connection = type(
                "Connection", (), {other: None for other in ("_queue", "_protocols") if other != name}
            )

    class Dtls:
        _send_rtp = _handle_rtp_data = _handle_rtcp_data = None
        transport = Ice()

    with pytest.raises(SessionError, match=rf"aioice has no Connection\.{name}; .*aioice 0\.13"):
        Transport(Dtls())  # type: ignore[arg-type]
