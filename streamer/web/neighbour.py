"""Which user of this machine is at the other end of a connection, where the system tells (Linux)."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path

TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def is_another_users(peer: tuple[str, int], own: tuple[str, int]) -> bool:
    """Whether the connection from `peer` to our `own` address belongs to a program of another user of this machine.

    False where that cannot be known: another system, or a peer that is not on this machine.
    """
    found = _owner(peer, own)
    return found is not None and hasattr(os, "getuid") and found != os.getuid()


def _owner(peer: tuple[str, int], own: tuple[str, int]) -> int | None:
    """The user of the peer's end: the kernel lists each end of a connection by its local and its remote address."""
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
    """An address as the kernel's tables have it, as itself and as IPv6: words of four bytes in the machine's order."""
    host = ipaddress.ip_address(address[0].split("%")[0])
    wide = host if host.version == 6 else ipaddress.ip_address(f"::ffff:{host}")
    return _spelt(host.packed, address[1]), _spelt(wide.packed, address[1])


def _spelt(packed: bytes, port: int) -> str:
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    numbers = (int.from_bytes(word, sys.byteorder) for word in words)
    return "".join(f"{number:08X}" for number in numbers) + f":{port:04X}"
