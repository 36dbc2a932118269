"""Mel features of speech at one level, less the noise of the room, whatever the microphone: causal, frame by frame.

Two things are tracked, both over mel frames. The noise of each band is the least of its smoothed power in the last
second and a half (R. Martin, "Noise power spectral density estimation based on optimal smoothing and minimum
statistics", IEEE Trans. Speech Audio Process. 9, 2001); a Wiener gain takes it away, whose ratio of speech to noise is
carried on from frame to frame (Y. Ephraim and D. Malah, IEEE Trans. Acoust. Speech Signal Process. 32, 1984), so that
no chirps are left. The level of the speech is a percentile of the sound that lasts and stands out of the noise, in a
histogram that forgets; all bands are moved so that it comes to lie where training has it. A click is too short to be
counted, a cough too rare to move a percentile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray
from streamer.core.rates import MEL_BANDS, MEL_RATE
from streamer.stages.mel import LIMIT, RANGE_DB

_Doubles = NDArray[np.float64]

UNIT_DB = RANGE_DB / (2 * LIMIT)  # of a step of 1 in the features
# Noise
SMOOTHING = 0.75  # of a band's power from frame to frame, before its least is taken
PARTS, PART_FRAMES = 8, 15  # the least of 8 parts of 190 ms
MEAN = 2.0  # of noise, in units of the least
RESIDUE = 0.1  # of a band that is left at least: -10 dB
TRUSTED_AFTER = 0.6 * MEL_RATE  # frames: by then even speech has had a gap in every band
CARRIED = 0.9  # of the ratio of speech to noise: from the frame before, of which the rest is this frame's
# Level
STANDS_OUT_DB = 8.0  # above the noise
AUDIBLE_DB = 15.0  # power of all bands, in the features' scale, below which nothing counts
LASTS = 6  # frames, 75 ms
PERCENTILE = 0.7
MEMORY = 1 - 1 / (5.0 * MEL_RATE)  # of the histogram, per frame of speech: 5 s of it
PRIOR_FRAMES = 3.0  # weight of the level expected before any speech
SPEECH_DB = 77  # where speech is moved to
LEAST_GAIN_DB, MOST_GAIN_DB = -20.0, 34.0
MOST_STEP_DB = 4.0  # of the gain from frame to frame


class _NoiseFloor:
    """The least of each band's smoothed power over the last PARTS x PART_FRAMES frames."""

    def __init__(self) -> None:
        self._smooth: _Doubles | None = None
        self._parts = np.full((PARTS, MEL_BANDS), np.inf)
        self._frames = 0

    def step(self, power: _Doubles) -> _Doubles:
        """Take the next frame's power [MEL_BANDS]; return the noise's."""
        old = power if self._smooth is None else self._smooth
        self._smooth = SMOOTHING * old + (1 - SMOOTHING) * power
        part = self._frames // PART_FRAMES % PARTS
        if self._frames % PART_FRAMES == 0:
            self._parts[part] = np.inf
        np.minimum(self._parts[part], self._smooth, out=self._parts[part])
        self._frames += 1
        return np.asarray(self._parts.min(axis=0) * (MEAN * min(1.0, self._frames / TRUSTED_AFTER)))


class _SpeechLevel:
    """A percentile of the levels of lasting sound, in dB."""

    def __init__(self) -> None:
        self._counts = np.zeros(int(RANGE_DB) + 40)
        self._counts[SPEECH_DB] = PRIOR_FRAMES
        self._lasted = 0
        self.value = float(SPEECH_DB)

    def step(self, level: float, noise: float) -> float:
        """Take the next frame's level and that of the noise; return the level of the speech."""
        self._lasted = self._lasted + 1 if level > max(AUDIBLE_DB, noise + STANDS_OUT_DB) else 0
        if self._lasted > LASTS:
            self._counts *= MEMORY
            self._counts[min(int(level), len(self._counts) - 1)] += 1
            shares = self._counts.cumsum()
            self.value = float(shares.searchsorted(PERCENTILE * shares[-1]))
        return self.value


class MelLeveller:
    """Push mel frames, pop as many levelled ones. What a frame becomes depends on itself and those before it."""

    def __init__(self) -> None:
        self._noise, self._speech, self._gain = _NoiseFloor(), _SpeechLevel(), 0.0
        self._clean = np.zeros(MEL_BANDS)

    def push(self, mel: FloatArray) -> FloatArray:
        """Float32 [n, MEL_BANDS] in -LIMIT..LIMIT (see `mel.mel_frames`), any n; returns the same shape and range."""
        clean, gains = np.empty(mel.shape), np.empty(len(mel))
        for row, power in enumerate(10.0 ** ((mel.astype(np.float64) + LIMIT) * (UNIT_DB / 10))):
            clean[row], gains[row] = self._step(power)
        decibels = 10 * np.log10(np.maximum(clean, 1.0))
        # Silence, the scale's end, has no level that could be moved.
        decibels = np.where(decibels > 0, decibels + gains[:, None], 0.0)
        return np.asarray(np.clip(decibels / UNIT_DB - LIMIT, -LIMIT, LIMIT), np.float32)

    def _step(self, power: _Doubles) -> tuple[_Doubles, float]:
        """One frame's power less its noise, and the gain in dB."""
        noise = self._noise.step(power)
        now = np.maximum(_NEIGHBOURS @ (power / noise) - 1, 0.0)
        ratio = CARRIED * self._clean / noise + (1 - CARRIED) * now
        clean = self._clean = power * np.maximum(np.square(ratio / (1 + ratio)), RESIDUE)
        speech = self._speech.step(_decibels(clean.sum()), _decibels(noise.sum()))
        wanted = min(max(SPEECH_DB - speech, LEAST_GAIN_DB), MOST_GAIN_DB)
        self._gain += min(max(wanted - self._gain, -MOST_STEP_DB), MOST_STEP_DB)
        return clean, self._gain


def levelled(mel: FloatArray) -> FloatArray:
    """A whole clip's mel frames [n, MEL_BANDS], levelled."""
    return MelLeveller().push(mel)


def _decibels(power: float) -> float:
    return 10.0 * float(np.log10(max(power, 1.0)))


def _neighbours() -> _Doubles:
    """Weighted means over each band and two on either side, [MEL_BANDS, MEL_BANDS]."""
    distance = np.abs(np.subtract.outer(np.arange(MEL_BANDS), np.arange(MEL_BANDS)))
    weights = np.maximum(3.0 - distance, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


_NEIGHBOURS = _neighbours()
