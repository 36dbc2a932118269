"""The microphone on the session's clock: gapless, bounded delay, whatever the network does."""

from __future__ import annotations

import itertools
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.audio.format import MS, RATE, Samples
from streamer.session.timeline import MARGIN_MS, MicrophoneTimeline

BLOCK = 20 * MS


def tone(start: int, length: int = BLOCK) -> Samples:
    """A 200 Hz tone that continues from block to block."""
    wave = 8000 * np.sin(2 * np.pi * 200 * np.arange(start, start + length) / RATE)
    return np.repeat(wave.astype(np.int16)[:, None], 2, axis=1)


def test_packets_on_time_come_out_as_they_are() -> None:
    timeline = MicrophoneTimeline()
    for i in range(50):
        timeline.push(i * BLOCK, tone(i * BLOCK), now=(i + 1) * 0.020)
    assert np.array_equal(timeline.pop(), tone(0, 50 * BLOCK))
    assert timeline.stats.silence == 0


def test_a_lost_packet_leaves_a_gap_of_its_length_and_the_rest_in_place() -> None:
    timeline = MicrophoneTimeline()
    for i in range(20):
        if i != 10:
            timeline.push(i * BLOCK, tone(i * BLOCK), now=(i + 1) * 0.020)
    sound = timeline.pop()
    assert len(sound) == 20 * BLOCK
    assert timeline.stats.silence == BLOCK
    assert np.array_equal(sound[: 10 * BLOCK], tone(0, 10 * BLOCK))
    assert np.array_equal(sound[12 * BLOCK :], tone(12 * BLOCK, 8 * BLOCK))


def test_concealment_makes_no_click() -> None:
    """Around a gap no sample differs from its neighbour by more than twice what the tone itself does."""
    timeline = MicrophoneTimeline()
    for i in range(20):
        if i not in (7, 13):
            timeline.push(i * BLOCK, tone(i * BLOCK), now=(i + 1) * 0.020)
    steps = np.abs(np.diff(timeline.pop()[:, 0].astype(int)))
    assert steps.max() <= 2 * np.abs(np.diff(tone(0, RATE)[:, 0].astype(int))).max()


def test_a_sender_that_says_nothing_is_silent_after_the_margin() -> None:
    timeline = MicrophoneTimeline()
    timeline.push(0, tone(0), now=0.020)
    timeline.pop()
    timeline.close(now=0.080)
    assert timeline.edge == BLOCK
    timeline.close(now=1.0)
    assert timeline.edge == RATE - MARGIN_MS * MS
    assert not timeline.pop()[BLOCK:].any()


def test_silence_flows_before_any_packet() -> None:
    timeline = MicrophoneTimeline()
    timeline.close(now=0.5)
    assert len(timeline.pop()) == RATE // 2 - MARGIN_MS * MS


def heard_with_one_packet_late(late: float) -> tuple[Samples, MicrophoneTimeline]:
    """Six packets, the last one `late` seconds."""
    timeline = MicrophoneTimeline()
    for i in range(6):
        now = (i + 1) * 0.020 + (late if i == 5 else 0.0)
        timeline.close(now)
        timeline.push(i * BLOCK, tone(i * BLOCK), now)
    return timeline.pop(), timeline


def test_a_packet_within_the_margin_is_heard_in_full() -> None:
    sound, timeline = heard_with_one_packet_late(0.039)
    assert np.array_equal(sound, tone(0, 6 * BLOCK))
    assert timeline.stats.late == 0


def test_a_packet_beyond_the_margin_loses_its_late_part_and_keeps_the_rest() -> None:
    sound, timeline = heard_with_one_packet_late(0.050)
    assert len(sound) == 6 * BLOCK
    assert np.array_equal(sound[-4 * MS :], tone(0, 6 * BLOCK)[-4 * MS :])
    assert timeline.stats.late == 1
    assert timeline.stats.silence == 10 * MS


def run(arrivals: list[tuple[int, float]], seconds: float) -> tuple[MicrophoneTimeline, float]:
    """Play (packet number, arrival time) with a tick each 20 ms; returns how far behind the clock sound is settled."""
    timeline = MicrophoneTimeline()
    behind: list[float] = []
    waiting = sorted(arrivals, key=lambda item: item[1])
    for tick in range(1, int(seconds * 50)):
        now = tick * 0.020
        while waiting and waiting[0][1] <= now:
            number, at = waiting.pop(0)
            timeline.push(number * BLOCK, tone(number * BLOCK), at)
        timeline.close(now)
        timeline.pop()
        behind.append(now - timeline.edge / RATE)
        assert behind[-1] <= MARGIN_MS / 1000 + 1e-3  # the sound never stalls
    return timeline, behind[-1]


def test_a_delay_that_grew_shrinks_again() -> None:
    """The first packets come 300 ms late in one burst, as calls often begin; two seconds later all is prompt."""
    arrivals = [(i, max((i + 1) * 0.020, 0.300)) for i in range(500)]
    timeline, behind = run(arrivals, seconds=9.5)
    assert -0.011 <= behind <= 0.021
    assert timeline.stats.shifts <= 3


def test_one_percent_loss_and_jitter_keep_the_delay() -> None:
    rng = random.Random(1)
    arrivals = [(i, (i + 1) * 0.020 + rng.uniform(0, 0.030)) for i in range(3000) if rng.random() > 0.01]
    latest = itertools.accumulate((at for _, at in arrivals), max)  # packets do not overtake each other here
    arrivals = [(number, at) for (number, _), at in zip(arrivals, latest, strict=True)]
    timeline, _ = run(arrivals, seconds=59)
    made_up_ms = timeline.stats.silence / MS
    assert made_up_ms < 1.5 * 0.01 * 60_000 + MARGIN_MS


def test_a_sender_with_a_fast_or_slow_clock_is_followed() -> None:
    """One part in a thousand is ten times what sound cards are off; over 60 s it would add up to 60 ms."""
    for pace in (0.999, 1.001):
        timeline, behind = run([(i, (i + 1) * 0.020 * pace) for i in range(3100)], seconds=59)
        assert -0.040 <= behind <= 0.041
        assert timeline.stats.silence / MS < 250


def test_after_the_machine_slept_sound_goes_on_from_the_present() -> None:
    timeline = MicrophoneTimeline()
    timeline.push(0, tone(0), now=0.020)
    timeline.skip_to(100 * RATE)
    assert len(timeline.pop()) == 0
    timeline.push(7 * BLOCK, tone(0), now=100.020)
    assert timeline.edge == 100 * RATE + BLOCK


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(1, 5760), st.floats(0, 0.5)), max_size=60))
def test_hostile_timestamps_neither_stall_nor_flood(packets: list[tuple[int, int, float]]) -> None:
    timeline = MicrophoneTimeline()
    now = 0.0
    for pts, length, wait in packets:
        now += wait
        timeline.push(pts, np.ones((length, 2), np.int16), now)
        timeline.close(now)
        timeline.pop()
        assert -1.2 * RATE <= now * RATE - timeline.edge <= MARGIN_MS * MS + 1
