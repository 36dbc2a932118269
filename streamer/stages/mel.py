"""Log-mel features of speech as the expression networks expect them: plain functions on numpy arrays.

They equal SadTalker's (its reference implementation, `src/utils/audio.py` and `hparams.py`): pre-emphasis, a centred
STFT with zero padding, magnitudes through Slaney's mel bands, decibels, scaled to [-4, 4].
"""

from __future__ import annotations

from functools import cache

import numpy as np

from streamer.core.frames import FloatArray
from streamer.core.rates import HALF_FFT, MEL_BANDS, MEL_HOP, N_FFT, SAMPLE_RATE

PRE_EMPHASIS = np.float32(0.97)
LOWEST_HZ, HIGHEST_HZ = 55.0, 7600.0
FLOOR = 1e-5  # magnitudes below it count as silence: -100 dB
REFERENCE_DB, RANGE_DB, LIMIT = 20.0, 100.0, 4.0
_BATCH = 512  # mel frames per transform: bounds the memory for long input


def pre_emphasis(samples: FloatArray, previous: float = 0.0) -> FloatArray:
    """Return y[n] = x[n] - 0.97 x[n-1] of float32 [n]; `previous` is the sample before the first one."""
    shifted = np.concatenate([np.array([previous], np.float32), samples[:-1]]) if samples.size else samples
    return np.asarray(samples - PRE_EMPHASIS * shifted, np.float32)


def mel_frames(padded: FloatArray) -> FloatArray:
    """Return mel frames of pre-emphasised audio, each from N_FFT samples, one hop apart, without padding.

    padded: float32 [N_FFT + k * MEL_HOP + rest]. Returns float32 [k + 1, MEL_BANDS], or [0, MEL_BANDS] if it is too
    short.
    """
    count = (padded.size - N_FFT) // MEL_HOP + 1 if padded.size >= N_FFT else 0
    result = np.empty((count, MEL_BANDS), np.float32)
    if count:
        spans = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::MEL_HOP]
        for start in range(0, count, _BATCH):
            result[start : start + _BATCH] = _log_mel(spans[start : start + _BATCH])
    return result


def mel_spectrogram(samples: FloatArray) -> FloatArray:
    """Return a clip's mel frames, float32 [n] -> [n // MEL_HOP + 1, MEL_BANDS]; frame k is centred on sample 200 k."""
    silence = np.zeros(HALF_FFT, np.float32)
    return mel_frames(np.concatenate([silence, pre_emphasis(samples), silence]))


def _log_mel(spans: FloatArray) -> FloatArray:
    magnitudes = np.abs(np.fft.rfft(spans * _hann(), axis=1))
    decibels = 20.0 * np.log10(np.maximum(FLOOR, magnitudes @ mel_filters().T)) - REFERENCE_DB
    scaled = 2 * LIMIT * (decibels + RANGE_DB) / RANGE_DB - LIMIT
    return np.clip(scaled, -LIMIT, LIMIT).astype(np.float32)


@cache
def _hann() -> FloatArray:
    """Return the periodic Hann window that STFTs use (numpy's is the symmetric one)."""
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


@cache
def mel_filters() -> FloatArray:
    """Return Slaney's mel filter bank, float32 [MEL_BANDS, HALF_FFT + 1]: triangles of equal area, one over each band.

    M. Slaney, "Auditory Toolbox", Interval Research Technical Report 1998-010.
    """
    edges = _hz(np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), MEL_BANDS + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = np.arange(HALF_FFT + 1) * (SAMPLE_RATE / N_FFT)
    triangles = np.maximum(0.0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    return np.asarray(triangles * (2.0 / (high - low)), np.float32)


# Slaney's mel scale: linear to 1 kHz (3 mel per 200 Hz), then logarithmic with 27 steps per factor of 6.4.
_LINEAR_HZ = 200.0 / 3.0
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27.0


def _mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _hz(mel: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.asarray(np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, above))
