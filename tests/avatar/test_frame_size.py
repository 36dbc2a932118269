"""Which size an avatar's frames have."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.manifest import Manifest
from streamer.avatar.frame_size import LIVE_PIXELS, check, frame_size, most_pixels, note, offered_sizes
from streamer.core.errors import ConfigError
from streamer.core.options import FaceOptions
from tests import ROOT

STARTER = Manifest.load(ROOT / "engines" / "starter")


@pytest.mark.parametrize(
    ("photo", "asked", "size"),
    [
        (1024, None, 512),
        (1024, 768, 768),
        (1024, 256, 256),
        (600, 768, 768),  # three quarters of it: the next smaller one would lose detail
        (500, 768, 512),
        (300, None, 384),
        (256, 512, 256),
    ],
)
def test_frames_are_as_large_as_the_photo_has_pixels_for(photo: int, asked: int | None, size: int) -> None:
    assert frame_size(STARTER, photo, FaceOptions(size=asked)) == size


def test_a_face_on_another_background_is_smaller_unless_asked() -> None:
    assert frame_size(STARTER, 1024, FaceOptions(background="blur")) == 384
    assert frame_size(STARTER, 1024, FaceOptions(background="blur", size=768)) == 768


def test_a_photo_smaller_than_the_size_is_reported(tiny_folder: Path) -> None:
    assert note(300, 512, 384) == "the photo has 300 pixels about the head, so frames are 384x384, not 512x512"
    assert note(300, None, 384) is None
    assert note(1024, 512, 512) is None


def test_a_network_that_draws_the_picture_gives_its_size(tiny_folder: Path) -> None:
    tiny = Manifest.load(tiny_folder)
    assert offered_sizes(tiny) == (tiny.size,)
    assert frame_size(tiny, 1024) == tiny.size
    with pytest.raises(ConfigError, match=f"size 512; family tiny has {tiny.size}"):
        check(tiny, 512)
    check(tiny, None)


def test_the_largest_live_picture_is_a_whole_photo() -> None:
    assert most_pixels(STARTER) == LIVE_PIXELS > max(offered_sizes(STARTER)) ** 2
