"""How many conversations this machine has the time for, from what pictures take on it."""

from __future__ import annotations

from collections.abc import Callable

from streamer.core.rates import FPS
from streamer.inference.messages import Pulse

ROOM = 0.9  # of the inference process's time
MOST_SESSIONS = 16  # however fast pictures are made: each takes sockets, and the sender's time


def sessions_in_time(pulse: Pulse, open_sessions: int) -> int:
    """How many sessions there may be, at least one, so that none has less than all its pictures.

    While something is left out already (see `core.rungs`) there are no more than there are.
    """
    if pulse.rung > 0:
        return max(1, open_sessions)
    if pulse.frame_s <= 0:
        return MOST_SESSIONS
    return max(1, min(MOST_SESSIONS, int(ROOM / (FPS * pulse.frame_s))))


def most_sessions(asked: int | None, pulse: Callable[[], Pulse], open_sessions: Callable[[], int]) -> Callable[[], int]:
    """Return what tells how many sessions there may be now; `asked` None is as many as there is time for."""
    if asked is not None:
        return lambda: asked
    return lambda: sessions_in_time(pulse(), open_sessions())
