"""What the voice lets a face feel: it smiles when the voice does, and brows and eyes rise and rest with it.

A voice is compared with itself over the last seconds, so that a high or a bright voice is not taken for a glad one.
Three slow measures follow from how far pitch, brightness and loudness are from the usual: warmth (higher and brighter:
a smiling voice), interest (higher), and life (louder and higher; below the usual, lids rest). Each only adds: nothing
here lowers brows or corners of the mouth, as a voice that is low and loud may be anything but angry. Which way the
units go follows Busso & Narayanan 2007 ("Interrelation between speech and facial gestures in emotional utterances");
how far was chosen by eye, so that it is seen and is not noticed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.core.frames import FloatArray
from streamer.core.rates import FPS

LEVELLED_S = 8.0  # of voiced sound that is a voice's usual
KNOWN_S = 1.0  # of voiced sound before anything is read from it
LEAST_SPREAD = np.array([0.13, 2.5, 3.0])  # octaves, dB, dB: a monotonous voice is not magnified
MOST = 2.0  # spreads that a frame counts for at most
WARMTH_S, INTEREST_S, LIFE_S = 1.5, 0.9, 1.2  # time constants while there is voice ...
REST_S = 2.0  # ... and in silence, where the face goes back to rest
SOFT_S = 0.2  # over which what is shown is smoothed once more, so that no voice makes a face twitch
SEEN = np.array([2.2, 1.8, 1.8])  # what a measure counts for: over seconds, they are below 1
EASE = 0.06  # share of the way in a frame when it is turned on or off

# Units at the most of each measure. The mouth's stays small: lips have their own work.
WARMTH = {"mouthSmile": 0.26, "cheekSquint": 0.30, "eyeSquint": 0.06}
INTEREST = {"browOuterUp": 0.26, "browInnerUp": 0.16}
LIFE = {"eyeWide": 0.12}
REPOSE = {"eyeBlink": 0.05}  # of life below the usual
_TABLES = (WARMTH, INTEREST, LIFE, REPOSE)


class VoiceMood:
    """One face's. `step` once per video frame; adds to the expression, unit by unit."""

    def __init__(self, names: Sequence[str], share: float = 1.0) -> None:
        """names: the family's expression coefficients; units that it lacks are left out. share: how much of it is
        seen, 0 to `core.options.MAX_INTENSITY`."""
        plain = [name.removesuffix("Left").removesuffix("Right") for name in names]
        self._units = np.array([[table.get(name, 0.0) for name in plain] for table in _TABLES], np.float32)
        self.share = share  # may be changed: it eases
        self.reset()

    def reset(self) -> None:
        """Back to the first frame."""
        self._gain = self.share
        self._voiced = 0
        self._usual, self._spread = np.zeros(3), LEAST_SPREAD**2
        self._slow = np.zeros(3)  # warmth, interest, life
        self._shown = np.zeros(len(_TABLES))

    def step(self, tone: tuple[float, float] | None, loudness_db: float) -> FloatArray:
        """Offsets of the next frame's expression, float32 [E]; tone: (pitch, brightness), see
        `audio.tone`, and loudness in dBFS: that frame's."""
        self._gain += EASE * (self.share - self._gain)
        if tone is None:
            self._slow *= 1 - _share(REST_S)
        else:
            self._hear(np.array([*tone, loudness_db]))
        warmth, interest, life = SEEN * self._slow
        shown = np.tanh([max(warmth, 0.0), max(interest, 0.0), max(life, 0.0), max(-life, 0.0)])
        self._shown += _SOFT * (shown - self._shown)
        return np.asarray(self._gain * self._shown @ self._units, np.float32)

    def _hear(self, heard: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        self._voiced += 1
        share = max(1 / self._voiced, 1 / (FPS * LEVELLED_S))
        away = heard - self._usual
        self._usual += share * away
        if self._voiced > 1:
            self._spread += share * (np.square(away) - self._spread)
        if self._voiced < KNOWN_S * FPS:
            return
        spread = np.maximum(np.sqrt(self._spread), LEAST_SPREAD)
        pitch, bright, loud = np.clip((heard - self._usual) / spread, -MOST, MOST)
        now = np.array([0.6 * pitch + 0.6 * bright, pitch, 0.5 * pitch + 0.7 * loud])
        self._slow += _SHARES * (now - self._slow)


def _share(seconds: float) -> float:
    """Part of the way a one-pole filter with this time constant goes in a frame."""
    return 1 - float(np.exp(-1 / (FPS * seconds)))


_SOFT = _share(SOFT_S)
_SHARES = np.array([_share(WARMTH_S), _share(INTEREST_S), _share(LIFE_S)])
