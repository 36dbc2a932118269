"""Whether the other side has gone: nothing has come from it for too long."""

from __future__ import annotations

from streamer.core.aio import Clock

LOOK_S = 0.5  # between two looks


class Silence:
    """Lasts until `heard` is called. While this program itself is held up, it sees nothing of what comes.

    So a look that is late counts as one that is not: what came meanwhile is still to be read.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = 0.0

    def heard(self, patience_s: float) -> None:
        """Something came; if nothing else does for so long, the other side has gone."""
        self._until = self._clock.now() + patience_s

    async def too_long(self) -> None:
        """Return once it has gone."""
        while (now := self._clock.now()) < self._until:
            due = min(self._until, now + LOOK_S)
            await self._clock.sleep_until(due)
            if (late := self._clock.now() - due) > LOOK_S:
                self._until += late
