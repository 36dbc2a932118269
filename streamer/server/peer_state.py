"""The states of a peer session and the allowed transitions."""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """State of a session."""

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
