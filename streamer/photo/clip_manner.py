"""A person's manner measured from a clip of them speaking: the head's reach and the blink rate.

A few seconds are weak evidence, so the values are shrunk towards the average, as if PRIOR_S of an average person were
added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.avatar.manner import Manner
from streamer.core.frames import FloatArray

Curves = NDArray[np.float64]

PRIOR_S = 10.0
LEAST_S = 4.0  # of visible face
# Values of this project's own idle motion during speech (docs/models.md): of pitch, yaw and roll, the standard
# deviation in degrees and the 95th percentile of speed in degrees per second; and blinks per minute.
USUAL_SPREAD = np.array([2.3, 3.6, 1.6])
USUAL_SPEED = np.array([23.0, 19.0, 9.0])
USUAL_BLINKS = 17.0
SMOOTH = 3  # pictures: removes the jitter of landmarks
SHUT = 0.6  # of the usual opening: lower lids are in a blink. A blink of 0.25 s shows in two pictures at most
LONGEST_BLINK_S = 0.6


def manner_of(points: FloatArray, rate: float) -> Manner | None:
    """Return the manner in landmarks [n, 478, 3] at `rate` pictures per second, NaN without a face.

    Returns None if too little of a face was seen.
    """
    seen = np.isfinite(points[:, 0, 0])
    seconds = float(seen.sum()) / rate
    if seconds < LEAST_S:
        return None
    known = np.asarray(points[seen], np.float64)
    angles = _smoothed(_angles(known))
    spread, speed = angles.std(0), np.percentile(np.abs(np.diff(angles, axis=0)) * rate, 95, axis=0)
    # Geometric mean of both: a person who looks aside for long has a large spread without moving more.
    reach = np.sqrt(np.maximum(spread / USUAL_SPREAD, 1e-3) * np.maximum(speed / USUAL_SPEED, 1e-3))
    trust = seconds / (seconds + PRIOR_S)
    count = blinks(_openness(known), rate)
    per_minute = (count + USUAL_BLINKS * PRIOR_S / 60) / (seconds + PRIOR_S) * 60
    pitch, yaw, roll = (float(value) for value in reach**trust)
    return Manner.bounded(pitch, yaw, roll, per_minute / USUAL_BLINKS)


def describe(manner: Manner) -> str:
    """Describe the manner in one line, for the person who made the clip."""
    shown = [f"{getattr(manner, axis):.1f} times the usual {axis}" for axis in ("pitch", "yaw", "roll")]
    return f"moves as in the clip: {', '.join(shown)}; {USUAL_BLINKS * manner.blinks:.0f} blinks a minute"


def blinks(openness: Curves, rate: float) -> int:
    """Return the number of blinks in a series of eye openings [n]."""
    shut = np.concatenate([[False], openness < SHUT * np.percentile(openness, 75), [False]]).astype(np.int8)
    starts, stops = np.flatnonzero(np.diff(shut) == 1), np.flatnonzero(np.diff(shut) == -1)
    return int(np.sum(stops - starts <= LONGEST_BLINK_S * rate))


def _angles(points: Curves) -> Curves:
    """Return pitch, yaw and roll in degrees, [n, 3]: rough, but accurate for changes.

    They are measured between the ears and from nose to forehead, because a dropping jaw moves the chin.
    """
    across, up = points[:, 454] - points[:, 234], points[:, 10] - points[:, 2]
    pitch = np.arctan2(-up[:, 2], -up[:, 1])
    yaw, roll = np.arctan2(across[:, 2], across[:, 0]), np.arctan2(across[:, 1], across[:, 0])
    return np.asarray(np.degrees(np.stack([pitch, yaw, roll], axis=1)), np.float64)


def _smoothed(angles: Curves) -> Curves:
    return np.stack([np.convolve(axis, np.full(SMOOTH, 1 / SMOOTH), "valid") for axis in angles.T], axis=1)


def _openness(points: Curves) -> Curves:
    """Return the opening of the lids over the eye's width, mean of both eyes: [n]."""

    def apart(one: int, other: int) -> Curves:
        return np.asarray(np.linalg.norm(points[:, one, :2] - points[:, other, :2], axis=1), np.float64)

    return np.asarray((apart(159, 145) / apart(33, 133) + apart(386, 374) / apart(362, 263)) / 2)
