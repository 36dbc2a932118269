"""What a face feels comes and goes without a jump, leaves lips their work, and is told by its units."""

from __future__ import annotations

import numpy as np
import pytest

from engines.runtime import Engines
from streamer.audio.loudness import SILENCE_DB
from streamer.avatar.bundle import Avatar
from streamer.core.frames import FloatArray
from streamer.core.options import EMOTIONS, FaceOptions, PipelineOptions
from streamer.core.rates import SAMPLE_RATE
from streamer.pipeline import CoefficientStream
from streamer.stages.life.mood import MOODS, Mood
from streamer.stages.life.steering import Emotion

NAMES = sorted({name for units in MOODS.values() for name in units} | {"tongueOut"})
LOUD_DB = -15.0


def steps(mood: Mood, count: int, level: float = SILENCE_DB) -> FloatArray:
    return np.stack([mood.step(level) for _ in range(count)])


def test_a_face_that_feels_nothing_adds_nothing() -> None:
    assert not steps(Mood(1, NAMES), 50).any()


@pytest.mark.parametrize("emotion", EMOTIONS[2:])
def test_an_emotion_moves_its_own_units_and_is_there_from_the_first_frame(emotion: str) -> None:
    made = steps(Mood(1, NAMES, emotion), 50)
    own = [name in MOODS[emotion] for name in NAMES]
    assert (made[:, own] > 0).all()
    assert not made[:, np.logical_not(own)].any()


def test_another_emotion_comes_within_a_second_and_without_a_jump() -> None:
    mood = Mood(1, NAMES, "happy")
    before = steps(mood, 5)
    mood.feel("sad")
    made = np.concatenate([before, steps(mood, 50)])
    assert np.abs(np.diff(made, axis=0)).max() < 0.1
    frown, smile = NAMES.index("mouthFrownLeft"), NAMES.index("mouthSmileLeft")
    assert made[30, frown] > 0.6 * MOODS["sad"]["mouthFrownLeft"]
    assert made[30, smile] < 0.4 * MOODS["happy"]["mouthSmileLeft"]


def test_intensity_scales_it() -> None:
    plain, strong = (steps(Mood(3, NAMES, "angry", value), 40) for value in (1.0, 2.0))
    np.testing.assert_allclose(strong, 2 * plain, rtol=1e-4)


def test_a_mouth_that_speaks_keeps_less_of_it_and_brows_all() -> None:
    quiet, speaking = (steps(Mood(2, NAMES, "happy"), 50, level) for level in (SILENCE_DB, LOUD_DB))
    smile, brow = NAMES.index("mouthSmileLeft"), NAMES.index("browOuterUpLeft")
    assert speaking[-1, smile] < 0.7 * quiet[-1, smile]
    np.testing.assert_allclose(speaking[:, brow], quiet[:, brow])


def test_a_session_begins_with_it_and_changes_it(starter: Engines) -> None:
    names = starter.manifest.coefficients.expression
    smile, frown = names.index("mouthSmileLeft"), names.index("mouthFrownLeft")
    stream = CoefficientStream(starter, Avatar.load(starter), PipelineOptions(face=FaceOptions(emotion="happy")))
    silence = np.zeros(2 * SAMPLE_RATE, np.float32)
    happy = stream.push(silence)
    stream.ask(Emotion("sad"))
    sad = stream.push(silence)
    assert happy[5].values[smile, 1] > 0.3 > happy[5].values[frown, 1]
    assert sad[-1].values[frown, 1] > 0.2 > sad[-1].values[smile, 1]
