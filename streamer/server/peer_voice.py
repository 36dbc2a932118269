"""Reader of the peer's microphone track."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from streamer.audio.format import CHANNELS, RATE, Samples
from streamer.core.aio import Clock


class PeerVoice:
    """The peer's microphone. `heard_at`: when it last sent a frame.

    take: gets the sender's sample count and int16 [n, 2]; None for a session without microphone.
    """

    def __init__(self, take: Callable[[int, Samples], None] | None, clock: Clock) -> None:
        self.heard_at = 0.0
        self._take = take
        self._clock = clock

    @property
    def wanted(self) -> bool:
        """Whether the session uses the microphone."""
        return self._take is not None

    async def read(self, track: MediaStreamTrack, begin: asyncio.Event) -> None:
        """Read the track from `begin` to its end, even if the sound is unused: aiortc would queue it without limit."""
        await begin.wait()
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.heard_at = self._clock.now()
            if self._take is not None and isinstance(frame, AudioFrame) and frame.sample_rate == RATE:
                self._take(frame.pts or 0, np.asarray(frame.to_ndarray(), np.int16).reshape(-1, CHANNELS))
