"""Detects that the peer is gone: no packet has arrived from it for too long."""

from __future__ import annotations

from streamer.core.aio import Clock

LOOK_S = 0.5  # between checks


class Silence:
    """A timeout that each call of `heard` restarts.

    A late check means that this program was held up, and packets that arrived meanwhile are not read yet. So the
    timeout is extended by the time that the check was late.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = 0.0

    def heard(self, patience_s: float) -> None:
        """Note that a packet arrived; the peer counts as gone if no other arrives within `patience_s`."""
        self._until = self._clock.now() + patience_s

    async def too_long(self) -> None:
        """Wait until the peer counts as gone."""
        while (now := self._clock.now()) < self._until:
            due = min(self._until, now + LOOK_S)
            await self._clock.sleep_until(due)
            if (late := self._clock.now() - due) > LOOK_S:
                self._until += late
