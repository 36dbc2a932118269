"""Building blocks of matting: colour models, edge-aware smoothing and the guided filter."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussian mixture: shares [k], means [k, d], covariances [k, d, d]."""

    shares: Doubles
    means: Doubles
    covariances: Doubles

    @classmethod
    def fit(cls, samples: Doubles, count: int, least_variance: float) -> Mixture:
        """Fit one Gaussian to each k-means cluster of samples [n, d]."""
        cv2.setRNGSeed(0)
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 12, 0.1)
        start = np.zeros((len(samples), 1), np.int32)
        labels = cv2.kmeans(samples.astype(np.float32), count, start, stop, 1, cv2.KMEANS_PP_CENTERS)[1].ravel()
        width = samples.shape[1]
        parts = [part for k in range(count) if len(part := samples[labels == k]) > 2 * width]
        shares = np.array([len(part) for part in parts], np.float64)
        covariances = np.stack([np.cov(part.T) for part in parts]) + least_variance * np.eye(width)
        return cls(shares / shares.sum(), np.stack([part.mean(0) for part in parts]), covariances)

    def log_density(self, values: Doubles) -> Doubles:
        """Return the log density [n] of values [n, d]."""
        total = np.full(len(values), -np.inf)
        for share, mean, covariance in zip(self.shares, self.means, self.covariances, strict=True):
            away = values - mean
            distance = ((away @ np.linalg.inv(covariance)) * away).sum(1)
            scale = np.linalg.slogdet(2 * np.pi * covariance)[1]
            total = np.logaddexp(total, np.log(share) - 0.5 * (distance + scale))
        return total


def local_log_density(picture: FloatArray, weight: FloatArray, reach: float, least_variance: float) -> Doubles:
    """Return the log density of each pixel's colour [H, W, 3] among nearby pixels, weighted by [H, W].

    It is small far from any weight.
    """

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), reach), np.float32)

    total = mean(weight)
    share = total[..., None] + np.float32(1e-6)
    middle = mean(picture * weight[..., None]) / share
    variance = np.maximum(mean(picture**2 * weight[..., None]) / share - middle**2, 0) + least_variance
    density = -0.5 * ((picture - middle) ** 2 / variance + np.log(2 * np.pi * variance)).sum(-1)
    return np.asarray(density + 0.5 * np.log(total.clip(1e-9, 1)), np.float64)


def random_walk(picture: FloatArray, target: Doubles, trust: Doubles, steps: int = 150) -> Doubles:
    """Return values [H, W] near `target` where it is trusted, and else near those of neighbours of the same colour.

    Random walks with prior models (Grady 2005): minimises the sum of w (a_i - a_j)^2 over neighbours and of
    trust (a_i - target_i)^2, by conjugate gradients.
    """
    across = ((picture[:, 1:] - picture[:, :-1]) ** 2).sum(-1)
    down = ((picture[1:] - picture[:-1]) ** 2).sum(-1)
    sharpness = 1 / max(float(across.mean() + down.mean()), 1.0)
    right, below = (np.exp(-sharpness * steep).astype(np.float64) + 1e-3 for steep in (across, down))
    degree = trust.copy()
    degree[:, 1:] += right
    degree[:, :-1] += right
    degree[1:] += below
    degree[:-1] += below

    def apply(values: Doubles) -> Doubles:
        result = degree * values
        result[:, 1:] -= right * values[:, :-1]
        result[:, :-1] -= right * values[:, 1:]
        result[1:] -= below * values[:-1]
        result[:-1] -= below * values[1:]
        return np.asarray(result)

    solution = target.copy()
    rest = trust * target - apply(solution)
    scaled = rest / degree
    direction, size = scaled.copy(), float((rest * scaled).sum())
    for _ in range(steps):
        if size < 1e-6 * solution.size:
            break
        applied = apply(direction)
        length = size / float((direction * applied).sum())
        solution += length * direction
        rest -= length * applied
        scaled = rest / degree
        before, size = size, float((rest * scaled).sum())
        direction = scaled + size / before * direction
    return solution.clip(0, 1)


def guided_filter(guide: FloatArray, values: FloatArray, radius: int, smoothness: float) -> FloatArray:
    """Return `values` [H, W] with the edges of `guide` [H, W, 3] in 0..1 (He et al. 2010, arXiv 1505.00996)."""

    def mean(planes: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur(planes, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT), np.float32)

    middle, level = mean(guide), mean(values)
    shared = mean(guide * values[..., None]) - middle * level[..., None]
    spread = np.empty((*values.shape, 3, 3), np.float32)
    for one in range(3):
        for other in range(one, 3):
            product = mean(guide[..., one] * guide[..., other]) - middle[..., one] * middle[..., other]
            spread[..., one, other] = spread[..., other, one] = product
    slope = np.linalg.solve(spread + smoothness * np.eye(3, dtype=np.float32), shared[..., None])[..., 0]
    offset = level - (slope * middle).sum(-1)
    return np.asarray((mean(slope) * guide).sum(-1) + mean(offset), np.float32)
