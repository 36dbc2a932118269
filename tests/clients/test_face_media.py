"""What a face shows on its way into a framework: in order, bounded, silent when it was interrupted."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from clients.face_media import Block, FaceMedia, Picture

SPEECH = np.full((960, 2), 5_000, np.int16)
SILENCE = np.zeros((960, 2), np.int16)
RGB = np.zeros((4, 4, 3), np.uint8)


async def all_of(media: FaceMedia) -> list[Any]:
    found = []
    while True:
        try:
            async with asyncio.timeout(0.05):
                found.append(await media.next())
        except TimeoutError:
            return found


async def test_pictures_sound_and_events_come_in_order() -> None:
    media = FaceMedia()
    media.show(0, RGB)
    media.play(0, SPEECH)
    media.put_event({"type": "started", "speech": 1}, 0.0)
    picture, block, event = await all_of(media)
    assert isinstance(picture, Picture)
    assert isinstance(block, Block)
    assert event == {"type": "started", "speech": 1}


async def test_untaken_pictures_are_dropped_oldest_first_but_no_event() -> None:
    media = FaceMedia(most=4)
    media.put_event({"type": "started", "speech": 1}, 0.0)
    await asyncio.sleep(0.01)
    for number in range(10):
        media.play(number, np.full((960, 2), number, np.int16))
    event, *blocks = await all_of(media)
    assert event["type"] == "started"
    assert [block.samples[0, 0] for block in blocks] == [7, 8, 9]
    assert media.dropped == 7


async def test_an_interruption_silences_queued_sound_and_corrects_the_position() -> None:
    media = FaceMedia()
    for number in range(5):
        media.play(number, SPEECH)
    await media.next()
    media.mute()
    media.play(5, SPEECH)  # it was on its way
    media.play(6, SILENCE)
    played = {"type": "played", "speech": 1, "position_ms": 120, "final": True, "interrupted": True}
    media.put_event(played, 0.0)
    media.unmute(0.0)
    *blocks, event = await all_of(media)
    assert all(not block.samples.any() for block in blocks)
    assert event["position_ms"] == 20  # one block was let through
    media.play(7, SPEECH)
    media.put_event(played | {"speech": 2, "position_ms": 20}, 0.0)
    block, event = await all_of(media)
    assert block.samples.any()
    assert event["position_ms"] == 20
