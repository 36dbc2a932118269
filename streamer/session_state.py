"""The states of a session, and which lead to which.

NEW -> CONNECTING -> LIVE -> CLOSING -> CLOSED      every state may go to CLOSING
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """Of a session; see the module's head."""

    NEW = auto()
    CONNECTING = auto()
    LIVE = auto()
    CLOSING = auto()
    CLOSED = auto()


TRANSITIONS = {
    State.NEW: {State.CONNECTING, State.CLOSING},
    State.CONNECTING: {State.LIVE, State.CLOSING},
    State.LIVE: {State.CLOSING},
    State.CLOSING: {State.CLOSED},
    State.CLOSED: set[State](),
}
