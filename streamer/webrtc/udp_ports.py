"""UDP ports from a fixed range, for firewalls that open only that range.

aioice always binds its sockets to port 0 and has no option for it, so a custom event loop picks the port.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable
from typing import Any


class _Ranged(asyncio.SelectorEventLoop):
    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self._ports = range(first, last + 1)

    async def create_datagram_endpoint(  # type: ignore[override]
        self, protocol_factory: Any, local_addr: Any = None, **options: Any
    ) -> Any:
        """Map port 0 to a free port of the range. Raises OSError (EADDRINUSE) if none is free."""
        bind = super().create_datagram_endpoint
        if local_addr is None or local_addr[1] != 0:
            return await bind(protocol_factory, local_addr, **options)
        for port in random.sample(self._ports, len(self._ports)):
            try:
                return await bind(protocol_factory, (local_addr[0], port), **options)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
        raise OSError(errno.EADDRINUSE, f"no UDP port from {self._ports[0]} to {self._ports[-1]} is free")


def loop_factory(ports: tuple[int, int] | None) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return a factory of event loops that bind UDP sockets to these ports (first, last); None allows any port."""
    return None if ports is None else lambda: _Ranged(*ports)
