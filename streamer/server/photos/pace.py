"""Limits the share of time that photos are processed: conversations lose pictures meanwhile.

Even a process of the lowest priority slows its neighbours where two processors are the halves of one core. A few
photos in a row are processed at once; after that their time is a fixed share (generic cell rate algorithm).
"""

from __future__ import annotations

SHARE = 0.2  # of the time, in the long run
AT_ONCE_S = 8.0  # of processing without a wait: three or four photos


class Pace:
    """When the next photo may begin. Moments are seconds of the caller's clock."""

    def __init__(self, share: float = SHARE, at_once_s: float = AT_ONCE_S) -> None:
        self._share, self._ahead = share, at_once_s / share
        self._due = float("-inf")  # when the time spent so far amounts to the share

    @property
    def begins(self) -> float:
        """The earliest moment for the next photo."""
        return self._due - self._ahead

    def spent(self, begun: float, seconds: float) -> None:
        """Count a photo that took this long."""
        self._due = max(self._due, begun) + seconds / self._share
