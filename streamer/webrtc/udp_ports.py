"""UDP ports from a range, for firewalls that open no more.

aioice binds its sockets to port 0 and has no option; the event loop, which it asks, is ours to choose.
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
        """As ever, but port 0 is one of the range. Raises OSError (EADDRINUSE) when none of it is free."""
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
    """What makes an event loop whose sockets of UDP have these ports, first and last; None: any."""
    return None if ports is None else lambda: _Ranged(*ports)
