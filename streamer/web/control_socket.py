"""The control protocol over a WebSocket, for one session: commands in, events out.

Several clients may be connected. A client's mistakes end at most its own connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from streamer.core.aio import Clock, MonotonicClock, until_first
from streamer.session.control import ALWAYS, Control
from streamer.session.control_protocol import (
    VERSION,
    ControlError,
    Event,
    Greeting,
    Hello,
    Refusal,
    Statistics,
    decode,
    encode,
)
from streamer.session.speech.speech_port import SpeechPort
from streamer.session.speech.speech_protocol import Allowance
from streamer.web.access import SUBPROTOCOL

HEARTBEAT_S = 15.0
GREET_S = 10.0  # from the connection to hello
STATISTICS_S = 1.0
SEND_S = 5.0  # for an event to be taken
MESSAGES_PER_S, BURST = 30.0, 100.0
MOST_BYTES = 8 * 1024  # of a message, refused when it is announced
MOST_MISTAKES = 16
MOST_EVENTS = 256  # that a client did not read
MOST_REASON = 120


class Controlled(Protocol):
    """A session whose face may be steered. `reason`: why it ended."""

    control: Control
    speech: SpeechPort
    reason: str

    def statistics(self) -> Statistics:
        """How it goes."""

    async def ended(self) -> None:
        """Return when it has."""


class Refused(Exception):  # noqa: N818 - not an error of ours
    """The client is sent away, for this reason."""


async def serve_control(session: Controlled, request: web.Request, able: Sequence[str]) -> web.StreamResponse:
    """Answer a request for the session's control socket, and serve it to its end.

    able: what the family's faces can be asked for. Raises HTTPException when it asks for no WebSocket.
    """
    if not web.WebSocketResponse().can_prepare(request).ok:
        raise web.HTTPUpgradeRequired(text="control comes by WebSocket; see docs/control.md\n")
    return await ControlSocket(session, able, MonotonicClock()).serve(request)


class ControlSocket:
    """One client's connection; `serve` is all of its life."""

    def __init__(self, session: Controlled, able: Sequence[str], clock: Clock) -> None:
        self._session = session
        self._able = able
        self._clock = clock
        self._rate = Allowance(MESSAGES_PER_S, BURST, clock.now())
        self._mistakes = 0
        self._events: asyncio.Queue[Event] = asyncio.Queue(MOST_EVENTS)
        self._unread = asyncio.Event()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Until the client or the session ends."""
        socket = web.WebSocketResponse(
            max_msg_size=MOST_BYTES, compress=False, heartbeat=HEARTBEAT_S, timeout=1.0, protocols=(SUBPROTOCOL,)
        )
        await socket.prepare(request)
        control, speech = self._session.control, self._session.speech
        tell: Callable[[Event], None] = self._tell
        code, reason = WSCloseCode.GOING_AWAY, ""
        try:
            async with asyncio.timeout(GREET_S):
                await self._greet(socket)
            control.watch(tell)
            speech.watch(tell)
            try:
                parts = self._read(socket), self._write(socket), self._report()
                await until_first(*parts, self._session.ended(), self._unread.wait())
            finally:
                speech.unwatch(tell)
                control.unwatch(tell)
            reason = self._session.reason
        except TimeoutError:
            code, reason = WSCloseCode.POLICY_VIOLATION, f"no hello within {GREET_S:g} s"
        except Refused as error:
            code, reason = WSCloseCode.POLICY_VIOLATION, str(error)
        if self._unread.is_set():
            code, reason = WSCloseCode.POLICY_VIOLATION, "events are not read"
        await socket.close(code=code, message=reason.encode()[:MOST_REASON])
        return socket

    async def _greet(self, socket: web.WebSocketResponse) -> None:
        """Wait for hello; anything else sends the client away."""
        message = await socket.receive()
        try:
            hello = decode(message.data) if message.type is WSMsgType.TEXT else None
        except ControlError as error:
            raise Refused(str(error)) from None
        if not isinstance(hello, Hello):
            raise Refused("hello expected first")
        self._tell(Greeting(VERSION, [*self._able, *ALWAYS]))
        self._tell(self._session.control.state)

    async def _read(self, socket: web.WebSocketResponse) -> None:
        while (message := await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
            await asyncio.sleep(0)  # `receive` does not wait for what is there: a flood would hold up all others
            if not self._rate.take(1, self._clock.now()):
                raise Refused(f"more than {MESSAGES_PER_S:g} messages a second")
            try:
                self._take(message.data if message.type is WSMsgType.TEXT else None)
            except ControlError as error:
                self._mistakes += 1
                if self._mistakes > MOST_MISTAKES:
                    raise Refused(f"{self._mistakes} messages refused") from None
                self._tell(Refusal(str(error)))

    def _take(self, text: str | None) -> None:
        if text is None:
            raise ControlError("a binary message; control is text")
        command = decode(text)
        if isinstance(command, Hello):
            raise ControlError("hello was said already")
        self._session.control.take(command, self._able)

    async def _report(self) -> None:
        while True:
            self._tell(self._session.statistics())
            await self._clock.sleep_until(self._clock.now() + STATISTICS_S)

    def _tell(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self._unread.set()

    async def _write(self, socket: web.WebSocketResponse) -> None:
        try:
            while True:
                text = encode(await self._events.get())
                async with asyncio.timeout(SEND_S):
                    await socket.send_str(text)
        except TimeoutError:
            self._unread.set()
        except ConnectionError:
            pass  # the client is gone
