"""Pace one session: sound and pictures leave on time, whether or not anything consumes them.

The pacer is the heartbeat of a session. It does not depend on what it feeds: a browser that takes no sound, a device
that fails, a track that nobody reads. The same pacer runs under WebRTC tracks and under devices of this machine.
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

SOUND_SLACK_MS = 2 * AUDIO_PTIME_MS  # from sound's being settled to its being asked for at the earliest
LATE_S = AUDIO_PTIME_MS / 1000  # a tick this late: the program was held up
TURNS = 3  # of the event loop, in which a source that has something to say says it


class Pacer:
    """Takes sound and pictures out of a playout, each at its moment, and hands them on; nothing that it calls may wait.

    taken: packets of sound that came in; the receiver counts them here.
    """

    def __init__(self, playout: Playout, clock: Clock) -> None:
        self.schedule = FrameSchedule(playout.delay_ms)  # of the pictures
        self.taken = 0
        self._playout = playout
        self._clock = clock
        self._start = clock.now()

    def begin(self) -> float:
        """Start the session's time now; return the moment on the machine's monotonic clock."""
        self._start = self._clock.now()
        return self._start

    def now(self) -> float:
        """Return seconds since the session's start."""
        return self._clock.now() - self._start

    async def sleep_until(self, seconds: float) -> None:
        """Return so many seconds after the session's start."""
        await self._clock.sleep_until(self._start + seconds)

    async def play(
        self,
        tick: Callable[[float], None],
        play: Callable[[int, Samples], None],
        played: Callable[[int], None] = lambda position: None,
        lead_s: float = 0.0,
    ) -> None:
        """Hand out sound, for ever.

        tick: is called with the time before each packet, so that time passes also while nothing is heard.
        play: takes the session's n-th packet, int16 [AUDIO_BLOCK, 2].
        played: is called after it with the position before which everything was handed out.
        lead_s: seconds from `play` to the sound's being heard; it is handed out that much earlier than its picture.
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
        """Hand out pictures, for ever: `show` takes the frame's number (negative: before the first) and the picture."""
        delay_s = self._playout.delay_ms / 1000
        while True:
            tick = self.schedule.next_tick(self.now())
            await self.sleep_until(self.schedule.due(tick))
            picture = self._playout.pull_frame(self.schedule.frame_of(tick))
            # By the moment, for those who go by numbers: the schedule may have been moved against the sound's.
            show(round((self.schedule.due(tick) - delay_s) * FPS), picture)

    async def _take_what_came(self) -> None:
        """Let packets that came while the program was held up be taken before time passes: they are not late."""
        taken = -1
        while taken != self.taken:
            taken = self.taken
            for _ in range(TURNS):
                await asyncio.sleep(0)
