"""What is muxed in tests, and how it is looked at again: a grey film with a flash, and silence with a click."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from streamer.audio.format import AUDIO_BLOCK, RATE, Samples
from streamer.core.frames import ByteArray

DARK, BRIGHT = 40, 250
CLICK = 300  # samples


@dataclass(frozen=True, eq=False)
class Seen:
    """A film, decoded. Times in seconds; sound float [n] in -1..1, the first sample at `sound_start`."""

    times: NDArray[np.float64]
    grey: NDArray[np.float64]
    sound: NDArray[np.float64]
    sound_start: float
    codecs: tuple[str, str]
    key_frames: list[int]

    @property
    def flash(self) -> float:
        return float(self.times[int(self.grey.argmax())])

    @property
    def click(self) -> float:
        loud = np.abs(self.sound) > 0.3 * np.abs(self.sound).max()
        return self.sound_start + int(loud.argmax()) / RATE

    @property
    def sound_end(self) -> float:
        return self.sound_start + len(self.sound) / RATE


def look(source: Path | bytes | str) -> Seen:
    """Decode a file, a stream that was received, or what comes from an address until it ends."""
    opened = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    times: list[float] = []
    grey: list[float] = []
    key_frames: list[int] = []
    sound: list[NDArray[np.floating]] = []
    sound_start: float | None = None
    with av.open(opened, "r") as container:
        streams = container.streams
        codecs = streams.video[0].codec_context.name, streams.audio[0].codec_context.name
        for frame in container.decode(streams.video[0], streams.audio[0]):
            if isinstance(frame, av.VideoFrame):
                assert frame.time is not None
                key_frames += [len(times)] * frame.key_frame
                times.append(frame.time)
                grey.append(float(frame.to_ndarray(format="gray").mean()))
            elif isinstance(frame, av.AudioFrame):
                sound_start = frame.time if sound_start is None else sound_start
                samples = frame.to_ndarray()
                scale = 1.0 if samples.dtype.kind == "f" else 32768.0
                sound.append((samples[0] if frame.format.is_planar else samples.reshape(-1, 2)[:, 0]) / scale)
    assert sound_start is not None
    return Seen(np.array(times), np.array(grey), np.concatenate(sound), sound_start, codecs, key_frames)


def decode(path: Path) -> list[ByteArray]:
    """The pictures of a film that may be cut off: uint8 [H, W] each."""
    pictures: list[ByteArray] = []
    with av.open(str(path), "r") as container, contextlib.suppress(av.error.InvalidDataError):
        for frame in container.decode(video=0):
            pictures.append(np.asarray(frame.to_ndarray(format="gray"), np.uint8))
    return pictures


def picture(bright: bool = False) -> ByteArray:
    return np.full((32, 32, 3), BRIGHT if bright else DARK, np.uint8)


def packet(click: bool = False) -> Samples:
    samples: Samples = np.zeros((AUDIO_BLOCK, 2), np.int16)
    if click:
        samples[:CLICK] = (20_000 * np.sin(np.arange(CLICK) * 0.3 + 1.5)).astype(np.int16)[:, None]
    return samples
