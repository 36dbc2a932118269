"""Head pose of a speaker: a documented random process with the interface of a pose model.

The starter family's training data has no recorded head motion, so nothing here is learnt. The head looks at a point for
a while, then turns to another (springs without overshoot), drifts and breathes all the time, moves more during speech,
rises and falls with the voice, and nods on stressed syllables (for head motion and prosody, see Munhall et al. 2004,
"Visual prosody and speech intelligibility"; Busso et al. 2007, "Rigid head motion in expressive speech animation"). The
constants are chosen by hand: spread, speed and coupling with loudness are within the range measured for a few real
speakers (standard deviation of yaw 1-10 and of pitch 2-7 degrees, correlation of pitch and loudness 0.3-0.6).

Causal: a frame's pose depends only on the loudness of that frame and earlier ones. All motion passes through springs,
so no change of loudness makes the head jump: the second difference of an angle stays below MOST_BEND.
"""

from __future__ import annotations

import numpy as np

from streamer.audio.loudness import SpeechActivity
from streamer.avatar.manner import USUAL, Manner
from streamer.core.frames import FloatArray
from streamer.core.options import MAX_ENERGY
from streamer.core.rates import FPS

POSE_NAMES = ("pitch", "yaw", "roll", "tx", "ty", "tz")
LIMITS = np.array([8.0, 10.0, 6.0, 0.05, 0.04, 0.05])  # degrees, then fractions of half the picture's width
MOST_BEND = 1.4  # degrees per frame squared
MOST_SPEED = 3.0  # degrees per frame

_SPREAD = np.array([1.5, 2.6, 1.1, 0.006, 0.003, 0.006])  # standard deviation of turn targets, before scaling
_SPEECH_GAIN = 1.9  # added to the scale of 0.6 at full speech
_DOWNWARD = 0.5  # scale of downward turns: a lowered head looks stern
_DRIFT = np.array([0.4, 0.6, 0.3, 0.002, 0.002, 0.002])
_ROLL_WITH_YAW = 0.22  # a turning head tilts a little
_HOLD = (0.35, 1.6)  # s a gaze direction is kept while speaking; twice as long in silence
_TURN_SPEED, _DRIFT_SPEED, _NOD_SPEED, _LIFT_SPEED = 12.0, 1.6, 13.0, 9.0  # natural frequencies, rad/s
_LIFT = 9.0  # degrees of rise from the middle of a voice's range to its top
_LIFT_MIDDLE = 0.62  # position in the range: a speaker's usual level
_LOWEST = 0.1  # largest distance below it that counts: a quiet voice lowers the head a little
_NOD = (1.6, 4.2)  # degrees down
_NOD_LENGTH = 0.14  # s the nod is held before release
_NOD_REST = (0.5, 1.8)  # s until the next nod
_NOD_STRESS = 0.7  # least stress of a syllable that triggers a nod
_BREATH_HZ = 0.24
_BREATH = np.array([0.12, 0.0, 0.0, 0.0, 0.0035, 0.003])
ENERGY_STEP = 0.04  # largest change per frame: the head does not jump when its energy is changed


