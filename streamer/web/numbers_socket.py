"""Animation values of a session over a WebSocket: 25 frames a second, or interpolated up to 60, in sync with its sound.

The client only receives; any data message from it closes the connection.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
from aiohttp import WSCloseCode, web

from streamer.core.aio import Clock, until_first
from streamer.core.frames import FloatArray
from streamer.core.rates import FPS, FRAME_MS
from streamer.session.numbers import NumberNames, Numbers, NumbersFrame
from streamer.web.client_messages import ClientMessages, plain_socket

VERSION = 1
SEND_S = 5.0
MOST_WAITING = 2 * FPS  # frames queued for a client
RATES = (FPS, 30, 50, 60)  # Hz
LISTS, NAMES = "lists", "names"
MOST_BYTES, MOST_REASON = 256, 120
MOST_CLIENTS = 16  # per session
DIGITS = 4


class Bare(Protocol):
    """A session that may send numbers instead of pictures (`numbers` is not None). `reason`: why it ended."""

    numbers: Numbers | None
    reason: str

    @property
    def delay_ms(self) -> int:
        """Delay from a sample's arrival to its playout."""

    async def ended(self) -> None:
        """Wait until the session has ended."""


@dataclass(frozen=True)
class NumbersQuery:
    """Options of a numbers socket: `rate` in Hz, and `form`, `lists` or `names`."""

    rate: int = FPS
    form: str = LISTS

    @classmethod
    def of(cls, request: web.Request) -> NumbersQuery:
        """Read the options from a request's query. Raises HTTPBadRequest."""
        rate, form = request.query.get("hz", str(FPS)), request.query.get("format", LISTS)
        if rate not in map(str, RATES):
            raise web.HTTPBadRequest(text=f"hz is {rate[:20]!r}, expected one of {', '.join(map(str, RATES))}\n")
        if form not in (LISTS, NAMES):
            raise web.HTTPBadRequest(text=f"format is {form[:20]!r}, expected {LISTS} or {NAMES}\n")
        return cls(int(rate), form)


async def serve_numbers(session: Bare, request: web.Request, clock: Clock) -> web.StreamResponse:
    """Accept a numbers WebSocket of the session and serve it until it closes.

    Raises HTTPException if the request is not a WebSocket upgrade, the session has pictures, or too many clients are
    connected.
    """
    query = NumbersQuery.of(request)
    if session.numbers is None:
        raise web.HTTPConflict(text="this session has pictures; open it with ?pictures=0 for its numbers\n")
    if not web.WebSocketResponse().can_prepare(request).ok:
        raise web.HTTPUpgradeRequired(text="numbers come by WebSocket; see docs/numbers.md\n")
    if session.numbers.watched >= MOST_CLIENTS:
        raise web.HTTPServiceUnavailable(text=f"{MOST_CLIENTS} clients get these numbers already\n")
    return await NumbersSocket(session, session.numbers, query, clock).serve(request)


class NumbersSocket:
    """One client's connection; `serve` runs it from start to end."""

    def __init__(self, session: Bare, numbers: Numbers, query: NumbersQuery, clock: Clock) -> None:
        self._session = session
        self._numbers = numbers
        self._query = query
        self._clock = clock
        self._frames: asyncio.Queue[tuple[float, NumbersFrame]] = asyncio.Queue(MOST_WAITING)
        self._unread = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve the connection until the client or the session ends."""
        socket = plain_socket(MOST_BYTES)
        await socket.prepare(request)
        tell = self._tell
        self._numbers.watch(tell)
        said = ClientMessages(request, socket, self._clock).next()
        try:
            await until_first(said, self._write(socket), self._session.ended(), self._unread.wait())
        finally:
            self._numbers.unwatch(tell)
        code, reason = WSCloseCode.GOING_AWAY, self._session.reason
        if self._unread.is_set():
            code, reason = WSCloseCode.POLICY_VIOLATION, "numbers are not read"
        elif not reason:
            code, reason = WSCloseCode.POLICY_VIOLATION, "numbers go one way"
        await socket.close(code=code, message=reason.encode()[:MOST_REASON])
        return socket

    def _tell(self, frame: NumbersFrame) -> None:
        try:
            self._frames.put_nowait((self._clock.now(), frame))
        except asyncio.QueueFull:
            self._unread.set()

    async def _write(self, socket: web.WebSocketResponse) -> None:
        try:
            await self._send(socket, greeting(self._numbers.names, self._query, self._session.delay_ms))
            while True:
                due, frame = await self._frames.get()
                for step, part in steps(frame.frame, self._query.rate):
                    await self._clock.sleep_until(due + part / FPS)
                    values = between(frame, part)
                    await self._send(socket, rendered(self._numbers.names, self._query, step, values))
        except TimeoutError:
            self._unread.set()
        except ConnectionError:
            pass  # the client is gone

    async def _send(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        async with asyncio.timeout(SEND_S):
            await socket.send_str(msgspec.json.encode(message).decode())


def steps(frame: int, rate: int) -> list[tuple[float, float]]:
    """Return the (time in ms of the session's sound, fraction of the frame) of each message due within a frame."""
    numbers = range(math.ceil(frame * rate / FPS), math.ceil((frame + 1) * rate / FPS))
    return [(1000 * number / rate, number * FPS / rate - frame) for number in numbers]


def between(frame: NumbersFrame, part: float) -> FloatArray:
    """Interpolate the values linearly at a fraction of the way to the next frame."""
    following = frame.values if frame.following is None else frame.following
    return frame.values + part * (following - frame.values)


def greeting(names: NumberNames, query: NumbersQuery, delay_ms: int) -> dict[str, Any]:
    """Return the first message, which names the values."""
    return {
        "type": "hello",
        "version": VERSION,
        "hz": query.rate,
        "frame_ms": FRAME_MS,
        "delay_ms": delay_ms,
        "expression": names.expression,
        "head": names.head,
    }


def rendered(names: NumberNames, query: NumbersQuery, time_ms: float, values: FloatArray) -> dict[str, Any]:
    """Return the message of a frame."""
    rounded: list[float] = np.round(values.astype(np.float64), DIGITS).tolist()
    units = len(names.expression)
    expression, head = rounded[:units], rounded[units:]
    found: dict[str, Any] = {"type": "frame", "time_ms": round(time_ms, 2)}
    if query.form == NAMES:
        named = dict(zip(names.expression, expression, strict=True)), dict(zip(names.head, head, strict=True))
        return found | {"blendshapes": named[0], "head": named[1]}
    return found | {"expression": expression, "head": head}
