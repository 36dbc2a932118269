"""Transit times of a sender's packets, from their timestamps, used to align two of its streams.

A packet's *transit* is its arrival on this machine's clock minus its timestamp. The two clocks are unrelated, so only
differences of transits are meaningful. The minimum transit over a window belongs to packets that were not delayed.
The minimum transits of two streams therefore differ by the offset between their timestamps.
"""

from __future__ import annotations

import math

from streamer.core.aio import Clock

WINDOW_S = 5.0  # the minimum over this window and the previous one counts: clocks drift, paths change


class Arrivals:
    """Arrival times of one stream's packets, whose timestamps count at `rate`."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._stamp: int | None = None  # the last timestamp, unwrapped
        self._zero: int | None = None
        self._before = self._least = math.inf  # minimum transit of the previous and the current window, in s
        self._since = clock.now()

    def note(self, stamp: int) -> None:
        """Record the arrival of a packet with this 32-bit timestamp."""
        self._stamp = self._unwrapped(stamp)
        now = self._clock.now()
        transit = now - self._stamp / self._rate
        if now - self._since >= WINDOW_S:
            self._before, self._least, self._since = self._least, transit, now
        else:
            self._least = min(self._least, transit)

    def count_from(self, stamp: int) -> None:
        """Set the timestamp at which decoded frames start to count; later calls have no effect."""
        if self._zero is None:
            self._zero = self._unwrapped(stamp)

    @property
    def transit_s(self) -> float | None:
        """Minimum transit relative to the timestamps of decoded frames; None before `count_from`."""
        if self._zero is None:
            return None
        return min(self._before, self._least) + self._zero / self._rate

    def _unwrapped(self, stamp: int) -> int:
        if self._stamp is None:
            return stamp
        return self._stamp + signed(stamp - self._stamp, 32)


def signed(difference: int, bits: int) -> int:
    """Return a difference of two wrapping `bits`-bit counters as the signed value nearest to 0."""
    half = 1 << bits - 1
    return (difference + half) % (2 * half) - half
