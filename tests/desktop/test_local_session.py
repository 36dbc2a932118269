"""A conversation on this machine, in simulated time: what leaves belongs together, and no fault stops it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from streamer.audio.format import AUDIO_PTIME_MS, MS, RATE, Samples
from streamer.core.rates import FPS
from streamer.desktop.local_session import LocalSession
from streamer.desktop.presenter import RETRY_S, STUCK_FRAMES
from streamer.inference.worker import WorkerState
from streamer.session.options import SessionOptions
from streamer.session.timeline import RAMP
from tests.fakes.clock import FakeClock
from tests.fakes.local import LOUDEST, STILL, Ear, LevelWorker, Screen, Script, steps

LEVELS = [round(level, 3) for level in np.random.default_rng(3).uniform(0.02, LOUDEST, 50)]
WHITE = 255


class Stage:
    """A session with all its ends."""

    def __init__(self, parts: list[Samples | None], lead_s: float = 0.0) -> None:
        self.clock = FakeClock()
        self.worker = LevelWorker()
        self.screen = Screen(self.clock)
        self.ear = Ear(self.clock, lead_s)
        self.source = Script(self.clock, parts)
        self.notes: list[str] = []
        options = SessionOptions("dot", STILL, 225)
        self.session = LocalSession(options, self.worker, self.clock, self.screen, self.ear, self.notes.append)
        self.start = self.clock.now()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.session.run(self.source))
        yield task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def said(self) -> list[int]:
        """The source's two seconds as the ear got them."""
        start = self.session.delay_ms * MS
        return list(self.ear.sound()[start + RAMP : start + 2 * RATE, 0])


def whole(levels: list[float]) -> list[int]:
    """These levels as they were said, without the first moments, which are faded in."""
    return list(steps(levels)[RAMP:, 0])


def grey(level: float) -> int:
    return round(200 * level / LOUDEST)


