"""Pacing of one session: sound and pictures leave on time, whether or not anything consumes them.

The pacer is the session's heartbeat. It does not depend on its consumers: a browser that takes no sound, a device that
fails or a track that is never read does not stop it. WebRTC tracks and local devices use the same pacer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streamer.audio.format import AUDIO_PTIME_MS, Samples
from streamer.core.aio import Clock
from streamer.core.frames import ByteArray
from streamer.core.rates import FPS
from streamer.session.playout import Playout
from streamer.session.schedule import FrameSchedule, audio_schedule
from streamer.session.timeline import MARGIN_MS

SOUND_SLACK_MS = 2 * AUDIO_PTIME_MS  # minimum time from settling sound to requesting it
LATE_S = AUDIO_PTIME_MS / 1000  # a tick later than this means that the process stalled
TURNS = 3  # of the event loop, enough for a source to deliver its pending packets


class Pacer:
    """Pulls sound and pictures from a playout when due and passes them on. Its callbacks must not block.

    taken: number of received sound packets; the receiver increments it.
    """

    def __init__(self, playout: Playout, clock: Clock) -> None:
        self.schedule = FrameSchedule(playout.delay_ms)  # due times of the pictures
        self.taken = 0
        self._playout = playout
        self._clock = clock
        self._start = clock.now()

    def begin(self) -> float:
        """Start the session's clock now; return the start on the machine's monotonic clock."""
        self._start = self._clock.now()
        return self._start

    def now(self) -> float:
        """Return seconds since the session's start."""
        return self._clock.now() - self._start

    async def sleep_until(self, seconds: float) -> None:
        """Sleep until this many seconds after the session's start."""
        await self._clock.sleep_until(self._start + seconds)

    async def play(
        self,
        tick: Callable[[float], None],
        play: Callable[[int, Samples], None],
        played: Callable[[int], None] = lambda position: None,
        lead_s: float = 0.0,
    ) -> None:
        """Send sound until cancelled.

        tick: called with the current time before each packet, so time advances even without input.
        play: takes the session's n-th packet, int16 [AUDIO_BLOCK, 2].
        played: called after `play` with the playout position; everything before it has been sent.
        lead_s: output latency in seconds from `play` until the sound is audible; sound leaves this much before its
            picture.
        """
        longest = self._playout.delay_ms - MARGIN_MS - SOUND_SLACK_MS
        schedule = audio_schedule()
        schedule.move(-max(0, min(round(1000 * lead_s), longest)) / 1000)
        while True:
            block = schedule.next_tick(self.now())
            await self.sleep_until(schedule.due(block))
            if self.now() - schedule.due(block) > LATE_S:
                await self._take_what_came()
            tick(self.now())
            play(block, self._playout.pull_audio(block))
            played(self._playout.position)

    async def show(self, show: Callable[[int, ByteArray], None]) -> None:
        """Send pictures until cancelled. `show` takes the frame number (negative before the first) and the picture."""
        delay_s = self._playout.delay_ms / 1000
        while True:
            tick = self.schedule.next_tick(self.now())
            await self.sleep_until(self.schedule.due(tick))
            picture = self._playout.pull_frame(self.schedule.frame_of(tick))
            # Derive the frame number from the due time: the schedule may have been shifted relative to the sound's.
            show(round((self.schedule.due(tick) - delay_s) * FPS), picture)

    async def _take_what_came(self) -> None:
        """Process packets that arrived while the process stalled before advancing time: they are not late."""
        taken = -1
        while taken != self.taken:
            taken = self.taken
            for _ in range(TURNS):
                await asyncio.sleep(0)
