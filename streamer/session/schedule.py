"""Playout schedules: when each block of sound and each picture is due."""

from __future__ import annotations

from streamer.audio.format import AUDIO_PTIME_MS
from streamer.core.rates import FRAME_MS, exact_div

MICROSECONDS = 1_000_000


class Schedule:
    """Due times of one track's packets, in seconds after the session's start, to a microsecond.

    Tick n is due at `first_us` + n * `period_us`. After a stall of up to `burst` ticks a track sends all missed ticks
    at once, so a short stall loses nothing; after a longer stall it skips to the current tick.
    """

    def __init__(self, period_us: int, first_us: int, burst: int) -> None:
        self._period = period_us
        self._first = first_us
        self._burst = burst
        self._next = 0

    def next_tick(self, now: float) -> int:
        """Return the tick to send next at time `now`; each call returns a later tick."""
        current = (round(now * MICROSECONDS) - self._first) // self._period
        if current - self._next > self._burst:
            self._next = current
        tick = self._next
        self._next += 1
        return tick

    def due(self, tick: int) -> float:
        """Return when a tick is due, in seconds after the session's start."""
        return (self._first + tick * self._period) / MICROSECONDS

    def nearest(self, moment: float) -> int:
        """Return the tick whose due time is nearest to `moment`, in seconds after the session's start."""
        return round((moment * MICROSECONDS - self._first) / self._period)

    def move(self, seconds: float) -> None:
        """Shift the due times of all ticks: later if positive, earlier if negative, to a microsecond."""
        self._first += round(seconds * MICROSECONDS)


def audio_schedule() -> Schedule:
    """Schedule packets of AUDIO_PTIME_MS; catch up on at most 200 ms, which a listener's jitter buffer absorbs."""
    return Schedule(1000 * AUDIO_PTIME_MS, 0, burst=exact_div(200, AUDIO_PTIME_MS))


class FrameSchedule(Schedule):
    """Schedule of pictures, each due with its first sample; catches up on at most 120 ms.

    A browser buffers pictures and shows them by timestamp, so a picture sent slightly late is still shown.
    """

    def __init__(self, delay_ms: int) -> None:
        super().__init__(1000 * FRAME_MS, 1000 * (delay_ms % FRAME_MS), burst=exact_div(120, FRAME_MS))
        self._ticks_before_frame_0 = delay_ms // FRAME_MS

    def frame_of(self, tick: int) -> int:
        """Return the frame due at `tick`; negative before the first frame is due."""
        return tick - self._ticks_before_frame_0
