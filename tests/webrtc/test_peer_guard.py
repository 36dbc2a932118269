"""The budgets of one peer: what an honest peer sends passes, more is dropped, far more ends the call."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    pack_remb_fci,
)

from streamer.webrtc.peer_guard import PeerGuard, PeerLimits
from tests.fakes.clock import FakeClock

PEER = ("192.0.2.1", 5000)
OPUS, OTHER = 111, 96
MS_20 = b"\xf8\xff\xfe"
MS_120 = bytes([0xF8 | 3, 6]) + b"\xff\xfe" * 6  # six frames of 20 ms


class Guarded:
    """A guard, what it said, and a peer that goes by a fake clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reasons: list[str] = []
        self.waiting = 0
        self.guard = PeerGuard(
            self.clock,
            self.reasons.append,
            lambda payload_type: "audio/opus" if payload_type == OPUS else "",
            lambda: self.waiting,
        )

    def every(self, seconds: float, count: int, send: Callable[[int], bool]) -> int:
        """`send` so often, so many seconds apart; how often it was taken."""
        taken = 0
        for number in range(count):
            self.clock.time += seconds
            taken += send(number)
        return taken


def media(number: int = 0, ssrc: int = 1, payload: bytes = MS_20, payload_type: int = OPUS) -> bytes:
    return struct.pack("!BBHLL", 0x80, payload_type, number & 0xFFFF, number * 960 & 0xFFFFFFFF, ssrc) + payload


def nack(numbers: list[int]) -> bytes:
    return bytes(RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=2, lost=numbers))


def feedback(fmt: int, fci: bytes = b"") -> bytes:
    return bytes(RtcpPsfbPacket(fmt=fmt, ssrc=1, media_ssrc=2, fci=fci))


def test_a_minute_of_a_browser_passes() -> None:
    """50 packets of sound, 25 compound reports, 2 NACKs, a REMB a second, a PLI now and then."""
    peer = Guarded()
    report = bytes(RtcpRrPacket(1, [RtcpReceiverInfo(2, 0, 0, 0, 0, 0, 0)]))

    def second(number: int) -> bool:
        ok = True
        for part in range(50):
            peer.clock.time += 0.02
            ok &= peer.guard.datagram(media(), PEER, True, 0) and peer.guard.rtp(media(50 * number + part))
            if part % 2:
                ok &= peer.guard.datagram(report, PEER, True, 0) and peer.guard.rtcp(report) == report
        ok &= peer.guard.rtcp(nack([1, 2, 5])) != b"" and peer.guard.rtcp(nack([9])) != b""
        ok &= peer.guard.rtcp(feedback(RTCP_PSFB_APP, pack_remb_fci(800_000, [2]))) != b""
        if number % 5 == 0:
            ok &= peer.guard.rtcp(feedback(RTCP_PSFB_PLI)) != b""
        return ok

    assert peer.every(0, 60, second) == 60
    assert peer.reasons == []


def test_a_network_that_stalled_may_deliver_three_seconds_at_once() -> None:
    peer = Guarded()
    assert peer.every(0, 150, lambda number: peer.guard.datagram(media(number), PEER, True, 0)) == 150
    assert peer.every(0, 150, lambda number: peer.guard.rtp(media(number))) == 150


@pytest.mark.parametrize("payload", [MS_20, MS_120])
def test_sound_faster_than_it_is_heard_is_dropped_and_then_ends_the_call(payload: bytes) -> None:
    peer = Guarded()
    seconds = 0.02 if payload is MS_20 else 0.12
    taken = peer.every(0.002, 500, lambda number: peer.guard.rtp(media(number, payload=payload)))
    assert taken * seconds <= 5 + 1.5 * 500 * 0.002 + seconds
    if payload is MS_120:
        assert peer.reasons == ["the peer sent sound much faster than it is heard"]


def test_streams_beyond_a_few_are_not_taken_and_then_end_the_call() -> None:
    peer = Guarded()
    assert peer.every(0.001, 1000, lambda number: peer.guard.rtp(media(number, ssrc=number))) == PeerLimits().ssrcs
    assert peer.reasons == ["the peer sent too many streams (SSRC)"]
    assert not peer.guard.rtp(media(0, ssrc=0))  # it is over


def test_only_sound_that_was_negotiated_is_taken() -> None:
    peer = Guarded()
    assert not peer.guard.rtp(media(payload_type=OTHER))
    assert not peer.guard.rtp(b"\x80")
    assert not peer.guard.rtp(media(payload=b"\x03"))  # announces more frames and ends
    assert peer.guard.rtp(media(payload=b""))
    extended = struct.pack("!BBHLL", 0x90, OPUS, 1, 1, 1) + struct.pack("!HHL", 0xBEDE, 1, 0) + MS_20
    assert peer.guard.rtp(extended)
    peer.waiting = PeerLimits().sound_waiting
    assert not peer.guard.rtp(media())


