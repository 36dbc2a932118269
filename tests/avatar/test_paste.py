"""Frames go back into the whole picture: seamlessly at the box's edge, wholly inside it, not at all outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.avatar import bundle_files
from streamer.avatar.paste import FEATHER, MOST_ENLARGED, MOST_SIDE, PasteBack, PasteBox, whole_picture
from streamer.core.errors import BundleError
from tests.fakes import faces

WHOLE = np.full((200, 300, 3), 50, np.uint8)
WHITE = np.full((64, 64, 3), 250, np.uint8)


def test_inside_outside_and_between() -> None:
    pasted = PasteBack(WHOLE, PasteBox(100, 60, 200, 160)).paste(WHITE)
    assert pasted.shape == WHOLE.shape
    outside = np.ones((200, 300), bool)
    outside[60:160, 100:200] = False
    assert (pasted[outside] == 50).all()
    feather = round(FEATHER * 100)
    assert (pasted[60 + feather : 160 - feather, 100 + feather : 200 - feather] == 250).all()
    line = pasted[110, 100 : 100 + feather, 0].astype(int)
    assert (np.diff(line) >= 0).all()
    assert line[0] < 60
    assert np.diff(line).max() < 45
    assert (WHOLE == 50).all()


def test_at_the_picture_s_own_edge_nothing_is_feathered() -> None:
    pasted = PasteBack(WHOLE, PasteBox(-20, 60, 80, 160)).paste(WHITE)
    assert (pasted[110, :60] == 250).all()
    assert pasted[110, 79, 0] < 60


def test_the_frame_is_put_to_scale() -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, 32:] = 255
    pasted = PasteBack(WHOLE, PasteBox(100, 60, 200, 160)).paste(frame)
    assert (pasted[110, 115:145] == 0).all()
    assert (pasted[110, 155:185] == 255).all()


def test_a_whole_picture_is_bounded_and_even() -> None:
    photo = np.zeros((1501, 4001, 3), np.uint8)
    whole, box = whole_picture(photo, (1000, 200, 2000, 1200), 512)
    assert whole.shape[1] == MOST_SIDE
    assert whole.shape[0] % 2 == 0
    scale = MOST_SIDE / 4001
    assert box == PasteBox(round(1000 * scale), round(200 * scale), round(2000 * scale), round(1200 * scale))
    small, same = whole_picture(photo[:101, :99], (10.2, 5.0, 60.4, 55.0), 256)
    assert small.shape == (100, 98, 3)
    assert same == PasteBox(10, 5, 60, 55)


def test_a_head_larger_than_its_frames_scales_the_photo_down() -> None:
    photo = np.zeros((1000, 1200, 3), np.uint8)
    whole, box = whole_picture(photo, (100, 100, 900, 900), 256)
    assert box.right - box.left == pytest.approx(MOST_ENLARGED * 256, abs=2)
    assert whole.shape[:2] == (480, 576)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        (np.array([400.0, 0.0, 500.0, 100.0]), "outside a picture of 300x200"),
        (np.array([1.0, 2.0]), "expected four numbers"),
        (np.array([0.0, 0.0, np.nan, 9.0]), "expected four numbers"),
    ],
)
def test_a_wrong_box_is_one_line(tmp_path: Path, box: np.ndarray, message: str) -> None:
    faces.save(tmp_path / bundle_files.WHOLE, WHOLE)
    with pytest.raises(BundleError, match=message):
        PasteBack.load(tmp_path, box.astype(np.float32))


def test_a_missing_whole_picture(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"whole.png: No such file"):
        PasteBack.load(tmp_path, np.array([0, 0, 9, 9], np.float32))
