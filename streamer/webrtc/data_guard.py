"""Keeps one peer's data channels from costing more than a control channel does: a filter of SCTP packets.

aiortc 1.16 keeps fragments and messages out of order without end, in any number of streams, counts up to every number
that an acknowledgement names, and opens as many channels as are asked for. Here what is malformed or not needed is
dropped, and what no honest peer sends ends the call, with a reason. Chunks are those of RFC 9260.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEAD = 12  # bytes of a packet before its first chunk
DATA, INIT, SACK = 0, 1, 3
FORWARD_TSN = 192  # RFC 3758: of channels that may lose messages, which control is not
DATA_HEAD, SACK_HEAD = 16, 16  # of a chunk, with its type, flags and length


@dataclass(frozen=True)
class DataLimits:
    """What is kept for one peer."""

    chunks: int = 32  # of a packet
    streams: int = 16  # identifiers below it; a browser takes the lowest
    associations: int = 8  # handshakes begun
    gaps: int = 64  # of an acknowledgement, ...
    span: int = 1_024  # ... and the packets that they reach over
    fragments: int = 256  # held until what is missing comes
    bytes: int = 64 * 1024  # of them


@dataclass(frozen=True)
class Held:
    """What aiortc holds of a peer's messages that are not complete, or not in order."""

    fragments: int
    bytes: int
    streams: int


class DataGuard:
    """Judges one peer's packets. `end` is called once, with a reason, when one cannot be honest."""

    def __init__(self, end: Callable[[str], None], limits: DataLimits | None = None) -> None:
        self._end = end
        self._limits = limits or DataLimits()
        self._begun = 0
        self._ended = False
        self.refused = 0

    def packet(self, data: bytes, held: Held) -> bool:
        """Whether aiortc is to get a decrypted packet, which holds so much already."""
        excess = None if self._ended else self._held_too_much(held)
        kept = not self._ended and excess is None
        if kept:
            try:
                chunks = list(_chunks(data, self._limits.chunks))
                excess = next(filter(None, (self._excess(*chunk) for chunk in chunks)), None)
                kept = bool(chunks) and all(kind != FORWARD_TSN for kind, _ in chunks)
            except ValueError:
                kept = False
        if excess is not None:
            self._ended = True
            self._end(f"the peer sent {excess} on data channels")
        kept = kept and excess is None
        self.refused += not kept
        return kept

    def _held_too_much(self, held: Held) -> str | None:
        limits = self._limits
        if held.fragments > limits.fragments or held.bytes > limits.bytes:
            return f"{held.fragments} pieces of {held.bytes} bytes that make no message"
        return None if held.streams <= limits.streams else f"{held.streams} streams"

    def _excess(self, kind: int, chunk: bytes) -> str | None:
        """What is wrong with a chunk. Raises ValueError where it is too short."""
        limits = self._limits
        if kind == DATA:
            if len(chunk) <= DATA_HEAD:
                raise ValueError
            (stream,) = struct.unpack_from("!H", chunk, 8)
            return None if stream < limits.streams else f"stream {stream}, at most {limits.streams - 1} is taken,"
        if kind == INIT:
            self._begun += 1
            return None if self._begun <= limits.associations else f"{self._begun} handshakes"
        if kind == SACK:
            return self._acknowledged(chunk)
        return None

    def _acknowledged(self, chunk: bytes) -> str | None:
        if len(chunk) < SACK_HEAD:
            raise ValueError
        gaps, again = struct.unpack_from("!HH", chunk, 12)
        if len(chunk) < SACK_HEAD + 4 * (gaps + again):
            raise ValueError
        ends = struct.unpack_from(f"!{2 * gaps}H", chunk, SACK_HEAD)[1::2]
        if gaps > self._limits.gaps or max(ends, default=0) > self._limits.span:
            return f"an acknowledgement of {gaps} gaps up to packet {max(ends)}"
        return None


def _chunks(data: bytes, most: int) -> Iterator[tuple[int, bytes]]:
    """The types of a packet's chunks, and their bytes. Raises ValueError: they are malformed, or more than `most`."""
    at, count = HEAD, 0
    while at < len(data):
        if len(data) - at < 4:
            raise ValueError
        kind, length = data[at], int.from_bytes(data[at + 2 : at + 4])
        count += 1
        if not 4 <= length <= len(data) - at or count > most:
            raise ValueError
        yield kind, data[at : at + length]
        at += (length + 3) & ~3
