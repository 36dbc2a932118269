"""Lets no connection take more of the event loop's time for reading than there is to spare.

A parser's work is done as bytes come: frames of WebSockets without any content, chunks of one byte and requests in a
row cost a hundred times their sending, and what is not yet a message passes no rate of messages. So each connection has
a little time of its own, enough for any request; who needs more waits for turns in a share that all such have together.
Bytes that wait are not read on from the socket: TCP tells the sender (RFC 9293, section 3.8.6).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

PIECE = 4096  # bytes read at a time; the costliest take 2 ms ...
PIECE_S = 15e-6  # ... and all of them this, to be read from the socket


@dataclass(frozen=True)
class ReadingLimits:
    """Seconds of processor time, a second and at once: those of each connection, and those of all that need more."""

    own: tuple[float, float] = (0.01, 0.002)  # a request's head takes 0.2 ms
    shared: tuple[float, float] = (0.08, 0.01)


class ReadingTime:
    """What there is for all connections of one server. spent: processor time of this thread so far, in seconds."""

    def __init__(self, limits: ReadingLimits | None = None, spent: Callable[[], float] = time.thread_time) -> None:
        self.limits = limits or ReadingLimits()
        self.spent = spent
        self._next = 0.0  # when what was taken will have been paid for

    def wait_s(self, seconds: float, now: float) -> float:
        """Take so much of what is shared; return how long to wait for it (the generic cell rate algorithm)."""
        rate, at_once = self.limits.shared
        self._next = max(self._next, now - at_once / rate) + seconds / rate
        return max(0.0, self._next - now)


class Measured(asyncio.BufferedProtocol):
    """Stands before a connection's own protocol, which knows nothing of it."""

    def __init__(self, inner: asyncio.Protocol, time: ReadingTime) -> None:
        self._inner, self._time = inner, time
        self._loop = asyncio.get_running_loop()
        self._own, self._then = time.limits.own[1], self._loop.time()
        self._buffer = memoryview(bytearray(PIECE))
        self._waiting = bytearray()  # a piece or two
        self._later: asyncio.TimerHandle | None = None
        self._held = False  # reading was stopped here, not by `inner`
        self._ends = False  # the peer has sent all, some of which waits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Hand on; what waits is of no use."""
        self._waiting.clear()
        if self._later is not None:
            self._later.cancel()
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """Hand on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand on."""
        self._inner.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        """What the next piece is read into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on when there is time."""
        self._waiting += self._buffer[:nbytes]
        if self._later is None:
            self._hand_on()
        else:
            self._hold()  # `inner` had stopped, and reads again

    def eof_received(self) -> bool | None:
        """Hand on when all before it has been."""
        if self._later is None:
            return self._inner.eof_received()
        self._ends = True
        return True

    def _hand_on(self) -> None:
        self._later = None
        if self._held:  # `inner` may stop reading itself, when it is given more
            self._held = False
            self._transport.resume_reading()
        if self._waiting and not self._transport.is_closing():
            piece = bytes(self._waiting)
            self._waiting.clear()
            begun = self._time.spent()
            self._inner.data_received(piece)
            wait_s = self._pay(self._time.spent() - begun + PIECE_S)
            if wait_s:
                self._later = self._loop.call_later(wait_s, self._hand_on)
                return self._hold()
        if self._ends and not self._transport.is_closing() and not self._inner.eof_received():
            self._transport.close()
        return None

    def _pay(self, seconds: float) -> float:
        """Return how long to wait until that much time is there."""
        rate, at_once = self._time.limits.own
        now = self._loop.time()
        self._own = min(at_once, self._own + (now - self._then) * rate) - seconds
        self._then = now
        if self._own >= 0:
            return 0.0
        missing, self._own = -self._own, 0.0
        return self._time.wait_s(missing, now)

    def _hold(self) -> None:
        if self._transport.is_reading():
            self._held = True
            self._transport.pause_reading()
