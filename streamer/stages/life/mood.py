"""What a face feels: a share of face units that is added to what it says, and comes and goes slowly.

Which units an emotion moves follows FACS' prototypes (Ekman & Friesen 1978; Du et al. 2014, "Compound facial
expressions of emotion"); how much of each was chosen by eye, as little as tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.audio.loudness import SpeechActivity
from streamer.core.frames import FloatArray
from streamer.core.options import AUTO, EMOTIONS, NEUTRAL

EASE = 0.09  # share of the way in a frame: an emotion is there after about a second
SPEAKING = 0.55  # of the mouth's part stays while it speaks: lips have their own work then
LIFE, LIFE_SPEED = (
    0.12,
    0.03,
)  # a face that feels does not stand still: spread of the strength, share of the way a frame
BOTH = ("Left", "Right")


def _units(**amounts: float) -> dict[str, float]:
    """Units by name; those that end in an underscore are there on both sides."""
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
    """One face's. `step` once per video frame; adds to the expression, unit by unit."""

    def __init__(self, seed: int, names: Sequence[str], emotion: str = NEUTRAL, intensity: float = 1.0) -> None:
        """names: the family's expression coefficients; units that it lacks are left out."""
        self._seed, self._names = seed, tuple(names)
        self._mouth = np.array([name.startswith(("mouth", "jaw")) for name in names], bool)
        self.feel(emotion, intensity)
        self.reset()

    def feel(self, emotion: str, intensity: float = 1.0) -> None:
        """Come to it from now on. emotion: one of EMOTIONS; intensity: 0 to MAX_INTENSITY, 1 as in conversation."""
        units = MOODS[emotion]
        self._target = np.array([intensity * units.get(name, 0.0) for name in self._names], np.float32)

    def reset(self) -> None:
        """Back to the first frame, with what was felt last already in the face."""
        self._random = np.random.default_rng([self._seed, 2])
        self._activity = SpeechActivity()
        self._felt = self._target.copy()
        self._life = 0.0

    def step(self, loudness_db: float) -> FloatArray:
        """Offsets of the next frame's expression, float32 [E]; `loudness_db` is that frame's, in dBFS."""
        speech = self._activity.step(loudness_db)
        self._felt += np.float32(EASE) * (self._target - self._felt)
        noise = float(self._random.normal()) * LIFE * np.sqrt(2 * LIFE_SPEED)
        self._life += noise - LIFE_SPEED * self._life
        share = np.where(self._mouth, 1 - (1 - SPEAKING) * speech, 1.0) * max(0.0, 1 + self._life)
        return np.asarray(self._felt * share, np.float32)
