"""Schedules of playout: when each block of sound and each picture is due."""

from __future__ import annotations

from streamer.audio.format import AUDIO_PTIME_MS
from streamer.core.rates import FRAME_MS, exact_div

MICROSECONDS = 1_000_000


class Schedule:
    """When the packets of one track are due, in seconds after the session's start, to a microsecond.

    Tick n is due at `first_us` + n * `period_us`. A track that was held up sends what it missed as long as that is less
    than `burst` ticks, so that nothing is lost to a short stall, and otherwise goes on with the present.
    """

    def __init__(self, period_us: int, first_us: int, burst: int) -> None:
        self._period = period_us
        self._first = first_us
        self._burst = burst
        self._next = 0

    def next_tick(self, now: float) -> int:
        """The tick to send next, seen from `now`; each call gives a later one."""
        current = (round(now * MICROSECONDS) - self._first) // self._period
        if current - self._next > self._burst:
            self._next = current
        tick = self._next
        self._next += 1
        return tick

    def due(self, tick: int) -> float:
        """Seconds after the session's start."""
        return (self._first + tick * self._period) / MICROSECONDS

    def nearest(self, moment: float) -> int:
        """The tick that is due nearest to `moment`, in seconds after the session's start."""
        return round((moment * MICROSECONDS - self._first) / self._period)

    def move(self, seconds: float) -> None:
        """From now on all ticks are due so much later (or earlier, below 0), to a microsecond."""
        self._first += round(seconds * MICROSECONDS)


def audio_schedule() -> Schedule:
    """Packets of AUDIO_PTIME_MS; up to 200 ms are caught up with: a listener's jitter buffer takes that."""
    return Schedule(1000 * AUDIO_PTIME_MS, 0, burst=exact_div(200, AUDIO_PTIME_MS))


class FrameSchedule(Schedule):
    """Pictures, each due with the first of its samples; up to 120 ms are caught up with.

    A browser shows pictures by their timestamps behind its own buffer, so one sent a little late is still seen.
    """

    def __init__(self, delay_ms: int) -> None:
        super().__init__(1000 * FRAME_MS, 1000 * (delay_ms % FRAME_MS), burst=exact_div(120, FRAME_MS))
        self._ticks_before_frame_0 = delay_ms // FRAME_MS

    def frame_of(self, tick: int) -> int:
        """The frame due at `tick`; negative while the first has not been made."""
        return tick - self._ticks_before_frame_0
