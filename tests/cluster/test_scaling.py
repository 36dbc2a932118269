"""How many workers there are: what fits, what is needed, and no fewer for a passing lull."""

from __future__ import annotations

import pytest

from streamer.cluster.messages import Report, View
from streamer.cluster.scaling import CORES, SHRINK_S, Scaler, Share, fitting, too_many
from tests.fakes.clock import FakeClock


@pytest.mark.parametrize(
    ("share", "nodes", "count"),
    [
        (Share(2), [{CORES: 8.0}, {CORES: 3.0}, {}], 5),
        (Share(gpus=0.25), [{"GPU": 1.0, CORES: 64.0}, {"GPU": 2.0}], 12),
        (Share(gpus=0.1), [{"GPU": 0.3}], 3),  # 0.3 / 0.1 is a little less than 3
        (Share(16), [{CORES: 8.0}] * 4, 0),
    ],
)
def test_as_many_workers_as_nodes_have_room_for(share: Share, nodes: list[dict[str, float]], count: int) -> None:
    assert fitting(share, nodes) == count


def test_those_of_whom_nothing_is_heard_end_first_and_the_busiest_last() -> None:
    reports = (Report("worker-0-aa", sessions=3), Report("worker-1-bb"), Report("worker-3-cc", sessions=1))
    actors = [f"worker-{number}" for number in range(4)]
    assert too_many(actors, 4, View(reports)) == []
    assert too_many(actors, 1, View(reports)) == ["worker-2", "worker-1", "worker-3"]
    assert too_many(actors, 0, View(reports))[-1] == "worker-0"


def busy(workers: int, sessions: int, waiting: int = 0) -> View:
    reports = [Report(f"w{n}", ready=True, places=10, sessions=sessions) for n in range(workers)]
    return View(tuple(reports), waiting)


def test_more_workers_come_with_the_callers_and_those_who_wait_at_once() -> None:
    scaler = Scaler(1, 20, FakeClock())
    assert scaler.wanted(View()) == 1
    assert scaler.wanted(busy(1, 5)) == 1
    assert scaler.wanted(busy(1, 10)) == 2  # the next place is there before it is needed
    assert scaler.wanted(busy(2, 10, waiting=30)) == 6
    assert scaler.wanted(busy(2, 10, waiting=3_000)) == 20


def test_workers_go_one_by_one_when_there_were_too_many_for_long() -> None:
    clock = FakeClock()
    scaler = Scaler(1, 20, clock)
    assert scaler.wanted(busy(4, 10)) == 5
    clock.time += SHRINK_S - 1
    assert scaler.wanted(busy(5, 0)) == 5
    assert scaler.wanted(busy(5, 8)) == 5
    clock.time += SHRINK_S
    assert scaler.wanted(busy(5, 0)) == 4
    assert scaler.wanted(busy(4, 0)) == 4
    clock.time += SHRINK_S
    assert scaler.wanted(busy(4, 0)) == 3
