"""Noise suppression and level normalisation of mel features, for any microphone: causal, frame by frame.

Two quantities are tracked over mel frames. The noise of each band is the minimum of its smoothed power in the last
second and a half (R. Martin, "Noise power spectral density estimation based on optimal smoothing and minimum
statistics", IEEE Trans. Speech Audio Process. 9, 2001). A Wiener gain removes it; its speech-to-noise ratio is carried
over from frame to frame (Y. Ephraim and D. Malah, IEEE Trans. Acoust. Speech Signal Process. 32, 1984), so that no
musical noise remains. The speech level is a percentile of the sound that lasts and rises above the noise, in a
histogram with exponential forgetting; all bands are shifted so that it matches the level in training. A click is too
short to be counted, a cough too rare to move the percentile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray
from streamer.core.rates import MEL_BANDS, MEL_RATE
from streamer.stages.mel import LIMIT, RANGE_DB

_Doubles = NDArray[np.float64]

UNIT_DB = RANGE_DB / (2 * LIMIT)  # dB per unit of the features
# Noise
SMOOTHING = 0.75  # of a band's power from frame to frame, before the minimum
PARTS, PART_FRAMES = 8, 15  # minimum over 8 parts of 190 ms
MEAN = 2.0  # mean of the noise, in units of the minimum
RESIDUE = 0.1  # least share of a band's power that is kept: -10 dB
TRUSTED_AFTER = 0.6 * MEL_RATE  # frames: by then even speech has had a pause in every band
CARRIED = 0.9  # share of the speech-to-noise ratio taken from the previous frame; the rest is from this frame
# Level
STANDS_OUT_DB = 8.0  # above the noise
AUDIBLE_DB = 15.0  # power of all bands, in the features' scale; quieter frames do not count
LASTS = 6  # frames, 75 ms
PERCENTILE = 0.7
MEMORY = 1 - 1 / (5.0 * MEL_RATE)  # decay of the histogram per frame of speech: 5 s of speech
PRIOR_FRAMES = 3.0  # weight of the initial level, before any speech
SPEECH_DB = 77  # target level of speech
LEAST_GAIN_DB, MOST_GAIN_DB = -20.0, 34.0
MOST_STEP_DB = 4.0  # largest change of the gain per frame


class _NoiseFloor:
    """Minimum of each band's smoothed power over the last PARTS x PART_FRAMES frames."""

    def __init__(self) -> None:
        self._smooth: _Doubles | None = None
        self._parts = np.full((PARTS, MEL_BANDS), np.inf)
        self._frames = 0

    def step(self, power: _Doubles) -> _Doubles:
        """Take the next frame's power [MEL_BANDS]; return the noise power."""
        old = power if self._smooth is None else self._smooth
        self._smooth = SMOOTHING * old + (1 - SMOOTHING) * power
        part = self._frames // PART_FRAMES % PARTS
        if self._frames % PART_FRAMES == 0:
            self._parts[part] = np.inf
        np.minimum(self._parts[part], self._smooth, out=self._parts[part])
        self._frames += 1
        return np.asarray(self._parts.min(axis=0) * (MEAN * min(1.0, self._frames / TRUSTED_AFTER)))


class _SpeechLevel:
    """Speech level in dB: a percentile of the levels of sustained sound."""

    def __init__(self) -> None:
        self._counts = np.zeros(int(RANGE_DB) + 40)
        self._counts[SPEECH_DB] = PRIOR_FRAMES
        self._lasted = 0
        self.value = float(SPEECH_DB)

    def step(self, level: float, noise: float) -> float:
        """Take the next frame's level and the noise level; return the speech level."""
        self._lasted = self._lasted + 1 if level > max(AUDIBLE_DB, noise + STANDS_OUT_DB) else 0
        if self._lasted > LASTS:
            self._counts *= MEMORY
            self._counts[min(int(level), len(self._counts) - 1)] += 1
            shares = self._counts.cumsum()
            self.value = float(shares.searchsorted(PERCENTILE * shares[-1]))
        return self.value


class MelLeveller:
    """Streaming leveller: one mel frame out for each one in. The result depends only on that and earlier frames."""

    def __init__(self) -> None:
        self._noise, self._speech, self._gain = _NoiseFloor(), _SpeechLevel(), 0.0
        self._clean = np.zeros(MEL_BANDS)

    def push(self, mel: FloatArray) -> FloatArray:
        """Map float32 [n, MEL_BANDS] in -LIMIT..LIMIT (see `mel.mel_frames`), any n, to the same shape and range."""
        clean, gains = np.empty(mel.shape), np.empty(len(mel))
        for row, power in enumerate(10.0 ** ((mel.astype(np.float64) + LIMIT) * (UNIT_DB / 10))):
            clean[row], gains[row] = self._step(power)
        decibels = 10 * np.log10(np.maximum(clean, 1.0))
        # Silence, the end of the scale, stays where it is: it has no level to shift.
        decibels = np.where(decibels > 0, decibels + gains[:, None], 0.0)
        return np.asarray(np.clip(decibels / UNIT_DB - LIMIT, -LIMIT, LIMIT), np.float32)

    def _step(self, power: _Doubles) -> tuple[_Doubles, float]:
        """Return one frame's power with the noise removed, and the gain in dB."""
        noise = self._noise.step(power)
        now = np.maximum(_NEIGHBOURS @ (power / noise) - 1, 0.0)
        ratio = CARRIED * self._clean / noise + (1 - CARRIED) * now
        clean = self._clean = power * np.maximum(np.square(ratio / (1 + ratio)), RESIDUE)
        speech = self._speech.step(_decibels(clean.sum()), _decibels(noise.sum()))
        wanted = min(max(SPEECH_DB - speech, LEAST_GAIN_DB), MOST_GAIN_DB)
        self._gain += min(max(wanted - self._gain, -MOST_STEP_DB), MOST_STEP_DB)
        return clean, self._gain


def levelled(mel: FloatArray) -> FloatArray:
    """Return a whole clip's mel frames [n, MEL_BANDS], levelled."""
    return MelLeveller().push(mel)


def _decibels(power: float) -> float:
    return 10.0 * float(np.log10(max(power, 1.0)))


def _neighbours() -> _Doubles:
    """Return the matrix of weighted means over each band and two bands on either side, [MEL_BANDS, MEL_BANDS]."""
    distance = np.abs(np.subtract.outer(np.arange(MEL_BANDS), np.arange(MEL_BANDS)))
    weights = np.maximum(3.0 - distance, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


_NEIGHBOURS = _neighbours()
