"""Listening sockets of the small web servers of this machine."""

from __future__ import annotations

import errno
import ipaddress
import socket

from streamer.core.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether a server on `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


BACKLOG = 16  # connections waiting to be accepted


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A listening socket. Port 0 takes any free one. `option` is where another can be chosen.

    Raises:
        ConfigError: the port is taken or not allowed, or the host is not an address of this machine.
    """
    name = "127.0.0.1" if host == "localhost" else host or None
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.socket(*found[0][:2])
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on {host}, port {port}: {error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(found[0][4])
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        other = "--host" if getattr(error, "errno", None) == errno.EADDRNOTAVAIL else option
        raise ConfigError(f"cannot listen on {host}, port {port}: {reason}; choose another with {other}") from None
    return listener


def address(host: str, listener: socket.socket) -> str:
    """Where a browser on this machine finds the server."""
    port = listener.getsockname()[1]
    name = "localhost" if is_loopback(host) or host in ("", "0.0.0.0", "::") else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"