async def test_every_picture_leaves_with_its_own_sound() -> None:
    stage = Stage([steps(LEVELS)])
    async with stage.running() as task:
        await stage.clock.advance(10.0)
        assert task.done()
        task.result()
    sound = {block: (moment, samples) for moment, block, samples in stage.ear.heard}
    spoken = [shown for shown in stage.screen.shown if 0 <= shown[1] < len(LEVELS)]
    assert [frame for _, frame, _ in spoken] == list(range(len(LEVELS)))
    for moment, frame, shade in spoken:
        assert abs(shade - grey(LEVELS[frame])) <= 1
        block = (stage.session.delay_ms + 1000 * frame // FPS) // AUDIO_PTIME_MS
        left, samples = sound[block]
        assert left == pytest.approx(moment, abs=1e-6)
        assert samples[-1, 0] == int(LEVELS[frame] * 32768)
    assert stage.session.stats.repeated == 0
    assert stage.notes == []
    assert stage.worker.closed == [1]


async def test_pictures_and_sound_leave_steadily_and_end_with_the_source() -> None:
    stage = Stage([steps(LEVELS)])
    async with stage.running():
        await stage.clock.advance(10.0)
    moments = np.array([moment for moment, _, _ in stage.screen.shown])
    assert np.diff(moments) == pytest.approx(1 / FPS)
    assert np.diff([moment for moment, _, _ in stage.ear.heard]) == pytest.approx(AUDIO_PTIME_MS / 1000)
    assert [block for _, block, _ in stage.ear.heard] == list(range(len(stage.ear.heard)))
    assert stage.said() == whole(LEVELS)
    assert moments[-1] - stage.start == pytest.approx(2.0 + stage.session.delay_ms / 1000, abs=0.05)


async def test_a_slow_loudspeaker_gets_the_same_sound_earlier() -> None:
    stage = Stage([steps(LEVELS)], lead_s=0.1)
    async with stage.running():
        await stage.clock.advance(10.0)
    for moment, block, _ in stage.ear.heard[10:]:
        assert moment - stage.start == pytest.approx(block * AUDIO_PTIME_MS / 1000 - 0.1)
    assert stage.said() == whole(LEVELS)


async def test_more_lead_than_there_is_delay_costs_no_sound() -> None:
    stage = Stage([steps(LEVELS)], lead_s=5.0)
    async with stage.running():
        await stage.clock.advance(10.0)
    assert stage.said() == whole(LEVELS)
    assert stage.session.stats.underrun == 0


@pytest.mark.parametrize("seconds", [0.03, 0.07, 0.15, 0.19])
async def test_a_program_that_is_held_up_loses_no_sound(seconds: float) -> None:
    """What the source had to say meanwhile is not taken for late."""
    stage = Stage([steps(LEVELS)])
    async with stage.running():
        for _ in range(4):
            await stage.clock.advance(0.31)
            await stage.clock.stall(seconds)
        await stage.clock.advance(5.0)
    assert stage.said() == whole(LEVELS)
    frames = [frame for _, frame, _ in stage.screen.shown]
    assert frames == sorted(set(frames))


async def test_a_face_that_hangs_gives_way_to_the_portrait_and_comes_back() -> None:
    stage = Stage([steps([0.1] * 200)])
    async with stage.running():
        await stage.clock.advance(2.0)
        stage.worker.hangs = True
        await stage.clock.advance(3.0)
        stage.worker.hangs = False
        await stage.clock.advance(1.0)
    shades = [shade for _, frame, shade in stage.screen.shown if frame >= 0]
    still = [index for index, shade in enumerate(shades) if shade == WHITE]
    assert still == list(range(still[0], still[-1] + 1))
    assert abs(len(still) - (3 * FPS - STUCK_FRAMES + 1)) <= 1
    assert shades[-1] == grey(0.1)
    assert stage.session.stats.repeated == pytest.approx(3 * FPS, abs=1)
    played = stage.ear.sound()[stage.session.delay_ms * MS + RAMP :, 0]
    assert (played == steps([0.1])[0, 0]).all()  # sound never stopped


async def test_a_worker_that_dies_is_opened_again_and_lips_fit_again() -> None:
    levels = LEVELS * 4
    stage = Stage([steps(levels)])
    async with stage.running():
        await stage.clock.advance(2.0)
        stage.worker.die("the inference process ended unexpectedly")
        await stage.clock.advance(2.0)
        assert stage.screen.shown[-1][2] == WHITE
        stage.worker.state = WorkerState.READY
        await stage.clock.advance(3.0)
    assert len(stage.worker.opened) == 2
    assert stage.notes == [
        "the face stands still: the inference process ended unexpectedly",
        "the face moves again",
    ]
    for frame in range(130, 150):
        assert abs(stage.screen.grey(frame) - grey(levels[frame])) <= 1


async def test_a_microphone_that_is_unplugged_is_silence_until_it_is_back() -> None:
    stage = Stage([steps(LEVELS[:25]), None, None, steps(LEVELS)])
    async with stage.running():
        await stage.clock.advance(8.0)
    assert stage.source.openings == 3
    assert stage.notes == ["script is gone; the face goes on without sound until it is back", "script is back"]
    played = stage.ear.sound()[:, 0]
    delay = stage.session.delay_ms * MS
    again = round((1.0 + 2 * RETRY_S) * 1000) * MS + delay
    assert not played[delay + 1200 * MS : again - 10 * MS].any()
    assert np.array_equal(played[again + 10 * MS :][: 40 * 1920], steps(LEVELS)[10 * MS :, 0][: 40 * 1920])
    frames = [frame for _, frame, _ in stage.screen.shown]
    assert frames == list(range(frames[0], frames[-1] + 1))
    start = (1000 + round(2000 * RETRY_S)) // 40
    assert abs(stage.screen.grey(start + 20) - grey(LEVELS[20])) <= 1


async def test_a_screen_that_is_lost_is_reported_once_and_costs_no_sound() -> None:
    stage = Stage([steps(LEVELS)])
    async with stage.running():
        await stage.clock.advance(1.0)
        stage.screen.gone = True
        await stage.clock.advance(0.5)
        stage.screen.gone = False
        await stage.clock.advance(2.0)
    assert stage.notes == ["the screen is gone; trying it again", "pictures: the device is back"]
    assert stage.said() == whole(LEVELS)
