"""What a face shows and plays, on its way into a Pipecat pipeline: bounded, in order, without endless silence."""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np
from numpy.typing import NDArray
from pipecat.frames.frames import Frame, OutputAudioRawFrame, OutputImageRawFrame, SpeechOutputAudioRawFrame

from clients.speech import Event

RATE = 48_000
MOST = 150  # pictures and sounds waiting, two seconds; the oldest is dropped
SILENT = 16  # of 32767: what Opus makes of silence
MEDIA = (OutputAudioRawFrame, OutputImageRawFrame)
HANGOVER_BLOCKS = 30  # 0.6 s: Pipecat's output says that the bot has stopped after 0.35 s of silence


class MediaQueue:
    """A face's pictures and sound as Pipecat's frames (`agent_voice.Pictures` and `Sound`), with its events between.

    Sound is mono, and given only while there is any and shortly after: an output plays it by a clock of its own, and
    what that one is slow by would add up for ever.

    dropped: pictures and sounds that nobody took in time.
    """

    lead_s = 0.0

    def __init__(self) -> None:
        self.dropped = 0
        self._items: deque[Frame | Event] = deque()
        self._changed = asyncio.Event()
        self._quiet = HANGOVER_BLOCKS  # blocks since there was sound
        self._muted = False
        self._unmuting: asyncio.TimerHandle | None = None

    def show(self, frame: int, rgb: NDArray[np.uint8]) -> None:
        """Take a picture; of one with alpha, the colours."""
        height, width = rgb.shape[:2]
        self.put(OutputImageRawFrame(np.ascontiguousarray(rgb[..., :3]).tobytes(), (width, height), "RGB"))

    def play(self, block: int, samples: NDArray[np.int16]) -> None:
        """Take 20 ms of sound, int16 [n, 2]."""
        self._quiet = 0 if np.abs(samples).max(initial=0) > SILENT else self._quiet + 1
        if self._quiet < HANGOVER_BLOCKS and not self._muted:
            mono = samples.astype(np.int32).sum(axis=1) // samples.shape[1]
            self.put(SpeechOutputAudioRawFrame(mono.astype("<i2").tobytes(), RATE, 1))

    def put(self, item: Frame | Event) -> None:
        """Add something after all that waits."""
        media = [waiting for waiting in self._items if isinstance(waiting, MEDIA)]
        if len(media) >= MOST:
            self._items.remove(media[0])
            self.dropped += 1
        self._items.append(item)
        self._changed.set()

    def put_event(self, event: Event, seconds: float) -> None:
        """Add an event of the face after so many seconds, when the sound that it tells of has come."""
        asyncio.get_running_loop().call_later(seconds, self.put, event)

    def mute(self) -> None:
        """Drop the sound that waits and that comes, until `unmute`: it was interrupted."""
        if self._unmuting is not None:
            self._unmuting.cancel()
        self._muted = True
        self._items = deque(item for item in self._items if not isinstance(item, OutputAudioRawFrame))

    def unmute(self, seconds: float) -> None:
        """Let sound pass that comes after so many seconds."""
        if self._unmuting is not None:
            self._unmuting.cancel()
        self._unmuting = asyncio.get_running_loop().call_later(seconds, self._open)

    def _open(self) -> None:
        self._muted, self._unmuting = False, None

    async def next(self) -> Frame | Event:
        """Return what waits longest, when there is anything."""
        while not self._items:
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()
