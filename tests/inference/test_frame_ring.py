"""Pictures in memory shared by two processes."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest

from streamer.inference.frame_ring import FrameRing

CONTEXT = multiprocessing.get_context("spawn")


def picture(value: int, size: int = 5) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((size, size, 3), value, np.uint8)


def test_a_picture_is_read_as_it_was_written_until_its_slot_is_used_again() -> None:
    ring = FrameRing(slots=4, most=25)
    for serial in range(6):
        ring.write(serial, picture(serial))
    assert ring.read(0) is None
    assert ring.read(1) is None
    for serial in range(2, 6):
        assert np.array_equal(ring.read(serial), picture(serial))  # type: ignore[arg-type]


def test_a_copy_does_not_change_when_the_slot_does() -> None:
    ring = FrameRing(slots=1, most=25)
    ring.write(0, picture(7))
    copy = ring.read(0)
    ring.write(1, picture(9))
    assert copy is not None
    assert (copy == 7).all()


def test_pictures_with_and_without_transparency_share_a_slot() -> None:
    ring = FrameRing(slots=1, most=25)
    rgba = np.arange(100, dtype=np.uint8).reshape(5, 5, 4)
    ring.write(0, rgba)
    assert np.array_equal(ring.read(0), rgba)  # type: ignore[arg-type]
    ring.write(1, picture(9))
    assert np.array_equal(ring.read(1), picture(9))  # type: ignore[arg-type]


def test_pictures_of_several_sizes_share_a_slot() -> None:
    ring = FrameRing(slots=1, most=64)
    for serial, size in enumerate((5, 8, 3)):
        ring.write(serial, picture(serial, size))
        assert np.array_equal(ring.read(serial), picture(serial, size))  # type: ignore[arg-type]
    wide = np.arange(4 * 16 * 3, dtype=np.uint8).reshape(4, 16, 3)
    ring.write(3, wide)
    assert np.array_equal(ring.read(3), wide)  # type: ignore[arg-type]


@pytest.mark.parametrize("rgb", [picture(0, size=6), np.zeros((5, 5, 3), np.float32), np.zeros((5, 5, 2), np.uint8)])
def test_another_shape_or_type_is_refused(rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    with pytest.raises(ValueError, match=r"expected uint8\[H, W, 3 or 4\] of up to 25 pixels"):
        FrameRing(slots=1, most=25).write(0, rgb)


def _write(ring: FrameRing) -> None:
    ring.write(3, picture(42))


@pytest.mark.process
def test_another_process_sees_written_frames() -> None:
    ring = FrameRing(slots=2, most=25)
    process = CONTEXT.Process(target=_write, args=(ring,))
    process.start()
    process.join(60)
    copy = ring.read(3)
    assert copy is not None
    assert (copy == 42).all()
