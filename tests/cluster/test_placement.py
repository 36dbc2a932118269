"""Which worker is chosen: by what is free, by slack, near a key."""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.cluster.messages import Report, View
from streamer.cluster.placement import MOST_ASKED, STICKY, Search, by_key, two_choices


def worker(number: int, free: int = 4, **others: object) -> Report:
    return msgspec.convert({"worker": f"w{number}", "ready": True, "places": 4, "free": free, **others}, Report)


def order(search: Search) -> list[str]:
    found = []
    while (chosen := search.next()) is not None:
        found.append(chosen.worker)
    return found


def chosen(workers: list[Report], seed: int) -> str:
    found = Search(View(tuple(workers)), None, Random(seed), two_choices).next()
    assert found is not None
    return found.worker


reports = st.builds(
    worker,
    st.integers(0, 50),
    st.integers(0, 4),
    ready=st.booleans(),
    draining=st.booleans(),
    slack=st.floats(-3, 3),
)


several = st.lists(reports, unique_by=lambda report: report.worker, max_size=12)


@pytest.mark.slow
@settings(max_examples=40)
@given(several, st.none() | st.text(min_size=1), st.integers())
def test_only_workers_that_take_sessions_are_asked_each_once_and_not_too_many(
    workers: list[Report], key: str | None, seed: int
) -> None:
    asked = order(Search(View(tuple(workers)), key, Random(seed)))
    able = {report.worker for report in workers if report.open and (key is not None or report.free)}
    assert len(set(asked)) == len(asked) == min(len(able), MOST_ASKED if key is None else STICKY)
    assert set(asked) <= able


def test_of_two_the_emptier_is_chosen_and_never_one_that_is_late() -> None:
    empty, half, late = worker(0, 4), worker(1, 2), worker(2, 4, slack=0.5)
    for seed in range(20):
        assert chosen([half, empty], seed) == empty.worker
        assert chosen([late, half], seed) == half.worker


def test_with_equal_room_the_earlier_pictures_decide() -> None:
    assert chosen([worker(0, slack=-0.5), worker(1, slack=-1.5)], 0) == "w1"


def test_the_choice_spreads_over_all_that_are_alike() -> None:
    alike = [worker(number) for number in range(10)]
    random = Random(1)
    found = Counter(two_choices(alike, random) for _ in range(500))
    assert len(found) == 10


@given(st.text(min_size=1), st.integers(2, 40), st.data())
def test_the_death_of_a_worker_moves_no_other_workers_keys(key: str, count: int, data: st.DataObject) -> None:
    workers = [worker(number) for number in range(count)]
    before = by_key(key, workers)
    dead = data.draw(st.sampled_from(workers))
    assert by_key(key, [each for each in workers if each != dead]) == [each for each in before if each != dead]


def test_a_key_leads_first_to_workers_that_stay() -> None:
    workers = [worker(number, draining=number == 3) for number in range(5)]
    assert all(by_key(f"key {n}", workers)[-1].worker == "w3" for n in range(20))


@pytest.mark.parametrize("key", ["a", "b", "c"])
def test_a_keyed_session_is_asked_for_where_its_key_leads_though_it_be_full(key: str) -> None:
    workers = [worker(number, free=0) for number in range(9)]
    assert order(Search(View(tuple(workers)), key, Random(0))) == [
        each.worker for each in by_key(key, workers)[:STICKY]
    ]
