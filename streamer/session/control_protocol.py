"""The control protocol, version 1, without I/O: commands to a session's face, and the events it reports.

docs/control.md describes it. Messages are JSON objects with a `type`; a refused message changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from streamer.core.errors import AvatarError
from streamer.session.speech.speech_protocol import Idle, Played, Started
from streamer.stages.life.steering import Background, Emotion, Energy, Gaze, Gesture, Size, Wear

VERSION = 1
MOST_CHARACTERS = 1024  # limit of a message


class ControlError(AvatarError):
    """A message was refused."""


class Pause(msgspec.Struct, tag="pause", frozen=True, forbid_unknown_fields=True):
    """Pause or resume the playback of pushed speech."""

    on: bool


class Mute(msgspec.Struct, tag="mute", frozen=True, forbid_unknown_fields=True):
    """Mute or unmute the microphone."""

    on: bool


class Listening(msgspec.Struct, tag="listening", frozen=True, forbid_unknown_fields=True):
    """Turn the face's listening and thinking behaviour on or off."""

    on: bool


class Interrupt(msgspec.Struct, tag="interrupt", frozen=True, forbid_unknown_fields=True):
    """Drop all speech and fall silent at once (barge-in)."""


class Hello(msgspec.Struct, tag="hello", frozen=True, forbid_unknown_fields=True):
    """First message of a client."""

    version: Annotated[int, msgspec.Meta(ge=VERSION, le=VERSION)]


Command = Emotion | Energy | Gaze | Gesture | Pause | Mute | Listening | Background | Size | Wear | Interrupt
_Message = Emotion | Energy | Gaze | Gesture | Pause | Mute | Listening | Background | Size | Wear | Interrupt | Hello


class Greeting(msgspec.Struct, tag="hello", frozen=True):
    """Reply to hello. `can`: the messages and gestures that this face supports."""

    version: int
    can: list[str]


class Refusal(msgspec.Struct, tag="error", frozen=True):
    """Report that a message was refused."""

    message: str


class State(msgspec.Struct, tag="state", frozen=True):
    """State of the face from now on."""

    state: Literal["idle", "listening", "thinking", "speaking"]
    paused: bool = False
    muted: bool = False


class Statistics(msgspec.Struct, tag="statistics", frozen=True):
    """Statistics of the session, sent every second: picture counts since its start, and current values."""

    pictures: int
    repeated: int
    late: int
    delay_ms: int
    left_out: str | None
    speech_waiting_ms: int


class Caption(msgspec.Struct, tag="caption", frozen=True):
    """The words spoken so far; the next caption replaces this one unless it is `final`. `of`: the speaker."""

    of: Literal["face", "person"]
    text: str
    final: bool
    interrupted: bool = False


class Agent(msgspec.Struct, tag="agent", frozen=True):
    """Connection state of the agent that speaks through the face, and its error, if any."""

    connected: bool
    message: str = ""


Event = Greeting | Refusal | State | Statistics | Caption | Agent | Started | Played | Idle

_decoder: msgspec.json.Decoder[Command | Hello] = msgspec.json.Decoder(_Message)


def decode(text: str) -> Command | Hello:
    """Parse a client's message.

    Raises:
        ControlError: the message is too long or not part of the protocol.
    """
    if len(text) > MOST_CHARACTERS:
        raise ControlError(f"a message of {len(text)} characters, at most {MOST_CHARACTERS} are taken")
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ControlError(f"the message is not taken: {error}") from None


def encode(event: Event) -> str:
    """Return an event as JSON text."""
    return msgspec.json.encode(event).decode()