class _Spring:
    """Critically damped springs: reach a target without overshoot, continuous in speed.

    The step is the exact solution for a target that is constant during the frame, so it is stable for any step size.
    """

    def __init__(self, frequency: float, size: int) -> None:
        self.value = np.zeros(size)
        self._speed = np.zeros(size)
        self._frequency = frequency
        self._decay = float(np.exp(-frequency / FPS))

    def step(self, target: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        offset = self.value - target
        momentum = (self._speed + self._frequency * offset) / FPS
        self._speed = (self._speed - self._frequency * momentum) * self._decay
        self.value = target + (offset + momentum) * self._decay


class Breath:
    """Breathing: it lifts the shoulders and with them the head. It fades in, so that the first frames are at rest."""

    def __init__(self, random: np.random.Generator) -> None:
        self._phase = float(random.uniform(0, 2 * np.pi))
        self._gain = 0.0

    def step(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return breathing's part of the next frame's pose, [6]."""
        self._phase += 2 * np.pi * _BREATH_HZ / FPS
        self._gain += (1 - self._gain) / FPS
        return np.asarray(self._gain * np.sin(self._phase) * _BREATH, np.float64)


class HeadPose:
    """Pose of one head. Call `step` once per video frame; the same seed and loudness give the same motion.

    energy: liveliness, 0 (still) to `core.options.MAX_ENERGY`; 1 is a person in conversation.
    manner: the person's reach on each axis.
    """

    def __init__(self, seed: int, energy: float = 1.0, manner: Manner = USUAL) -> None:
        self._reach = manner.reach().astype(np.float64)
        self.energy = energy  # target value; `_energy` eases towards it
        self._seed = seed
        self._energy = energy
        self.reset()

    def reset(self) -> None:
        """Return to the first frame."""
        self._random = np.random.default_rng(self._seed)
        self._activity = SpeechActivity()
        self._turn, self._drift = _Spring(_TURN_SPEED, 6), _Spring(_DRIFT_SPEED, 6)
        self._smooth = _Spring(2 * _TURN_SPEED, 6)  # smooths the start of a turn
        self._nod, self._lift = _Spring(_NOD_SPEED, 1), _Spring(_LIFT_SPEED, 1)
        self._turn_target, self._drift_target = np.zeros(6), np.zeros(6)
        self._nod_target = np.zeros(1)
        self._hold_left = float(self._random.uniform(0.2, 1.0))
        self._drift_left = self._nod_left = self._nod_rest = 0.0
        self._breath = Breath(self._random)

    def step(self, loudness_db: float) -> FloatArray:
        """Return the next frame's pose, float32 [6] in POSE_NAMES order; `loudness_db` is that frame's, in dBFS."""
        speech = self._activity.step(loudness_db)
        self._energy += float(np.clip(self.energy - self._energy, -ENERGY_STEP, ENERGY_STEP))
        self._choose_turn(speech)
        self._choose_drift()
        self._choose_nod(speech)
        self._smooth.step(self._turn_target)
        self._turn.step(self._smooth.value)
        self._drift.step(self._drift_target)
        self._nod.step(self._nod_target)
        self._lift.step(np.array([-_LIFT * max(speech - _LIFT_MIDDLE, -_LOWEST) * speech]))
        pose = self._turn.value + self._drift.value + self._breath.step()
        pose[0] += self._nod.value[0] + self._lift.value[0]
        pose[2] += _ROLL_WITH_YAW * self._turn.value[1]
        reach = np.minimum(self._energy * self._reach, MAX_ENERGY)
        return np.asarray(LIMITS * np.tanh(reach * pose / LIMITS), np.float32)

    def _choose_turn(self, speech: float) -> None:
        self._hold_left -= 1 / FPS
        if self._hold_left > 0:
            return
        self._hold_left = float(self._random.uniform(*_HOLD)) * (2 - speech)
        spread = _SPREAD * (0.6 + _SPEECH_GAIN * speech)
        self._turn_target = spread * np.clip(self._random.standard_normal(6), -2, 2)
        if self._turn_target[0] > 0:
            self._turn_target[0] *= _DOWNWARD

    def _choose_drift(self) -> None:
        self._drift_left -= 1 / FPS
        if self._drift_left <= 0:
            self._drift_left = float(self._random.uniform(0.4, 1.2))
            self._drift_target = _DRIFT * np.clip(self._random.standard_normal(6), -2, 2)

    def _choose_nod(self, speech: float) -> None:
        self._nod_left -= 1 / FPS
        self._nod_rest -= 1 / FPS
        if self._nod_left <= 0:
            self._nod_target = np.zeros(1)
        if self._nod_rest <= 0 and speech > 0.25 and self._activity.stress > _NOD_STRESS:
            self._nod_target = np.array([self._random.uniform(*_NOD)])
            self._nod_left = _NOD_LENGTH
            self._nod_rest = float(self._random.uniform(*_NOD_REST))
