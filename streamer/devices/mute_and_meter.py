"""What a person can do about their microphone: see its level, mute it, and play the voice without feeding it back.

There is no echo canceller. A canceller learns the way from loudspeaker to microphone while the other side talks alone;
here the other side is the speaker's own voice, a third of a second later, so that both talk nearly all the time, and
what it fails to take away comes back as an echo of itself. The browser page has the browser's; here the choice is
headphones, or half duplex: while the loudspeaker sounds, the microphone is not heard.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from streamer.audio.format import AUDIO_PTIME_MS, Samples
from streamer.audio.loudness import SILENCE_DB, loudness_db
from streamer.core.aio import Clock
from streamer.session.ends import Block, SoundSink, SoundSource

LOUD_DB = -45.0  # of full scale: what a loudspeaker makes of less, a microphone hardly hears
ROOM_S = 0.2  # after the last loud sound: the room's echo, and the microphone's own delay
FALL_DB = 1.0  # a block, of the level shown: peaks can be read


class Hearing:
    """A `SoundSource` made of another, with a level and a mute switch; `speaker` closes it while it sounds."""

    def __init__(self, source: SoundSource, speaker: HalfDuplex | None = None) -> None:
        self.name = source.name
        self.muted = False
        self.level_db = SILENCE_DB  # of the source, muted or not; peaks fall slowly
        self._source = source
        self._speaker = speaker

    @property
    def held(self) -> bool:
        """Whether the microphone is not heard because the loudspeaker sounds."""
        return self._speaker is not None and self._speaker.sounding

    async def blocks(self) -> AsyncIterator[Block]:
        """The source's blocks that are to be heard; raises what the source does."""
        self.level_db = SILENCE_DB
        async for block in self._source.blocks():
            self.level_db = max(level_db(block.samples), self.level_db - FALL_DB)
            if not self.muted and not self.held:
                yield block


class HalfDuplex:
    """A `SoundSink` made of another that knows whether it can be heard."""

    def __init__(self, sink: SoundSink, clock: Clock) -> None:
        self.lead_s = sink.lead_s
        self._sink = sink
        self._clock = clock
        self._until = clock.now()

    @property
    def sounding(self) -> bool:
        """Whether it sounds, or did a moment ago."""
        return self._clock.now() < self._until

    def play(self, block: int, samples: Samples) -> None:
        """Pass a packet on; raises what the sink does."""
        self._sink.play(block, samples)
        if level_db(samples) > LOUD_DB:
            self._until = self._clock.now() + self.lead_s + AUDIO_PTIME_MS / 1000 + ROOM_S


def level_db(samples: Samples) -> float:
    """Root mean square of int16 samples in dB of full scale."""
    return loudness_db(samples.astype(np.float32) / np.float32(32768))
