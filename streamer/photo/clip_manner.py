"""A person's manner, read off a clip in which they speak: the head's reach and how often the eyes blink.

A few seconds say little: what is found is moved towards the usual by as much as PRIOR_S of an average person would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.avatar.manner import Manner
from streamer.core.frames import FloatArray

Curves = NDArray[np.float64]

PRIOR_S = 10.0
LEAST_S = 4.0  # of a face that is seen
# What heads that speak do here by themselves (docs/models.md): standard deviation in degrees, 95 % of the speeds in
# degrees a second, of pitch, yaw and roll; and blinks a minute.
USUAL_SPREAD = np.array([2.3, 3.6, 1.6])
USUAL_SPEED = np.array([23.0, 19.0, 9.0])
USUAL_BLINKS = 17.0
SMOOTH = 3  # pictures: what landmarks tremble by is no motion
SHUT = 0.6  # of the usual opening: lids below are in a blink. One of a quarter of a second is met twice at most
LONGEST_BLINK_S = 0.6


def manner_of(points: FloatArray, rate: float) -> Manner | None:
    """Read landmarks [n, 478, 3] off pictures at `rate` a second, NaN where there was no face.

    None: too little was seen of a face.
    """
    seen = np.isfinite(points[:, 0, 0])
    seconds = float(seen.sum()) / rate
    if seconds < LEAST_S:
        return None
    known = np.asarray(points[seen], np.float64)
    angles = _smoothed(_angles(known))
    spread, speed = angles.std(0), np.percentile(np.abs(np.diff(angles, axis=0)) * rate, 95, axis=0)
    # The mean of both in their logarithms: somebody who looks aside for long moves no more than others.
    reach = np.sqrt(np.maximum(spread / USUAL_SPREAD, 1e-3) * np.maximum(speed / USUAL_SPEED, 1e-3))
    trust = seconds / (seconds + PRIOR_S)
    count = blinks(_openness(known), rate)
    per_minute = (count + USUAL_BLINKS * PRIOR_S / 60) / (seconds + PRIOR_S) * 60
    pitch, yaw, roll = (float(value) for value in reach**trust)
    return Manner.bounded(pitch, yaw, roll, per_minute / USUAL_BLINKS)


def describe(manner: Manner) -> str:
    """One line for whoever made the clip."""
    shown = [f"{getattr(manner, axis):.1f} times the usual {axis}" for axis in ("pitch", "yaw", "roll")]
    return f"moves as in the clip: {', '.join(shown)}; {USUAL_BLINKS * manner.blinks:.0f} blinks a minute"


def blinks(openness: Curves, rate: float) -> int:
    """How often the eyes shut for a moment in their opening [n]."""
    shut = np.concatenate([[False], openness < SHUT * np.percentile(openness, 75), [False]]).astype(np.int8)
    starts, stops = np.flatnonzero(np.diff(shut) == 1), np.flatnonzero(np.diff(shut) == -1)
    return int(np.sum(stops - starts <= LONGEST_BLINK_S * rate))


def _angles(points: Curves) -> Curves:
    """Pitch, yaw and roll in degrees, [n, 3], rough but good for change: from the ears, and from nose to forehead, as
    a jaw that drops moves the chin."""
    across, up = points[:, 454] - points[:, 234], points[:, 10] - points[:, 2]
    pitch = np.arctan2(-up[:, 2], -up[:, 1])
    yaw, roll = np.arctan2(across[:, 2], across[:, 0]), np.arctan2(across[:, 1], across[:, 0])
    return np.asarray(np.degrees(np.stack([pitch, yaw, roll], axis=1)), np.float64)


def _smoothed(angles: Curves) -> Curves:
    return np.stack([np.convolve(axis, np.full(SMOOTH, 1 / SMOOTH), "valid") for axis in angles.T], axis=1)


def _openness(points: Curves) -> Curves:
    """Gap of the lids over the eye's width, mean of both: [n]."""

    def apart(one: int, other: int) -> Curves:
        return np.asarray(np.linalg.norm(points[:, one, :2] - points[:, other, :2], axis=1), np.float64)

    return np.asarray((apart(159, 145) / apart(33, 133) + apart(386, 374) / apart(362, 263)) / 2)
