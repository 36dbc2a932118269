"""What the voice does to a face: bounded, slow, levelled for each speaker, and never a frown."""

from __future__ import annotations

import numpy as np
import pytest

from engines.runtime import Engines
from streamer.audio.tone import Tone
from streamer.core.frames import FloatArray
from streamer.core.options import MAX_INTENSITY, FaceOptions, PipelineOptions
from streamer.pipeline import Avatar, CoefficientStream
from streamer.stages.life.voice_mood import VoiceMood
from tests.fakes.sound import speech_like

NAMES = (
    "browDownLeft", "browInnerUp", "browOuterUpLeft", "cheekSquintLeft", "eyeBlinkLeft", "eyeWideLeft", "jawOpen",
    "mouthFrownLeft", "mouthSmileLeft", "mouthSmileRight", "noseSneerLeft",
)  # fmt: skip
Said = list[tuple[Tone | None, float]]


def talk(seconds: float, pitch: float = 7.0, brightness: float = -15.0, level: float = -25.0, seed: int = 0) -> Said:
    """A voice that wavers, with a short pause in each second."""
    rng = np.random.default_rng(seed)
    frames: Said = []
    for number in range(round(25 * seconds)):
        if number % 25 < 4:
            frames.append((None, -60.0))
            continue
        off = rng.standard_normal(3)
        frames.append((Tone(pitch + 0.12 * off[0], brightness + 5 * off[1]), level + 3 * off[2]))
    return frames


def shown(said: Said, share: float = 1.0) -> FloatArray:
    mood = VoiceMood(NAMES, share)
    return np.stack([mood.step(tone, level) for tone, level in said])


def column(offsets: FloatArray, name: str) -> FloatArray:
    return offsets[:, NAMES.index(name)]


def test_a_voice_that_turns_bright_and_high_smiles_and_lifts_the_brows_for_a_while() -> None:
    made = shown([*talk(10), *talk(4, 7.35, -8.0, seed=1), *talk(15, seed=2), *[(None, -70.0)] * 200])
    smile, brow = column(made, "mouthSmileLeft"), column(made, "browOuterUpLeft")
    assert smile[260:350].max() > 0.08
    assert smile[260:350].max() > 2 * smile[:240].max()
    assert brow[260:350].max() > 2 * brow[:240].mean()
    assert smile[-1] < 0.01  # in silence it is over
    assert np.array_equal(smile, column(made, "mouthSmileRight"))


@pytest.mark.parametrize(("pitch", "brightness", "level"), [(6.6, -22, -45), (8.3, -6, -10), (7.6, -10, -30)])
def test_nobody_s_own_voice_is_taken_for_a_feeling(pitch: float, brightness: float, level: float) -> None:
    mine = shown(talk(20, pitch, brightness, level))
    np.testing.assert_allclose(mine, shown(talk(20)), atol=1e-5)
    assert column(mine, "mouthSmileLeft").mean() < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_no_voice_makes_a_face_frown_twitch_or_gape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wild: Said = [(Tone(rng.uniform(6, 8.7), rng.uniform(-60, 10)), rng.uniform(-80, 0)) for _ in range(500)]
    for number in rng.integers(500, size=120):
        wild[number] = (None, -90.0)
    made = shown(wild, MAX_INTENSITY)
    for name in ("browDownLeft", "mouthFrownLeft", "noseSneerLeft", "jawOpen"):
        assert not column(made, name).any()
    assert (made >= 0).all()
    assert made.max() <= 0.30 * MAX_INTENSITY
    assert np.abs(np.diff(made, axis=0)).max() < 0.02 * MAX_INTENSITY


def test_later_voice_changes_nothing_and_a_reset_begins_anew() -> None:
    said = talk(6)
    np.testing.assert_array_equal(shown(said)[:100], shown(said[:100] + talk(2, 8.0, 0.0))[:100])
    mood = VoiceMood(NAMES)
    first = [mood.step(*frame) for frame in said]
    mood.reset()
    np.testing.assert_array_equal([mood.step(*frame) for frame in said], first)


def test_it_eases_in_and_out() -> None:
    mood = VoiceMood(NAMES, 0.0)
    said = [*talk(8), *talk(4, 7.4, -6.0, seed=1)]
    made = []
    for number, frame in enumerate(said):
        mood.share = 1.0 if number > 250 else 0.0
        made.append(mood.step(*frame))
    assert not np.any(made[:250])
    assert np.abs(np.diff(made, axis=0)).max() < 0.02
    assert np.max(made[-25:]) > 0.05


@pytest.mark.slow
def test_a_stream_hears_the_voice_only_where_no_emotion_was_asked_for(starter: Engines) -> None:
    names = starter.manifest.coefficients.expression
    brow, sound = names.index("browOuterUpLeft"), np.concatenate([speech_like(3.0), 3 * speech_like(2.0, seed=2)])

    def brows(cuts: int, **asked: object) -> FloatArray:
        options = PipelineOptions(face=FaceOptions(**asked))  # type: ignore[arg-type]
        stream = CoefficientStream(starter, Avatar.load(starter), options)
        windows = [window for part in np.array_split(sound, cuts) for window in stream.push(part)]
        return np.stack([window.values[brow, 1] for window in (*windows, *stream.flush())])

    auto, neutral = brows(1), brows(1, emotion="neutral")
    assert np.abs(auto - neutral).max() > 0.01
    np.testing.assert_allclose(brows(31), auto, atol=1e-5)
    np.testing.assert_array_equal(brows(1, intensity=0.0), neutral)
    np.testing.assert_array_equal(brows(1, energy=0.0), brows(1, energy=0.0, emotion="neutral"))
