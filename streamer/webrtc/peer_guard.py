"""Rate limits on one peer's packets, for operations that aiortc and aioice leave unbounded.

aiortc 1.16 decodes as fast as packets arrive, remembers every SSRC, answers every retransmission request, re-opens its
encoder on every estimate, and blocks the event loop on a decoder after BYE. aioice queues every datagram. So each kind
of packet has a budget with two limits: packets above the first are dropped, which can affect an honest peer on a bad
network; exceeding the second, far higher limit ends the call with a reason.

The budgets that end a call count only packets from the peer's own address or authenticated by SRTP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSrPacket,
)

from streamer.core.aio import Clock
from streamer.session.speech.speech_format import Opus
from streamer.webrtc.data_guard import DataGuard

RTP_HEAD = 12  # bytes
DTLS_DATA = 23  # first byte of a DTLS application data record
Rate = tuple[float, float]  # (per second, burst)


@dataclass(frozen=True)
class PeerLimits:
    """Budgets for one peer's packets, and the limits (`*_end`) above which its call ends.

    A browser sends 50 packets of sound and about 25 reports a second; at 30 % loss it requests 40 retransmissions.
    """

    datagrams: Rate = (300, 600)
    datagrams_end: Rate = (600, 2_400)
    bytes: Rate = (250e3, 1e6)  # Opus needs at most 64 kB/s
    bytes_end: Rate = (600e3, 4e6)
    data: Rate = (100, 200)  # DTLS records that carry data channels; see `data_guard`
    data_end: Rate = (300, 1_200)
    checks: Rate = (50, 200)  # STUN requests; each costs an HMAC and a response
    addresses: int = 16  # source addresses of a peer; aioice makes a candidate pair of each
    datagrams_waiting: int = 1_000
    sound_waiting: int = 100  # packets waiting to be decoded, plus frames waiting to be read
    ssrcs: int = 8
    ssrcs_end: Rate = (5, 50)  # packets of further SSRCs
    sound_s: Rate = (1.5, 5)  # seconds of sound decoded; after a stall the network delivers a burst
    sound_s_end: Rate = (4, 20)
    reports: Rate = (100, 200)  # compound RTCP packets
    reports_end: Rate = (200, 800)
    again: Rate = (80, 160)  # retransmitted packets; a picture stream sends about 130 a second
    again_end: Rate = (1_500, 6_000)
    keyframes: Rate = (2, 3)
    keyframes_end: Rate = (20, 100)
    estimates: Rate = (1, 2)  # bit rate estimates; a change of a tenth re-opens the encoder
    estimates_end: Rate = (20, 100)


class Bucket:
    """A token bucket; a refused packet takes no tokens."""

    def __init__(self, rate: Rate, clock: Clock) -> None:
        self._rate, self._most = rate
        self._left, self._then = self._most, clock.now()
        self._clock = clock

    def take(self, amount: float) -> bool:
        """Take all of `amount` or nothing; return whether it was taken."""
        return self.take_some(amount, amount) > 0

    def take_some(self, amount: float, least: float = 1) -> float:
        """Take up to `amount`, or nothing if less than `least` is left; return the amount taken."""
        now = self._clock.now()
        self._left = min(self._most, self._left + (now - self._then) * self._rate)
        self._then = now
        taken = min(amount, self._left)
        if taken < least:
            return 0
        self._left -= taken
        return taken


class Budget:
    """Budget of one kind of packet: a limit for dropping, and a higher one above which `excess` is called."""

    def __init__(self, taken: Rate, end: Rate, clock: Clock, excess: Callable[[], None]) -> None:
        self._taken, self._end = Bucket(taken, clock), Bucket(end, clock)
        self._excess = excess

    def take(self, amount: float = 1) -> bool:
        """Take all of `amount` or nothing; return whether it was taken."""
        return self.take_some(amount, amount) > 0

    def take_some(self, amount: float, least: float = 1, said: float = 0) -> float:
        """Take up to `amount`; return the amount taken. `said`: amount requested before duplicates were removed."""
        if not self._end.take(max(amount, said)):
            self._excess()
        return self._taken.take_some(amount, least)


@dataclass
class Refused:
    """Counts of dropped packets and requests."""

    datagrams: int = 0
    sound_packets: int = 0
    reports: int = 0
    retransmissions: int = 0
    keyframes: int = 0
    estimates: int = 0


@dataclass
class PeerGuard:
    """All budgets of one peer. `end` is called once, with a reason, when one exceeds its upper limit.

    codec_of: returns the MIME type of a payload type. backlog: returns the number of waiting sound frames.
    """

    clock: Clock
    end: Callable[[str], None]
    codec_of: Callable[[int], str]
    backlog: Callable[[], int]
    limits: PeerLimits = field(default_factory=PeerLimits)
    refused: Refused = field(default_factory=Refused)

    def __post_init__(self) -> None:
        limits, self._ended = self.limits, False
        self.heard_at = self.clock.now()  # when the peer last sent anything
        self._datagrams = self._budget(limits.datagrams, limits.datagrams_end, "too many packets")
        self._bytes = self._budget(limits.bytes, limits.bytes_end, "too many bytes")
        self._data = self._budget(limits.data, limits.data_end, "too much on data channels")
        self.messages = DataGuard(self._end)
        self._checks = Bucket(limits.checks, self.clock)
        self._addresses: set[tuple[str, int]] = set()
        self._ssrcs: set[bytes] = set()
        self._more_ssrcs = self._budget((0, 0), limits.ssrcs_end, "too many streams (SSRC)")
        self._sound = self._budget(limits.sound_s, limits.sound_s_end, "sound much faster than it is heard")
        self._reports = self._budget(limits.reports, limits.reports_end, "too many reports (RTCP)")
        self._again = self._budget(limits.again, limits.again_end, "too many requests to send again (NACK)")
        self._keyframes = self._budget(limits.keyframes, limits.keyframes_end, "too many requests for keyframes (PLI)")
        self._estimates = self._budget(limits.estimates, limits.estimates_end, "too many bit rate estimates (REMB)")
        self._opus = Opus()

    def _budget(self, taken: Rate, end: Rate, of: str) -> Budget:
        return Budget(taken, end, self.clock, lambda: self._end(f"the peer sent {of}"))

    def _end(self, reason: str) -> None:
        if not self._ended:
            self._ended = True
            self.end(reason)

    def datagram(self, data: bytes, address: tuple[str, int], is_peer: bool, backlog: int) -> bool:
        """Return whether to accept a datagram.

        is_peer: whether the address is the peer's. backlog: number of datagrams already waiting.
        """
        kept = not self._ended and self._wanted(data, address, is_peer, backlog)
        self.refused.datagrams += not kept
        return kept

    def _wanted(self, data: bytes, address: tuple[str, int], is_peer: bool, backlog: int) -> bool:
        if not data:
            return False
        if data[0] < 4:  # STUN, by RFC 7983
            if address not in self._addresses and len(self._addresses) >= self.limits.addresses:
                return False
            self._addresses.add(address)
            self.heard_at = self.clock.now()
            return self._checks.take(1)
        if not is_peer:
            return False
        self.heard_at = self.clock.now()
        within = self._datagrams.take() and self._bytes.take(len(data))
        if data[0] == DTLS_DATA:
            within = self._data.take() and within
        return within and backlog < self.limits.datagrams_waiting

    def rtp(self, data: bytes) -> bool:
        """Return whether to accept a media packet."""
        kept = not self._ended and len(data) >= RTP_HEAD and self._heard(data)
        self.refused.sound_packets += not kept
        return kept

    def _heard(self, data: bytes) -> bool:
        if self.codec_of(data[1] & 0x7F) != "audio/opus":
            return False
        ssrc = data[8:12]
        if ssrc not in self._ssrcs:
            if len(self._ssrcs) >= self.limits.ssrcs:
                self._more_ssrcs.take()
                return False
            self._ssrcs.add(ssrc)
        start = RTP_HEAD + 4 * (data[0] & 0x0F)
        if data[0] & 0x10:  # a header extension
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4])
        try:
            seconds = self._opus.seconds(data[start : start + 4]) if start < len(data) else 0.0
        except ValueError:
            return False
        if seconds and not self._sound.take(seconds):
            return False
        return self.backlog() < self.limits.sound_waiting

    def rtcp(self, data: bytes) -> bytes:
        """Return the reports to accept from a compound RTCP packet."""
        if self._ended or not self._reports.take():
            self.refused.reports += 1
            return b""
        try:
            packets = RtcpPacket.parse(data)
            return b"".join(bytes(packet) for packet in packets if self._reported(packet))
        except Exception:  # struct.error and others, on untrusted input
            self.refused.reports += 1
            return b""

    def _reported(self, packet: AnyRtcpPacket) -> bool:
        if isinstance(packet, RtcpByePacket):
            return False  # aiortc would block the event loop on its decoder; a silent peer is detected anyway
        if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
            asked = sorted(set(packet.lost))
            packet.lost = asked[: int(self._again.take_some(len(asked), said=len(packet.lost)))]
            self.refused.retransmissions += len(asked) - len(packet.lost)
            return bool(packet.lost)
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
            kept = self._keyframes.take()
            self.refused.keyframes += not kept
            return kept
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            kept = self._estimates.take()
            self.refused.estimates += not kept
            return kept
        return isinstance(packet, RtcpRrPacket | RtcpSrPacket)  # aiortc ignores all other types
