"""Sound sources of a local session: a file, or none."""

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
    """A file's sound in real time: like a microphone, it delivers a block after the block's duration has passed."""

    def __init__(self, path: Path, clock: Clock, track: int | None = None) -> None:
        """Raises MediaError if the file contains no sound, or no such track."""
        self.name = str(path)
        self._sound = Sound(path, track)
        self._clock = clock

    async def blocks(self) -> AsyncIterator[Block]:
        """Yield the blocks in real time. Raises MediaError if none of the sound can be decoded."""
        cut = in_blocks(self._sound.stereo())
        first = next(cut)  # start decoding before reading the clock
        start = self._clock.now()
        for count, samples in enumerate(itertools.chain([first], cut)):
            await self._clock.sleep_until(start + (count + 1) * AUDIO_BLOCK / RATE)
            yield Block(count * AUDIO_BLOCK, samples)


def in_blocks(chunks: Iterable[Samples]) -> Iterator[Samples]:
    """Yield the sound in blocks of AUDIO_BLOCK samples, the last one padded with silence."""
    waiting: Samples = np.zeros((0, CHANNELS), np.int16)
    for chunk in chunks:
        waiting = np.concatenate([waiting, chunk])
        whole = len(waiting) // AUDIO_BLOCK * AUDIO_BLOCK
        yield from waiting[:whole].reshape(-1, AUDIO_BLOCK, CHANNELS)
        waiting = waiting[whole:]
    if len(waiting):
        yield np.pad(waiting, ((0, AUDIO_BLOCK - len(waiting)), (0, 0)))


class NoMicrophone:
    """A `SoundSource` for a session with pushed speech only: it delivers no sound and never ends."""

    name = "pushed speech"

    async def blocks(self) -> AsyncIterator[Block]:
        """Wait forever without yielding."""
        await asyncio.Event().wait()
        yield Block(0, np.zeros((0, CHANNELS), np.int16))  # never reached; makes this a generator
