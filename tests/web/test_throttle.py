"""Who asks too fast waits for a turn; who asks much too fast is refused, and nobody else is held up."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from streamer.web.throttle import Throttle, Throttles, address_of
from tests.fakes.clock import FakeClock


def test_a_burst_is_taken_at_once_and_then_the_rate_holds() -> None:
    clock = FakeClock()
    throttle = Throttle(10.0, 3, clock)
    assert [round(throttle.take(), 3) for _ in range(6)] == [0, 0, 0, 0.1, 0.2, 0.3]
    clock.time += 10
    assert [round(throttle.take(), 3) for _ in range(4)] == [0, 0, 0, 0.1]


async def test_turns_come_in_order_and_too_long_a_wait_is_a_refusal() -> None:
    clock = FakeClock()
    throttles = Throttles((10.0, 1), (1000.0, 1000), 0.55, clock)
    came: list[int] = []

    async def ask(number: int) -> None:
        await throttles.turn("192.0.2.1")
        came.append(number)

    asking = [asyncio.create_task(ask(number)) for number in range(10)]
    await clock.advance(0.25)
    assert came == [0, 1, 2]
    await clock.advance(1.0)
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert came == [0, 1, 2, 3, 4, 5]
    refusals = [answer for answer in answers if isinstance(answer, web.HTTPTooManyRequests)]
    assert len(refusals) == throttles.refused == 4
    assert refusals[0].headers["Retry-After"] == "2"


async def test_an_address_does_not_use_up_the_turns_of_another() -> None:
    clock = FakeClock()
    throttles = Throttles((10.0, 2), (100.0, 20), 0.0, clock)
    for _ in range(2):
        await throttles.turn("192.0.2.1")
    with pytest.raises(web.HTTPTooManyRequests):
        await throttles.turn("192.0.2.1")
    await throttles.turn("192.0.2.2")


async def test_all_addresses_together_have_a_rate_too() -> None:
    throttles = Throttles((10.0, 2), (100.0, 20), 0.0, FakeClock())
    for number in range(20):
        await throttles.turn(f"192.0.2.{number}")
    with pytest.raises(web.HTTPTooManyRequests):
        await throttles.turn("192.0.2.20")


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),  # who is not a proxy here is not believed
        ("127.0.0.1", "203.0.113.5, 198.51.100.1", "198.51.100.1"),
        ("::ffff:192.0.2.7", None, "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("127.0.0.1", "nonsense", "unknown"),
        ("::1", None, "::1"),
    ],
)
def test_an_address_is_a_machine_or_a_network_of_ipv6(remote: str, forwarded: str | None, address: str) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = make_mocked_request("GET", "/", headers).clone(remote=remote)
    assert address_of(request) == address
