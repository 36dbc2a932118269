"""Whose turn it is when there is no room."""

from __future__ import annotations

import pytest

from streamer.server.admission.waiting_line import MOST, MOST_EACH, PATIENCE_S, TICKET, WaitingLine
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def line(clock: FakeClock) -> WaitingLine:
    return WaitingLine(clock)


def test_first_come_first_served(line: WaitingLine) -> None:
    assert [line.wait(ticket, "here") for ticket in ("a", "b", "c", "b")] == [1, 2, 3, 2]
    line.leave("a")
    assert line.wait("c", "here") == 2
    assert [line.ahead_of(ticket) for ticket in ("b", "c", "stranger", None)] == [0, 1, 2, 2]


def test_a_caller_who_stops_asking_has_left_the_line(line: WaitingLine, clock: FakeClock) -> None:
    line.wait("a", "here")
    line.wait("b", "here")
    clock.time += PATIENCE_S - 1
    line.wait("b", "here")
    clock.time += 2
    assert line.wait("b", "here") == 1
    assert len(line) == 1


def test_neither_one_address_nor_all_make_the_line_endless(line: WaitingLine) -> None:
    assert [line.wait(f"one-{n}", "one") for n in range(MOST_EACH + 1)][-2:] == [MOST_EACH, None]
    for n in range(MOST):
        line.wait(f"many-{n}", f"address {n}")
    assert len(line) == MOST
    assert line.wait("one-0", "one") == 1


@pytest.mark.parametrize("ticket", ["", "short", "a" * 65, "sixteen letters!", "\u0661" * 16])
def test_an_invalid_ticket(ticket: str) -> None:
    assert not TICKET.fullmatch(ticket)


def test_a_line_for_many_servers_is_as_long_as_asked(clock: FakeClock) -> None:
    line = WaitingLine(clock, most=MOST + 1)
    assert [line.wait(f"one-{n}", f"address {n}") for n in range(MOST + 2)][-2:] == [MOST + 1, None]
