"""All uses of private attributes of aiortc and aioice in this project; no other module uses any.

Neither library has an interface to replace the jitter buffer, filter packets or simulate a lost network. Each attribute
is looked up when an object here is created, so a version that lacks it gives one clear error.
tests/webrtc/test_private_parts.py has a test for each.
"""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Awaitable, Callable
from typing import Any

from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCSctpTransport
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket
from av import FFmpegError

from streamer.core.errors import SessionError
from streamer.webrtc.data_guard import Held

logger = logging.getLogger(__name__)

VERSIONS = "install aiortc 1.16 and aioice 0.13"
Send = Callable[[bytes], Awaitable[None]]
Address = tuple[str, int]


class Receiver:
    """Private parts of an aiortc media receiver.

    Raises:
        SessionError: this version of aiortc lacks one of these attributes.
    """

    def __init__(self, receiver: RTCRtpReceiver) -> None:
        self._receiver = receiver
        self._codecs: dict[int, Any] = self._private("codecs")
        self._mapper = self._private("timestamp_mapper")
        self._decoder: queue.Queue[Any] = self._private("decoder_queue")
        self._decoders: dict[str, Decoder] = {}  # by codec
        self._private("jitter_buffer")

    def deliver(self, packet: RtpPacket, frame: JitterFrame) -> None:
        """Queue a frame for decoding in aiortc's thread, with the codec of its packet."""
        frame.timestamp = self._mapper.map(frame.timestamp)
        self._decoder.put((self._codecs[packet.payload_type], frame))

    def decode(self, packet: RtpPacket, frame: JitterFrame) -> None:
        """Decode a frame in the calling thread and queue the result for the track's reader; meant for sound.

        Passing 20 ms of sound to another thread and back takes several times as long as decoding it.
        """
        frame.timestamp = self._mapper.map(frame.timestamp)
        codec = self._codecs[packet.payload_type]
        if codec.mimeType not in self._decoders:
            self._decoders[codec.mimeType] = get_decoder(codec)
        try:
            decoded = self._decoders[codec.mimeType].decode(frame)
        except FFmpegError as error:
            logger.debug("a packet cannot be decoded: %s", error)
            return
        for sound in decoded:
            self._unread.put_nowait(sound)

    def replace_buffer(self, buffer: object) -> None:
        """Replace the jitter buffer by `buffer`."""
        setattr(self._receiver, _mangled("jitter_buffer"), buffer)

    def codec_of(self, payload_type: int) -> str:
        """Return the lower-case MIME type of a payload type, or "" if it was not negotiated."""
        codec = self._codecs.get(payload_type)
        return "" if codec is None else str(codec.mimeType).lower()

    @property
    def backlog(self) -> int:
        """Number of frames waiting to be decoded, plus decoded ones waiting to be read."""
        return self._decoder.qsize() + (0 if self._receiver.track is None else self._unread.qsize())

    @property
    def _unread(self) -> asyncio.Queue[Any]:
        unread: asyncio.Queue[Any] = _get(self._receiver.track, "_queue", "RemoteStreamTrack")
        return unread

    def _private(self, name: str) -> Any:
        return _get(self._receiver, _mangled(name), "RTCRtpReceiver", f"__{name}")


class Transport:
    """Private parts of one bundled transport of aiortc and aioice.

    Raises:
        SessionError: these versions lack one of the attributes.
    """

    def __init__(self, dtls: RTCDtlsTransport) -> None:
        self._dtls = dtls
        self._send: Send = _get(dtls, "_send_rtp", "RTCDtlsTransport")
        self._take_rtp = _get(dtls, "_handle_rtp_data", "RTCDtlsTransport")
        self._take_rtcp = _get(dtls, "_handle_rtcp_data", "RTCDtlsTransport")
        self._ice = _get(dtls.transport, "_connection", "RTCIceTransport")
        self._queue: asyncio.Queue[Any] = _get(self._ice, "_queue", "Connection")
        self._protocols = _get(self._ice, "_protocols", "Connection")

    def filter_media(self, rtp: Callable[[bytes], bool], rtcp: Callable[[bytes], bytes]) -> None:
        """Filter decrypted packets before aiortc handles them.

        rtp: returns whether to keep a media packet. rtcp: returns the part of a compound RTCP packet to keep.
        A packet on which aiortc raises is dropped; without this filter, the exception would end the transport.
        """

        async def take_rtp(data: bytes, arrival_time_ms: int) -> None:
            if rtp(data):
                await _harmless(self._take_rtp(data, arrival_time_ms=arrival_time_ms))

        async def take_rtcp(data: bytes) -> None:
            if kept := rtcp(data):
                await _harmless(self._take_rtcp(kept))

        setattr(self._dtls, "_handle_rtp_data", take_rtp)  # noqa: B010 - methods to mypy
        setattr(self._dtls, "_handle_rtcp_data", take_rtcp)  # noqa: B010

    def filter_datagrams(self, take: Callable[[bytes, Address], bool]) -> None:
        """Filter every datagram by `take` before anything reads it; call this after candidates are gathered."""
        for protocol in self._protocols:
            received = _get(protocol, "datagram_received", "StunProtocol")

            def checked(data: bytes, address: Any, received: Callable[..., None] = received) -> None:
                if take(data, (address[0], address[1])):
                    received(data, address)

            protocol.datagram_received = checked

    @property
    def backlog(self) -> int:
        """Number of datagrams waiting to be decrypted."""
        return self._queue.qsize()

    def is_peer(self, address: Address) -> bool:
        """Return whether an address is the peer's: offered by it, or verified by a connectivity check."""
        return any((known.host, known.port) == address for known in self._ice.remote_candidates)

    def take_no_data(self) -> None:
        """Detach data channels: their packets are dropped after decryption."""
        _get(self._dtls, "_register_data_receiver", "RTCDtlsTransport")
        setattr(self._dtls, "_register_data_receiver", lambda receiver: None)  # noqa: B010

    def replace_send(self, make: Callable[[Send], Send]) -> None:
        """Send packets through `make(send)`, where `send` is the original send function."""
        setattr(self._dtls, "_send_rtp", make(self._send))  # noqa: B010

    async def drop_network(self) -> None:
        """Close the sockets without notifying the peer."""
        await self._ice.close()


