"""Connection limit from the process's file descriptor limit, with enough descriptors reserved for calls."""

from __future__ import annotations

import sys
from dataclasses import replace

from streamer.web.door import DoorLimits

WANTED = 4096
EACH_SESSION = 24  # ICE sockets for each address of the machine, and a recording
REST = 64  # pipes, files, the engines' process
LEAST = 16


def door_limits(sessions: int) -> DoorLimits:
    """Return the connection limits of a server with this many sessions."""
    limits = DoorLimits()
    return replace(limits, connections=most_connections(limits.connections, sessions))


def most_connections(wanted: int, sessions: int) -> int:
    """Return how many of the `wanted` connections fit beside this many sessions.

    Raises the process's soft descriptor limit as far as allowed, up to WANTED.
    """
    if sys.platform == "win32":
        return wanted
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(LEAST, min(wanted, soft - REST - EACH_SESSION * sessions))
