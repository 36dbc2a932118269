"""Enforcement of token quotas: a session ends when its token expires, is revoked or has used up its minutes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from streamer.access.grant import Grant
from streamer.access.usage import Lease, Usage
from streamer.core.aio import Tasks, until_first
from streamer.server.peer_session import Session

REVOKED = "its token has been revoked"


class Holding:
    """One session's share of a token's quota, held until the session ends; released if no session is opened."""

    def __init__(self) -> None:
        self.session: Session | None = None

    def holds(self, session: Session | None) -> None:
        """Record the opened session; None if it has ended already."""
        self.session = session


class Quotas:
    """The quotas of all tokens of a server."""

    def __init__(self) -> None:
        self._usage = Usage()
        self._tasks = Tasks()

    @contextlib.contextmanager
    def session(self, grant: Grant, replaces: bool, until_revoked: Callable[[], Awaitable[None]]) -> Iterator[Holding]:
        """Count one more session of a token; open it within the block and pass it to `Holding.holds`.

        replaces: the session takes over from one that is about to end. until_revoked: waits until the token is revoked.
        Raises QuotaError.
        """
        lease, holding = self._usage.begin(grant, replaces), Holding()
        try:
            yield holding
        finally:
            if holding.session is None:
                lease.close()
            else:
                self._tasks.spawn(_until_over(holding.session, lease, until_revoked))


async def _until_over(session: Session, lease: Lease, until_revoked: Callable[[], Awaitable[None]]) -> None:
    async def revoked() -> None:
        await until_revoked()
        await session.close(REVOKED)

    try:
        async with asyncio.timeout(lease.seconds):
            await until_first(session.ended(), revoked())
    except TimeoutError:
        await session.close(lease.reason)
    finally:
        lease.close()
