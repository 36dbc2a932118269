"""Limits the event loop time that each connection may spend on parsing.

A parser works as bytes arrive: empty WebSocket frames, one-byte chunks and pipelined requests cost a hundred times more
to parse than to send, and bytes that do not yet form a message are not counted by message rate limits. So each
connection has a small time budget, enough for any request. A connection that needs more waits for its turn in a budget
shared by all such connections. Meanwhile its socket is not read, so TCP flow control applies backpressure to the sender
(RFC 9293, section 3.8.6).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

PIECE = 4096  # bytes read at a time; the most expensive take 2 ms to parse
PIECE_S = 15e-6  # to read any such piece from the socket
RESUMED_S = 5e-6  # for aiohttp to hand a chunk to its handler, after which it resumes reading
FORWARDED = (
    *("get_extra_info", "is_closing", "close", "abort", "set_protocol", "get_protocol", "write", "writelines"),
    *("write_eof", "can_write_eof", "set_write_buffer_limits", "get_write_buffer_size", "get_write_buffer_limits"),
)  # of the socket's transport, as they are


@dataclass(frozen=True)
class ReadingLimits:
    """Processor time budgets (seconds per second, burst in seconds): per connection, and shared by those over it."""

    own: tuple[float, float] = (0.01, 0.002)  # a request's header takes 0.2 ms
    shared: tuple[float, float] = (0.08, 0.01)


class ReadingTime:
    """The shared budget of one server's connections. spent: processor time of this thread so far, in seconds."""

    def __init__(self, limits: ReadingLimits | None = None, spent: Callable[[], float] = time.thread_time) -> None:
        self.limits = limits or ReadingLimits()
        self.spent = spent
        self._next = 0.0  # when the time taken so far is paid back

    def wait_s(self, seconds: float, now: float) -> float:
        """Take time from the shared budget; return how long to wait for it (generic cell rate algorithm)."""
        rate, at_once = self.limits.shared
        self._next = max(self._next, now - at_once / rate) + seconds / rate
        return max(0.0, self._next - now)


class _Tap(asyncio.Transport):
    """The transport as the inner protocol gets it: `pausing` decides with it whether the socket is read.

    aiohttp resumes reading after each chunk that a handler takes; on the socket itself that would undo a wait.
    """

    def __init__(self, transport: asyncio.Transport, pausing: Callable[[bool], None]) -> None:
        super().__init__()
        for name in FORWARDED:
            setattr(self, name, getattr(transport, name))
        self._pausing = pausing
        self._paused = False

    def is_reading(self) -> bool:
        """Return whether the inner protocol wants to read."""
        return not self._paused and not self.is_closing()

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        self._paused = True
        self._pausing(True)

    def resume_reading(self) -> None:
        """Read again, once no bytes wait for time."""
        self._paused = False
        self._pausing(False)

    @property
    def _sendfile_compatible(self) -> None:
        """Let `loop.sendfile` refuse: it wants a transport of asyncio's own. aiohttp then writes the file in pieces."""
        raise NotImplementedError("this transport only writes bytes")


class Measured(asyncio.BufferedProtocol):
    """Wraps a connection's protocol and measures its parsing time; the inner protocol does not notice.

    shown: the connection's transport as the inner protocol, and so a request, has it.
    """

    shown: asyncio.Transport

    def __init__(self, inner: asyncio.Protocol, time: ReadingTime) -> None:
        self._inner, self._time = inner, time
        self._loop = asyncio.get_running_loop()
        self._own, self._then = time.limits.own[1], self._loop.time()
        self._buffer = memoryview(bytearray(PIECE))
        self._waiting = bytearray()  # a piece, or two over TLS
        self._later: asyncio.Handle | None = None  # hands on what waits
        self._paused = False  # by the inner protocol
        self._resumed = 0  # times since bytes were handed on
        self._settling: asyncio.Handle | None = None  # applies pauses to the socket, once for many
        self._ends = False  # the peer sent EOF while bytes wait

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Forward to the inner protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.shown = _Tap(transport, self._pause)
        self._inner.connection_made(self.shown)

    def connection_lost(self, error: Exception | None) -> None:
        """Drop the waiting bytes and forward."""
        self._waiting.clear()
        for handle in (self._later, self._settling):
            if handle is not None:
                handle.cancel()
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """Forward to the inner protocol."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Forward to the inner protocol."""
        self._inner.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for the next piece."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Forward the bytes now, or later if the time budget is used up."""
        self._waiting += self._buffer[:nbytes]
        if self._later is None:
            self._hand_on()

    def eof_received(self) -> bool | None:
        """Forward EOF after all waiting bytes."""
        if self._later is None and not self._waiting:
            return self._inner.eof_received()
        self._ends = True
        return True

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        self._resumed += not paused
        if self._settling is None:
            self._settling = self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._settling = None
        if self._waiting and self._later is None:
            self._hand_on()
        else:
            self._read_or_not()

    def _hand_on(self) -> None:
        self._later = None
        if self._waiting and not self._paused and not self._transport.is_closing():
            piece = bytes(self._waiting)
            self._waiting.clear()
            begun, self._resumed = self._time.spent() - RESUMED_S * self._resumed, 0
            self._inner.data_received(piece)
            wait_s = self._pay(self._time.spent() - begun + PIECE_S)
            if wait_s:
                self._later = self._loop.call_later(wait_s, self._hand_on)
        self._read_or_not()
        if self._ends and self._later is None and not self._waiting and not self._transport.is_closing():
            self._ends = False
            if not self._inner.eof_received():
                self._transport.close()

    def _read_or_not(self) -> None:
        wanted = not self._paused and self._later is None and not self._waiting
        if wanted and not self._transport.is_reading():
            self._transport.resume_reading()
        elif not wanted and self._transport.is_reading():
            self._transport.pause_reading()

    def _pay(self, seconds: float) -> float:
        """Charge this much time; return how long to wait until the budget covers it."""
        rate, at_once = self._time.limits.own
        now = self._loop.time()
        self._own = min(at_once, self._own + (now - self._then) * rate) - seconds
        self._then = now
        if self._own >= 0:
            return 0.0
        missing, self._own = -self._own, 0.0
        return self._time.wait_s(missing, now)
