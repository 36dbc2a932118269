"""TCP ports of this machine in a network namespace without another way out, as a network is that lets no UDP through.

A Unix socket joins the two sides, as files know no network namespaces.

    python -m tests.fakes.tunnel PORT SOCKET [PORT SOCKET ...]

is the namespace's side: it listens on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PIECE = 1 << 16


@contextlib.asynccontextmanager
async def way_out(port: int, path: Path) -> AsyncIterator[None]:
    """This machine's side: connections to the Unix socket lead to a port of 127.0.0.1."""
    joined = _joining(partial(asyncio.open_connection, "127.0.0.1", port))
    async with await asyncio.start_unix_server(joined, path):
        yield


async def _way_in(ports: dict[int, Path]) -> None:
    servers = []
    for port, path in ports.items():
        joined = _joining(partial(asyncio.open_unix_connection, path))
        servers.append(await asyncio.start_server(joined, "127.0.0.1", port))
    await asyncio.gather(*(server.serve_forever() for server in servers))


def _joining(
    connect: Callable[[], Awaitable[Streams]],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await connect()
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        writer.close()

    return join


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(_way_in({int(port): Path(path) for port, path in zip(given[::2], given[1::2], strict=True)}))
