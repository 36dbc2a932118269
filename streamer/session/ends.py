"""Interfaces of a local conversation: the sound source, and the sinks of pictures and sound.

All sound is stereo at `timeline.RATE`, so the voice keeps its quality from input to output; only the networks get
16 kHz.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from streamer.audio.format import Samples
from streamer.core.frames import ByteArray


@dataclass(frozen=True, eq=False)
class Block:
    """Sound from a source: int16 [n, 2] at RATE; `pts` is the index of its first sample in the source's own count."""

    pts: int
    samples: Samples


class SoundSource(Protocol):
    """A microphone or a substitute for one. It delivers sound in real time, never ahead."""

    name: str

    def blocks(self) -> AsyncIterator[Block]:
        """Yield blocks until the source ends. Another call reopens the source and counts from 0.

        Raises:
            DeviceError: the device cannot be opened, or was disconnected.
        """


class PictureSink(Protocol):
    """Destination of pictures. Methods must not block: a blocking driver runs in a separate thread."""

    def show(self, frame: int, rgb: ByteArray) -> None:
        """Show a picture now: uint8 [H, W, 3], or [H, W, 4] with a transparent background.

        frame: number of the picture's frame in the session; a negative one shows the still.

        Raises:
            DeviceError: the device was disconnected; later calls retry it.
        """


class SoundSink(Protocol):
    """Destination of the delayed sound. Methods must not block, either.

    lead_s: output latency: seconds from `play` until the sound is audible; sound comes this much before its picture.
    """

    lead_s: float

    def play(self, block: int, samples: Samples) -> None:
        """Play the session's `block`-th packet: int16 [AUDIO_BLOCK, 2].

        Raises:
            DeviceError: the device was disconnected; later calls retry it.
        """
