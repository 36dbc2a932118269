"""Ports of this machine, for programs that cannot choose one themselves."""

from __future__ import annotations

import socket
import subprocess

from tests.waiting import attempts


def free_port() -> int:
    """One that nobody listens on, for now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program of another maker takes connections on this machine. Raises AssertionError if it ends."""
    for _ in attempts(step=0.05):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, f"{process.args!r} has ended"
        else:
            return
