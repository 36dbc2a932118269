"""What comes back from a server, in simulated time: however it is under way, lips and sound leave together."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from functools import partial
from itertools import count

import numpy as np
import pytest

from streamer.audio.format import AUDIO_BLOCK, RATE
from streamer.desktop.remote_sync import Reception
from streamer.desktop.uplink import FLUSH, QUIET_S, Uplink
from streamer.session.playout import Playout
from streamer.session.schedule import FrameSchedule, Schedule, audio_schedule
from streamer.webrtc.transit import WINDOW_S, Arrivals
from tests.fakes.clock import FakeClock

DELAY_MS = 120
VIDEO_RATE = 90_000
WRAP = 1 << 32
STILL = np.zeros((1, 1, 3), np.uint8)


class Line:
    """A server, a network and our end of it: what is sent at a moment is marked with the packet it was sent with.

    transit: seconds under way of the n-th packet; `skew`: how much faster the server's clock runs than ours.
    """

    def __init__(self, sound: Callable[[int], float], pictures: Callable[[int], float], skew: float = 0.0) -> None:
        self.clock = FakeClock()
        self._begin = self.clock.now()
        self._playout = Playout(DELAY_MS, STILL)
        self._schedule = FrameSchedule(DELAY_MS)
        self._reception = Reception(self._playout, self._schedule)
        self._arrivals = Arrivals(RATE, self.clock), Arrivals(VIDEO_RATE, self.clock)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self.played: dict[int, list[tuple[int, float]]] = {}  # of each block sent: how much of it left, when on average
        self.shown: dict[int, float] = {}  # of each picture
        self.moments: list[float] = []  # of the pictures
        self._sound, self._pictures, self._rate = sound, pictures, 1 / (1 + skew)

    def run(self, seconds: float, phase: float) -> None:
        """`phase`: seconds from the server's first packet to its first picture."""
        self._reception.begin(*self._arrivals)
        self._send(round(seconds * 50), 0.02, 0.0, self._sound, self._hear)
        self._send(round(seconds * 25), 0.04, phase, self._pictures, self._see)
        self._at(0.0, lambda: self._tick(audio_schedule(), self._play))
        self._at(0.0, lambda: self._tick(self._schedule, self._show))
        while self._events:
            moment, _, do = heapq.heappop(self._events)
            if moment > seconds:
                return
            self.clock.time = self._begin + moment
            do()

    def _send(
        self, many: int, period: float, first: float, transit: Callable[[int], float], take: Callable[[int], None]
    ) -> None:
        """They arrive in order: the buffers before see to that."""
        arrival = 0.0
        for number in range(many):
            arrival = max(arrival, 0.3 + (first + number * period) * self._rate + transit(number))
            self._at(arrival, partial(take, number))

    def _at(self, moment: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), do))

    def _now(self) -> float:
        return self.clock.now() - self._begin

    def _hear(self, block: int) -> None:
        stamp = (WRAP - 5_000 + block * AUDIO_BLOCK) % WRAP
        self._arrivals[0].note(stamp)
        self._arrivals[0].count_from(stamp)
        samples = np.full((AUDIO_BLOCK, 2), block + 1, np.int16)
        self._reception.hear(block * AUDIO_BLOCK, samples, self._now())

    def _see(self, picture: int) -> None:
        stamp = (WRAP - 7_000 + picture * 3_600) % WRAP
        self._arrivals[1].note(stamp)
        self._arrivals[1].count_from(stamp)
        self._reception.see(picture * 0.04, np.full((1, 1, 3), picture + 1, np.uint16))

    def _tick(self, schedule: Schedule, do: Callable[[int], None]) -> None:
        tick = schedule.next_tick(self._now())
        self._at(max(self._now(), schedule.due(tick)), partial(self._ticked, schedule, do, tick))

    def _ticked(self, schedule: Schedule, do: Callable[[int], None], tick: int) -> None:
        do(tick)
        self._tick(schedule, do)

    def _play(self, block: int) -> None:
        self._reception.tick(self._now())
        samples = self._playout.pull_audio(block)[:, 0]
        for value in np.unique(samples[samples > 0]):
            where = np.flatnonzero(samples == value)
            if len(where) > AUDIO_BLOCK // 8:  # where sounds are joined, all values between them occur
                self.played.setdefault(int(value) - 1, []).append((len(where), self._now() + where.mean() / RATE))

    def _show(self, tick: int) -> None:
        number = int(self._playout.pull_frame(self._schedule.frame_of(tick))[0, 0, 0]) - 1
        self.moments.append(self._now())
        if number >= 0:
            self.shown.setdefault(number, self._now())

    def late(self, phase: float) -> np.ndarray:
        """By how many seconds each picture left after the sound that it was sent with."""
        found = []
        for picture, moment in self.shown.items():
            block, rest = divmod(phase + picture * 0.04 + 1e-9, 0.02)
            parts = np.array(self.played.get(int(block), [(0, 0.0)]))
            if parts[:, 0].sum() > 0.8 * AUDIO_BLOCK:
                middle = np.average(parts[:, 1], weights=parts[:, 0])
                found.append(moment - (middle - 0.01) - rest)
        return np.array(found)


