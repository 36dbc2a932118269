"""Connect a session to a Realtime backend: microphone to backend, speech to the avatar, interruptions to both.

Each session has one connection. A lost connection is retried forever with increasing delays (backoff); the backend then
knows nothing of the earlier conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
from av import AudioFrame
from av.audio.resampler import AudioResampler
from yarl import URL

from streamer.audio.format import RATE, Samples
from streamer.core.aio import Clock, until_first
from streamer.core.console import note
from streamer.realtime import messages
from streamer.realtime.answers import Answers
from streamer.realtime.messages import BackendError, Failure, ServerEvent, SessionCreated, Transcribed
from streamer.realtime.settings import RealtimeSettings
from streamer.session.control import Control
from streamer.session.control_protocol import Agent, Caption
from streamer.session.speech.speech_port import SpeechPort
from streamer.session.speech.speech_protocol import Started, Told

CONNECT_S = 10.0  # until connected, and from then until session.created
CONNECTING = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_connect=CONNECT_S, sock_read=CONNECT_S)
CLOSING = aiohttp.ClientWSTimeout(ws_close=1.0)
SEND_S = 5.0  # timeout for sending one message
HEARTBEAT_S = 15.0
MOST_BYTES = 4 << 20  # of a message: 65 s of audio
MOST_UNSENT = 250  # queued messages, 5 s of audio; when the queue is full, new messages are dropped
PATIENCE_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # retry delays
MOST_SHOWN = 200  # characters of a backend's error message
HARMLESS = "response_cancel_not_active"  # error code: the response had already ended


class RealtimePartner:
    """Connection of one session to the backend. `tell`: receives log lines for the server's operator."""

    def __init__(
        self,
        settings: RealtimeSettings,
        port: SpeechPort,
        control: Control,
        clock: Clock,
        tell: Callable[[str], None] = note,
    ) -> None:
        self._settings = settings
        self._port = port
        self._control = control
        self._clock = clock
        self._note = tell
        self._numbers = [0]
        self._resampler = AudioResampler(format="s16", layout="mono", rate=messages.RATE)
        self._unsent: asyncio.Queue[str] | None = None  # while there is a connection
        self._answers = self._new_answers()
        self._transcript = ("", "")  # item ID and text of the user's current utterance
        self._awaited: str | None = None  # response whose end ends "thinking"; None while the user speaks

    def hear(self, samples: Samples) -> None:
        """Send microphone audio, int16 [n, 2] at 48 kHz, to the backend; without a connection, it is dropped."""
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        sound = b"".join(part.to_ndarray().tobytes() for part in self._resampler.resample(frame))
        if sound:
            self._send(messages.append(sound))

    async def talk(self) -> None:
        """Keep a connection to the backend until cancelled; reconnect when it is lost."""
        self._port.attach(self._told, lambda: self._answers.interrupted())
        failures = 0
        try:
            while True:
                was_connected = await self._call()
                failures = 1 if was_connected else failures + 1
                patience = PATIENCE_S[min(failures, len(PATIENCE_S)) - 1]
                await self._clock.sleep_until(self._clock.now() + patience)
        finally:
            self._port.detach()

    async def _call(self) -> bool:
        """Run one connection to its end; return whether a session was established."""
        connected = False
        try:
            async with aiohttp.ClientSession(timeout=CONNECTING) as http, self._connect(http) as socket:
                async with asyncio.timeout(CONNECT_S):
                    created = await self._created(socket)
                connected = True
                await self._converse(socket, created)
        except BackendError as error:
            reason = str(error)
        except TimeoutError:
            reason = f"no session within {CONNECT_S:g} s"
        except aiohttp.WSServerHandshakeError as error:
            reason = f"it answered {error.status}, expected a WebSocket"
            reason += "; check the key" if error.status in (401, 403) else ""
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
        self._fail(reason)
        return connected

    def _connect(self, http: aiohttp.ClientSession) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        headers = {"Authorization": f"Bearer {self._settings.key}"} if self._settings.key else {}
        url = URL(self._settings.url, encoded=True)
        limits: Any = {"heartbeat": HEARTBEAT_S, "max_msg_size": MOST_BYTES, "timeout": CLOSING}
        return http.ws_connect(url, headers=headers, **limits)

    async def _created(self, socket: aiohttp.ClientWebSocketResponse) -> SessionCreated:
        while not isinstance(event := await self._receive(socket), SessionCreated):
            if isinstance(event, Failure):
                raise BackendError(event.error.message[:MOST_SHOWN])
        return event

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse, created: SessionCreated) -> None:
        """Exchange messages until the connection ends. Raises BackendError."""
        self._answers = self._new_answers()
        unsent: asyncio.Queue[str] = asyncio.Queue(MOST_UNSENT)
        unsent.put_nowait(messages.configure(created, self._settings.session))
        self._unsent = unsent
        self._control.tell(Agent(True))
        try:
            await until_first(self._read(socket), self._write(socket, unsent))
        finally:
            self._unsent = None
            self._answers.close()
            self._control.attend(None)

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> ServerEvent | None:
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return messages.decode(message.data)
        if message.type is aiohttp.WSMsgType.BINARY:
            raise BackendError("it sent a binary message, expected text")
        words = message.extra if message.type is aiohttp.WSMsgType.CLOSE else socket.exception()
        raise BackendError(f"it ended the connection: {str(words or 'without a word')[:MOST_SHOWN]}")

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            event = await self._receive(socket)
            await asyncio.sleep(0)  # `receive` does not yield for buffered messages: a burst would block other tasks
            if event is not None:
                self._take(event)

    async def _write(self, socket: aiohttp.ClientWebSocketResponse, unsent: asyncio.Queue[str]) -> None:
        while True:
            text = await unsent.get()
            try:
                async with asyncio.timeout(SEND_S):
                    await socket.send_str(text)
            except TimeoutError:
                raise BackendError(f"it took nothing for {SEND_S:g} s") from None

    def _take(self, event: ServerEvent) -> None:
        match event:
            case messages.SpeechStarted():
                self._answers.interrupt()
                self._awaited = None
                self._control.attend("listening")
            case messages.SpeechStopped():
                self._control.attend("thinking")
            case Transcribed():
                self._transcribe(event)
            case messages.ResponseCreated(response=response):
                self._answers.begin(response.id)
                self._awaited = response.id
                self._control.attend("thinking")
            case messages.ResponseDone(response=response):
                self._answers.finish(response.id)
                if response.id == self._awaited and not self._port.pushed.waiting:
                    self._control.attend(None)
                if response.status == "failed":
                    self._complain(str(response.status_details))
            case messages.AudioDelta():
                self._answers.add_sound(event)
            case messages.AudioDone():
                self._answers.end_sound(event)
            case messages.TranscriptDelta():
                self._answers.add_words(event)
            case Failure(error=error) if error.code != HARMLESS:
                self._complain(error.message)

    def _told(self, told: Told) -> None:
        if isinstance(told, Started):
            self._control.attend(None)
        self._answers.tell(told)

    def _transcribe(self, event: Transcribed) -> None:
        item, words = self._transcript
        words = words if item == event.item_id else ""
        words = event.transcript if event.transcript is not None else words + (event.delta or "")
        final = event.transcript is not None
        self._transcript = (event.item_id, words[: messages.MOST_TEXT])
        self._control.tell(Caption("person", self._transcript[1].strip(), final))

    def _new_answers(self) -> Answers:
        return Answers(self._port, self._send, self._control.tell, self._numbers)

    def _send(self, text: str) -> None:
        if self._unsent is not None and not self._unsent.full():
            self._unsent.put_nowait(text)

    def _complain(self, words: str) -> None:
        plain = "".join(letter if letter.isprintable() else " " for letter in words[:MOST_SHOWN])
        self._note(f"the Realtime backend at {self._settings.place} says: {plain}")
        self._control.tell(Agent(True, plain))

    def _fail(self, reason: str) -> None:
        plain = "".join(letter if letter.isprintable() else " " for letter in reason[: 2 * MOST_SHOWN])
        self._note(f"the Realtime backend at {self._settings.place}: {plain}; calling it again")
        self._control.tell(Agent(False, plain))
