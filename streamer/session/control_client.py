"""One client of the control protocol, independent of the transport: commands in, events out.

A misbehaving client loses at most its own connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from streamer.core.aio import Clock, until_first
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

GREET_S = 10.0  # timeout from the connection to hello
STATISTICS_S = 1.0
SEND_S = 5.0  # timeout for sending one event
MESSAGES_PER_S, BURST = 30.0, 100.0
MOST_MISTAKES = 16
MOST_EVENTS = 256  # unread events queued for a client


class Controlled(Protocol):
    """A session whose face can be controlled. `reason`: why it ended."""

    control: Control
    speech: SpeechPort
    reason: str

    def statistics(self) -> Statistics:
        """Return the session's statistics."""

    async def ended(self) -> None:
        """Wait until the session has ended."""


class Refused(Exception):  # noqa: N818 - not an error of ours
    """The client is disconnected, for this reason."""


class ControlClient:
    """`take` handles the client's messages; `serve` runs for the connection's lifetime.

    able: names of the commands and gestures that this family's faces support.
    """

    def __init__(self, session: Controlled, able: Sequence[str], clock: Clock) -> None:
        self._session = session
        self._able = able
        self._clock = clock
        self._rate = Allowance(MESSAGES_PER_S, BURST, clock.now())
        self._mistakes = 0
        self._events: asyncio.Queue[Event] = asyncio.Queue(MOST_EVENTS)
        self._unread = asyncio.Event()
        self._greeted = asyncio.Event()

    def take(self, text: str | None) -> None:
        """Execute a message; None stands for a binary one.

        Raises:
            Refused: the client exceeds the message rate, or sends too many invalid messages.
        """
        if not self._greeted.is_set():
            return self._greet(text)
        if not self._rate.take(1, self._clock.now()):
            raise Refused(f"more than {MESSAGES_PER_S:g} messages a second")
        try:
            self._obey(text)
        except ControlError as error:
            self._mistakes += 1
            if self._mistakes > MOST_MISTAKES:
                raise Refused(f"{self._mistakes} messages refused") from None
            self._tell(Refusal(str(error)))

    async def serve(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send events until the session ends or the client disconnects.

        send: raises ConnectionError when the client has disconnected, TimeoutError when it does not read.

        Raises:
            Refused: the client does not send hello in time, or does not read its events.
        """
        try:
            async with asyncio.timeout(GREET_S):
                await self._greeted.wait()
        except TimeoutError:
            raise Refused(f"no hello within {GREET_S:g} s") from None
        control, speech = self._session.control, self._session.speech
        tell: Callable[[Event], None] = self._tell
        control.watch(tell)
        speech.watch(tell)
        try:
            await until_first(self._write(send), self._report(), self._session.ended(), self._unread.wait())
        finally:
            speech.unwatch(tell)
            control.unwatch(tell)
        if self._unread.is_set():
            raise Refused("events are not read")

    def _greet(self, text: str | None) -> None:
        try:
            hello = None if text is None else decode(text)
        except ControlError as error:
            raise Refused(str(error)) from None
        if not isinstance(hello, Hello):
            raise Refused("hello expected first")
        self._tell(Greeting(VERSION, [*self._able, *ALWAYS]))
        self._tell(self._session.control.state)
        self._greeted.set()

    def _obey(self, text: str | None) -> None:
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

    async def _write(self, send: Callable[[str], Awaitable[None]]) -> None:
        try:
            while True:
                text = encode(await self._events.get())
                async with asyncio.timeout(SEND_S):
                    await send(text)
        except TimeoutError:
            self._unread.set()
        except ConnectionError:
            pass  # the client has disconnected
