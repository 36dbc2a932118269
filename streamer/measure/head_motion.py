"""What a head does while its owner speaks, as numbers that can be compared with those of real speakers.

The ranges are those measured of real speakers in five clips; see docs/models.md.
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
LATEST = 10  # frames that motion may be before or behind the sound
BEAT_WIDTH = 0.08  # s: a beat of the head this far from the voice's counts 0.6
QUIETEST = -60.0  # dBFS: below, loudness does not count

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class HeadMotion:
    """Degrees, degrees a second, correlations.

    pitch_spread, yaw_spread, roll_spread: standard deviations. pitch_speed, yaw_speed, roll_speed: below which 95 % of
    the speeds are. loudness_r: best correlation of pitch and loudness, at loudness_lag_ms (positive: the head is late).
    beats: how near the head's sudden movements are to the voice's onsets, 0..1, less the same of sound that is shifted,
    which is what chance gives (beat alignment as of Siyao et al. 2022, "Bailando").
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
        """Which figures lie among those of real speakers."""
        return {name: low <= getattr(self, name) <= high for name, (low, high) in REAL.items()}


def measure(poses: FloatArray, levels: Sequence[float]) -> HeadMotion:
    """Measure poses [n, >= 3], the first of which are pitch, yaw and roll in degrees, and levels [n] in dBFS.

    Raises:
        ValueError: fewer than four seconds.
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
    """Largest absolute correlation over lags, and the lag in frames."""
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
    shifts = np.arange(1, 12) / 12 * length  # cyclic: the same beats, of another moment
    chance = np.mean([_nearness(heads, (voices + shift) % length) for shift in shifts])
    return _nearness(heads, voices) - float(chance)


def _nearness(heads: Curve, voices: Curve) -> float:
    apart = np.abs(heads[:, None] - voices).min(axis=1)
    return float(np.exp(-0.5 * (apart / BEAT_WIDTH) ** 2).mean())


def _head_beats(angles: Curve) -> Curve:
    """Seconds at which the head turns over or starts: its speed has a minimum between two movements."""
    speed = np.linalg.norm(np.diff(angles, axis=0), axis=1)
    smooth = np.convolve(speed, np.array([0.25, 0.5, 0.25]), "same")
    low = (smooth[1:-1] < smooth[:-2]) & (smooth[1:-1] <= smooth[2:])
    return (np.flatnonzero(low) + 1.5) / FPS


def _onsets(loud: Curve) -> Curve:
    """Seconds at which the voice rises: peaks of the rise of loudness over 80 ms by at least 6 dB."""
    rise = np.maximum(loud[2:] - loud[:-2], 0.0)
    peak = (rise[1:-1] > rise[:-2]) & (rise[1:-1] >= rise[2:]) & (rise[1:-1] > 6.0)
    return (np.flatnonzero(peak) + 2.5) / FPS
