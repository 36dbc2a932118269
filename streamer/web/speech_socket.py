"""The speech protocol of one session over an aiohttp WebSocket, for WebRTC sessions and local ones.

A thin layer around `speech_protocol`: it rate-limits messages, passes speech to the session and sends its events back.
A client's errors close at most its own connection; its unplayed speech is then cleared.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from streamer.core.aio import Clock, MonotonicClock, until_first
from streamer.core.errors import SessionError
from streamer.session.speech.speech_port import SpeechPort
from streamer.session.speech.speech_protocol import (
    Begin,
    Clear,
    End,
    Hello,
    Sound,
    SpeechError,
    SpeechProtocol,
    State,
    Told,
    render,
    render_error,
    render_hello,
)
from streamer.web.client_messages import plain_socket

logger = logging.getLogger(__name__)

MOST_REASON = 120  # bytes of the reason in a close frame; the protocol allows 123
SEND_S = 5.0  # timeout for sending one event


class SpokenFor(Protocol):
    """A session that accepts pushed speech. `reason`: why it ended."""

    speech: SpeechPort
    reason: str

    @property
    def delay_ms(self) -> int:
        """Delay from a sample's arrival to its playout."""

    async def ended(self) -> None:
        """Wait until the session has ended."""


async def serve_speech(session: SpokenFor, request: web.Request) -> web.StreamResponse:
    """Accept a speech WebSocket of the session and serve it until it closes.

    Raises:
        HTTPException: the request is not a WebSocket upgrade, or another client speaks for this session.
    """
    if not web.WebSocketResponse().can_prepare(request).ok:
        raise web.HTTPUpgradeRequired(text="speech comes by WebSocket; see docs/speech.md\n")
    try:
        return await SpeechSocket(session, MonotonicClock()).serve(request)
    except SessionError as error:
        raise web.HTTPConflict(text=f"{error}\n") from None


class SpeechSocket:
    """One client's connection; `serve` runs it from start to end."""

    def __init__(self, session: SpokenFor, clock: Clock) -> None:
        self._session = session
        self._limits = limits = session.speech.limits
        self._clock = clock
        self._protocol = SpeechProtocol(limits)
        self._events: asyncio.Queue[str] = asyncio.Queue(limits.queued_events)
        self._unread = asyncio.Event()  # set when the client does not read its events
        self._farewell: tuple[int, str] | None = None
        self._utterances = 0
        self._mistakes = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve the connection until the client or the session ends.

        Raises:
            SessionError: another client speaks for this session.
        """
        socket = plain_socket(self._limits.message_bytes)
        self._session.speech.attach(self._tell)
        try:
            await socket.prepare(request)
            await self._run(socket)
        finally:
            self._session.speech.detach()  # before the close handshake, which may take a second
        code, reason = self._farewell or (WSCloseCode.GOING_AWAY, self._session.reason)
        await socket.close(code=code, message=reason.encode()[:MOST_REASON])
        return socket

    async def _run(self, socket: web.WebSocketResponse) -> None:
        """Run until the client leaves, makes too many errors or stops reading its events, or the session ends."""
        await until_first(self._read(socket), self._write(socket), self._session.ended(), self._unread.wait())
        if self._unread.is_set():
            self._farewell = WSCloseCode.POLICY_VIOLATION, "events are not read"

    async def _read(self, socket: web.WebSocketResponse) -> None:
        patience = self._limits.greet_s
        greeted_by = asyncio.get_running_loop().time() + patience  # pings do not count as a greeting
        while True:
            try:
                async with asyncio.timeout_at(greeted_by if self._protocol.state is State.GREETING else None):
                    message = await socket.receive()
            except TimeoutError:
                await self._refuse(socket, SpeechError("greeting", f"no hello within {patience:g} s", fatal=True))
                return
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG):
                return  # closed or failed; aiohttp has informed the client
            await asyncio.sleep(0)  # `receive` does not yield while messages are buffered: a flood would block others
            try:
                self._count(len(message.data))
                if message.type is WSMsgType.PING:
                    await self._pong(socket, message.data)
                elif message.type is not WSMsgType.PONG:
                    self._take(message)
            except SpeechError as error:
                if await self._refuse(socket, error):
                    return

    def _count(self, size: int) -> None:
        """Charge a message to the rate limits, before it is processed. Raises SpeechError."""
        now, port = self._clock.now(), self._session.speech
        if not (port.messages.take(1, now) and port.bytes.take(size, now)):
            raise SpeechError(
                "rate",
                f"more than {self._limits.messages_per_s:g} messages or {self._limits.bytes_per_s / 1e6:g} MB a second",
                fatal=True,
            )

    async def _pong(self, socket: web.WebSocketResponse, data: bytes) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await socket.pong(data)
        except TimeoutError:
            self._unread.set()
        except ConnectionError:
            pass  # the client is gone; the next receive reports it

    def _take(self, message: WSMessage) -> None:
        port = self._session.speech
        speech = port.pushed
        if message.type is WSMsgType.BINARY:
            speech.push(self._protocol.binary(message.data, speech.buffered_s).data)
            return
        match self._protocol.text(message.data, speech.waiting):
            case Hello():
                self._send(render_hello(self._session.delay_ms, self._limits))
            case Begin(format=sound):
                self._utterances += 1
                port.counts.utterances += 1
                speech.begin(self._utterances, sound)
            case End():
                speech.end()
            case Clear():
                port.counts.clears += 1
                port.interrupt()
            case Sound():
                raise AssertionError("sound is never text")

    async def _refuse(self, socket: web.WebSocketResponse, error: SpeechError) -> bool:
        """Report an error to the client; return True if that ends the connection."""
        self._mistakes += 1
        self._session.speech.counts.refused += 1
        if self._mistakes > self._limits.mistakes and not error.fatal:
            error = SpeechError("mistakes", f"{self._mistakes} messages refused, the last: {error}", fatal=True)
        if not error.fatal:
            self._send(render_error(error))
            return False
        logger.info("a speech client is sent away: %s", error)
        code = WSCloseCode.PROTOCOL_ERROR if error.code == "version" else WSCloseCode.POLICY_VIOLATION
        self._farewell = code, error.code
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(SEND_S):
                await socket.send_str(render_error(error))
        return True

    def _tell(self, told: Told) -> None:
        self._send(render(told))

    def _send(self, text: str) -> None:
        try:
            self._events.put_nowait(text)
        except asyncio.QueueFull:
            self._unread.set()

    async def _write(self, socket: web.WebSocketResponse) -> None:
        while True:
            text = await self._events.get()
            try:
                async with asyncio.timeout(SEND_S):
                    await socket.send_str(text)
            except TimeoutError:
                self._unread.set()
                return
            except ConnectionError:
                return  # the client is gone
