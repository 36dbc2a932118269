"""Pictures leave as bytes, of what the network painted for these keypoints."""

from __future__ import annotations

import numpy as np

from streamer.core.frames import Keypoints
from streamer.core.pictures import to_bytes
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.pipeline import Avatar, Engines
from streamer.stages.render import RenderStage


def test_levels_are_rounded_and_clipped() -> None:
    levels = np.array([[[-0.5, 0.0, 0.4999 / 255], [0.5001 / 255, 254.4 / 255, 254.6 / 255], [1.0, 1.5, 9.0]]])
    expected = [[[0, 0, 0], [1, 254, 255], [255, 255, 255]]]
    np.testing.assert_array_equal(to_bytes(levels.astype(np.float32)), expected)


def test_bytes_stay_as_they_are() -> None:
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(to_bytes(picture), picture)


def test_the_portrait_s_own_keypoints_give_the_portrait(tiny: Engines, dot: Avatar) -> None:
    """The tiny network adds the mean distance of the points, and a tenth of what the condition maps changed."""
    stage = RenderStage(tiny, dot)
    source = dot.constants["source_keypoints"][0]
    rest = stage.infer(Keypoints(3, source))
    assert rest.index == 3
    assert rest.position == 3 * SAMPLES_PER_FRAME
    portrait = dot.constants["portrait"][0].transpose(1, 2, 0)
    maps = dot.constants["source_conditions"][0] - dot.constants["features"][0]
    expected = to_bytes(portrait + 0.1 * maps.mean(axis=0)[..., None])
    np.testing.assert_allclose(rest.rgb.astype(int), expected, atol=2)  # painted in bf16 where the machine can
    moved = stage.infer(Keypoints(4, source + np.float32(0.2)))
    assert moved.rgb.mean() > rest.rgb.mean() + 30
