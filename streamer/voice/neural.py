"""Neural text to speech (Piper, Kokoro) in a child process, so that it does not delay sessions."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress

from streamer.core.errors import VoiceError
from streamer.voice.synthesiser import Spoken

SPEAK_S = 30.0  # timeout for a sentence, including loading the network
MOST_BYTES = 16 << 20
END_S = 2.0


class NeuralVoice:
    """Synthesiser for `--voice KIND:PLACE`. The process starts at the first text and, after a failure, at the next."""

    def __init__(self, kind: str, place: str) -> None:
        self._command = (sys.executable, "-m", "streamer.voice.neural_child", kind, place)
        self._kind = kind
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def speak(self, text: str, language: str) -> Spoken:
        """See `Synthesiser`."""
        async with self._turn:
            try:
                async with asyncio.timeout(SPEAK_S):
                    return await self._ask(text, language)
            except (TimeoutError, OSError, ValueError, KeyError, asyncio.IncompleteReadError) as error:
                await self._end()
                reason = "not in time" if isinstance(error, TimeoutError) else "its process has ended"
                raise VoiceError(f"{self._kind} did not speak the text: {reason}", again=True) from None
            except asyncio.CancelledError:  # else the next request would read this one's reply
                await self._end()
                raise

    async def close(self) -> None:
        """End the process."""
        await self._end()

    async def _ask(self, text: str, language: str) -> Spoken:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
            )
            with suppress(OSError, AttributeError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, 10)  # sessions have priority
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"text": text, "language": language}).encode() + b"\n")
        await self._process.stdin.drain()
        head = json.loads(await self._process.stdout.readline())
        if "error" in head:
            raise VoiceError(f"{self._kind} does not speak this text: {head['error']}")
        length = int(head["bytes"])
        if length > MOST_BYTES:
            raise ValueError(f"{length} bytes of sound")
        return Spoken(await self._process.stdout.readexactly(length), int(head["rate"]))

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await process.wait()
