"""Which addresses of this machine a peer is told of.

aioice gathers every address except loopback. A server that listens on loopback must do the opposite: nobody else may
reach it, and on a machine without a network there is no other address. Chromium reaches a loopback candidate from its
own ordinary address, so nothing has to be changed in the browser.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Protocol

import aioice.ice

from streamer.core.errors import ConfigError, SessionError


class GetAddresses(Protocol):
    """aioice's way of asking for addresses."""

    def __call__(self, use_ipv4: bool, use_ipv6: bool) -> list[str]:
        """Addresses to gather."""


LOOPBACK = ["127.0.0.1"]  # browsers resolve "localhost" to it too, and one address makes one candidate


def offered_addresses(host: str) -> list[str] | None:
    """Addresses to offer as candidates when listening on `host`; None: every address that is not loopback.

    Raises:
        ConfigError: a name that does not resolve.
    """
    if host == "localhost":
        return LOOPBACK
    try:
        addresses = {str(info[4][0]) for info in socket.getaddrinfo(host or None, None, type=socket.SOCK_DGRAM)}
    except socket.gaierror:
        raise ConfigError(
            f"host {host}: no such address; use localhost, 0.0.0.0 or an address of this machine"
        ) from None
    if not host or any(ipaddress.ip_address(address.split("%")[0]).is_unspecified for address in addresses):
        return None
    return sorted(addresses)


def offer_only(addresses: list[str] | None) -> None:
    """Make every peer connection of this process gather these addresses; None restores aioice's own choice.

    aioice has no option for it, only the function it asks.

    Raises:
        SessionError: this version of aioice asks another one.
    """
    if not hasattr(aioice.ice, "get_host_addresses"):
        raise SessionError("the installed aioice has no get_host_addresses; install aioice 0.10 to 0.13")
    aioice.ice.get_host_addresses = _all_addresses if addresses is None else _fixed(addresses)


_all_addresses = aioice.ice.get_host_addresses


def _fixed(addresses: list[str]) -> GetAddresses:
    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return [address for address in addresses if (use_ipv6 if ":" in address else use_ipv4)]

    return get_host_addresses
