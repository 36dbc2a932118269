"""Emotion of a face: face units added to speech, which change slowly.

The units of an emotion follow FACS' prototypes (Ekman & Friesen 1978; Du et al. 2014, "Compound facial expressions of
emotion"); their amounts were chosen by eye, as small as possible while the emotions can be told apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.audio.loudness import SpeechActivity
from streamer.core.frames import FloatArray
from streamer.core.options import AUTO, EMOTIONS, NEUTRAL

EASE = 0.09  # share of the remaining way per frame: an emotion is reached after about a second
SPEAKING = 0.55  # share of the mouth's part that is kept during speech, when the lips are busy
LIFE, LIFE_SPEED = (
    0.12,
    0.03,
)  # random variation of the strength, so that an emotion is not frozen: spread, share of the way per frame
BOTH = ("Left", "Right")


def _units(**amounts: float) -> dict[str, float]:
    """Return units by name; a name that ends in an underscore stands for both sides."""
    named: dict[str, float] = {}
    for name, amount in amounts.items():
        named |= {name[:-1] + side: amount for side in BOTH} if name.endswith("_") else {name: amount}
    return named


MOODS: dict[str, dict[str, float]] = {
    AUTO: {},  # see `voice_mood`
    NEUTRAL: {},
    "happy": _units(mouthSmile_=0.40, cheekSquint_=0.35, eyeSquint_=0.12, mouthDimple_=0.10, browOuterUp_=0.12),
    "sad": _units(browInnerUp=0.85, mouthFrown_=0.52, mouthShrugLower=0.22, eyeBlink_=0.16, eyeLookDown_=0.08),
    "angry": _units(browDown_=0.95, eyeSquint_=0.45, noseSneer_=0.32, mouthPress_=0.24, mouthFrown_=0.26),
    "surprised": _units(browInnerUp=0.55, browOuterUp_=0.60, eyeWide_=0.55, jawOpen=0.07),
    "calm": _units(mouthSmile_=0.13, eyeBlink_=0.07, browInnerUp=0.07),
}
assert tuple(MOODS) == EMOTIONS


class Mood:
    """Emotion of one face, added to the expression unit by unit. Call `step` once per video frame."""

    def __init__(self, seed: int, names: Sequence[str], emotion: str = NEUTRAL, intensity: float = 1.0) -> None:
        """names: the family's expression coefficients; units that it lacks are omitted."""
        self._seed, self._names = seed, tuple(names)
        self._mouth = np.array([name.startswith(("mouth", "jaw")) for name in names], bool)
        self.feel(emotion, intensity)
        self.reset()

    def feel(self, emotion: str, intensity: float = 1.0) -> None:
        """Ease to an emotion from now on: one of EMOTIONS; intensity: 0 to MAX_INTENSITY, 1 as in conversation."""
        units = MOODS[emotion]
        self._target = np.array([intensity * units.get(name, 0.0) for name in self._names], np.float32)

    def reset(self) -> None:
        """Return to the first frame, with the current emotion at full strength."""
        self._random = np.random.default_rng([self._seed, 2])
        self._activity = SpeechActivity()
        self._felt = self._target.copy()
        self._life = 0.0

    def step(self, loudness_db: float) -> FloatArray:
        """Return the next frame's expression offsets, float32 [E]; `loudness_db` is that frame's, in dBFS."""
        speech = self._activity.step(loudness_db)
        self._felt += np.float32(EASE) * (self._target - self._felt)
        noise = float(self._random.normal()) * LIFE * np.sqrt(2 * LIFE_SPEED)
        self._life += noise - LIFE_SPEED * self._life
        share = np.where(self._mouth, 1 - (1 - SPEAKING) * speech, 1.0) * max(0.0, 1 + self._life)
        return np.asarray(self._felt * share, np.float32)
