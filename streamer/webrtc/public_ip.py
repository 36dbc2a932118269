"""Public address of a machine behind one-to-one NAT, as in clouds.

The NAT forwards packets for the public address to the machine's own address with unchanged ports, so an answer lists
both addresses.
"""

from __future__ import annotations

import re

_HOST = re.compile(r"^a=candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) typ host\b[^\r\n]*", re.MULTILINE)
_announced: list[str] = []  # for all connections of this process; at most one address


def announce(address: str | None) -> None:
    """Add this public IPv4 address to every answer of this process; None stops that."""
    _announced[:] = [] if address is None else [address]


def with_announced(sdp: str) -> str:
    """Return an answer with a candidate for the public address added to each media section."""
    for address in _announced:
        sdp = "m=".join(_beside(part, address) for part in sdp.split("m="))
    return sdp


def _beside(part: str, public: str) -> str:
    """Repeat a section's first non-loopback IPv4 host candidate with the public address."""
    own = [found for found in _HOST.finditer(part) if "." in found[5] and not found[5].startswith("127.")]
    if not own:
        return part
    foundation, component, transport, priority, address, port = own[0].groups()
    related = f"raddr {address} rport {port}"
    line = f"a=candidate:{foundation}p {component} {transport} {int(priority) // 2} {public} {port} typ srflx {related}"
    return f"{part[: own[0].end()]}\r\n{line}{part[own[0].end() :]}"
