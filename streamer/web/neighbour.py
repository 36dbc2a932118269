"""Lookup of the local user at the other end of a connection (Linux only)."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def is_another_users(peer: tuple[str, int], own: tuple[str, int]) -> bool:
    """Return whether the connection from `peer` to our `own` address belongs to another user of this machine.

    False if that is unknown: another operating system, or a peer on another machine.
    """
    found = _owner(peer, own)
    return found is not None and hasattr(os, "getuid") and found != os.getuid()


def _owner(peer: tuple[str, int], own: tuple[str, int]) -> int | None:
    """Return the user id of the peer's end; the kernel lists each end of a connection by local and remote address."""
    wanted = {f"{local} {remote}" for local, remote in zip(_spellings(peer), _spellings(own), strict=True)}
    for table in TABLES:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if " ".join(fields[1:3]) in wanted:
                return int(fields[7])
    return None


def _spellings(address: tuple[str, int]) -> tuple[str, str]:
    """Return an address as in the kernel's tables, in its own family and as IPv6: 4-byte words in native byte order."""
    host = ipaddress.ip_address(address[0].split("%")[0])
    wide = host if host.version == 6 else ipaddress.ip_address(f"::ffff:{host}")
    return _spelt(host.packed, address[1]), _spelt(wide.packed, address[1])


def _spelt(packed: bytes, port: int) -> str:
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    numbers = (int.from_bytes(word, sys.byteorder) for word in words)
    return "".join(f"{number:08X}" for number in numbers) + f":{port:04X}"
