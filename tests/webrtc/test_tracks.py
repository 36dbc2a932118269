"""What is sent, and when: sound and pictures on one schedule, in simulated time."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError
from av import CodecContext, VideoFrame

from streamer.audio.format import AUDIO_BLOCK, RATE
from streamer.core.frames import AvatarFrame, ByteArray
from streamer.session.pacer import Pacer
from streamer.session.playout import Playout
from streamer.webrtc.tracks import MOST_BLOCKS, AvatarAudioTrack, AvatarVideoTrack
from tests.fakes.clock import FakeClock

DELAY_MS = 300
PICTURE = np.zeros((16, 16, 3), np.uint8)
_WAVE = 9_000 * np.sin(2 * np.pi * 500 * np.arange(AUDIO_BLOCK) / RATE)
TONE = np.repeat(_WAVE.astype(np.int16)[:, None], 2, axis=1)


class Sent:
    """Both tracks of a paced session and what they gave, with the moment of each.

    every: frames between two new pictures; None is no picture but the still.
    """

    def __init__(self, picture: ByteArray = PICTURE, every: int | None = 1) -> None:
        self.every = every
        self.clock = FakeClock()
        self.ticks: list[float] = []
        self.positions: list[int] = []
        self.sound: list[tuple[float, Any]] = []
        self.pictures: list[tuple[float, VideoFrame]] = []
        self.playout = Playout(DELAY_MS, picture)
        self.pacer = Pacer(self.playout, self.clock)
        self.audio, self.video = AvatarAudioTrack(), AvatarVideoTrack()

    def _tick(self, now: float) -> None:
        """A microphone with a tone in every fifth packet, and pictures as they are made."""
        block = len(self.ticks)
        if self.every is not None and block % (2 * self.every) == 0:
            self.playout.push_frame(AvatarFrame(block // 2, PICTURE.copy(), 0))
        self.playout.push_audio(block * AUDIO_BLOCK, TONE if block % 5 == 0 else np.zeros_like(TONE))
        self.ticks.append(now)

    async def run(self, seconds: float, readers: bool = True) -> None:
        async def sound() -> None:
            while True:
                frame = await self.audio.recv()
                self.sound.append((self.pacer.now(), frame))

        async def pictures() -> None:
            while True:
                frame = await self.video.recv()
                self.pictures.append((self.pacer.now(), frame))

        self.pacer.begin()
        parts = [
            self.pacer.play(self._tick, self.audio.play, self.positions.append),
            self.pacer.show(self.video.show),
        ]
        tasks = [asyncio.create_task(part) for part in [*parts, *([sound(), pictures()] if readers else [])]]
        await self.clock.advance(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def sent() -> Sent:
    run = Sent()
    await run.run(2.01)
    return run


async def test_pictures_leave_25_times_a_second_with_timestamps_to_match(sent: Sent) -> None:
    spoken = [(moment, frame) for moment, frame in sent.pictures if moment >= DELAY_MS / 1000]
    assert len(spoken) == pytest.approx(43, abs=1)
    stamps = [frame.pts or 0 for _, frame in spoken]
    assert stamps == list(range(stamps[0], stamps[0] + 3600 * len(stamps), 3600))
    assert {frame.time_base for _, frame in sent.pictures} == {sent.pictures[0][1].time_base}
    assert float(sent.pictures[0][1].time_base or 0) == pytest.approx(1 / 90_000)


async def test_sound_leaves_50_times_a_second_as_it_was_given(sent: Sent) -> None:
    assert len(sent.sound) == pytest.approx(101, abs=1)
    decoder: Any = CodecContext.create("libopus", "r")
    decoder.format, decoder.layout, decoder.sample_rate = "s16", "stereo", RATE
    levels = []
    for block, (moment, packet) in enumerate(sent.sound):
        assert moment == pytest.approx(block * 0.020, abs=1e-6)
        assert (packet.pts, packet.time_base) == (block * AUDIO_BLOCK, Fraction(1, RATE))
        (frame,) = decoder.decode(packet)
        assert (frame.sample_rate, frame.samples) == (RATE, AUDIO_BLOCK)
        levels.append(float(np.abs(frame.to_ndarray()).max()))
    delay = DELAY_MS // 20
    assert max(levels[:delay]) < 100
    loud = {block for block, level in enumerate(levels) if level > 6_000}  # Opus spreads a tone over two packets
    assert {block for block in loud if block - 1 not in loud} == set(range(delay, len(levels), 5))


async def test_a_picture_and_its_first_sample_leave_at_the_same_moment(sent: Sent) -> None:
    ahead = DELAY_MS // 40  # pictures flow before the first one is made
    for moment, frame in sent.pictures:
        assert frame.pts is not None
        assert moment == pytest.approx((frame.pts // 3600 - ahead) / 25 + DELAY_MS / 1000, abs=1e-6)


@pytest.mark.parametrize(("every", "rate"), [(2, 12.5), (None, 5)])
async def test_a_picture_that_stands_is_sent_seldom_with_the_time_that_it_is_of(every: int | None, rate: float) -> None:
    sent = Sent(every=every)
    await sent.run(10.01)
    assert len(sent.pictures) == pytest.approx(10 * rate, abs=3)
    moments = [(moment, (frame.pts or 0) / 90_000) for moment, frame in sent.pictures]
    assert all(stamp == pytest.approx(moment - moments[0][0], abs=1e-6) for moment, stamp in moments)


async def test_time_passes_and_little_is_kept_while_the_tracks_are_unread() -> None:
    """As with a peer whose offer only sends its microphone: aiortc starts no sender for the sound."""
    sent = Sent()
    await sent.run(5.01, readers=False)
    assert len(sent.ticks) == pytest.approx(251, abs=1)
    assert sent.positions[-1] == (len(sent.ticks) - DELAY_MS // 20) * AUDIO_BLOCK
    first = await sent.audio.recv()
    assert first.pts == (len(sent.ticks) - MOST_BLOCKS) * AUDIO_BLOCK
    assert (sent.audio.dropped, sent.video.dropped) == (0, 0)  # never asked for, so nobody misses it


async def test_a_sender_that_does_not_keep_up_gets_the_newest_and_the_loss_is_counted() -> None:
    sent = Sent()
    sent.audio.play(0, np.zeros((AUDIO_BLOCK, 2), np.int16))
    await sent.audio.recv()
    for block in range(1, MOST_BLOCKS + 4):
        sent.audio.play(block, np.zeros((AUDIO_BLOCK, 2), np.int16))
    assert sent.audio.dropped == 3
    assert (await sent.audio.recv()).pts == 4 * AUDIO_BLOCK


async def test_a_reader_is_let_go_when_the_track_stops() -> None:
    sent = Sent()
    reading = asyncio.create_task(sent.video.recv())
    await asyncio.sleep(0)
    sent.video.stop()
    with pytest.raises(MediaStreamError):
        await reading


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
