"""What a local conversation is made of: where its sound comes from, and where its pictures and its sound go.

All of it runs at `timeline.RATE` in stereo, so that the voice that goes out is the voice that came in; only the
networks hear 16 kHz.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from streamer.clock import Clock
from streamer.frames import ByteArray
from streamer.media import probe_sound, read_stereo
from streamer.playout import AUDIO_BLOCK
from streamer.timeline import CHANNELS, RATE, Samples


@dataclass(frozen=True, eq=False)
class Block:
    """Sound as a source gives it: int16 [n, 2] at RATE; `pts` is the source's own count of the first sample."""

    pts: int
    samples: Samples


class SoundSource(Protocol):
    """A microphone, or what stands for one. It gives sound when it would be heard, not before."""

    name: str

    def blocks(self) -> AsyncIterator[Block]:
        """Blocks until the source ends; may be called again, which opens the source anew and counts from 0.

        Raises:
            DeviceError: the device cannot be opened, or is gone.
        """


class PictureSink(Protocol):
    """Where pictures go. Nothing here may wait: a driver that does gets a thread of its own."""

    def show(self, frame: int, rgb: ByteArray) -> None:
        """Show uint8 [H, W, 3] now, or [H, W, 4] where the background is transparent.

        It is the picture of `frame` of the session, before 0 the still.

        Raises:
            DeviceError: the device is gone; later calls try it again.
        """


class SoundSink(Protocol):
    """Where the delayed sound goes; it must not wait either.

    lead_s: seconds from `play` to the sound's being heard; it gets the sound that much before the picture.
    """

    lead_s: float

    def play(self, block: int, samples: Samples) -> None:
        """Take the session's `block`-th packet: int16 [AUDIO_BLOCK, 2].

        Raises:
            DeviceError: the device is gone; later calls try it again.
        """


class FileSource:
    """A file's sound at the pace at which a microphone would give it: a block is there once it has been spoken."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Raises MediaError where the file holds no sound."""
        probe_sound(path)
        self.name = str(path)
        self._path = path
        self._clock = clock

    async def blocks(self) -> AsyncIterator[Block]:
        """Raises MediaError when nothing of the sound can be decoded."""
        cut = in_blocks(read_stereo(self._path))
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
