"""Session limit of this machine, computed from the measured render time of a frame."""

from __future__ import annotations

from collections.abc import Callable

from streamer.core.rates import FPS
from streamer.inference.messages import Pulse

ROOM = 0.9  # share of the inference process's time to use
MOST_SESSIONS = 16  # upper bound even on a fast machine: each session takes sockets and sender time


def sessions_in_time(pulse: Pulse, open_sessions: int) -> int:
    """Return the number of sessions, at least one, that can run at full frame rate.

    While the worker is degraded already (see `core.rungs`), no more than the open sessions are allowed.
    """
    if pulse.rung > 0:
        return max(1, open_sessions)
    if pulse.frame_s <= 0:
        return MOST_SESSIONS
    return max(1, min(MOST_SESSIONS, int(ROOM / (FPS * pulse.frame_s))))


def most_sessions(asked: int | None, pulse: Callable[[], Pulse], open_sessions: Callable[[], int]) -> Callable[[], int]:
    """Return a function that gives the current session limit: `asked`, or if that is None the measured capacity."""
    if asked is not None:
        return lambda: asked
    return lambda: sessions_in_time(pulse(), open_sessions())
