"""Choose the local addresses offered to a peer, and check the peer's.

aioice gathers every address except loopback. A server on loopback is for this machine only, and yet offers the
machine's other addresses beside its own: Firefox does not use loopback candidates, and reaches a neighbour on the same
machine by the address of its network card. Nobody else gets in by them: a packet that comes from an address which is
not this machine's is dropped before anything reads it. On a machine without a network, loopback is all there is, which
Chromium takes.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any, Protocol

import aioice.ice

from streamer.core.errors import ConfigError, SessionError


class GetAddresses(Protocol):
    """aioice's way of asking for addresses."""

    def __call__(self, use_ipv4: bool, use_ipv6: bool) -> list[str]:
        """Addresses to gather."""


LOOPBACK = ["127.0.0.1"]  # browsers resolve "localhost" to it too, and one address makes one candidate
MOST_ADDRESSES = 8  # each is a socket of every session; a machine of many containers has dozens


@dataclass(frozen=True)
class Reach:
    """Who may come, and by which addresses.

    addresses: offered first. own: the machine's other addresses are offered, too. closed: only this machine may come.
    """

    addresses: tuple[str, ...]
    own: bool
    closed: bool


def reach(host: str) -> Reach:
    """How sessions of a server that listens on `host` are reached.

    Raises:
        ConfigError: a name that does not resolve.
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
        return Reach(tuple(LOOPBACK), own=True, closed=False)  # loopback: a caller here may have no other
    if all(address.is_loopback for address in addresses):
        return Reach(tuple(dict.fromkeys([*sorted(found), *LOOPBACK])), own=True, closed=True)
    return Reach(tuple(sorted(found)), own=False, closed=False)


def offer_to(who: Reach) -> None:
    """Make every peer connection of this process gather and take what `who` says.

    aioice has no option for either, only the names it asks by.

    Raises:
        SessionError: this version of aioice asks by others.
    """
    if not hasattr(aioice.ice, "get_host_addresses") or not hasattr(aioice.ice, "StunProtocol"):
        raise SessionError("the installed aioice has no get_host_addresses; install aioice 0.10 to 0.13")
    aioice.ice.get_host_addresses = _gathering(who)
    setattr(aioice.ice, "StunProtocol", _NeighboursOnly if who.closed else _StunProtocol)  # noqa: B010 - a type to mypy


def offer_only(addresses: list[str] | None) -> None:
    """Make every peer connection of this process gather these addresses; None: the machine's own, not loopback."""
    offer_to(Reach((), True, False) if addresses is None else Reach(tuple(addresses), False, False))


def own_addresses() -> list[str]:
    """This machine's addresses but loopback, IPv4 first; link-local ones of IPv6, which need an interface, left out."""
    return sorted(_own_addresses(use_ipv4=True, use_ipv6=True), key=lambda address: ":" in address)


def is_own(address: str) -> bool:
    """Whether an address is one of this machine's."""
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
    """A socket of ICE that hears this machine only."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._own = frozenset(_own_addresses(use_ipv4=True, use_ipv6=True))

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """Take what comes from here; drop the rest unread."""
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
