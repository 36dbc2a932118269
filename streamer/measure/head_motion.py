"""Figures of head motion during speech, for comparison with real speakers.

The ranges were measured on real speakers in five clips; see docs/models.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.audio.loudness import SILENCE_DB
from streamer.core.frames import FloatArray
from streamer.core.rates import FPS

AXES = ("pitch", "yaw", "roll")
REAL = {
    "yaw_spread": (0.7, 9.9),
    "pitch_spread": (2.2, 6.8),
    "yaw_speed": (21.0, 86.0),
    "loudness_r": (0.28, 0.64),
}
LATEST = 10  # largest lead or lag of motion to sound searched, in frames
BEAT_WIDTH = 0.08  # s: a head beat this far from a voice onset counts 0.6
QUIETEST = -60.0  # dBFS: quieter sound is raised to this level

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class HeadMotion:
    """Spreads in degrees, speeds in degrees per second, and correlations.

    pitch_spread, yaw_spread, roll_spread: standard deviations. pitch_speed, yaw_speed, roll_speed: 95th percentiles of
    the speeds. loudness_r: largest correlation of pitch and loudness, at loudness_lag_ms (positive: the head is late).
    beats: closeness of head beats to voice onsets, 0..1, minus the same for shifted sound, which is the chance level
    (beat alignment as in Siyao et al. 2022, "Bailando").
    """

    pitch_spread: float
    yaw_spread: float
    roll_spread: float
    pitch_speed: float
    yaw_speed: float
    roll_speed: float
    loudness_r: float
    loudness_lag_ms: int
    beats: float

    def inside(self) -> dict[str, bool]:
        """Return, per figure, whether it is in the range of real speakers."""
        return {name: low <= getattr(self, name) <= high for name, (low, high) in REAL.items()}


def measure(poses: FloatArray, levels: Sequence[float]) -> HeadMotion:
    """Measure poses [n, >= 3], whose first columns are pitch, yaw and roll in degrees, and levels [n] in dBFS.

    Raises:
        ValueError: less than four seconds.
    """
    count = min(len(poses), len(levels))
    if count < 4 * FPS:
        raise ValueError(f"{count} frames of head motion are too few to measure; at least {4 * FPS}")
    angles = np.asarray(poses[:count, :3], np.float64)
    loud = np.maximum(np.nan_to_num(np.asarray(levels[:count], np.float64), nan=SILENCE_DB), QUIETEST)
    spread = angles.std(axis=0)
    speed = np.percentile(np.abs(np.diff(angles, axis=0)) * FPS, 95, axis=0)
    r, lag = _coupling(angles[:, 0], loud)
    return HeadMotion(
        pitch_spread=_rounded(spread[0]),
        yaw_spread=_rounded(spread[1]),
        roll_spread=_rounded(spread[2]),
        pitch_speed=_rounded(speed[0]),
        yaw_speed=_rounded(speed[1]),
        roll_speed=_rounded(speed[2]),
        loudness_r=round(r, 3),
        loudness_lag_ms=lag * 1000 // FPS,
        beats=round(_beat_alignment(angles, loud), 3),
    )


def _rounded(degrees: float) -> float:
    return round(float(degrees), 2)


def _coupling(pitch: Curve, loud: Curve) -> tuple[float, int]:
    """Return the largest absolute correlation over lags, and its lag in frames."""
    best, best_lag = 0.0, 0
    for lag in range(-LATEST, LATEST + 1):
        a = pitch[max(lag, 0) : len(pitch) + min(lag, 0)]
        b = loud[max(-lag, 0) : len(loud) - max(lag, 0)]
        if a.std() < 1e-6 or b.std() < 1e-6:
            continue
        r = abs(float(np.corrcoef(a, b)[0, 1]))
        if r > best:
            best, best_lag = r, lag
    return best, best_lag


def _beat_alignment(angles: Curve, loud: Curve) -> float:
    heads, voices = _head_beats(angles), _onsets(loud)
    if not len(heads) or not len(voices):
        return 0.0
    length = len(loud) / FPS
    shifts = np.arange(1, 12) / 12 * length  # cyclic: the same onsets at other times
    chance = np.mean([_nearness(heads, (voices + shift) % length) for shift in shifts])
    return _nearness(heads, voices) - float(chance)


def _nearness(heads: Curve, voices: Curve) -> float:
    apart = np.abs(heads[:, None] - voices).min(axis=1)
    return float(np.exp(-0.5 * (apart / BEAT_WIDTH) ** 2).mean())


def _head_beats(angles: Curve) -> Curve:
    """Return the times, in seconds, of head beats: minima of the speed, where the head turns or starts."""
    speed = np.linalg.norm(np.diff(angles, axis=0), axis=1)
    smooth = np.convolve(speed, np.array([0.25, 0.5, 0.25]), "same")
    low = (smooth[1:-1] < smooth[:-2]) & (smooth[1:-1] <= smooth[2:])
    return (np.flatnonzero(low) + 1.5) / FPS


def _onsets(loud: Curve) -> Curve:
    """Return the times, in seconds, of voice onsets: peaks of the rise in loudness over 80 ms, above 6 dB."""
    rise = np.maximum(loud[2:] - loud[:-2], 0.0)
    peak = (rise[1:-1] > rise[:-2]) & (rise[1:-1] >= rise[2:]) & (rise[1:-1] > 6.0)
    return (np.flatnonzero(peak) + 2.5) / FPS
