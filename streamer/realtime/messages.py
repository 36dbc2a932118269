"""Messages of the OpenAI Realtime protocol over WebSocket, those that a face needs.

https://platform.openai.com/docs/api-reference/realtime. Two dialects are read: that of 2025-08 (sessions of type
"realtime", `response.output_audio.*`) and the older one (`response.audio.*`), which most other backends speak. Which
of them a backend speaks is seen in its `session.created`. Sound is mono s16le at RATE both ways.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from streamer.core.errors import SessionError

RATE = 24_000  # Hz; the one rate of PCM that the older dialect knows
MOST_TEXT = 4_000  # characters of a transcript that are kept


class BackendError(SessionError):
    """The backend cannot be reached, ended the connection, or said what is no message of the protocol."""


class SessionCreated(msgspec.Struct):
    """The first message. `session`: its settings, in the backend's dialect."""

    session: dict[str, Any] = {}


class SpeechStarted(msgspec.Struct):
    """The person began to speak."""


class SpeechStopped(msgspec.Struct):
    """The person has finished."""


class Transcribed(msgspec.Struct):
    """What the person said: more of it in `delta`, or all of it in `transcript`."""

    item_id: str = ""
    delta: str | None = None
    transcript: str | None = None


class _Response(msgspec.Struct):
    id: str = ""
    status: str = ""
    status_details: Any = None


class ResponseCreated(msgspec.Struct):
    """An answer is being made."""

    response: _Response = msgspec.field(default_factory=_Response)


class ResponseDone(msgspec.Struct):
    """Nothing more of an answer will come."""

    response: _Response = msgspec.field(default_factory=_Response)


class _Part(msgspec.Struct):
    """Of one content part of an item of a response."""

    response_id: str = ""
    item_id: str = ""
    content_index: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """Names the part."""
        return self.item_id, self.content_index


class AudioDelta(_Part):
    """More of an answer's sound, base64."""

    delta: str = ""


class AudioDone(_Part):
    """The part's sound is complete."""


class TranscriptDelta(_Part):
    """More of an answer's words; they come before their sound."""

    delta: str = ""


class _Error(msgspec.Struct):
    message: str = ""
    code: str | None = None


class Failure(msgspec.Struct):
    """Something was not done."""

    error: _Error = msgspec.field(default_factory=_Error)


ServerEvent = (
    SessionCreated
    | SpeechStarted
    | SpeechStopped
    | Transcribed
    | ResponseCreated
    | ResponseDone
    | AudioDelta
    | AudioDone
    | TranscriptDelta
    | Failure
)

_KINDS: dict[str, type[ServerEvent]] = {
    "session.created": SessionCreated,
    "input_audio_buffer.speech_started": SpeechStarted,
    "input_audio_buffer.speech_stopped": SpeechStopped,
    "conversation.item.input_audio_transcription.delta": Transcribed,
    "conversation.item.input_audio_transcription.completed": Transcribed,
    "response.created": ResponseCreated,
    "response.done": ResponseDone,
    "response.output_audio.delta": AudioDelta,
    "response.audio.delta": AudioDelta,
    "response.output_audio.done": AudioDone,
    "response.audio.done": AudioDone,
    "response.output_audio_transcript.delta": TranscriptDelta,
    "response.audio_transcript.delta": TranscriptDelta,
    "error": Failure,
}


class _Typed(msgspec.Struct):
    type: str


def decode(text: str) -> ServerEvent | None:
    """What a message says; None for the many kinds that a face has no use for.

    Raises:
        BackendError: it is no message of the protocol.
    """
    try:
        kind = _KINDS.get(msgspec.json.decode(text, type=_Typed).type)
        return None if kind is None else msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BackendError(f"it sent what is no message of the Realtime protocol ({error})") from None


def sound_of(delta: AudioDelta) -> bytes:
    """The samples in it, s16le.

    Raises:
        BackendError: they are not whole samples in base64.
    """
    try:
        sound = base64.b64decode(delta.delta, validate=True)
    except (binascii.Error, ValueError):
        raise BackendError("it sent sound that is not base64") from None
    if len(sound) % 2:
        raise BackendError(f"it sent {len(sound)} bytes of sound, expected whole samples of two bytes")
    return sound


def configure(created: SessionCreated, wanted: dict[str, Any]) -> str:
    """The `session.update` after `session.created`, in the backend's dialect: `wanted`, and our kind of sound."""
    session = created.session
    if session.get("type") == "realtime" or "audio" in session:
        sound = {"format": {"type": "audio/pcm", "rate": RATE}}
        ours = {"type": "realtime", "output_modalities": ["audio"], "audio": {"input": sound, "output": sound}}
    else:
        ours = {"modalities": ["text", "audio"], "input_audio_format": "pcm16", "output_audio_format": "pcm16"}
    return _json("session.update", session=_merged(wanted, ours))


def append(sound: bytes) -> str:
    """More of the microphone, s16le."""
    return _json("input_audio_buffer.append", audio=base64.b64encode(sound).decode())


def cancel(response: str) -> str:
    """Make nothing more of an answer."""
    return _json("response.cancel", **({"response_id": response} if response else {}))


def truncate(item: str, part: int, heard_ms: int) -> str:
    """Forget what was not heard of an answer, words included."""
    return _json("conversation.item.truncate", item_id=item, content_index=part, audio_end_ms=heard_ms)


def _merged(wanted: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Both, level by level; where they disagree, ours."""
    merged = dict(wanted)
    for name, value in ours.items():
        theirs = wanted.get(name)
        merged[name] = _merged(theirs, value) if isinstance(theirs, dict) and isinstance(value, dict) else value
    return merged


def _json(kind: str, **fields: Any) -> str:
    return msgspec.json.encode({"type": kind, **fields}).decode()
