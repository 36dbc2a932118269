"""The control protocol, version 1, without I/O: what may be asked of a session's face, and what is told of it.

docs/control.md describes it. Messages are JSON objects with a `type`; one that is refused changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from streamer.core.errors import AvatarError
from streamer.session.speech.speech_protocol import Idle, Played, Started
from streamer.stages.life.steering import Background, Emotion, Energy, Gaze, Gesture, Size, Wear

VERSION = 1
MOST_CHARACTERS = 1024  # of a message


class ControlError(AvatarError):
    """A message that is refused."""


class Pause(msgspec.Struct, tag="pause", frozen=True, forbid_unknown_fields=True):
    """Pushed speech waits where it is, or goes on."""

    on: bool


class Mute(msgspec.Struct, tag="mute", frozen=True, forbid_unknown_fields=True):
    """The microphone is not heard, or is again."""

    on: bool


class Listening(msgspec.Struct, tag="listening", frozen=True, forbid_unknown_fields=True):
    """Whether the face shows that it listens and thinks."""

    on: bool


class Interrupt(msgspec.Struct, tag="interrupt", frozen=True, forbid_unknown_fields=True):
    """Silence, at once: all speech is dropped."""


class Hello(msgspec.Struct, tag="hello", frozen=True, forbid_unknown_fields=True):
    """The first message."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]


Command = Emotion | Energy | Gaze | Gesture | Pause | Mute | Listening | Background | Size | Wear | Interrupt
_Message = Emotion | Energy | Gaze | Gesture | Pause | Mute | Listening | Background | Size | Wear | Interrupt | Hello


class Greeting(msgspec.Struct, tag="hello", frozen=True):
    """The answer to hello. `can`: the messages and gestures that this face takes."""

    version: int
    can: list[str]


class Refusal(msgspec.Struct, tag="error", frozen=True):
    """A message was not taken."""

    message: str


class State(msgspec.Struct, tag="state", frozen=True):
    """What the face does from now on."""

    state: Literal["idle", "listening", "thinking", "speaking"]
    paused: bool = False
    muted: bool = False


class Statistics(msgspec.Struct, tag="statistics", frozen=True):
    """How the session goes: pictures since its beginning, and what is so now. Sent every second."""

    pictures: int
    repeated: int
    late: int
    delay_ms: int
    left_out: str | None
    speech_waiting_ms: int


class Caption(msgspec.Struct, tag="caption", frozen=True):
    """What is said, as far as it was said; the next one replaces it until it is `final`. `of`: who says it."""

    of: Literal["face", "person"]
    text: str
    final: bool
    interrupted: bool = False


class Agent(msgspec.Struct, tag="agent", frozen=True):
    """Whether who speaks through the face is there, and what is wrong."""

    connected: bool
    message: str = ""


Event = Greeting | Refusal | State | Statistics | Caption | Agent | Started | Played | Idle

_decoder: msgspec.json.Decoder[Command | Hello] = msgspec.json.Decoder(_Message)


def decode(text: str) -> Command | Hello:
    """What a message asks for.

    Raises:
        ControlError: it is too long, or nothing that the protocol knows.
    """
    if len(text) > MOST_CHARACTERS:
        raise ControlError(f"a message of {len(text)} characters, at most {MOST_CHARACTERS} are taken")
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ControlError(f"the message is not taken: {error}") from None


def encode(event: Event) -> str:
    """An event, as it is sent."""
    return msgspec.json.encode(event).decode()
