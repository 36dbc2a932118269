"""The speech protocol, version 1, without I/O: the messages a client may send in each state, and the replies.

docs/speech.md describes it for authors of clients. TRANSITIONS lists the states and their transitions; any other
message is refused and changes nothing. All input is untrusted: sizes are checked before content.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from streamer.core.errors import AvatarError
from streamer.core.limits import SpeechLimits
from streamer.session.speech.speech_format import PCM, Format, Pcm, file_kind, read_format

VERSION = 1
_SHOWN = 40  # characters of a value quoted in a refusal


class SpeechError(AvatarError):
    """A message was refused. `code` is machine-readable; `fatal`: the connection must end."""

    def __init__(self, code: str, message: str, fatal: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.fatal = fatal


class State(Enum):
    """State of a connection."""

    GREETING = auto()  # waiting for hello
    READY = auto()  # between utterances
    SPEAKING = auto()  # within an utterance


@dataclass(frozen=True)
class Hello:
    """First message of a client."""


@dataclass(frozen=True)
class Begin:
    """Start of an utterance."""

    format: Format


@dataclass(frozen=True)
class Sound:
    """A binary message: a piece of the utterance."""

    data: bytes


class End(msgspec.Struct, tag="end", frozen=True):
    """End of the utterance."""


class Clear(msgspec.Struct, tag="clear", frozen=True):
    """Request to drop everything not yet played (barge-in)."""


class _Hello(msgspec.Struct, tag="hello"):
    """Wire format of hello. Fields are checked later, so a refusal can carry its specific code."""

    version: object = None


class _Begin(msgspec.Struct, tag="begin"):
    """Wire format of begin; see `_Hello`."""

    format: object = PCM
    sample_rate: object = None
    channels: object = 1


_Wire = _Hello | _Begin | End | Clear
Message = Hello | Begin | Sound | End | Clear

TRANSITIONS: dict[tuple[State, type[Message]], State] = {
    (State.GREETING, Hello): State.READY,
    (State.READY, Begin): State.SPEAKING,
    (State.SPEAKING, Sound): State.SPEAKING,
    (State.SPEAKING, End): State.READY,
    (State.READY, Clear): State.READY,
    (State.SPEAKING, Clear): State.READY,
}
EXPECTED = {
    State.GREETING: "hello",
    State.READY: "begin or clear",
    State.SPEAKING: "sound, end or clear",
}


class Started(msgspec.Struct, tag="started", frozen=True):
    """Report that the first sound of an utterance was sent to the listener."""

    speech: int


class Played(msgspec.Struct, tag="played", frozen=True):
    """Report how much of an utterance was sent to the listener. `final`: the last report of this utterance."""

    speech: int
    position_ms: int
    final: bool
    interrupted: bool = False


class Idle(msgspec.Struct, tag="idle", frozen=True):
    """Report that all speech was played or cleared."""


Told = Started | Played | Idle


class _HelloReply(msgspec.Struct, tag="hello"):
    version: int
    delay_ms: int
    limits: dict[str, int]


class _Refusal(msgspec.Struct, tag="error"):
    code: str
    message: str
    fatal: bool


def render(told: Told) -> str:
    """Return a report as JSON text."""
    return _json(told)


def render_hello(delay_ms: int, limits: SpeechLimits) -> str:
    """Return the reply to hello as JSON text."""
    bounds = {"message_bytes": limits.message_bytes - 1, "buffered_ms": round(1000 * limits.buffered_s)}
    return _json(_HelloReply(VERSION, delay_ms, bounds))


def render_error(error: SpeechError) -> str:
    """Return a refusal as JSON text."""
    return _json(_Refusal(error.code, str(error), error.fatal))


def _json(message: msgspec.Struct) -> str:
    return msgspec.json.encode(message).decode()


class SpeechProtocol:
    """One connection's state. `text` and `binary` take a message; refused ones raise and leave the state as it was."""

    def __init__(self, limits: SpeechLimits) -> None:
        self.state = State.GREETING
        self.format: Format = Pcm(48_000, 1)  # of the current or last utterance
        self._limits = limits
        self._unheard = True  # no sound of this utterance has arrived
        self._foreign: str | None = None  # file format found in place of PCM

    def text(self, data: str, waiting: int) -> Message:
        """Take a text message; `waiting`: number of utterances not yet played to the end.

        Raises:
            SpeechError: the message is invalid, or wrong in this state, or the queue of utterances is full.
        """
        message = parse(data, self._limits)
        after = self._next(type(message))
        if isinstance(message, Begin):
            if waiting >= self._limits.utterances:
                raise SpeechError("full", f"{waiting} utterances wait already. Wait for played")
            self.format, self._unheard, self._foreign = message.format, True, None
        self.state = after
        return message

    def binary(self, data: bytes, buffered_s: float) -> Sound:
        """Take a binary message; `buffered_s`: seconds of sound queued.

        Raises:
            SpeechError: the message is wrong in this state, or not whole samples or a packet, or the queue is full.
        """
        after = self._next(Sound)
        if self._unheard:
            self._unheard, self._foreign = False, file_kind(data) if isinstance(self.format, Pcm) else None
            if self._foreign:
                raise SpeechError("samples", f"{self._foreign} found, s16le announced; decode it, or send Opus packets")
        if self._foreign:
            return Sound(b"")  # the rest of the file, which was refused already
        try:
            seconds = self.format.seconds(data)
        except ValueError as error:
            raise SpeechError("samples", str(error)) from None
        if buffered_s + seconds > self._limits.buffered_s:
            raise SpeechError(
                "full",
                f"{buffered_s:.1f} s of speech wait already; with {seconds:.2f} s more it is over "
                f"{self._limits.buffered_s:g} s. Wait for played",
            )
        self.state = after
        return Sound(data)

    def _next(self, kind: type[Message]) -> State:
        after = TRANSITIONS.get((self.state, kind))
        if after is None:
            found = "a binary message" if kind is Sound else kind.__name__.lower()
            raise SpeechError(
                "order", f"{found} found, {EXPECTED[self.state]} expected", fatal=self.state is State.GREETING
            )
        return after


