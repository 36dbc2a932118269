"""What the controller knows: who is there, who is drained, whose turn it is."""

from __future__ import annotations

import pytest

from streamer.cluster.board import STALE_S, Board
from streamer.cluster.messages import Report
from streamer.cluster.table import table
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def board(clock: FakeClock) -> Board:
    return Board(clock)


def report(name: str, free: int = 1, node: str = "n1", draining: bool = False) -> Report:
    return Report(name, f"http://{name}/", node, True, draining, 2, free, 2 - free, -0.5)


def test_a_worker_that_says_nothing_is_not_there(board: Board, clock: FakeClock) -> None:
    board.take(report("a"))
    clock.time += STALE_S - 1
    board.take(report("b"))
    clock.time += 2
    assert [each.worker for each in board.view().workers] == ["b"]


def test_a_worker_or_a_whole_node_is_drained_until_it_is_gone(board: Board) -> None:
    for name, node in (("a", "n1"), ("b", "n1"), ("c", "n2")):
        assert not board.take(report(name, node=node))
    assert board.drain("nobody") == []
    assert board.drain("n1") == ["a", "b"]
    assert [board.take(report(name, node=node)) for name, node in (("a", "n1"), ("b", "n1"), ("c", "n2"))] == [
        True,
        True,
        False,
    ]
    assert [each.worker for each in board.view().workers if each.open] == ["c"]


def test_a_worker_that_was_drained_by_itself_is_to_start_anew_when_nobody_talks_there(board: Board) -> None:
    board.take(report("a", free=1))
    board.take(report("b", free=2, node="n2"))
    board.drain("a")
    board.drain("n2")
    board.take(report("b", free=2, node="n2", draining=True))
    assert board.emptied() == []
    board.take(report("a", free=2, draining=True))
    assert board.emptied() == ["a"]


def test_a_new_controller_learns_who_is_being_drained_from_the_workers(board: Board) -> None:
    assert board.take(report("a", draining=True))


def test_nobody_overtakes_those_who_wait_unless_there_is_room_for_all(board: Board) -> None:
    board.take(report("a", free=0))
    assert [board.wait(name, "here") for name in ("first", "second")] == [1, 2]
    assert board.has_turn("first")
    assert not board.has_turn("second")
    assert not board.has_turn(None)
    board.take(report("a", free=2))
    assert board.has_turn("second")
    assert not board.has_turn(None)


def test_the_table_tells_of_every_worker_and_of_all(board: Board) -> None:
    board.take(report("worker-0-aa", free=1))
    board.take(report("worker-1-bb", free=2, draining=True))
    lines = table(board.view()).splitlines()
    assert [line.split()[:6] for line in lines[1:3]] == [
        ["worker-0-aa", "n1", "ready", "1", "1", "2"],
        ["worker-1-bb", "n1", "draining", "0", "2", "2"],
    ]
    assert lines[3] == "2 workers, 1 sessions, 1 places free, 0 wait"
