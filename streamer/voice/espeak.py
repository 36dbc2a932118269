"""eSpeak NG as a child process. Text goes to its standard input, so that no text is parsed as an option."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import suppress

from streamer.core.errors import VoiceError
from streamer.voice.synthesiser import Spoken

WORDS_A_MINUTE = "155"
SPEAK_S = 10.0  # timeout; it normally takes 0.1 s
MOST_BYTES = 4 << 20  # 95 s at 22 kHz
HEADER = 44  # bytes of the WAV header, whose length field is not valid: eSpeak writes it before the audio


class Espeak:
    """Synthesiser that runs eSpeak NG. `program`: path of its executable."""

    def __init__(self, program: str, speak_s: float = SPEAK_S, most_bytes: int = MOST_BYTES) -> None:
        self._program = program
        self._speak_s = speak_s
        self._most_bytes = most_bytes

    @classmethod
    def installed(cls) -> Espeak | None:
        """Return a synthesiser with the system's eSpeak NG, or None if it is not installed."""
        program = shutil.which("espeak-ng")
        return None if program is None else cls(program)

    async def speak(self, text: str, language: str) -> Spoken:
        """See `Synthesiser`."""
        process = await asyncio.create_subprocess_exec(
            *(self._program, "--stdin", "--stdout", "-v", language, "-s", WORDS_A_MINUTE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # keeps Ctrl-C from the child process
        )
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process.pid, 10)  # sessions have priority
        try:
            async with asyncio.timeout(self._speak_s):
                sound = await self._said(process, text)
        except TimeoutError:
            raise VoiceError(f"the text was not spoken within {self._speak_s:.0f} s", again=True) from None
        finally:
            await _end(process)
        if len(sound) <= HEADER:
            raise VoiceError(f"eSpeak NG does not speak {language}, or nothing of this text")
        return Spoken(sound[HEADER : len(sound) - len(sound) % 2], int.from_bytes(sound[24:28], "little"))

    async def close(self) -> None:
        """Do nothing: no process is kept running."""

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
            if len(sound) > self._most_bytes:
                break
        return bytes(sound[: self._most_bytes])


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the process and its children, and read its output to the end: `wait` returns only after that."""
    assert process.stdout is not None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    while await process.stdout.read(1 << 16):
        pass
    await process.wait()
