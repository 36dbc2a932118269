"""A few photos are processed at once, many leave conversations most of the time."""

from __future__ import annotations

from streamer.server.photos.pace import AT_ONCE_S, SHARE, Pace


def _begun(pace: Pace, count: int, took: float) -> list[float]:
    """When each of so many photos begins, of somebody who sends the next as soon as the last is done."""
    now, moments = 0.0, []
    for _ in range(count):
        now = max(now, pace.begins)
        moments.append(now)
        pace.spent(now, took)
        now += took
    return moments


def test_a_few_photos_do_not_wait() -> None:
    assert _begun(Pace(), 4, 2.0) == [0.0, 2.0, 4.0, 6.0]


def test_a_flood_of_photos_takes_its_share_and_no_more() -> None:
    moments = _begun(Pace(), 100, 2.5)
    assert AT_ONCE_S + 2.5 + SHARE * (moments[-1] + 2.5) >= 100 * 2.5
    assert moments[-1] - moments[-2] == 2.5 / SHARE


def test_a_rest_lets_a_few_begin_at_once_again() -> None:
    pace = Pace()
    last = _begun(pace, 20, 2.5)[-1]
    rested = last + 10 * AT_ONCE_S / SHARE
    assert pace.begins <= rested
    pace.spent(rested, 2.5)
    assert pace.begins <= rested + 2.5
