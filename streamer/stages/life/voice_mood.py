"""Emotion derived from the voice: a smiling voice makes the face smile, and brows and eyes follow its liveliness.

The voice is compared with its own average over the last seconds, so that a naturally high or bright voice does not
count as happy. Three slow measures are derived from the deviations of pitch, brightness and loudness: warmth (higher
and brighter: a smiling voice), interest (higher), and life (louder and higher; below average, the lids lower). They
never lower the brows or the corners of the mouth, because a low and loud voice need not be angry. The directions of the
units follow Busso & Narayanan 2007 ("Interrelation between speech and facial gestures in emotional utterances"); the
amounts were chosen by eye, to be visible but subtle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.core.frames import FloatArray
from streamer.core.rates import FPS

LEVELLED_S = 8.0  # of voiced sound over which a voice's average is taken
KNOWN_S = 1.0  # of voiced sound before the measures are used
LEAST_SPREAD = np.array([0.13, 2.5, 3.0])  # octaves, dB, dB: limits the gain for a monotonous voice
MOST = 2.0  # largest deviation of a frame, in spreads
WARMTH_S, INTEREST_S, LIFE_S = 1.5, 0.9, 1.2  # time constants during voiced sound ...
REST_S = 2.0  # ... and in silence, in which the face returns to rest
SOFT_S = 0.2  # time constant of a last smoothing, so that no voice makes a face twitch
SEEN = np.array([2.2, 1.8, 1.8])  # gains of the measures, which stay below 1 over seconds
EASE = 0.06  # share of the remaining way per frame when `share` changes

# Units at the maximum of each measure. Those of the mouth are small because speech moves the lips too.
WARMTH = {"mouthSmile": 0.26, "cheekSquint": 0.30, "eyeSquint": 0.06}
INTEREST = {"browOuterUp": 0.26, "browInnerUp": 0.16}
LIFE = {"eyeWide": 0.12}
REPOSE = {"eyeBlink": 0.05}  # for life below average
_TABLES = (WARMTH, INTEREST, LIFE, REPOSE)


class VoiceMood:
    """Voice-derived emotion of one face, added to the expression unit by unit. Call `step` once per video frame."""

    def __init__(self, names: Sequence[str], share: float = 1.0) -> None:
        """names: the family's expression coefficients; units that it lacks are omitted.

        share: strength, 0 to `core.options.MAX_INTENSITY`.
        """
        plain = [name.removesuffix("Left").removesuffix("Right") for name in names]
        self._units = np.array([[table.get(name, 0.0) for name in plain] for table in _TABLES], np.float32)
        self.share = share  # may be changed at any time: eases to the new value
        self.reset()

    def reset(self) -> None:
        """Return to the first frame."""
        self._gain = self.share
        self._voiced = 0
        self._usual, self._spread = np.zeros(3), LEAST_SPREAD**2
        self._slow = np.zeros(3)  # warmth, interest, life
        self._shown = np.zeros(len(_TABLES))

    def step(self, tone: tuple[float, float] | None, loudness_db: float) -> FloatArray:
        """Return the next frame's expression offsets, float32 [E].

        tone: the frame's (pitch, brightness), see `audio.tone`; None if unvoiced.
        loudness_db: the frame's loudness in dBFS.
        """
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
    """Return the coefficient per frame of a one-pole filter with this time constant."""
    return 1 - float(np.exp(-1 / (FPS * seconds)))


_SOFT = _share(SOFT_S)
_SHARES = np.array([_share(WARMTH_S), _share(INTEREST_S), _share(LIFE_S)])
