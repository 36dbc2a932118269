"""What is sent, and when: sound and pictures on one schedule, in simulated time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from streamer.audio.format import AUDIO_BLOCK, Samples
from streamer.core.frames import ByteArray
from streamer.session.schedule import FrameSchedule, audio_schedule
from streamer.webrtc.tracks import AvatarAudioTrack, AvatarVideoTrack, SessionTime
from tests.fakes.clock import FakeClock

DELAY_MS = 300
PICTURE = np.zeros((16, 16, 3), np.uint8)


class Sent:
    """Both tracks of a session and what they gave, with the moment of each."""

    def __init__(self, picture: ByteArray = PICTURE) -> None:
        self._shown = picture
        self.clock = FakeClock()
        self.starts: list[float] = []
        self.frames: list[int] = []
        self.sound: list[tuple[float, AudioFrame]] = []
        self.pictures: list[tuple[float, VideoFrame]] = []
        time = SessionTime(self.clock, self.starts.append)
        self.audio = AvatarAudioTrack(time, audio_schedule(), self._block)
        self.video = AvatarVideoTrack(time, FrameSchedule(DELAY_MS), self._picture)

    def _block(self, block: int, now: float) -> Samples:
        return np.full((AUDIO_BLOCK, 2), block, np.int16)

    def _picture(self, frame: int) -> ByteArray:
        self.frames.append(frame)
        return self._shown

    async def run(self, seconds: float) -> None:
        async def sound() -> None:
            while True:
                frame = await self.audio.recv()
                self.sound.append((self.clock.now() - self.starts[0], frame))

        async def pictures() -> None:
            while True:
                frame = await self.video.recv()
                self.pictures.append((self.clock.now() - self.starts[0], frame))

        tasks = [asyncio.create_task(sound()), asyncio.create_task(pictures())]
        await self.clock.advance(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def sent() -> Sent:
    run = Sent()
    await run.run(2.01)
    return run


async def test_both_tracks_have_one_start(sent: Sent) -> None:
    assert len(sent.starts) == 1


async def test_pictures_leave_25_times_a_second_with_timestamps_to_match(sent: Sent) -> None:
    assert len(sent.pictures) == pytest.approx(50, abs=1)
    stamps = [frame.pts for _, frame in sent.pictures]
    assert stamps == list(range(0, 3600 * len(stamps), 3600))
    assert {frame.time_base for _, frame in sent.pictures} == {sent.pictures[0][1].time_base}
    assert float(sent.pictures[0][1].time_base or 0) == pytest.approx(1 / 90_000)


async def test_sound_leaves_50_times_a_second_as_it_was_given(sent: Sent) -> None:
    assert len(sent.sound) == pytest.approx(101, abs=1)
    for block, (moment, frame) in enumerate(sent.sound):
        assert moment == pytest.approx(block * 0.020, abs=1e-6)
        assert (frame.pts, frame.sample_rate, frame.samples) == (block * AUDIO_BLOCK, 48_000, AUDIO_BLOCK)
        assert (frame.to_ndarray() == block).all()


async def test_a_picture_and_its_first_sample_leave_at_the_same_moment(sent: Sent) -> None:
    for frame, (moment, _) in zip(sent.frames, sent.pictures, strict=False):
        assert moment == pytest.approx(frame / 25 + DELAY_MS / 1000, abs=1e-6)
    assert sent.frames[0] < 0  # pictures flow before the first one is made


async def test_the_same_picture_is_a_new_frame_each_time(sent: Sent) -> None:
    assert len({id(frame) for _, frame in sent.pictures}) == len(sent.pictures)


async def test_a_transparent_picture_is_sent_twice_as_wide_its_matte_as_grey() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (16, 32, 4), np.uint8)
    sent = Sent(rgba)
    await sent.run(0.5)
    both = sent.pictures[0][1].to_ndarray(format="rgb24")
    assert (both[:, :32] == rgba[..., :3]).all()
    assert (both[:, 32:] == rgba[..., 3:]).all()
    assert both.shape == (16, 64, 3)


async def test_a_stopped_track_gives_nothing() -> None:
    sent = Sent()
    sent.audio.stop()
    sent.video.stop()
    with pytest.raises(MediaStreamError):
        await sent.audio.recv()
    with pytest.raises(MediaStreamError):
        await sent.video.recv()
