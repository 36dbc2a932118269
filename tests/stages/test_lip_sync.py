"""The shipped family's lips, judged by the lip expert: in time with the voice, and told when they are moved."""

from __future__ import annotations

import numpy as np
import pytest

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.audio.sound_file import read_sound
from streamer.avatar.bundle import PREPARING, Avatar
from streamer.core.frames import FloatArray
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import SAMPLE_RATE
from streamer.pipeline import CoefficientStream
from streamer.stages.mel_windows import WindowShape, clip_windows
from streamer.stages.motion import MotionStage
from streamer.vision.lip_expert import shared_expert
from streamer.vision.lip_shapes import lip_shapes
from tests import DATA

pytestmark = pytest.mark.slow

SECONDS = 5


@pytest.fixture(scope="module")
def sound() -> FloatArray:
    return np.concatenate(list(read_sound(DATA / "speech.ogg")))[: SECONDS * SAMPLE_RATE]


@pytest.fixture(scope="module")
def lips(sound: FloatArray) -> FloatArray:
    """The shapes of the lips that the family makes of the sound, as keypoints, without any picture."""
    manifest = Manifest.load(SHIPPED_FAMILY)
    with Engines.open(manifest, without=PREPARING) as engines:
        avatar = Avatar.load(engines, "mina")
        stream = CoefficientStream(engines, avatar, PipelineOptions(None, 0, FaceOptions(still=True)))
        motion = MotionStage(engines["motion"], avatar)
        frames = motion.infer(stream.push(sound) + stream.flush())
    return lip_shapes(np.stack([frame.points[:478] for frame in frames]))


@pytest.fixture(scope="module")
def heard(sound: FloatArray) -> FloatArray:
    return clip_windows(sound, WindowShape(32, 3, levelled=True))  # what the lip expert was taught on


def test_lips_are_in_time(heard: FloatArray, lips: FloatArray) -> None:
    score = shared_expert().judge(heard, lips)
    assert abs(score.offset_ms) <= 80
    assert score.confidence > 0.1


@pytest.mark.parametrize("frames", [-6, 6])
def test_lips_that_are_moved_are_found_out(heard: FloatArray, lips: FloatArray, frames: int) -> None:
    in_time, moved = (shared_expert().judge(heard, np.roll(lips, by, axis=0)) for by in (0, frames))
    assert abs(moved.offset_ms - in_time.offset_ms - 40 * frames) <= 80


def test_another_s_lips_give_less_confidence_than_one_s_own(heard: FloatArray, lips: FloatArray) -> None:
    expert = shared_expert()
    assert expert.judge(heard, lips[::-1]).confidence < 0.7 * expert.judge(heard, lips).confidence


def test_too_little_is_refused(heard: FloatArray, lips: FloatArray) -> None:
    with pytest.raises(ValueError, match="74 frames"):
        shared_expert().judge(heard[:74], lips)
