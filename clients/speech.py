"""A client that pushes speech into a session (docs/speech.md), for voice agents and other sources of sound.

    async with SpeechClient("http://localhost:8080/session/TOKEN") as speech:
        await speech.say(pcm, sample_rate=24_000)
        await speech.idle()                     # wait until it has been heard to the end
        heard_ms = await speech.clear()         # or cut it off and get how much was heard

Needs the package `websockets` (`pip install avatar-streamer[speech]`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

VERSION = 1
SAMPLE_BYTES = 2
PIECE_BYTES = 32 * 1024
MOST_WAITING = 64  # utterances not yet heard to the end
MESSAGES_AT_ONCE, MESSAGES_PER_S = 2_500, 900  # sound messages; the server's limit leaves room for other messages
BYTES_AT_ONCE, BYTES_PER_S = 15e6, 3.9e6
RATES = range(8_000, 48_001)  # Hz
ANSWER_S = 10.0  # for the server to answer hello, or clear
LARGEST_EVENT = 16 * 1024

Event = dict[str, Any]


class SpeechClientError(Exception):
    """The server refused a request, or the connection is lost; the message is for people."""


def _sentence(error: Exception) -> str:
    """Return the text of the server's response, or the error's own text if the response is empty."""
    body = error.response.body if isinstance(error, InvalidStatus) else b""
    return (body or b"").decode(errors="replace").strip() or str(error)


class _Pace:
    """Token bucket: a burst of `at_once`, then `per_s` a second."""

    def __init__(self, at_once: float, per_s: float) -> None:
        self._at_once = self._left = at_once
        self._per_s = per_s
        self._then = time.monotonic()

    async def take(self, amount: float) -> None:
        """Wait until `amount` more may be sent."""
        now = time.monotonic()
        self._left = min(self._at_once, self._left + (now - self._then) * self._per_s) - amount
        self._then = now
        if self._left < 0:
            await asyncio.sleep(-self._left / self._per_s)


class SpeechClient:
    """Connection for pushing speech to the session at `url` (its Location, or the address of its speech socket).

    Connected inside `async with`. `on_event` is called with every event of the server as it arrives, a dict with its
    `type`. `token`: an access token with the scope push, for a server that requires one.
    """

    def __init__(self, url: str, on_event: Callable[[Event], None] | None = None, token: str | None = None) -> None:
        self.delay_ms = 0  # from a sample's arrival at the server to its sending for playout
        location = url.rstrip("/").removesuffix("/speech")
        self._url = location.replace("http", "ws", 1) if location.startswith("http") else location
        self._url += "/speech"
        self._on_event = on_event
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._changed = asyncio.Condition()
        self._failure: str | None = None  # permanent
        self._refusal: str | None = None  # refusal of one message; the next call raises it
        self._begun = 0  # utterances begun so far
        self._open = False  # whether the last utterance still accepts sound
        self._cut = False  # whether the last utterance was cleared before its end
        self._pushed: dict[int, float] = {}  # ms pushed, of each utterance not yet heard to the end
        self._heard: dict[int, int] = {}  # ms heard, of each utterance since the `idle` before the last
        self._final = 0  # the last utterance with a final `played`
        self._idle = 0  # the last utterance finished before the last `idle`
        self._idles = 0  # count of `idle` events
        self._room_ms, self._piece = 0.0, PIECE_BYTES
        self._format = (0, 0)
        self._rest = b""  # incomplete sample; the next chunk brings its other bytes
        self._messages = _Pace(MESSAGES_AT_ONCE, MESSAGES_PER_S)
        self._bytes = _Pace(BYTES_AT_ONCE, BYTES_PER_S)

    async def __aenter__(self) -> SpeechClient:
        """Connect. Raises SpeechClientError when the server cannot be reached or refuses."""
        try:
            self._socket: ClientConnection = await connect(
                self._url, compression=None, max_size=LARGEST_EVENT, additional_headers=self._headers
            )
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
            raise SpeechClientError(f"{self._url}: {_sentence(error)}") from None
        try:
            await self._tell({"type": "hello", "version": VERSION})
            async with asyncio.timeout(ANSWER_S):
                hello = json.loads(await self._socket.recv())
            if hello["type"] != "hello":
                raise SpeechClientError(str(hello.get("message", hello)))
            self.delay_ms = int(hello["delay_ms"])
            self._room_ms = float(hello["limits"]["buffered_ms"])
            self._piece = min(PIECE_BYTES, int(hello["limits"]["message_bytes"])) // 4 * 4
        except (ConnectionClosed, TimeoutError, ValueError, KeyError, TypeError) as error:
            await self._socket.close()
            raise SpeechClientError(f"{self._url}: no answer to hello ({error})") from None
        except BaseException:
            await self._socket.close()
            raise
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect and drop unplayed speech. Wait for `idle` first to keep it."""
        await self._socket.close()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    @property
    def lost(self) -> bool:
        """Whether the connection is unusable: the server has hung up, or sent a fatal error."""
        return self._failure is not None

    async def until_lost(self) -> str:
        """Wait until the connection is lost; return the reason."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.lost)
        return self._failure or ""

    @property
    def begun(self) -> int:
        """Number of the utterance begun last, as events name it; 0 before the first."""
        return self._begun

    async def say(self, pcm: bytes, sample_rate: int, channels: int = 1) -> None:
        """Push one whole utterance, to be played after those queued: signed 16-bit little-endian PCM."""
        await self.begin(sample_rate, channels)
        number = self._begun
        try:
            await self.push(pcm)
        finally:
            if self._begun == number:  # otherwise it was cleared, and another utterance has begun
                await self.end()

    async def begin(self, sample_rate: int, channels: int = 1) -> None:
        """Begin an utterance; `push` its sound as it is made, then `end` it. Waits while too many are queued.

        Ends the previous utterance if it is still open. Sound pushed after another task has cleared the utterance is
        dropped.

        Raises:
            SpeechClientError: no server accepts this rate or number of channels.
        """
        if sample_rate not in RATES or channels not in (1, 2):
            found = f"{sample_rate} Hz and {channels} channels"
            raise SpeechClientError(f"{found}; expected {RATES[0]} to {RATES[-1]} Hz, 1 or 2 channels")
        self._format = sample_rate, channels
        await self._begin({"format": "s16le", "sample_rate": sample_rate, "channels": channels})

    async def begin_opus(self) -> None:
        """Begin an utterance whose sound is pushed as Opus packets by `push_packet`."""
        await self._begin({"format": "opus"})

    async def push(self, pcm: bytes) -> None:
        """Push more sound, cut anywhere. Returns when it is sent; waits while the server's buffer is full."""
        number, (sample_rate, channels) = self._begun, self._format
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % (channels * SAMPLE_BYTES)
        pcm, self._rest = pcm[:whole], pcm[whole:]
        for start in range(0, len(pcm), self._piece):
            piece = pcm[start : start + self._piece]
            await self._push(number, piece, 1000 * len(piece) / (sample_rate * channels * SAMPLE_BYTES))

    async def push_packet(self, packet: bytes, milliseconds: float = 20.0) -> None:
        """Push one Opus packet of that duration. Returns when it is sent; waits while the server's buffer is full."""
        await self._push(self._begun, packet, milliseconds)

    async def end(self) -> None:
        """End the utterance. Bytes of an incomplete last sample are dropped."""
        self._open = False
        if not self._cut:
            await self._tell({"type": "end"})

    async def clear(self) -> int:
        """Silence the face at once and drop all queued speech. Return the milliseconds heard since the last `idle`."""
        first, last, idles = self._idle + 1, self._begun, self._idles
        self._open, self._cut = False, self._open
        await self._send(json.dumps({"type": "clear"}))
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._until(lambda: self._idles > idles and self._idle >= last, whatever_was_refused=True)
        except TimeoutError:
            raise SpeechClientError(f"no answer to clear within {ANSWER_S:.0f} s") from None
        return sum(self._heard.get(number, 0) for number in range(first, last + 1))

    async def idle(self) -> None:
        """Wait until everything pushed was heard. Raises SpeechClientError if the server refused a message meanwhile:
        call it again to wait for the rest, which is still played.
        """
        await self._until(lambda: self._idle == self._begun)

    async def _begin(self, sound: Event) -> None:
        if self._open:
            await self.end()
        await self._until(lambda: len(self._pushed) < MOST_WAITING)
        self._begun, self._rest = self._begun + 1, b""
        self._pushed[self._begun] = 0.0
        self._open, self._cut = True, False
        await self._tell({"type": "begin", **sound})

    async def _push(self, number: int, message: bytes, milliseconds: float) -> None:
        await self._messages.take(1)
        await self._bytes.take(len(message))
        await self._until(lambda: self._is_dropped(number) or self._fits(milliseconds))
        if not self._is_dropped(number):
            self._pushed[number] = self._pushed.get(number, 0.0) + milliseconds
            await self._send(message)
            self._check()

    def _is_dropped(self, number: int) -> bool:
        """Return whether this utterance was cleared, or another has begun since."""
        return self._cut or self._begun != number

    def _fits(self, milliseconds: float) -> bool:
        waiting = sum(pushed - self._heard.get(number, 0) for number, pushed in self._pushed.items())
        return waiting + milliseconds <= self._room_ms

    async def _until(self, done: Callable[[], bool], whatever_was_refused: bool = False) -> None:
        def over() -> bool:
            return self._failure is not None or (self._refusal is not None and not whatever_was_refused) or done()

        async with self._changed:
            await self._changed.wait_for(over)
        self._check(whatever_was_refused)

    async def _tell(self, message: Event) -> None:
        """Send a message, then raise any earlier refusal; raised first, it would keep this message from being sent."""
        await self._send(json.dumps(message))
        self._check()

    async def _send(self, data: str | bytes) -> None:
        self._check(whatever_was_refused=True)
        try:
            await self._socket.send(data)
        except ConnectionClosed as error:
            self._failure = self._failure or f"the server has hung up ({error})"
            self._check()

    def _check(self, whatever_was_refused: bool = False) -> None:
        """Raise the permanent failure, if any; else raise a pending refusal once and clear it."""
        if self._failure is not None:
            raise SpeechClientError(self._failure)
        if self._refusal is not None and not whatever_was_refused:
            refusal, self._refusal = self._refusal, None
            raise SpeechClientError(refusal)

    async def _read(self) -> None:
        failure = "on_event has failed"
        try:
            async for text in self._socket:
                event = json.loads(text)
                async with self._changed:
                    self._take(event)
                    self._changed.notify_all()
                if self._on_event is not None:
                    self._on_event(event)
            failure = "the server has hung up"
        except (ConnectionClosed, ValueError, KeyError, TypeError) as error:
            failure = f"the server has hung up ({error})"
        finally:  # wake all waiters
            async with self._changed:
                self._failure = self._failure or failure
                self._changed.notify_all()

    def _take(self, event: Event) -> None:
        match event["type"]:
            case "played":
                number = int(event["speech"])
                self._heard[number] = int(event["position_ms"])
                if event["final"]:
                    self._final = number
                    self._pushed.pop(number, None)
            case "idle":  # an utterance may have begun since the server sent it
                if self._final > self._idle:
                    self._heard = {number: ms for number, ms in self._heard.items() if number > self._idle}
                self._idle, self._idles = self._final, self._idles + 1
            case "error":
                refusal = f"the server refused: {event['message']}"
                if event.get("fatal"):
                    self._failure = refusal
                else:
                    self._refusal = refusal
