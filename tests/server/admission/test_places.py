"""Who gets a place when there are few, who gives way, and who never does."""

from __future__ import annotations

import asyncio

import pytest

from streamer.server.admission.places import NoRoomError, Places
from tests.fakes.clock import FakeClock

PATIENCE_S = 2.0
HERE, ONE, OTHER = "127.0.0.1", "192.0.2.1", "192.0.2.2"


class Occupant:
    """A session that gives way at a moment, or never."""

    def __init__(self, places: Places, token: str, at: float | None) -> None:
        self.at = at
        self.reason = ""
        self._places, self._token = places, token

    def gives_way_at(self) -> float | None:
        return self.at

    async def close(self, reason: str) -> None:
        self.reason = reason
        self._places.leave(self._token)


class House:
    def __init__(self, places: int) -> None:
        self.clock = FakeClock()
        self.places = Places(lambda: places, self.clock)
        self.sits: dict[str, Occupant] = {}

    async def take(self, token: str, address: str = HERE, gives_way_in: float | None = None) -> None:
        await self.places.take(token, address, self.clock.now() + PATIENCE_S)
        at = None if gives_way_in is None else self.clock.now() + gives_way_in
        self.sits[token] = Occupant(self.places, token, at)
        self.places.seat(token, self.sits[token])

    @property
    def ended(self) -> set[str]:
        return {token for token, occupant in self.sits.items() if occupant.reason}


async def test_a_caller_who_talks_keeps_the_place() -> None:
    house = House(2)
    await house.take("a")
    await house.take("b")
    with pytest.raises(NoRoomError, match="all 2 places are taken"):
        await house.take("c")
    assert house.ended == set()
    house.places.leave("a")
    await house.take("c")


async def test_a_caller_that_does_not_connect_soon_gives_way_to_the_next() -> None:
    house = House(2)
    await house.take("talks")
    await house.take("connects", gives_way_in=1.0)
    taking = asyncio.create_task(house.take("next"))
    await house.clock.advance(0.9)
    assert not taking.done()
    await house.clock.advance(0.2)
    await taking
    assert house.ended == {"connects"}


async def test_a_place_that_is_free_only_later_is_not_waited_for() -> None:
    house = House(1)
    await house.take("speech", gives_way_in=10.0)
    with pytest.raises(NoRoomError):
        house.places.check(HERE, house.clock.now() + PATIENCE_S)
    with pytest.raises(NoRoomError):
        await house.take("next")
    await house.clock.advance(9.0)
    house.places.check(HERE, house.clock.now() + PATIENCE_S)
    taking = asyncio.create_task(house.take("next"))
    await house.clock.advance(1.1)
    await taking


async def test_one_address_has_half_of_the_places() -> None:
    house = House(4)
    await house.take("a", ONE)
    await house.take("b", ONE)
    with pytest.raises(NoRoomError, match=r"192\.0\.2\.1 has 2 places, as many as one address gets"):
        await house.take("c", ONE)
    await house.take("d", OTHER)
    house.sits["a"].at = house.clock.now()
    await house.take("e", ONE)  # its own gives way, nobody else's
    assert house.ended == {"a"}


async def test_this_machine_may_have_all_as_a_proxy_or_several_programs_may_be_behind_it() -> None:
    house = House(4)
    for token in "abcd":
        await house.take(token, HERE)


async def test_of_those_that_give_way_the_address_that_holds_most_is_first() -> None:
    house = House(4)
    for token, address in (("a", OTHER), ("b", ONE), ("c", ONE), ("d", HERE)):
        await house.take(token, address, gives_way_in=1.0)
    await house.clock.advance(2.0)
    await house.take("e", HERE)
    assert house.ended <= {"b", "c"}
    assert len(house.ended) == 1


async def test_a_place_that_is_being_prepared_is_taken() -> None:
    house = House(1)
    await house.places.take("a", HERE, house.clock.now())
    with pytest.raises(NoRoomError):
        await house.take("b")
    house.places.leave("a")
    await house.take("b")


async def test_callers_wait_in_line_and_none_is_overtaken() -> None:
    house = House(2)
    await house.take("a")
    await house.take("b")
    until = house.clock.now() + PATIENCE_S
    for place, ticket in enumerate(("first", "second"), 1):
        with pytest.raises(NoRoomError, match=f"number {place} in line") as refused:
            house.places.check(HERE, until, ticket)
        assert refused.value.place == place
    house.places.leave("a")
    with pytest.raises(NoRoomError, match="2 callers wait already"):
        house.places.check(HERE, until)
    with pytest.raises(NoRoomError, match="number 2 in line"):
        house.places.check(HERE, until, "second")
    house.places.check(HERE, until, "first")
    house.places.line.leave("first")
    house.places.check(HERE, until, "second")


async def test_there_may_be_fewer_places_than_are_taken() -> None:
    """A machine that has become slower: whoever talks goes on, and nobody comes in."""
    most = 3
    house = House(3)
    house.places = Places(lambda: most, house.clock)
    await house.take("a")
    await house.take("b")
    most = 1
    with pytest.raises(NoRoomError, match="all 2 places are taken"):
        await house.take("c")
    assert house.ended == set()
