"""Idle motion of a face: blinks, glances and brows that do not come from speech.

A documented random process, like the head's (`streamer.stages.life.idle_pose`). Blink shape and rate follow commonly
reported figures for conversation (15-20 a minute, lids closing faster than they open, a quarter of a second in all;
Bentivoglio et al. 1997, "Analysis of blink rate patterns in normal subjects"); blinks come with large gaze shifts and
at the ends of phrases (Nakano et al. 2009, "Synchronization of spontaneous eyeblinks while viewing video stories").
All other values are chosen by hand. Causal; the same seed and loudness give the same motion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.audio.loudness import SpeechActivity
from streamer.core.frames import FloatArray
from streamer.core.rates import FPS

BLINKS = (  # lid closure by frame: quick, usual, slow
    (0.7, 1.0, 0.4),
    (0.6, 1.0, 0.75, 0.25),
    (0.55, 1.0, 0.95, 0.6, 0.25, 0.07),
)
BLINK_SHARES = (0.35, 0.45, 0.2)
PARTIAL = 0.15  # share of blinks in which the lids do not meet ...
PARTIAL_CLOSURE = (0.45, 0.8)  # ... and their closure in these
BLINK_WITH_SHIFT = 0.5  # probability, for a gaze shift larger than LARGE_SHIFT
LARGE_SHIFT = 0.12
BLINK_AT_PAUSE = 0.45  # probability, at the end of a phrase
PHRASE_ENDS = (0.45, 0.30)  # speech activity from above the first to below the second
BLINK_GAP_MEDIAN = 3.0  # s; log-normal, so that the mean is about 3.5 s
BLINK_GAP_SPREAD = 0.5
BLINK_GAP_LIMITS = (1.0, 9.0)
DOUBLE_BLINK = 0.1  # probability that a blink is followed by another at once
GLANCE = (0.16, 0.08)  # standard deviation of gaze, horizontal and vertical, as a unit's weight
GLANCE_LIMIT = 0.36
GLANCE_HOLD = (0.35, 2.6)  # s
AT_THE_VIEWER = 0.55  # probability that the eyes return to the camera
SACCADE = 0.6  # share of the remaining way that the eyes move per frame: a jump takes two or three frames
LID_FOLLOWS = 0.35  # lid closure as a share of a downward look
BROW_LIFE = 0.07  # slow motion at rest
BROW_STRESS = 0.24  # raised on a stressed syllable
BROW_INNER = 0.3  # share of the inner brow: equal to the outer brow, it looks worried
BROW_SPEED = 0.2  # share of the remaining way per frame
CORNER_LIFE = 0.03  # of the mouth corners, in silence


RATIO_BLINK = (0.5, 0.9, 1.0, 0.9, 0.5)  # for `Blinks`, as in SadTalker's reference implementation
RATIO_GAP = (10, 70)  # frames, drawn at random between these


class Blinks:
    """Blinks as one number per frame, 0 open to 1 closed, for networks that take the lids as an input."""

    def __init__(self, seed: int, often: float = 1.0) -> None:
        """often: blink rate as a multiple of the usual one."""
        self._seed, self._often = seed, often
        self.reset()

    def reset(self) -> None:
        """Return to the first frame."""
        self._random = np.random.default_rng([self._seed, 1])
        self._begin()

    def step(self) -> float:
        """Return the lid closure of the next frame."""
        if self._wait:
            self._wait -= 1
            return 0.0
        ratio = self._left.pop(0)
        if not self._left:
            self._begin()
        return ratio

    def _begin(self) -> None:
        self._wait = round(int(self._random.integers(*RATIO_GAP, endpoint=True)) / self._often)
        self._left = list(RATIO_BLINK)


class IdleFace:
    """Idle motion of one face, added to the expression unit by unit. Call `step` once per video frame."""

    def __init__(self, seed: int, names: Sequence[str], energy: float = 1.0, often: float = 1.0) -> None:
        """names: the family's expression coefficients; units that it lacks are omitted.

        energy: liveliness of brows and gaze, 0 to `core.options.MAX_ENERGY`; blinks do not depend on it.
        often: blink rate as a multiple of the usual one.
        """
        self._often = often
        self.energy = energy  # may be changed at any time: the motion adapts smoothly
        self._seed = seed
        self._index = {name: number for number, name in enumerate(names)}
        self.reset()

    def reset(self) -> None:
        """Return to the first frame."""
        self._random = np.random.default_rng([self._seed, 1])
        self._activity = SpeechActivity()
        self._blink: list[float] = []
        self._blink_wait = int(FPS * self._random.uniform(0.6, 2.0))
        self._gaze, self._gaze_target = np.zeros(2), np.zeros(2)
        self._gaze_wait = int(FPS * self._random.uniform(*GLANCE_HOLD))
        self._brow, self._brow_target, self._brow_wait = 0.0, 0.0, 0
        self._corner = 0.0
        self._in_phrase = False

    def step(self, loudness_db: float) -> FloatArray:
        """Return the next frame's expression offsets, float32 [E]; `loudness_db` is that frame's, in dBFS."""
        speech = self._activity.step(loudness_db)
        self._hear_phrases(speech)
        offsets = np.zeros(len(self._index), np.float32)
        self._move_eyes(offsets)
        self._add(offsets, self._lids(), "eyeBlinkLeft", "eyeBlinkRight")
        self._move_brows(offsets)
        self._corner += (CORNER_LIFE * (1 - speech) - self._corner) * BROW_SPEED
        self._add(offsets, self._corner, "mouthSmileLeft", "mouthSmileRight")
        return offsets

    def _add(self, offsets: FloatArray, value: float, *names: str) -> None:
        for name in names:
            if name in self._index:
                offsets[self._index[name]] += value

    def _lids(self) -> float:
        if self._blink:
            return self._blink.pop(0)
        self._blink_wait -= 1
        if self._blink_wait <= 0:
            self._blink = self._new_blink()
            gap = BLINK_GAP_MEDIAN * float(np.exp(BLINK_GAP_SPREAD * self._random.standard_normal()))
            seconds = (
                0.12 if self._random.random() < DOUBLE_BLINK else float(np.clip(gap, *BLINK_GAP_LIMITS)) / self._often
            )
            self._blink_wait = round(FPS * seconds)
        return 0.0

    def _new_blink(self) -> list[float]:
        shape = BLINKS[self._random.choice(len(BLINKS), p=BLINK_SHARES)]
        most = self._random.uniform(*PARTIAL_CLOSURE) if self._random.random() < PARTIAL else 1.0
        return [most * closure for closure in shape]

    def _blink_soon(self, probability: float) -> None:
        """Blink now with this probability, unless a blink is in progress or has just ended."""
        if (
            self._random.random() < probability * min(self._often, 1.0)
            and not self._blink
            and self._blink_wait < FPS * BLINK_GAP_MEDIAN
        ):
            self._blink_wait = min(self._blink_wait, 1)

    def _hear_phrases(self, speech: float) -> None:
        if self._in_phrase and speech < PHRASE_ENDS[1]:
            self._in_phrase = False
            self._blink_soon(BLINK_AT_PAUSE)
        self._in_phrase = self._in_phrase or speech > PHRASE_ENDS[0]

    def _move_eyes(self, offsets: FloatArray) -> None:
        self._gaze_wait -= 1
        if self._gaze_wait <= 0:
            self._gaze_wait = int(FPS * self._random.uniform(*GLANCE_HOLD))
            away = np.clip(self._random.standard_normal(2) * GLANCE, -GLANCE_LIMIT, GLANCE_LIMIT)
            before = self._gaze_target
            self._gaze_target = np.zeros(2) if self._random.random() < AT_THE_VIEWER else away * self.energy
            if np.abs(self._gaze_target - before).max() > LARGE_SHIFT:
                self._blink_soon(BLINK_WITH_SHIFT)
        self._gaze += (self._gaze_target - self._gaze) * SACCADE
        across, up = float(self._gaze[0]), float(self._gaze[1])
        # Left and right are the person's own: looking to the person's left turns the left eye out, the right eye in.
        outer, inner = ("Left", "Right") if across > 0 else ("Right", "Left")
        self._add(offsets, abs(across), f"eyeLookOut{outer}", f"eyeLookIn{inner}")
        side = "Up" if up > 0 else "Down"
        self._add(offsets, abs(up), f"eyeLook{side}Left", f"eyeLook{side}Right")
        self._add(offsets, LID_FOLLOWS * max(-up, 0.0), "eyeBlinkLeft", "eyeBlinkRight")

    def _move_brows(self, offsets: FloatArray) -> None:
        self._brow_wait -= 1
        if self._brow_wait <= 0:
            self._brow_wait = int(FPS * self._random.uniform(0.8, 3.0))
            self._brow_target = BROW_LIFE * self._random.random()
        aim = self._brow_target + BROW_STRESS * self._activity.stress * self._activity.level
        self._brow += (self.energy * aim - self._brow) * BROW_SPEED
        self._add(offsets, self._brow, "browOuterUpLeft", "browOuterUpRight")
        self._add(offsets, BROW_INNER * self._brow, "browInnerUp")
