"""Filter of SCTP packets that limits a peer's data channels to the cost of a control channel.

aiortc 1.16 stores out-of-order fragments and messages without a limit, in any number of streams, iterates over every
range in an acknowledgement, and opens any number of channels. Here malformed and unneeded packets are dropped, and
packets that no honest peer sends end the call with a reason. Chunks are those of RFC 9260.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEAD = 12  # bytes of a packet before its first chunk
DATA, INIT, SACK = 0, 1, 3
FORWARD_TSN = 192  # RFC 3758: for channels that may lose messages; the control channel is reliable
DATA_HEAD, SACK_HEAD = 16, 16  # bytes of a chunk's header, including type, flags and length


@dataclass(frozen=True)
class DataLimits:
    """Limits on the packets and state of one peer."""

    chunks: int = 32  # chunks in a packet
    streams: int = 16  # stream identifiers must be lower; a browser uses the lowest
    associations: int = 8  # handshakes started
    gaps: int = 64  # gap blocks in an acknowledgement ...
    span: int = 1_024  # ... and the number of packets that they span
    fragments: int = 256  # held until the missing ones arrive
    bytes: int = 64 * 1024  # bytes in held fragments


@dataclass(frozen=True)
class Held:
    """Incomplete or out-of-order messages of a peer that aiortc holds."""

    fragments: int
    bytes: int
    streams: int


class DataGuard:
    """Filter of one peer's packets. `end` is called once, with a reason, on a packet that no honest peer sends."""

    def __init__(self, end: Callable[[str], None], limits: DataLimits | None = None) -> None:
        self._end = end
        self._limits = limits or DataLimits()
        self._begun = 0
        self._ended = False
        self.refused = 0

    def packet(self, data: bytes, held: Held) -> bool:
        """Return whether to pass a decrypted packet to aiortc. `held`: what aiortc holds already."""
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
        """Return the limit that a chunk violates, described, or None. Raises ValueError if the chunk is too short."""
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
    """Yield type and bytes of each chunk. Raises ValueError if one is malformed or there are more than `most`."""
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
