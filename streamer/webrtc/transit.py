"""How long what a sender sends is under way, seen from its timestamps: what aligns two of its streams.

A packet's *transit* is its arrival, on this machine's clock, minus its timestamp. The two clocks have nothing to do
with each other, so only differences mean anything. The least transit of a while is that of packets nothing held up.
Packets of two streams that left at the same moment have least transits that differ by exactly what their timestamps do.
"""

from __future__ import annotations

import math

from streamer.core.aio import Clock

WINDOW_S = 5.0  # the least of this window and the one before counts: clocks drift, paths change


class Arrivals:
    """Of the packets of one stream, whose timestamps count at `rate`."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._stamp: int | None = None  # the last, unwrapped
        self._zero: int | None = None
        self._before = self._least = math.inf  # s, of the window before and of this one
        self._since = clock.now()

    def note(self, stamp: int) -> None:
        """A packet with this 32-bit timestamp has come."""
        self._stamp = self._unwrapped(stamp)
        now = self._clock.now()
        transit = now - self._stamp / self._rate
        if now - self._since >= WINDOW_S:
            self._before, self._least, self._since = self._least, transit, now
        else:
            self._least = min(self._least, transit)

    def count_from(self, stamp: int) -> None:
        """Set the first timestamp, from which decoded frames count; later calls change nothing."""
        if self._zero is None:
            self._zero = self._unwrapped(stamp)

    @property
    def transit_s(self) -> float | None:
        """The least transit, by timestamps as what is decoded has them; None before there is any."""
        if self._zero is None:
            return None
        return min(self._before, self._least) + self._zero / self._rate

    def _unwrapped(self, stamp: int) -> int:
        if self._stamp is None:
            return stamp
        return self._stamp + signed(stamp - self._stamp, 32)


def signed(difference: int, bits: int) -> int:
    """A difference of two counts of so many bits that wrap around: the one that is nearest to 0."""
    half = 1 << bits - 1
    return (difference + half) % (2 * half) - half