def jitter(seed: int, least: float, most: float) -> Callable[[int], float]:
    """Under way for `least` seconds and up to `most` more, most of them hardly held up."""
    random = np.random.default_rng(seed)
    return lambda number: least + most * random.random() ** 4


@pytest.mark.parametrize("phase", [0.0, 0.011, 0.02, 0.031])
def test_a_picture_leaves_with_the_sound_that_it_was_sent_with(phase: float) -> None:
    line = Line(jitter(1, 0.05, 0.03), jitter(2, 0.05, 0.05))
    line.run(20.0, phase)
    late = line.late(phase)
    assert len(late) > 470
    assert np.abs(late[50:]).max() < 0.004  # sound that is joined to other is blurred for 3 ms
    assert np.abs(late).max() <= 0.025  # while the schedule finds the server's rhythm
    assert sorted(line.shown) == list(range(min(line.shown), max(line.shown) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("skew", [-300e-6, 300e-6])
def test_they_stay_together_on_a_server_with_another_clock(skew: float) -> None:
    """In two minutes such a clock is 36 ms ahead or behind: pictures follow, and none is left out or shown twice."""
    line = Line(jitter(3, 0.02, 0.01), jitter(4, 0.02, 0.01), skew)
    line.run(120.0, 0.013)
    assert np.percentile(np.abs(line.late(0.013)), 99) < 0.015
    gaps = np.diff(line.moments)
    assert gaps.min() > 0.0379
    assert gaps.max() < 0.0421
    assert len(line.shown) > 2_950
    assert len(line.shown) >= max(line.shown) - min(line.shown) - 2


def test_a_path_that_changes_moves_both() -> None:
    def moved(number: int, rate: int) -> float:
        return 0.02 if number < 10 * rate else 0.07

    line = Line(lambda block: moved(block, 50), lambda picture: moved(picture, 25))
    line.run(30.0, 0.0)
    late = line.late(0.0)
    assert np.abs(late[-25 * (20 - 2 * round(WINDOW_S)) :]).max() < 0.004
    assert np.abs(late).max() <= 0.06


@pytest.mark.slow
async def test_the_uplink_keeps_the_sources_count_over_a_pause_and_says_that_it_is_there() -> None:
    clock = FakeClock()
    uplink = Uplink(clock)
    sound = np.ones((AUDIO_BLOCK, 2), np.int16)
    clock.time += 1.0
    for block in (0, 1):
        uplink.push(block * AUDIO_BLOCK, sound)
    places = [(await uplink.next())[0] for _ in range(2)]
    assert np.diff(places) == [AUDIO_BLOCK]
    for _ in range(FLUSH):
        place, samples = await uplink.next()
        assert place == places[-1] + AUDIO_BLOCK
        assert not samples.any()
    clock.time += QUIET_S
    keep_alive, _ = await uplink.next()
    assert keep_alive == places[0] + round(QUIET_S * RATE)  #
    uplink.push(100 * AUDIO_BLOCK, sound)
    assert (await uplink.next())[0] == places[0] + 100 * AUDIO_BLOCK


async def test_what_no_call_takes_is_dropped_and_a_source_opened_anew_is_placed_by_the_clock() -> None:
    clock = FakeClock()
    uplink = Uplink(clock)
    sound = np.ones((AUDIO_BLOCK, 2), np.int16)
    for block in range(30):
        clock.time += 0.02
        uplink.push(block * AUDIO_BLOCK, sound)
    assert uplink.dropped == 20
    assert (await uplink.next())[0] == 20 * AUDIO_BLOCK
    uplink.begin()
    clock.time += 10.0
    uplink.push(1 << 40, sound)
    async with asyncio.timeout(1):
        place, _ = await uplink.next()
    assert place == round(10.6 * RATE) - AUDIO_BLOCK
