"""A connection's bytes get as much of the event loop's time as there is; none is lost, and none comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from streamer.web.reading import PIECE, Measured, ReadingLimits, ReadingTime
from tests.waiting import eventually

SENT = bytes(range(256)) * 256  # 64 KiB
SCARCE = ReadingLimits(own=(0.01, 0.002), shared=(50.0, 0.02))


class Costly(asyncio.Protocol):
    """A parser for which each byte takes so many seconds of a processor that is not there; may stop reading itself."""

    def __init__(self, cost: float) -> None:
        self.taken, self.spent = bytearray(), 0.0
        self.pieces: list[int] = []
        self.ended = self.lost = False
        self._cost = cost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.taken += data
        self.pieces.append(len(data))
        self.spent += self._cost * len(data)

    def eof_received(self) -> None:
        self.ended = True

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True


@asynccontextmanager
async def served(
    make: Callable[[], Costly], limits: ReadingLimits = SCARCE
) -> AsyncIterator[tuple[Callable[[], Costly], int]]:
    """A server of such protocols: the last one that was made, and the port."""
    made: list[Costly] = []
    time = ReadingTime(limits, lambda: sum(each.spent for each in made))

    def measured() -> Measured:
        made.append(make())
        return Measured(made[-1], time)

    server = await asyncio.get_running_loop().create_server(measured, "127.0.0.1", 0)
    async with server:
        try:
            yield lambda: made[-1], server.sockets[0].getsockname()[1]
        finally:
            for each in made:
                each.transport.abort()
            await eventually(lambda: all(each.lost for each in made))


@asynccontextmanager
async def sender(port: int) -> AsyncIterator[asyncio.StreamWriter]:
    """A connection to write to."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("cost", [0.0, 1e-6, 1e-4])
async def test_all_bytes_come_in_order_and_then_the_end(cost: float) -> None:
    async with served(lambda: Costly(cost)) as (inner, port), sender(port) as writer:
        writer.write(SENT)
        writer.write_eof()
        await eventually(lambda: inner().lost)
        assert inner().taken == SENT
        assert inner().ended


async def test_one_that_costs_much_waits_and_holds_up_no_other() -> None:
    async with served(lambda: Costly(1.0)) as (inner, port), sender(port) as flood:  # an hour for a piece
        flood.write(SENT * 512)
        await eventually(lambda: inner().taken)
        first = inner()
        async with sender(port) as writer:
            writer.write(b"a request")
            await eventually(lambda: inner().taken == b"a request")
            assert len(first.taken) <= PIECE
            await eventually(lambda: flood.transport.get_write_buffer_size() > 0)  # TCP tells the sender


async def test_a_protocol_that_stops_reading_gets_no_more_until_it_reads_again() -> None:
    async with served(lambda: Stopping(0.0)) as (inner, port), sender(port) as writer:
        writer.write(SENT)
        await eventually(lambda: inner().taken)
        await asyncio.sleep(0.05)
        assert len(inner().taken) <= PIECE
        while len(inner().taken) < len(SENT):
            before = len(inner().taken)
            inner().transport.resume_reading()
            await eventually(lambda: len(inner().taken) > before)  # noqa: B023
        assert inner().taken == SENT


async def test_a_protocol_that_wants_to_read_on_cannot_shorten_its_wait() -> None:
    """aiohttp resumes reading for each chunk of a body that a handler takes, of one byte or more."""
    async with served(lambda: Costly(1.0)) as (inner, port), sender(port) as flood:
        flood.write(SENT * 512)
        await eventually(lambda: inner().taken)
        for _ in range(100):
            inner().transport.resume_reading()
            await asyncio.sleep(0)
        assert len(inner().taken) <= PIECE
        assert inner().transport.is_reading()  # as far as it knows


async def test_chunks_that_a_handler_takes_are_paid_for() -> None:
    limits = ReadingLimits(own=(0.01, 0.002), shared=(1e-6, 0.0))
    async with served(lambda: Resuming(0.0), limits) as (inner, port), sender(port) as flood:
        flood.write(SENT * 64)
        await eventually(lambda: len(inner().pieces) == 2)  # the second pays for the first one's chunks
        await asyncio.sleep(0.1)
        assert len(inner().pieces) == 2


async def test_a_protocol_that_stopped_gets_what_waited_and_the_end_when_it_reads_again() -> None:
    async with served(lambda: Stopping(1e-6)) as (inner, port), sender(port) as writer:
        writer.write(SENT)
        writer.write_eof()
        await eventually(lambda: inner().taken)
        while not inner().ended:
            inner().transport.resume_reading()
            await asyncio.sleep(0.001)
        assert inner().taken == SENT


class Resuming(Costly):
    """Resumes reading for each chunk of a piece."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        for _ in range(1_000):
            self.transport.resume_reading()


class Stopping(Costly):
    """Stops after every piece."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.pause_reading()


async def test_what_waits_is_forgotten_with_its_connection() -> None:
    async with served(lambda: Costly(1.0)) as (inner, port), sender(port) as writer:
        writer.write(SENT)
        await eventually(lambda: inner().taken)
        inner().transport.abort()
        await eventually(lambda: inner().lost)
        assert len(inner().taken) <= PIECE


def test_time_that_is_shared_comes_back_at_its_rate() -> None:
    time = ReadingTime(ReadingLimits(shared=(0.1, 0.01)))
    assert time.wait_s(0.01, now=100.0) == 0
    assert time.wait_s(0.02, now=100.0) == pytest.approx(0.2)
    assert time.wait_s(0.01, now=100.2) == pytest.approx(0.1)
    assert time.wait_s(0.01, now=200.0) == 0
