"""The address of a machine that the world knows by another than its own: one-to-one NAT, as clouds have it.

Packets to the public address come to the machine's own with their ports unchanged, so an answer names both.
"""

from __future__ import annotations

import re

_HOST = re.compile(r"^a=candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) typ host\b[^\r\n]*", re.MULTILINE)
_announced: list[str] = []  # of all connections of this process, at most one


def announce(address: str | None) -> None:
    """Let every answer of this process name this IPv4 address, too; None: no more."""
    _announced[:] = [] if address is None else [address]


def with_announced(sdp: str) -> str:
    """An answer, each of its media with the public address beside the machine's own of IPv4."""
    for address in _announced:
        sdp = "m=".join(_beside(part, address) for part in sdp.split("m="))
    return sdp


def _beside(part: str, public: str) -> str:
    """The first candidate of the machine's own, once more with the public address."""
    own = [found for found in _HOST.finditer(part) if "." in found[5] and not found[5].startswith("127.")]
    if not own:
        return part
    foundation, component, transport, priority, address, port = own[0].groups()
    related = f"raddr {address} rport {port}"
    line = f"a=candidate:{foundation}p {component} {transport} {int(priority) // 2} {public} {port} typ srflx {related}"
    return f"{part[: own[0].end()]}\r\n{line}{part[own[0].end() :]}"
