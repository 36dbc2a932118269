"""Selection of the local addresses offered to a peer, and checks of the peer's address.

aioice gathers every address except loopback. A server on loopback accepts only this machine, yet it also offers the
machine's other addresses: Firefox does not use loopback candidates and reaches a server on the same machine through the
address of its network card. This admits no other machine: a packet from an address that does not belong to this machine
is dropped before anything reads it. A machine without a network offers loopback alone, which Chromium accepts.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any, Protocol

import aioice.ice

from streamer.core.errors import ConfigError, SessionError


class GetAddresses(Protocol):
    """Signature of aioice's function that lists local addresses."""

    def __call__(self, use_ipv4: bool, use_ipv6: bool) -> list[str]:
        """Return the addresses to gather."""


LOOPBACK = ["127.0.0.1"]  # browsers resolve "localhost" to it too, and one address makes one candidate
MOST_ADDRESSES = 8  # each costs every session one socket; a host of many containers has dozens


@dataclass(frozen=True)
class Reach:
    """Which clients may connect, and through which addresses.

    addresses: offered first. own: also offer the machine's other addresses. closed: only this machine may connect.
    """

    addresses: tuple[str, ...]
    own: bool
    closed: bool


def reach(host: str) -> Reach:
    """Return how clients reach the sessions of a server that listens on `host`.

    Raises:
        ConfigError: `host` does not resolve.
    """
    if host == "localhost":
        return Reach(tuple(LOOPBACK), own=True, closed=True)
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_DGRAM)}
    except (socket.gaierror, UnicodeError):
        raise ConfigError(
            f"host {host}: no such address; use localhost, 0.0.0.0 or an address of this machine"
        ) from None
    addresses = [ipaddress.ip_address(address.split("%")[0]) for address in sorted(found)]
    if any(address.is_unspecified for address in addresses):
        return Reach(tuple(LOOPBACK), own=True, closed=False)  # loopback: a local caller may have no other address
    if all(address.is_loopback for address in addresses):
        return Reach(tuple(dict.fromkeys([*sorted(found), *LOOPBACK])), own=True, closed=True)
    return Reach(tuple(sorted(found)), own=False, closed=False)


def offer_to(who: Reach) -> None:
    """Make every peer connection of this process offer the addresses and accept the peers that `who` defines.

    aioice has no option for either, so two of its module attributes are replaced.

    Raises:
        SessionError: this version of aioice lacks those attributes.
    """
    if not hasattr(aioice.ice, "get_host_addresses") or not hasattr(aioice.ice, "StunProtocol"):
        raise SessionError("the installed aioice has no get_host_addresses; install aioice 0.10 to 0.13")
    aioice.ice.get_host_addresses = _gathering(who)
    setattr(aioice.ice, "StunProtocol", _NeighboursOnly if who.closed else _StunProtocol)  # noqa: B010 - a type to mypy


def offer_only(addresses: list[str] | None) -> None:
    """Make every peer connection of this process gather these addresses; None: all of the machine's except loopback."""
    offer_to(Reach((), True, False) if addresses is None else Reach(tuple(addresses), False, False))


def own_addresses() -> list[str]:
    """Return this machine's addresses, IPv4 first; without loopback and IPv6 link-local, which needs an interface."""
    return sorted(_own_addresses(use_ipv4=True, use_ipv6=True), key=lambda address: ":" in address)


def is_own(address: str) -> bool:
    """Return whether an address belongs to this machine."""
    plain = address.split("%")[0]
    try:
        known = ipaddress.ip_address(plain)
    except ValueError:
        return False
    mapped = getattr(known, "ipv4_mapped", None) or known
    return mapped.is_loopback or str(mapped) in _own_addresses(use_ipv4=True, use_ipv6=True)


_own_addresses: GetAddresses = aioice.ice.get_host_addresses
_StunProtocol = aioice.ice.StunProtocol


class _NeighboursOnly(_StunProtocol):
    """An ICE socket that accepts packets from this machine only."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._own = frozenset(_own_addresses(use_ipv4=True, use_ipv6=True))

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Pass on packets from this machine; drop all others unread."""
        source = str(addr[0]).split("%")[0]
        if source in self._own or ipaddress.ip_address(source).is_loopback:
            super().datagram_received(data, addr)


def _gathering(who: Reach) -> GetAddresses:
    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        wanted = [address for address in who.addresses if (use_ipv6 if ":" in address else use_ipv4)]
        if who.own:
            wanted += sorted(_own_addresses(use_ipv4=use_ipv4, use_ipv6=use_ipv6), key=lambda address: ":" in address)
        return list(dict.fromkeys(wanted))[:MOST_ADDRESSES]

    return get_host_addresses
