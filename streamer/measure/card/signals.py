"""Curves of lips, lids and head from landmarks over time, with the usual formulas for MediaPipe's mesh.

Mouth: gap of the inner lips in widths of the mouth. Eyes: gap of the lids in widths of the eye, mean of both. Head:
weak perspective, good for changes over time. All curves are sampled at FPS, with gaps interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray
from streamer.core.rates import FPS, FRAME_MS

LATEST = 10  # largest lag searched, in frames, either way
SHUT_SHARE = 0.5  # of the usual opening: below it, the lids are in a blink
LONGEST_BLINK = 15  # frames; longer runs are closed eyes, not a blink

Curve = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Signals:
    """mouth, eyes: ratios [n]; head: pitch, yaw, roll in degrees [n, 3], pitch positive with the chin down."""

    mouth: Curve
    eyes: Curve
    head: Curve


def signals(points: FloatArray) -> Signals:
    """Compute the curves from landmarks [n, 478, 3]; gaps are interpolated linearly."""
    filled = without_gaps(points)
    across, up = filled[:, 454] - filled[:, 234], filled[:, 10] - filled[:, 152]
    pitch = np.degrees(np.arctan2(-up[:, 2], -up[:, 1]))
    yaw = np.degrees(np.arctan2(across[:, 2], across[:, 0]))
    roll = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    eyes = (_ratio(filled, (159, 145), (33, 133)) + _ratio(filled, (386, 374), (362, 263))) / 2
    return Signals(_ratio(filled, (13, 14), (61, 291)), eyes, np.stack([pitch, yaw, roll], axis=1))


@dataclass(frozen=True)
class Follows:
    """How ours follows theirs: best correlation, its lag (positive: ours is late), the one at lag 0, spread ratio."""

    r: float
    lag_ms: int
    r_at_zero: float
    spread: float


def follows(ours: Curve, theirs: Curve) -> Follows:
    """Compare two curves of the same sound. Raises ValueError: they overlap by less than two seconds."""
    count = min(len(ours), len(theirs))
    if count < 2 * FPS:
        raise ValueError(f"{count} frames are too few to compare; at least {2 * FPS}")
    ours, theirs = ours[:count], theirs[:count]
    by_lag = {lag: _correlation(ours, theirs, lag) for lag in range(-LATEST, LATEST + 1)}
    best = max(by_lag, key=lambda lag: by_lag[lag])
    spread = float(ours.std() / max(theirs.std(), 1e-9))
    return Follows(round(by_lag[best], 3), best * FRAME_MS, round(by_lag[0], 3), round(spread, 2))


@dataclass(frozen=True)
class Blinks:
    """per_minute: rate; ms: median time below half of the usual opening; least: median smallest opening, as a share."""

    per_minute: float
    ms: float
    least: float


def blinks(eyes: Curve) -> Blinks:
    """Find blinks in the curve of eye opening [n]."""
    usual = float(np.percentile(eyes, 75))
    shut = np.concatenate([[False], eyes < SHUT_SHARE * usual, [False]]).astype(np.int8)
    starts, stops = np.flatnonzero(np.diff(shut) == 1), np.flatnonzero(np.diff(shut) == -1)
    runs = [(a, b) for a, b in zip(starts, stops, strict=True) if b - a <= LONGEST_BLINK]
    minutes = len(eyes) / FPS / 60
    if not runs:
        return Blinks(0.0, 0.0, round(float(eyes.min() / max(usual, 1e-6)), 2))
    least = float(np.median([eyes[a:b].min() for a, b in runs])) / max(usual, 1e-6)
    return Blinks(
        round(len(runs) / minutes, 1), round(float(np.median([b - a for a, b in runs])) * FRAME_MS), round(least, 2)
    )


def jitter(points: FloatArray) -> float:
    """Return the trembling: mean second difference of rigid points, in thousandths of the outer eye distance."""
    rigid = points[:, [6, 168, 197, 5, 33, 263, 133, 362, 234, 454], :2]
    apart = np.linalg.norm(points[:, 33, :2] - points[:, 263, :2], axis=1)
    bend = np.linalg.norm(np.diff(rigid, n=2, axis=0), axis=2)
    return round(1000 * float(np.nanmean(bend) / np.nanmean(apart)), 2)


def _ratio(points: Curve, gap: tuple[int, int], width: tuple[int, int]) -> Curve:
    apart = np.linalg.norm(points[:, gap[0], :2] - points[:, gap[1], :2], axis=1)
    return np.asarray(apart / np.linalg.norm(points[:, width[0], :2] - points[:, width[1], :2], axis=1), np.float64)


def without_gaps(points: FloatArray) -> Curve:
    """Return landmarks [n, 478, 3] with gaps interpolated linearly. Raises ValueError: no face in any picture."""
    known = np.isfinite(points[:, 0, 0])
    if not known.any():
        raise ValueError("no face in any picture")
    at = np.arange(len(points))
    flat = points.reshape(len(points), -1)
    columns = [np.interp(at, at[known], column[known]) for column in flat.T]
    return np.stack(columns, axis=1).reshape(points.shape)


def _correlation(ours: Curve, theirs: Curve, lag: int) -> float:
    a = ours[max(lag, 0) : len(ours) + min(lag, 0)]
    b = theirs[max(-lag, 0) : len(theirs) - max(lag, 0)]
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-9 and b.std() > 1e-9 else 0.0
