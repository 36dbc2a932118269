"""Messages of the OpenAI Realtime protocol over WebSocket, limited to those that an avatar needs.

https://platform.openai.com/docs/api-reference/realtime. Two dialects are supported: that of 2025-08 (sessions of type
"realtime", `response.output_audio.*`) and the older one (`response.audio.*`), which most other backends use. The
backend's `session.created` shows which one it uses. Audio is mono s16le at RATE in both directions.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from streamer.core.errors import SessionError

RATE = 24_000  # Hz; the only PCM rate of the older dialect
MOST_TEXT = 4_000  # characters kept of a transcript


class BackendError(SessionError):
    """The backend cannot be reached, closed the connection, or violated the protocol."""


class SessionCreated(msgspec.Struct):
    """The first message. `session`: its settings, in the backend's dialect."""

    session: dict[str, Any] = {}


class SpeechStarted(msgspec.Struct):
    """The user started to speak."""


class SpeechStopped(msgspec.Struct):
    """The user stopped speaking."""


class Transcribed(msgspec.Struct):
    """Transcript of the user's speech: the next part in `delta`, or the complete text in `transcript`."""

    item_id: str = ""
    delta: str | None = None
    transcript: str | None = None


class _Response(msgspec.Struct):
    id: str = ""
    status: str = ""
    status_details: Any = None


class ResponseCreated(msgspec.Struct):
    """The backend started a response."""

    response: _Response = msgspec.field(default_factory=_Response)


class ResponseDone(msgspec.Struct):
    """A response is complete, or ended early."""

    response: _Response = msgspec.field(default_factory=_Response)


class _Part(msgspec.Struct):
    """Base of messages about one content part of a response item."""

    response_id: str = ""
    item_id: str = ""
    content_index: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """Identifier of the part."""
        return self.item_id, self.content_index


class AudioDelta(_Part):
    """The next audio of a response, base64."""

    delta: str = ""


class AudioDone(_Part):
    """The part's audio is complete."""


class TranscriptDelta(_Part):
    """The next text of a response's transcript; it comes before its audio."""

    delta: str = ""


class _Error(msgspec.Struct):
    message: str = ""
    code: str | None = None


class Failure(msgspec.Struct):
    """Error reported by the backend."""

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
    """Decode a message; return None for the many types that are not used here.

    Raises:
        BackendError: it is not a message of the protocol.
    """
    try:
        kind = _KINDS.get(msgspec.json.decode(text, type=_Typed).type)
        return None if kind is None else msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BackendError(f"it sent what is no message of the Realtime protocol ({error})") from None


def sound_of(delta: AudioDelta) -> bytes:
    """Return the samples of an audio message, s16le.

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
    """Return the `session.update` in the dialect of `session.created`: the fields of `wanted`, and our audio format."""
    session = created.session
    if session.get("type") == "realtime" or "audio" in session:
        sound = {"format": {"type": "audio/pcm", "rate": RATE}}
        ours = {"type": "realtime", "output_modalities": ["audio"], "audio": {"input": sound, "output": sound}}
    else:
        ours = {"modalities": ["text", "audio"], "input_audio_format": "pcm16", "output_audio_format": "pcm16"}
    return _json("session.update", session=_merged(wanted, ours))


def append(sound: bytes) -> str:
    """Return the message that sends microphone audio, s16le."""
    return _json("input_audio_buffer.append", audio=base64.b64encode(sound).decode())


def cancel(response: str) -> str:
    """Return the message that cancels a response."""
    return _json("response.cancel", **({"response_id": response} if response else {}))


def truncate(item: str, part: int, heard_ms: int) -> str:
    """Return the message that removes the unheard part of a response, audio and text, from the backend's memory."""
    return _json("conversation.item.truncate", item_id=item, content_index=part, audio_end_ms=heard_ms)


def _merged(wanted: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Merge both dicts recursively; on conflict, `ours` wins."""
    merged = dict(wanted)
    for name, value in ours.items():
        theirs = wanted.get(name)
        merged[name] = _merged(theirs, value) if isinstance(theirs, dict) and isinstance(value, dict) else value
    return merged


def _json(kind: str, **fields: Any) -> str:
    return msgspec.json.encode({"type": kind, **fields}).decode()
