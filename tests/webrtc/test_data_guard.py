"""What passes of data channels' packets: what a browser sends does, what would fill memory or time ends the call."""

from __future__ import annotations

import struct

import pytest

from streamer.webrtc.data_guard import DATA, FORWARD_TSN, INIT, SACK, DataGuard, DataLimits, Held

HEAD = bytes(12)
NOTHING = Held(0, 0, 1)


class Guarded:
    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.guard = DataGuard(self.reasons.append)

    def take(self, *chunks: bytes, held: Held = NOTHING) -> bool:
        return self.guard.packet(HEAD + b"".join(chunks), held)


def chunk(kind: int, body: bytes) -> bytes:
    return struct.pack("!BBH", kind, 3, 4 + len(body)) + body + bytes(-len(body) % 4)


def data(stream: int = 1, text: bytes = b"{}") -> bytes:
    return chunk(DATA, struct.pack("!LHHL", 7, stream, 0, 51) + text)


def sack(*gaps: tuple[int, int]) -> bytes:
    return chunk(
        SACK, struct.pack("!LLHH", 7, 1 << 20, len(gaps), 0) + b"".join(struct.pack("!HH", *gap) for gap in gaps)
    )


def test_what_a_browser_sends_passes() -> None:
    peer = Guarded()
    assert peer.take(chunk(INIT, bytes(16)))
    assert peer.take(data(), sack((2, 3), (5, 9)), chunk(4, b"beat"))
    assert peer.take(data(text=b"x" * 1_000), held=Held(40, 4_000, 2))  # a packet was lost, others wait for it
    assert (peer.reasons, peer.guard.refused) == ([], 0)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        HEAD,
        HEAD + b"\0\3",
        HEAD + struct.pack("!BBH", DATA, 3, 3),  # shorter than its own head
        HEAD + struct.pack("!BBH", DATA, 3, 400) + b"x",  # longer than the packet
        HEAD + chunk(DATA, bytes(12)),  # without a byte of data
        HEAD + chunk(SACK, struct.pack("!LLHH", 7, 0, 60, 0)),  # fewer gaps than it says
        HEAD + chunk(FORWARD_TSN, bytes(4)),
        HEAD + data() * (DataLimits().chunks + 1),
    ],
)
def test_what_is_malformed_or_not_needed_is_dropped(packet: bytes) -> None:
    peer = Guarded()
    assert not peer.guard.packet(packet, NOTHING)
    assert (peer.reasons, peer.guard.refused) == ([], 1)
    assert peer.take(data())


@pytest.mark.parametrize(
    ("chunks", "held", "reason"),
    [
        ([data(16)], NOTHING, "stream 16, at most 15 is taken,"),
        ([sack((1, 60_000))], NOTHING, "an acknowledgement of 1 gaps up to packet 60000"),
        ([sack(*[(1, 1)] * 65)], NOTHING, "an acknowledgement of 65 gaps up to packet 1"),
        ([data()], Held(257, 300, 1), "257 pieces of 300 bytes that make no message"),
        ([data()], Held(9, 70_000, 1), "9 pieces of 70000 bytes that make no message"),
        ([data()], Held(0, 0, 17), "17 streams"),
    ],
)
def test_what_no_honest_peer_sends_ends_the_call_once(chunks: list[bytes], held: Held, reason: str) -> None:
    peer = Guarded()
    assert not peer.take(*chunks, held=held)
    assert not peer.take(data())
    assert peer.reasons == [f"the peer sent {reason} on data channels"]


def test_handshakes_are_counted() -> None:
    peer = Guarded()
    assert [peer.take(chunk(INIT, bytes(16))) for _ in range(9)] == [True] * 8 + [False]
    assert peer.reasons == ["the peer sent 9 handshakes on data channels"]
