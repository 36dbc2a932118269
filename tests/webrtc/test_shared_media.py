"""Encoded once for all who watch: each begins with a whole picture, and who misses some begins anew."""

from __future__ import annotations

import asyncio
from typing import Any

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from streamer.audio.format import AUDIO_BLOCK
from streamer.webrtc.shared_media import KEYFRAME_GAP_S, MOST_WAITING, SharedMedia
from tests.fakes.clock import FakeClock
from tests.waiting import eventually

SIDE = 64


def picture(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    shade = np.random.default_rng(number).integers(0, 255, (SIDE // 8, SIDE // 8, 3), np.uint8)
    return np.kron(shade, np.ones((8, 8, 1), np.uint8))


class Show:
    """A session that shows one picture after the other."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.media = SharedMedia(self.clock)
        self.number = 0

    async def show(self, count: int = 1) -> None:
        for _ in range(count):
            self.media.show(self.number, picture(self.number))
            self.number += 1
            self.clock.time += 0.04
            await eventually(lambda: not self.media.encoding)


async def taken(track: Any, count: int) -> list[Any]:
    async with asyncio.timeout(60):
        return [await track.recv() for _ in range(count)]


async def test_nothing_is_encoded_without_viewers() -> None:
    show = Show()
    await show.show(3)
    assert not show.media.encoding
    _, pictures = show.media.join()
    await show.show()
    (first,) = await taken(pictures, 1)
    assert first.is_keyframe
    assert first.pts == 3 * 3600


async def test_all_viewers_get_the_same_packets_from_a_keyframe_on() -> None:
    show = Show()
    _, early = show.media.join()
    for _ in range(20):
        await show.show()
        await taken(early, 1)
    _, late = show.media.join()
    await show.show(3)
    assert [bytes(packet) for packet in await taken(late, 3)] == [bytes(packet) for packet in await taken(early, 3)]


async def test_a_viewer_that_falls_behind_restarts_at_a_keyframe() -> None:
    show = Show()
    _, slow = show.media.join()
    await show.show(MOST_WAITING + 1 + round(KEYFRAME_GAP_S / 0.04) + 2)
    first, *_ = await taken(slow, 1)
    assert first.is_keyframe
    assert first.pts >= MOST_WAITING * 3600


@pytest.mark.slow
async def test_keyframes_are_not_made_as_often_as_they_are_asked_for() -> None:
    show = Show()
    _, pictures = show.media.join()
    keyframes = 0
    for _ in range(50):  # two seconds
        show.media.want_keyframe()
        await show.show()
        (packet,) = await taken(pictures, 1)
        keyframes += packet.is_keyframe
    assert 2 <= keyframes <= 2 / KEYFRAME_GAP_S + 1


async def test_sent_pictures_can_be_decoded() -> None:
    show = Show()
    sound, pictures = show.media.join()
    tone = np.repeat((8000 * np.sin(np.arange(AUDIO_BLOCK) / 10)).astype(np.int16)[:, None], 2, 1)
    for block in range(10):
        show.media.play(block, tone)
    await show.show(4)
    vp8, opus = av.CodecContext.create("vp8", "r"), av.CodecContext.create("libopus", "r")
    seen = [frame for packet in await taken(pictures, 4) for frame in vp8.decode(av.Packet(bytes(packet)))]
    heard = [frame for packet in await taken(sound, 10) for frame in opus.decode(av.Packet(bytes(packet)))]
    difference = np.abs(seen[-1].to_ndarray(format="rgb24").astype(int) - picture(3)).mean()
    assert difference < 20
    assert max(np.abs(frame.to_ndarray()).max() for frame in heard) > 0.1


async def test_a_picture_of_another_size_begins_anew() -> None:
    show = Show()
    _, pictures = show.media.join()
    await show.show()
    show.media.show(1, np.zeros((32, 32, 3), np.uint8))
    first, second = await taken(pictures, 2)
    assert first.is_keyframe
    assert second.is_keyframe


async def test_a_viewer_that_leaves_gets_nothing_more_and_the_others_go_on() -> None:
    show = Show()
    gone, other = show.media.join(), show.media.join()
    await show.show()
    show.media.leave(gone)
    await show.show()
    assert len(await taken(other[1], 2)) == 2
    with pytest.raises(MediaStreamError):
        await taken(gone[0], 1)
    assert show.media.watching == 1
