"""Sources of sound for a local session: a file, or none."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import numpy as np

from streamer.audio.format import AUDIO_BLOCK, CHANNELS, RATE, Samples
from streamer.audio.sound_file import Sound
from streamer.core.aio import Clock
from streamer.session.ends import Block


class FileSource:
    """A file's sound at the pace at which a microphone would give it: a block is there once it has been spoken."""

    def __init__(self, path: Path, clock: Clock, track: int | None = None) -> None:
        """Raises MediaError where the file holds no sound, or no such track."""
        self.name = str(path)
        self._sound = Sound(path, track)
        self._clock = clock

    async def blocks(self) -> AsyncIterator[Block]:
        """Raises MediaError when nothing of the sound can be decoded."""
        cut = in_blocks(self._sound.stereo())
        first = next(cut)  # decoding has begun before the clock is looked at
        start = self._clock.now()
        for count, samples in enumerate(itertools.chain([first], cut)):
            await self._clock.sleep_until(start + (count + 1) * AUDIO_BLOCK / RATE)
            yield Block(count * AUDIO_BLOCK, samples)


def in_blocks(chunks: Iterable[Samples]) -> Iterator[Samples]:
    """Sound cut anew into AUDIO_BLOCK samples, the last block filled up with silence."""
    waiting: Samples = np.zeros((0, CHANNELS), np.int16)
    for chunk in chunks:
        waiting = np.concatenate([waiting, chunk])
        whole = len(waiting) // AUDIO_BLOCK * AUDIO_BLOCK
        yield from waiting[:whole].reshape(-1, AUDIO_BLOCK, CHANNELS)
        waiting = waiting[whole:]
    if len(waiting):
        yield np.pad(waiting, ((0, AUDIO_BLOCK - len(waiting)), (0, 0)))


class NoMicrophone:
    """A `SoundSource` of a session that hears pushed speech only: it never says anything and never ends."""

    name = "pushed speech"

    async def blocks(self) -> AsyncIterator[Block]:
        """Nothing, for ever."""
        await asyncio.Event().wait()
        yield Block(0, np.zeros((0, CHANNELS), np.int16))  # never
