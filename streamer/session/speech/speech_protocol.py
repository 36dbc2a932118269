"""The speech protocol, version 1, without I/O: the messages a client may send in each state, and the replies.

docs/speech.md describes it for authors of clients. States and their transitions are in TRANSITIONS;
anything else is refused and changes nothing. Everything here comes from outside: sizes are checked before content.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from streamer.core.errors import AvatarError
from streamer.core.limits import SpeechLimits
from streamer.session.speech.speech_format import PCM, Format, Pcm, file_kind, read_format

VERSION = 1
_SHOWN = 40  # characters of a value that a refusal repeats


class SpeechError(AvatarError):
    """A message that is refused. `code` is for programs; `fatal`: the connection cannot go on."""

    def __init__(self, code: str, message: str, fatal: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.fatal = fatal


class State(Enum):
    """Of a connection."""

    GREETING = auto()  # hello is awaited
    READY = auto()  # between utterances
    SPEAKING = auto()  # within one


@dataclass(frozen=True)
class Hello:
    """The first message of a client."""


@dataclass(frozen=True)
class Begin:
    """An utterance begins."""

    format: Format


@dataclass(frozen=True)
class Sound:
    """A binary message: part of the utterance."""

    data: bytes


class End(msgspec.Struct, tag="end", frozen=True):
    """The utterance is complete."""


class Clear(msgspec.Struct, tag="clear", frozen=True):
    """Drop everything that was not heard yet."""


class _Hello(msgspec.Struct, tag="hello"):
    """As it is sent. Fields are checked later, where a refusal can have its own code."""

    version: object = None


class _Begin(msgspec.Struct, tag="begin"):
    """As it is sent; see `_Hello`."""

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
    """The first sound of an utterance was sent to be heard."""

    speech: int


class Played(msgspec.Struct, tag="played", frozen=True):
    """So much of an utterance was sent to be heard. `final`: nothing more of it will be."""

    speech: int
    position_ms: int
    final: bool
    interrupted: bool = False


class Idle(msgspec.Struct, tag="idle", frozen=True):
    """Everything was heard, or cleared."""


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
    """As it is sent."""
    return _json(told)


def render_hello(delay_ms: int, limits: SpeechLimits) -> str:
    """The server's answer to hello."""
    bounds = {"message_bytes": limits.message_bytes - 1, "buffered_ms": round(1000 * limits.buffered_s)}
    return _json(_HelloReply(VERSION, delay_ms, bounds))


def render_error(error: SpeechError) -> str:
    """A refusal, as it is sent."""
    return _json(_Refusal(error.code, str(error), error.fatal))


def _json(message: msgspec.Struct) -> str:
    return msgspec.json.encode(message).decode()


class SpeechProtocol:
    """One connection's state. `text` and `binary` take a message; refused ones raise and leave the state as it was."""

    def __init__(self, limits: SpeechLimits) -> None:
        self.state = State.GREETING
        self.format: Format = Pcm(48_000, 1)  # of the utterance begun last
        self._limits = limits
        self._unheard = True  # of this utterance, no sound has come
        self._foreign: str | None = None  # the format it has instead of PCM

    def text(self, data: str, waiting: int) -> Message:
        """Take a text message, while `waiting` utterances were not heard to the end.

        Raises:
            SpeechError: it is not a message of the protocol, or not one for this state, or more than may wait.
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
        """Take a binary message, while `buffered_s` seconds wait to be heard.

        Raises:
            SpeechError: not one for this state, not whole samples or not a packet, or more than may wait.
        """
        after = self._next(Sound)
        if self._unheard:
            self._unheard, self._foreign = False, file_kind(data) if isinstance(self.format, Pcm) else None
            if self._foreign:
                raise SpeechError("samples", f"{self._foreign} found, s16le announced; decode it, or send Opus packets")
        if self._foreign:
            return Sound(b"")  # the rest of it, of which all was said
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
    """What a text message says.

    Raises:
        SpeechError: nothing that the protocol knows.
    """
    if len(data) > limits.control_bytes:
        raise SpeechError("size", f"a text message of {len(data)} characters, at most {limits.control_bytes} are taken")
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise SpeechError("json", f"text that is not JSON found: {data[:_SHOWN]!r}; sound goes in binary") from None
    try:
        message: _Wire = msgspec.convert(found, _Wire)
    except msgspec.ValidationError:  # of the type: other fields are taken as they are
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
    """Token bucket: `rate` a second, `burst` at once. The caller passes the time."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._then = burst, now

    def take(self, amount: float, now: float) -> bool:
        """Whether so much more is within the rate."""
        self._left = min(self._burst, self._left + (now - self._then) * self._rate) - amount
        self._then = now
        return self._left >= 0
