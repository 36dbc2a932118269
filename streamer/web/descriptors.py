"""How many connections the process may hold, with what calls need left over."""

from __future__ import annotations

import sys
from dataclasses import replace

from streamer.web.door import DoorLimits

WANTED = 4096
EACH_SESSION = 24  # sockets of ICE, for each address of the machine, and a recording
REST = 64  # pipes, files, the engines' process
LEAST = 16


def door_limits(sessions: int) -> DoorLimits:
    """Return the limits of a server that holds so many sessions."""
    limits = DoorLimits()
    return replace(limits, connections=most_connections(limits.connections, sessions))


def most_connections(wanted: int, sessions: int) -> int:
    """Return how many of the `wanted` connections can be held beside so many sessions.

    The limit of the process is raised as far as it is allowed to be.
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
