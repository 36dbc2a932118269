"""Listening sockets of the web servers, and the URLs that reach them."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Sequence

from streamer.core.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Return whether a server on `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


BACKLOG = 128  # connections waiting to be accepted


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """Open a listening socket. Port 0 takes any free port. option: the command-line option named in error messages.

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


def address(host: str, listener: socket.socket, scheme: str = "http") -> str:
    """Return the server's URL for a browser on this machine."""
    if host in ("localhost", "127.0.0.1", "", "0.0.0.0", "::"):
        return _url("localhost", listener, scheme)
    return _url(host, listener, scheme)


def addresses(host: str, listener: socket.socket, own: Sequence[str], scheme: str = "http") -> list[str]:
    """Return the server's URLs: the one for this machine first, then each of its `own` addresses it listens on."""
    here = address(host, listener, scheme)
    if host not in ("", "0.0.0.0", "::"):
        return [here]
    families = (socket.AF_INET,) if listener.family == socket.AF_INET else (socket.AF_INET, socket.AF_INET6)
    return [here, *(_url(each, listener, scheme) for each in own if _family(each) in families)]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _url(name: str, listener: socket.socket, scheme: str) -> str:
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}/"
