"""HTTPS of the server's own: a slow handshake holds nobody up, a renewed certificate is taken without a new start."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509

from streamer.core.aio import MonotonicClock
from streamer.core.errors import ConfigError
from streamer.web.door import Door, DoorLimits
from streamer.web.listen import listen
from streamer.web.tls import Certificate
from tests.fakes.certificates import Pair, write_pair
from tests.waiting import eventually


@asynccontextmanager
async def serving(certificate: Certificate) -> AsyncIterator[tuple[int, Door]]:
    """A server's port, and its door."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"hello by {request.scheme}")

    listener = listen("localhost", 0)
    door = Door(lambda: protocol(), DoorLimits(), MonotonicClock(), certificate.context)
    app = web.Application(middlewares=[door.middleware()])
    app.add_routes([web.get("/", hello)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    assert runner.server is not None
    protocol = runner.server
    port = listener.getsockname()[1]
    task = asyncio.create_task(door.serve(listener))
    yield port, door
    task.cancel()
    await runner.cleanup()


async def served(port: int, trusted: ssl.SSLContext) -> str:
    connector = aiohttp.TCPConnector(ssl=trusted, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http, http.get(f"https://localhost:{port}/") as response:
        return await response.text()


def serial(port: int) -> int:
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("localhost", port)).encode()).serial_number


async def test_who_never_finishes_a_handshake_holds_nobody_up(tmp_path: Path) -> None:
    pair = write_pair(tmp_path)
    async with serving(Certificate(pair.chain, pair.key)) as (port, door):
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        assert await served(port, pair.trusting()) == "hello by https"
        await eventually(lambda: door.connections >= 5)
        silent[0].sendall(b"GET / HTTP/1.1\r\n\r\n")  # plain HTTP
        for each in silent:
            each.close()
        await eventually(lambda: door.connections == 0)
        assert await served(port, pair.trusting()) == "hello by https"


async def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = write_pair(tmp_path)
    certificate = Certificate(first.chain, first.key)
    async with serving(certificate) as (port, _):
        assert await asyncio.to_thread(serial, port) == first.serial
        assert not certificate.renew()
        second = write_pair(tmp_path)
        assert certificate.renew()
        assert await asyncio.to_thread(serial, port) == second.serial
        other = write_pair(tmp_path / "other")
        second.key.write_bytes(other.key.read_bytes())  # of another certificate
        assert not certificate.renew()
        assert "the certificate before goes on" in caplog.text
        assert await served(port, _trusting(second)) == "hello by https"


def _trusting(pair: Pair) -> ssl.SSLContext:
    return pair.trusting()


@pytest.mark.parametrize("broken", ["missing", "nonsense", "another's key"])
def test_what_is_no_pair_is_refused_with_its_name(tmp_path: Path, broken: str) -> None:
    pair = write_pair(tmp_path)
    if broken == "missing":
        pair.key.unlink()
    elif broken == "nonsense":
        pair.chain.write_text("nonsense")
    else:
        pair.key.write_bytes(write_pair(tmp_path / "other").key.read_bytes())
    with pytest.raises(ConfigError, match=r"\.pem"):
        Certificate(pair.chain, pair.key)
