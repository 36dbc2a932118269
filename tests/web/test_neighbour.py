"""Who is at the other end of a connection is known, where the system tells."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from streamer.web.neighbour import is_another_users

CONNECT = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); sys.stdin.read()"
LOOPBACKS = ["127.0.0.1", "::1"]


@pytest.mark.parametrize("host", LOOPBACKS)
def test_a_program_of_the_same_user_is_accepted(host: str) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        ours = socket.create_connection(listener.getsockname()[:2])
        accepted, peer = listener.accept()
        with ours, accepted:
            assert not is_another_users(peer[:2], accepted.getsockname()[:2])


def test_a_peer_that_is_elsewhere_is_not_known() -> None:
    assert not is_another_users(("203.0.113.9", 5000), ("127.0.0.1", 8080))


@pytest.mark.process
@pytest.mark.skipif(
    sys.platform != "linux" or os.getuid() != 0, reason="NOT ROOT ON LINUX: no program can be started as another user"
)
@pytest.mark.parametrize("host", LOOPBACKS)
def test_a_program_of_another_user_is_reported(host: str) -> None:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.settimeout(60)
        command = ["/usr/bin/python3", "-c", CONNECT, host, str(listener.getsockname()[1])]
        with subprocess.Popen(command, stdin=subprocess.PIPE, user=65534, cwd="/") as other:
            accepted, peer = listener.accept()
            with accepted:
                assert is_another_users(peer[:2], accepted.getsockname()[:2])
            other.communicate()
