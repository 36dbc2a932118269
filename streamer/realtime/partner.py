"""Speaks for a session: its microphone to a Realtime backend, what that says to the face, interruptions to both.

One connection a session. A backend that is lost is called again, for ever, after longer and longer; it then knows
nothing of what was said before.
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

CONNECT_S = 10.0  # to the connection, and from it to session.created
CONNECTING = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_connect=CONNECT_S, sock_read=CONNECT_S)
CLOSING = aiohttp.ClientWSTimeout(ws_close=1.0)
SEND_S = 5.0  # for a message to be taken
HEARTBEAT_S = 15.0
MOST_BYTES = 4 << 20  # of a message: 65 s of sound
MOST_UNSENT = 250  # messages, 5 s of sound; the newest are dropped
PATIENCE_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # before the backend is called again
MOST_SHOWN = 200  # characters of what a backend says is wrong
HARMLESS = "response_cancel_not_active"  # it had ended meanwhile


class RealtimePartner:
    """One session's. `tell`: gets a line for the server's owner."""

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
        self._transcript = ("", "")  # the item that the person says, and its words
        self._awaited: str | None = None  # the response whose end is the end of thinking; none while the person speaks

    def hear(self, samples: Samples) -> None:
        """Send the microphone on: int16 [n, 2] at 48 kHz. What is said while there is no connection is lost."""
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        sound = b"".join(part.to_ndarray().tobytes() for part in self._resampler.resample(frame))
        if sound:
            self._send(messages.append(sound))

    async def talk(self) -> None:
        """Keep a connection until this is cancelled."""
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
        """One connection, to its end; return whether it came about."""
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
        """Until the connection ends. Raises BackendError."""
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
            await asyncio.sleep(0)  # `receive` does not wait for what is there: a burst would hold up all others
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