def parse(data: str, limits: SpeechLimits) -> Hello | Begin | End | Clear:
    """Parse a text message.

    Raises:
        SpeechError: the message is not part of the protocol.
    """
    if len(data) > limits.control_bytes:
        raise SpeechError("size", f"a text message of {len(data)} characters, at most {limits.control_bytes} are taken")
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise SpeechError("json", f"text that is not JSON found: {data[:_SHOWN]!r}; sound goes in binary") from None
    try:
        message: _Wire = msgspec.convert(found, _Wire)
    except msgspec.ValidationError:  # the type is unknown; the other fields accept any value here
        raise _unknown(found) from None
    match message:
        case _Hello():
            return _greeted(message)
        case _Begin():
            return _begun(message)
        case _:
            return message


def _greeted(hello: _Hello) -> Hello:
    version = hello.version
    if type(version) is not int or version != VERSION:
        raise SpeechError("version", f"protocol version {str(version)[:_SHOWN]}; this server speaks {VERSION}", True)
    return Hello()


def _begun(begin: _Begin) -> Begin:
    try:
        return Begin(read_format(begin.format, begin.sample_rate, begin.channels))
    except ValueError as error:
        raise SpeechError("format", str(error)) from None


def _unknown(message: object) -> SpeechError:
    if not isinstance(message, dict):
        return SpeechError("json", "a JSON object expected")
    found = str(message.get("type"))[:_SHOWN]
    return SpeechError("type", f"type {found!r} found; hello, begin, end or clear expected")


class Allowance:
    """Token bucket: `rate` per second, up to `burst` at once. The caller passes the time."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._then = burst, now

    def take(self, amount: float, now: float) -> bool:
        """Consume `amount`; return whether it is within the rate."""
        self._left = min(self._burst, self._left + (now - self._then) * self._rate) - amount
        self._then = now
        return self._left >= 0
