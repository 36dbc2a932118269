"""POST /voice: convert a short text to speech, for visitors without a microphone.

The page sends this speech into its call like microphone sound.
"""

from __future__ import annotations

import io
import wave

from aiohttp import web

from streamer.core.errors import VoiceError
from streamer.server.routes.text_body import read_text
from streamer.voice.synthesiser import Spoken, Synthesiser, check_language

RETRY_S = "1"
MOST_CHARACTERS = 300
AT_ONCE = 2
NONE = "text is spoken only where eSpeak NG is installed (espeak-ng), or by another --voice\n"


class VoiceHandlers:
    """The handler of one server. `voice`: the synthesiser; None without one."""

    def __init__(self, voice: Synthesiser | None) -> None:
        self._voice = voice
        self._busy = 0

    @property
    def available(self) -> bool:
        """Whether text can be spoken."""
        return self._voice is not None

    async def speak(self, request: web.Request) -> web.Response:
        """Return the text's speech as a WAV file. ?language=: a language name of eSpeak NG."""
        voice, language = known(self._voice), language_of(request)
        if self._busy >= AT_ONCE:
            raise _later("other texts are being spoken; try again in a moment")
        self._busy += 1
        try:
            spoken = await speech_of(voice, await read_text(request, MOST_CHARACTERS), language)
        finally:
            self._busy -= 1
        return web.Response(body=_wav(spoken), content_type="audio/wav", headers={"Cache-Control": "no-store"})


def known(voice: Synthesiser | None) -> Synthesiser:
    """Return the synthesiser. Raises HTTPNotImplemented if there is none."""
    if voice is None:
        raise web.HTTPNotImplemented(text=NONE)
    return voice


def language_of(request: web.Request) -> str:
    """Return the language from ?language=, by default English. Raises HTTPBadRequest."""
    try:
        return check_language(request.query.get("language", "en"))
    except VoiceError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None


async def speech_of(voice: Synthesiser, text: str, language: str) -> Spoken:
    """Synthesise a text. Raises HTTPException."""
    try:
        return await voice.speak(text, language)
    except VoiceError as error:
        if error.again:
            raise _later(str(error)) from None
        raise web.HTTPUnprocessableEntity(text=f"{error}\n") from None


def _later(reason: str) -> web.HTTPException:
    return web.HTTPServiceUnavailable(text=f"{reason}\n", headers={"Retry-After": RETRY_S})


def _wav(spoken: Spoken) -> bytes:
    """Encode a WAV file with its length in the header, which browsers require."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(spoken.rate)
        writer.writeframes(spoken.pcm)
    return file.getvalue()
