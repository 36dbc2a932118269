"""Portraits on backgrounds: what a visitor asks for again is there, and what is remembered is bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.avatar.bundle_files import MATTE
from streamer.avatar.gallery import Portrait
from streamer.avatar.matte import write_matte
from streamer.core.errors import BundleError
from streamer.core.frames import ByteArray
from streamer.server.stills import MOST_PNGS, Stills

SIDE = 64


@pytest.fixture
def portrait(tmp_path: Path) -> Portrait:
    still = np.full((SIDE, SIDE, 3), 200, np.uint8)
    still[16:48, 16:48] = (150, 100, 80)
    matte = np.zeros((SIDE, SIDE), np.float32)
    matte[16:48, 16:48] = 1
    write_matte(tmp_path / MATTE, matte)
    return Portrait("dot", "Dot", "", b"png", still, still, SIDE, tmp_path, own=False)


@pytest.fixture
async def stills() -> AsyncIterator[Stills]:
    made = Stills()
    yield made
    made.close()


def decoded(png: bytes) -> ByteArray:
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


@pytest.mark.parametrize("background", ["#0000ff", "#12ab34", "blur", "transparent"])
async def test_a_still_is_as_the_first_picture_will_be(stills: Stills, portrait: Portrait, background: str) -> None:
    still = await stills.still(portrait, background, SIDE)
    apart = np.abs(still.astype(int) - portrait.on(background))
    assert apart.max() <= 1  # a cut-out is kept with 8 bits
    picture = decoded(await stills.png(portrait, background))
    way = cv2.COLOR_BGRA2RGBA if still.shape[2] == 4 else cv2.COLOR_BGR2RGB
    assert (cv2.cvtColor(picture, way) == still).all()


async def test_a_portrait_is_cut_out_once_whatever_colours_are_asked_for(stills: Stills, portrait: Portrait) -> None:
    await stills.still(portrait, "#000000", SIDE)
    (portrait.folder / MATTE).write_bytes(b"damaged")
    for colour in range(5):
        assert (await stills.still(portrait, f"#0000{colour:02x}", SIDE)).shape == (SIDE, SIDE, 3)


async def test_remembered_items_are_bounded(stills: Stills, portrait: Portrait) -> None:
    for colour in range(MOST_PNGS + 2):
        await stills.png(portrait, f"#0000{colour:02x}")
    assert not stills.knows_png(portrait, "#000001")
    assert stills.knows_png(portrait, "#000002")


async def test_a_damaged_matte_is_reported(stills: Stills, portrait: Portrait) -> None:
    (portrait.folder / MATTE).write_bytes(b"damaged")
    with pytest.raises(BundleError, match="not a picture"):
        await stills.still(portrait, "#000000", SIDE)
    assert await stills.still(portrait, None, SIDE) is portrait.still
