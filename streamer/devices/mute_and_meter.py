"""Level meter and mute switch of the microphone, and half duplex to prevent feedback.

No echo canceller is used. A canceller learns the path from loudspeaker to microphone while only the far end talks.
Here the far end is the user's own voice, a third of a second later, so both talk nearly all the time, and the residue
returns as an echo of itself. The browser page uses the browser's canceller. Here the choice is headphones or half
duplex: the microphone is muted while the loudspeaker sounds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from streamer.audio.format import AUDIO_PTIME_MS, Samples
from streamer.audio.loudness import SILENCE_DB, loudness_db
from streamer.core.aio import Clock
from streamer.session.ends import Block, SoundSink, SoundSource

LOUD_DB = -45.0  # dB of full scale; a microphone hardly picks up quieter loudspeaker sound
ROOM_S = 0.2  # hold time after the last loud sound: covers the room's echo and the microphone's delay
FALL_DB = 1.0  # per block: the displayed level falls slowly, so that peaks can be read


class Hearing:
    """Adds a level meter and a mute switch to a `SoundSource`; `speaker` mutes it while the loudspeaker sounds."""

    def __init__(self, source: SoundSource, speaker: HalfDuplex | None = None) -> None:
        self.name = source.name
        self.muted = False
        self.level_db = SILENCE_DB  # of the source, muted or not; peaks fall slowly
        self._source = source
        self._speaker = speaker

    @property
    def held(self) -> bool:
        """Whether the microphone is muted because the loudspeaker sounds."""
        return self._speaker is not None and self._speaker.sounding

    async def blocks(self) -> AsyncIterator[Block]:
        """Yield the source's blocks, except while muted or held. Raises the source's exceptions."""
        self.level_db = SILENCE_DB
        async for block in self._source.blocks():
            self.level_db = max(level_db(block.samples), self.level_db - FALL_DB)
            if not self.muted and not self.held:
                yield block


class HalfDuplex:
    """Wraps a `SoundSink` and tracks whether it is audible."""

    def __init__(self, sink: SoundSink, clock: Clock) -> None:
        self.lead_s = sink.lead_s
        self._sink = sink
        self._clock = clock
        self._until = clock.now()

    @property
    def sounding(self) -> bool:
        """Whether the loudspeaker is audible, or was within the last ROOM_S."""
        return self._clock.now() < self._until

    def play(self, block: int, samples: Samples) -> None:
        """Pass a packet on. Raises the sink's exceptions."""
        self._sink.play(block, samples)
        if level_db(samples) > LOUD_DB:
            self._until = self._clock.now() + self.lead_s + AUDIO_PTIME_MS / 1000 + ROOM_S


def level_db(samples: Samples) -> float:
    """Return the root mean square of int16 samples in dB of full scale."""
    return loudness_db(samples.astype(np.float32) / np.float32(32768))