def filter_messages(sctp: RTCSctpTransport, take: Callable[[bytes, Held], bool]) -> None:
    """Filter data-channel packets by `take` before they are parsed; drop those on which aiortc raises.

    Raises:
        SessionError: this version of aiortc lacks one of these attributes.
    """
    handle = _get(sctp, "_handle_data", "RTCSctpTransport")
    for name in ("_inbound_streams", "_sack_misordered"):
        _get(sctp, name, "RTCSctpTransport")

    async def checked(data: bytes) -> None:
        if take(data, _held(sctp)):
            await _harmless(handle(data))

    setattr(sctp, "_handle_data", checked)  # noqa: B010 - a method to mypy


def _held(sctp: RTCSctpTransport) -> Held:
    streams: dict[int, Any] = _get(sctp, "_inbound_streams", "RTCSctpTransport")
    waiting = [chunk for stream in streams.values() for chunk in stream.reassembly]
    ahead = len(_get(sctp, "_sack_misordered", "RTCSctpTransport"))
    return Held(max(len(waiting), ahead), sum(len(chunk.user_data) for chunk in waiting), len(streams))


def on_keyframe_request(sender: RTCRtpSender, wanted: Callable[[], None]) -> None:
    """Call `wanted` when the peer requests a keyframe (PLI, FIR); aiortc does not tell a track of encoded packets.

    Raises:
        SessionError: this version of aiortc lacks the attribute.
    """
    _get(sender, "_send_keyframe", "RTCRtpSender")
    setattr(sender, "_send_keyframe", wanted)  # noqa: B010 - a method to mypy


def transports_of(peer: RTCPeerConnection) -> list[Transport]:
    """Return the transports of a peer connection's media and data, without duplicates."""
    return [Transport(dtls) for dtls in _used(peer)]


def is_whole(peer: RTCPeerConnection) -> bool:
    """Return whether every section has a transport: aiortc leaves one without if BUNDLE does not match it."""
    return all(transceiver.receiver.transport is not None for transceiver in peer.getTransceivers())


async def close(peer: RTCPeerConnection) -> None:
    """Close a peer connection, even one that is not whole, for which aiortc's own close stops half-way."""
    if is_whole(peer):
        return await peer.close()
    for transceiver in peer.getTransceivers():
        if transceiver.receiver.transport is not None:
            await transceiver.stop()
    for dtls in _used(peer):
        await dtls.stop()
        await dtls.transport.stop()
    peer.remove_all_listeners()
    return None


def _used(peer: RTCPeerConnection) -> list[RTCDtlsTransport]:
    found = [transceiver.receiver.transport for transceiver in peer.getTransceivers()]
    if peer.sctp is not None:
        found.append(peer.sctp.transport)
    return list({id(dtls): dtls for dtls in found if dtls is not None}.values())


def payload_of(packet: RtpPacket) -> bytes:
    """Return a packet's payload as parsed by its receiver."""
    return bytes(_get(packet, "_data", "RtpPacket"))


async def _harmless(work: Awaitable[None]) -> None:
    try:
        await work
    except ConnectionError:
        raise
    except Exception as error:  # struct.error, UnicodeError and others, on untrusted input
        logger.debug("a packet is dropped: %r", error)


def _mangled(name: str) -> str:
    return f"_RTCRtpReceiver__{name}"


def _get(owner: object, name: str, kind: str, shown: str | None = None) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        library = "aioice" if kind in ("Connection", "StunProtocol") else "aiortc"
        raise SessionError(f"the installed {library} has no {kind}.{shown or name}; {VERSIONS}") from None
