"""What a face may be made to look like: what the family can, and whom its owner may choose."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.avatar.gallery import Gallery
from streamer.core.errors import ConfigError
from streamer.core.options import FaceOptions
from streamer.server.looks import Looks, able_to_show
from streamer.stages.life.steering import Background, Shown, Size, Wear
from tests.families import tiny_family


def test_the_shipped_faces_can_be_changed_and_sadtalkers_stay_whose_they_are(vae_folder: Path) -> None:
    assert able_to_show(Manifest.load(SHIPPED_FAMILY)) == ["background", "size", "avatar"]
    assert able_to_show(Manifest.load(vae_folder)) == ["background"]


@pytest.fixture
def looks(tiny_folder: Path) -> Looks:
    manifest = Manifest.load(tiny_folder)
    gallery = Gallery.load(manifest, [tiny_family.NAME], tiny_family.NAME)
    return Looks(manifest, FaceOptions(background="#00ff00"), lambda: gallery)


def test_wishes_that_can_be_had_come_back_as_they_are_taken(looks: Looks) -> None:
    assert looks.read(Wear(tiny_family.NAME)) == Wear(tiny_family.NAME)
    assert looks.read(Background("blur")) == Background("blur")
    assert looks.read(Size(None)) == Size(None)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Wear("nobody"), "nobody"),
        (Background("plaid"), "colour"),
        (Background("transparent"), "beginning"),
        (Size(100), "100"),
    ],
)
def test_others_are_one_line(looks: Looks, wanted: Shown, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as error:
        looks.read(wanted)
    assert "\n" not in str(error.value)
