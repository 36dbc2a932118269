"""Sound and pictures leave together, a fixed delay after the microphone, and neither ever waits."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.audio.format import AUDIO_BLOCK, AUDIO_PTIME_MS, MS, Samples
from streamer.core.frames import AvatarFrame, ByteArray
from streamer.core.rates import FRAME_MS, SAMPLES_PER_FRAME
from streamer.session.lateness import worst_of
from streamer.session.playout import MAX_FRAMES, Playout, session_delay_ms
from streamer.session.schedule import FrameSchedule, Schedule, audio_schedule
from streamer.session.timeline import MARGIN_MS

DELAY_MS = 300
STILL = np.full((4, 4, 3), 255, np.uint8)


def picture(index: int) -> ByteArray:
    return np.full((4, 4, 3), index % 200, np.uint8)


def frame(index: int) -> AvatarFrame:
    return AvatarFrame(index, picture(index), index * SAMPLES_PER_FRAME)


def count(start: int, length: int) -> Samples:
    """Sound whose samples tell their position."""
    return np.repeat((np.arange(start, start + length) % 30_000).astype(np.int16)[:, None], 2, axis=1)


@pytest.mark.parametrize("lookahead_ms", [0, 40, 145, 185, 705])
def test_the_delay_covers_lookahead_and_margins_in_whole_packets(lookahead_ms: int) -> None:
    delay = session_delay_ms(lookahead_ms)
    assert delay % AUDIO_PTIME_MS == 0
    assert lookahead_ms + MARGIN_MS < delay <= lookahead_ms + MARGIN_MS + 100


def test_sound_comes_back_unchanged_after_the_delay() -> None:
    playout = Playout(DELAY_MS, STILL)
    out = []
    for block in range(100):
        playout.push_audio(block * AUDIO_BLOCK, count(block * AUDIO_BLOCK, AUDIO_BLOCK))
        out.append(playout.pull_audio(block))
    sound = np.concatenate(out)
    assert not sound[: DELAY_MS * MS].any()
    assert np.array_equal(sound[DELAY_MS * MS :], count(0, 100 * AUDIO_BLOCK - DELAY_MS * MS))
    assert playout.stats.underrun == 0


def test_missing_sound_is_silence_and_counted_and_what_comes_after_is_in_place() -> None:
    playout = Playout(DELAY_MS, STILL)
    playout.push_audio(0, count(0, AUDIO_BLOCK))
    first = DELAY_MS // AUDIO_PTIME_MS
    assert np.array_equal(playout.pull_audio(first), count(0, AUDIO_BLOCK))
    assert not playout.pull_audio(first + 1).any()
    assert playout.stats.underrun == AUDIO_BLOCK
    playout.push_audio(3 * AUDIO_BLOCK, count(3 * AUDIO_BLOCK, AUDIO_BLOCK))
    assert not playout.pull_audio(first + 2).any()
    assert np.array_equal(playout.pull_audio(first + 3), count(3 * AUDIO_BLOCK, AUDIO_BLOCK))


def test_old_sound_never_comes_back() -> None:
    """A hole longer than all that is kept: silence, not what lay in the memory before."""
    playout = Playout(DELAY_MS, STILL)
    playout.push_audio(0, count(1, 10 * AUDIO_BLOCK))
    far = 10_000
    playout.push_audio(far * AUDIO_BLOCK, count(0, AUDIO_BLOCK))
    first = DELAY_MS // AUDIO_PTIME_MS
    for block in range(far - 50, far):
        assert not playout.pull_audio(first + block).any()


def test_the_still_shows_until_the_first_picture() -> None:
    playout = Playout(DELAY_MS, STILL)
    playout.push_frame(frame(0))
    assert [int(playout.pull_frame(index)[0, 0, 0]) for index in (-2, -1, 0)] == [255, 255, 0]
    assert (playout.stats.shown, playout.stats.repeated) == (1, 0)


def test_a_late_picture_is_replaced_by_the_last_and_dropped_when_it_comes() -> None:
    playout = Playout(DELAY_MS, STILL)
    playout.push_frame(frame(0))
    shown = [playout.pull_frame(0), playout.pull_frame(1)]
    playout.push_frame(frame(1))
    playout.push_frame(frame(2))
    shown.append(playout.pull_frame(2))
    assert [int(rgb[0, 0, 0]) for rgb in shown] == [0, 0, 2]
    assert (playout.stats.repeated, playout.stats.dropped) == (1, 1)


def test_skipped_moments_drop_their_pictures() -> None:
    playout = Playout(DELAY_MS, STILL)
    for index in range(5):
        playout.push_frame(frame(index))
    assert playout.pull_frame(4)[0, 0, 0] == 4
    assert playout.stats.dropped == 4


def test_waiting_pictures_are_bounded() -> None:
    playout = Playout(DELAY_MS, STILL)
    for index in range(MAX_FRAMES + 7):
        playout.push_frame(frame(index))
    assert playout.stats.dropped == 7


@pytest.mark.parametrize("delay_ms", range(200, 320, AUDIO_PTIME_MS))
def test_a_picture_is_due_with_the_first_of_its_samples(delay_ms: int) -> None:
    sound, pictures = audio_schedule(), FrameSchedule(delay_ms)
    for tick in range(20):
        position_ms = pictures.frame_of(tick) * FRAME_MS
        block = (position_ms + delay_ms) // AUDIO_PTIME_MS
        assert (position_ms + delay_ms) % AUDIO_PTIME_MS == 0
        assert pictures.due(tick) == pytest.approx(sound.due(block))


def test_a_schedule_goes_tick_by_tick_and_keeps_to_its_start() -> None:
    schedule = audio_schedule()
    now, ticks = 0.0, []
    for _ in range(500):
        tick = schedule.next_tick(now)
        ticks.append(tick)
        now = schedule.due(tick) + 0.003  # every wake-up is a little late; that must not add up
    assert ticks == list(range(500))
    assert now == pytest.approx(499 * 0.020 + 0.003)


def test_a_short_stall_is_caught_up_with_and_a_long_one_skipped() -> None:
    schedule = Schedule(20_000, 0, burst=10)
    assert schedule.next_tick(0.0) == 0
    assert [schedule.next_tick(0.1) for _ in range(3)] == [1, 2, 3]
    assert schedule.next_tick(10.0) == 500


def test_a_short_stall_loses_no_picture_and_a_long_one_is_skipped() -> None:
    schedule = FrameSchedule(DELAY_MS)
    assert [schedule.next_tick(now) for now in (0.0, 0.15, 0.15)] == [0, 1, 2]
    late = schedule.next_tick(1.0)
    assert schedule.due(late) > 0.9
    assert schedule.next_tick(1.0) == late + 1


def test_a_late_picture_is_shown_while_its_lips_fit() -> None:
    playout = Playout(DELAY_MS, STILL)
    playout.push_frame(frame(0))
    shown = [playout.pull_frame(index) for index in range(3)]
    playout.push_frame(frame(1))  # one and a half frames late
    shown.append(playout.pull_frame(3))
    playout.push_frame(frame(1))  # again
    shown.append(playout.pull_frame(4))
    playout.push_frame(frame(2))  # three
    shown.append(playout.pull_frame(5))
    assert [int(rgb[0, 0, 0]) for rgb in shown] == [0, 0, 0, 1, 1, 1]
    assert (playout.stats.late, playout.stats.dropped) == (1, 2)


def test_a_picture_that_has_stood_for_long_gives_way_to_one_that_is_very_late() -> None:
    playout = Playout(DELAY_MS, STILL)
    playout.push_frame(frame(0))
    for index in range(20):
        playout.pull_frame(index)
    playout.push_frame(frame(9))
    assert playout.pull_frame(20)[0, 0, 0] == 9
    playout.push_frame(frame(10))  # now it has not stood for long
    assert playout.pull_frame(21)[0, 0, 0] == 9


def voice(seconds: float, hertz: float = 130.0) -> Samples:
    moments = np.arange(round(seconds * 1000 * MS)) / (1000 * MS)
    tone = np.sum([np.sin(2 * np.pi * hertz * n * moments) / n for n in range(1, 6)], axis=0)
    return np.repeat((6000 * tone).astype(np.int16)[:, None], 2, axis=1)


@pytest.mark.parametrize(("before", "after"), [(0, 80), (0, 400), (240, 80), (160, 0)])
def test_the_delay_changes_while_sound_is_heard_without_a_break(before: int, after: int) -> None:
    """A steady voice stays one: no gap, no click, and at the end it is late by as much as was asked for."""
    playout = Playout(DELAY_MS, STILL)
    said, heard = voice(12.0), []
    for block in range(600):
        playout.push_audio(block * AUDIO_BLOCK, said[block * AUDIO_BLOCK : (block + 1) * AUDIO_BLOCK])
        if block == 50:
            playout.hold(before)
        if block == 300:
            assert playout.held_ms == before
            playout.hold(after)
        heard.append(playout.pull_audio(block))
    sound = np.concatenate(heard)[DELAY_MS * MS :, 0].astype(float)
    assert playout.held_ms == after
    assert np.array_equal(sound[-AUDIO_BLOCK:], said[: len(sound) - after * MS][-AUDIO_BLOCK:, 0])
    assert np.abs(np.diff(sound)).max() < 1.5 * np.abs(np.diff(said[:, 0].astype(float))).max()
    levels = np.sqrt((sound[: len(sound) // 960 * 960].reshape(-1, 960) ** 2).mean(1))
    assert levels.min() > 0.7 * levels.max()
    assert playout.stats.underrun == 0


def test_a_pause_is_made_longer_rather_than_a_word() -> None:
    """Half a second of voice in silence: it comes later, and is as long as it was."""
    playout = Playout(DELAY_MS, STILL)
    said = np.concatenate(
        [np.zeros((40 * AUDIO_BLOCK, 2), np.int16), voice(0.5), np.zeros((60 * AUDIO_BLOCK, 2), np.int16)]
    )
    heard = []
    for block in range(120):
        playout.push_audio(block * AUDIO_BLOCK, said[block * AUDIO_BLOCK : (block + 1) * AUDIO_BLOCK])
        if block == 56:  # while the voice begins to be heard
            playout.hold(160)
        heard.append(playout.pull_audio(block))
    sound = np.flatnonzero(np.abs(np.concatenate(heard)[:, 0]) > 0)
    assert len(sound) == pytest.approx(np.count_nonzero(said[:, 0]), abs=20)
    assert playout.held_ms == 160


def test_pictures_are_as_late_as_the_sound_when_the_delay_grows() -> None:
    playout = Playout(DELAY_MS, STILL)
    for block in range(100):
        playout.push_audio(block * AUDIO_BLOCK, np.zeros((AUDIO_BLOCK, 2), np.int16))
        if block == 40:
            playout.hold(80)
        playout.pull_audio(block)
    for index in range(40):
        playout.push_frame(frame(index))
    assert playout.pull_frame(30)[0, 0, 0] == 28
    assert playout.next_frame == 29


def test_a_listener_gets_the_sound_as_it_was_said_whatever_the_delay() -> None:
    class Tape:
        def __init__(self) -> None:
            self.sound = np.zeros((0, 2), np.int16)

        def hear(self, start: int, samples: Samples) -> None:
            assert start == len(self.sound) - DELAY_MS * MS
            self.sound = np.concatenate([self.sound, samples])

    tape = Tape()
    playout = Playout(DELAY_MS, STILL, tape)
    said, held = voice(10.0), set()
    for block in range(500):
        playout.push_audio(block * AUDIO_BLOCK, said[block * AUDIO_BLOCK : (block + 1) * AUDIO_BLOCK])
        playout.hold(160 if block < 260 else 40)
        playout.pull_audio(block)
        held.add(playout.held_ms)
    assert held == {0, 40, 80, 120, 160}
    assert playout.held_ms == 40
    recorded = tape.sound[DELAY_MS * MS :]
    assert np.array_equal(recorded, said[: len(recorded)])


def test_a_listener_gets_what_was_skipped_while_the_program_was_held_up() -> None:
    heard: list[tuple[int, Samples]] = []

    class Listener:
        def hear(self, start: int, samples: Samples) -> None:
            heard.append((start, samples))

    playout = Playout(DELAY_MS, STILL, Listener())
    playout.push_audio(0, count(0, DELAY_MS * MS))
    first = DELAY_MS // AUDIO_PTIME_MS
    for block in (first, first + 1, first + 5):
        playout.pull_audio(block)
    ends = [start + len(samples) for start, samples in heard]
    assert [start for start, _ in heard] == [0, *ends[:-1]]
    np.testing.assert_array_equal(np.concatenate([samples for _, samples in heard]), count(0, 6 * AUDIO_BLOCK))
    assert playout.stats.underrun == 0


def test_the_still_returns_until_the_next_picture() -> None:
    playout = Playout(DELAY_MS, STILL)
    playout.push_frame(frame(0))
    playout.pull_frame(0)
    playout.rest()
    playout.push_frame(frame(2))
    assert [int(playout.pull_frame(index)[0, 0, 0]) for index in (1, 2)] == [255, 2]


def test_it_is_known_how_late_pictures_come_against_their_moment() -> None:
    playout = Playout(DELAY_MS, STILL)
    for block in range((DELAY_MS + 400) // AUDIO_PTIME_MS):
        playout.pull_audio(block)
    playout.push_frame(frame(8))  # due at 320 ms; the sound is at 400
    playout.push_frame(frame(10))
    playout.push_frame(frame(12))
    assert list(playout.lateness) == [80, 0, -80]
    assert worst_of([playout.lateness, playout.lateness]) == 80
    assert worst_of([]) is None
