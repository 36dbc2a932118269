"""What a local conversation is made of: where its sound comes from, and where its pictures and its sound go.

All of it runs at `timeline.RATE` in stereo, so that the voice that goes out is the voice that came in; only the
networks hear 16 kHz.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from streamer.audio.format import Samples
from streamer.core.frames import ByteArray


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
    """Destination of pictures. Methods must not block: a blocking driver runs in a separate thread."""

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
