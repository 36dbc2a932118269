"""POST /voice: a short text in, speech out, for visitors without a microphone; where eSpeak NG is installed.

The page plays what comes into its call as if it were spoken. The synthesiser is a child process, with a time-out,
and reads the text from its standard input: no text is an option to it.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import signal
import wave
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,2}")
WORDS_A_MINUTE = "155"
RETRY_S = "1"
HEADER = 44  # bytes of a WAV header; eSpeak's says nothing of the length, which it does not know yet


@dataclass(frozen=True)
class VoiceLimits:
    """What one text may cost."""

    characters: int = 300
    bytes: int = 1_200  # of UTF-8, four for each
    arrive_s: float = 5.0
    speak_s: float = 10.0  # it takes a tenth of a second
    sound_bytes: int = 4 << 20  # 95 s at 22 kHz
    at_once: int = 2


class VoiceHandlers:
    """The handler of one server. `program`: the synthesiser; None where there is none."""

    def __init__(self, program: str | None = None, limits: VoiceLimits | None = None) -> None:
        self._program = program or shutil.which("espeak-ng")
        self._limits = limits or VoiceLimits()
        self._busy = 0

    @property
    def available(self) -> bool:
        """Whether text can be spoken."""
        return self._program is not None

    async def speak(self, request: web.Request) -> web.Response:
        """Text as a WAV file; ?language= as eSpeak NG names it."""
        if self._program is None:
            raise web.HTTPNotImplemented(text="text is spoken only where eSpeak NG is installed (espeak-ng)\n")
        language = request.query.get("language", "en")
        if not LANGUAGE.fullmatch(language):
            raise web.HTTPBadRequest(text=f"language is {language[:20]!r}, expected one such as en or pt-br\n")
        if self._busy >= self._limits.at_once:
            raise web.HTTPServiceUnavailable(
                text="other texts are being spoken; try again in a moment\n", headers={"Retry-After": RETRY_S}
            )
        self._busy += 1
        try:
            text = await self._read(request)
            sound = await self._spoken(text, language)
        finally:
            self._busy -= 1
        return web.Response(body=sound, content_type="audio/wav", headers={"Cache-Control": "no-store"})

    async def _read(self, request: web.Request) -> str:
        most, body = self._limits.bytes, bytearray()
        try:
            async with asyncio.timeout(self._limits.arrive_s):
                async for piece in request.content.iter_any():
                    body += piece
                    if len(body) > most:
                        raise web.HTTPRequestEntityTooLarge(
                            most,
                            len(body),
                            text=f"the text is longer than the {self._limits.characters} characters taken\n",
                        )
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the text did not arrive in time\n") from None
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise web.HTTPBadRequest(text="the request's body is not UTF-8 text\n") from None
        plain = "".join(letter if letter.isprintable() else " " for letter in text).strip()
        if not plain:
            raise web.HTTPBadRequest(text="there is no text to speak\n")
        if len(plain) > self._limits.characters:
            raise web.HTTPRequestEntityTooLarge(
                self._limits.characters,
                len(plain),
                text=f"the text has {len(plain)} characters, {self._limits.characters} are taken\n",
            )
        return plain

    async def _spoken(self, text: str, language: str) -> bytes:
        assert self._program is not None
        process = await asyncio.create_subprocess_exec(
            *(self._program, "--stdin", "--stdout", "-v", language, "-s", WORDS_A_MINUTE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the server's
        )
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process.pid, 10)  # conversations come first
        try:
            async with asyncio.timeout(self._limits.speak_s):
                sound = await self._said(process, text)
        except TimeoutError:
            raise web.HTTPServiceUnavailable(
                text=f"the text was not spoken within {self._limits.speak_s:.0f} s\n", headers={"Retry-After": RETRY_S}
            ) from None
        finally:
            await _end(process)
        if len(sound) <= HEADER:
            raise web.HTTPUnprocessableEntity(text=f"eSpeak NG does not speak {language}, or nothing of this text\n")
        return _whole(sound)

    async def _said(self, process: asyncio.subprocess.Process, text: str) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()
            process.stdin.close()
        sound = bytearray()
        while piece := await process.stdout.read(1 << 16):
            sound += piece
            if len(sound) > self._limits.sound_bytes:
                break
        return bytes(sound[: self._limits.sound_bytes])


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process and its children. Its end is seen only when all its output has been read."""
    assert process.stdout is not None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    while await process.stdout.read(1 << 16):
        pass
    await process.wait()


def _whole(sound: bytes) -> bytes:
    """The same WAV, with its length told: browsers do not play it otherwise."""
    rate = int.from_bytes(sound[24:28], "little")
    samples = sound[HEADER : len(sound) - len(sound) % 2]
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples)
    return file.getvalue()