def test_a_packet_is_sent_again_so_often_and_no_more() -> None:
    peer = Guarded()
    asked = list(range(1000, 1100))
    again = 0
    for _ in range(20):
        peer.clock.time += 0.1
        for packet in RtcpPacket.parse(peer.guard.rtcp(nack(asked))):
            assert isinstance(packet, RtcpRtpfbPacket)
            again += len(packet.lost)
    rate, burst = PeerLimits().again
    assert 0 < again <= burst + rate * 2
    assert peer.reasons == []
    for _ in range(200):
        peer.guard.rtcp(nack(list(range(100, 900))))
        peer.clock.time += 0.01
    assert peer.reasons == ["the peer sent too many requests to send again (NACK)"]


def test_a_report_that_asks_for_one_packet_thousands_of_times_counts_as_thousands() -> None:
    peer = Guarded()
    body = struct.pack("!LL", 1, 2) + struct.pack("!HH", 7, 0xFFFF) * 290
    report = struct.pack("!BBH", 0x81, 205, len(body) // 4) + body
    (kept,) = RtcpPacket.parse(peer.guard.rtcp(report))
    assert isinstance(kept, RtcpRtpfbPacket)
    assert kept.lost == list(range(7, 24))
    assert peer.every(0.1, 10, lambda number: peer.guard.rtcp(report) != b"") <= 1
    assert peer.reasons == ["the peer sent too many requests to send again (NACK)"]


@pytest.mark.parametrize(
    ("packet", "a_second", "reason"),
    [
        (feedback(RTCP_PSFB_PLI), PeerLimits().keyframes, "keyframes (PLI)"),
        (feedback(RTCP_PSFB_FIR, b"\0" * 8), PeerLimits().keyframes, "keyframes (PLI)"),
        (feedback(RTCP_PSFB_APP, pack_remb_fci(100_000, [2])), PeerLimits().estimates, "estimates (REMB)"),
        (bytes(RtcpRrPacket(1, [])), PeerLimits().reports, "reports (RTCP)"),
    ],
)
def test_reports_that_cost_are_taken_at_a_rate(packet: bytes, a_second: tuple[float, float], reason: str) -> None:
    """Whether each comes by itself or many in one datagram."""
    peer = Guarded()
    taken = peer.every(0.1, 20, lambda number: peer.guard.rtcp(packet) != b"")
    assert 0 < taken <= a_second[1] + 2 * a_second[0]
    assert peer.reasons == []
    peer.every(0.001, 4_000, lambda number: peer.guard.rtcp(packet * (1 if "RTCP" in reason else 20)) != b"")
    assert len(peer.reasons) == 1
    assert reason in peer.reasons[0] or "RTCP" in peer.reasons[0]


def test_goodbyes_and_nonsense_never_reach_aiortc() -> None:
    peer = Guarded()
    report = bytes(RtcpRrPacket(1, []))
    assert peer.guard.rtcp(bytes(RtcpByePacket([1])) + report) == report
    for nonsense in (b"", b"\x80", b"\x81\xc9\x00\x01abcd", b"\x80\xce\x00\x00", b"\xff" * 100):
        assert peer.guard.rtcp(nonsense) == b""


def test_a_flood_of_datagrams_is_dropped_and_ends_the_call_only_when_it_is_the_peers() -> None:
    peer = Guarded()
    stranger = peer.every(0.0001, 20_000, lambda number: peer.guard.datagram(media(), ("192.0.2.9", 1), False, 0))
    assert (stranger, peer.reasons) == (0, [])
    taken = peer.every(0.0001, 20_000, lambda number: peer.guard.datagram(media(), PEER, True, 0))
    rate, burst = PeerLimits().datagrams
    assert 0 < taken <= burst + rate * 2
    assert peer.reasons == ["the peer sent too many packets"]


def test_large_datagrams_have_a_budget_of_bytes() -> None:
    peer = Guarded()
    taken = peer.every(0.003, 1_000, lambda number: peer.guard.datagram(b"\x80" * 60_000, PEER, True, 0))
    assert taken * 60_000 <= 1e6 + 250e3 * 3
    assert peer.reasons == ["the peer sent too many bytes"]


def test_a_flood_of_data_ends_the_call_and_a_few_records_do_not() -> None:
    peer = Guarded()
    record = b"\x17\xfe\xfd" + b"\0" * 100
    peer.every(0.05, 100, lambda number: peer.guard.datagram(record, PEER, True, 0))
    assert peer.reasons == []
    peer.every(0.001, 4_000, lambda number: peer.guard.datagram(record, PEER, True, 0))
    assert peer.reasons == ["the peer sent too much on data channels"]


def test_checks_are_answered_at_a_rate_and_for_a_few_addresses() -> None:
    peer = Guarded()
    check = b"\x00\x01" + b"\0" * 18
    assert peer.every(0.001, 1_000, lambda number: peer.guard.datagram(check, PEER, True, 0)) <= 200 + 50
    peer.clock.time += 60
    more = peer.every(0.02, 100, lambda number: peer.guard.datagram(check, ("192.0.2.1", number), True, 0))
    assert more == PeerLimits().addresses - 1


def test_what_waits_already_is_bounded() -> None:
    peer = Guarded()
    assert not peer.guard.datagram(media(), PEER, True, PeerLimits().datagrams_waiting)
    assert peer.guard.refused.datagrams == 1
