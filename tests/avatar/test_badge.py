"""The badge is seen in pictures of any size, and nothing else of them changes."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.avatar.badge import Badge, badged
from streamer.core.options import FaceOptions
from streamer.pipeline import Avatar, Engines, Pipeline, PipelineOptions
from tests.fakes.sound import speech_like


@pytest.mark.parametrize("size", [(256, 256), (768, 768), (640, 360), (360, 640)])
def test_it_is_in_the_lower_left_corner_and_high_enough_to_be_read(size: tuple[int, int]) -> None:
    picture = np.full((size[1], size[0], 3), 128, np.uint8)
    marked = Badge(size).put(picture)
    rows, columns = np.nonzero((marked != picture).any(axis=2))
    assert rows.max() - rows.min() + 1 >= 14
    assert rows.min() > 0.9 * size[1] - 14
    assert columns.max() < 0.45 * size[0]
    found = marked[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert found.min() < 40  # light on dark, with strokes of some pixels
    assert np.count_nonzero(found > 200) > 100
    assert (picture == 128).all()


def test_it_is_opaque_where_the_rest_is_clear() -> None:
    marked = badged(np.zeros((256, 256, 4), np.uint8))
    assert set(np.unique(marked[..., 3])) == {0, 255}
    assert np.count_nonzero(marked[..., 3]) == np.count_nonzero(marked[..., :3].any(axis=2))


@pytest.mark.parametrize("side", [8, 32])
def test_a_thumbnail_has_it_as_large_as_it_can_be(side: int) -> None:
    marked = badged(np.full((side, side, 3), 255, np.uint8))
    assert (marked < 255).any(axis=(0, 2)).sum() >= side - 1


def test_pictures_of_the_pipeline_bear_it_on_request(tiny: Engines, dot: Avatar) -> None:
    sound = speech_like(0.5)
    plain, marked = (
        Pipeline(tiny, dot, PipelineOptions(face=FaceOptions(badge=badge))).push(sound) for badge in (False, True)
    )
    assert len(plain) == len(marked) > 0
    for one, other in zip(plain, marked, strict=True):
        np.testing.assert_array_equal(other.rgb, badged(one.rgb))
