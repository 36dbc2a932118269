"""Lip-sync score from a trained network: confidence and distance between lips and voice.

A window of audio and five frames of lips are mapped to unit vectors that are close if both are from the same moment
(Chung and Zisserman 2016, "Out of time: automated lip sync in the wild"; their input is pixels, ours is landmarks,
which are comparable between faces). Trained on synthetic voices and rigs: `export.starter.training.train_lip_expert`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines import landmarks
from streamer.core.frames import FloatArray
from streamer.core.rates import FRAME_MS
from streamer.vision.lip_shapes import WIDTH

FRAMES = 5  # of lips, centred on the window's frame
BANDS, SLOTS = 20, 16  # size of a pooled mel window: 4 bands and 2 mel frames per cell
LATEST = 15  # largest offset of lips that is searched, in frames
WEIGHTS = Path(landmarks.__file__).with_name("lip_expert.npz")
EARS, EYES = "ears", "eyes"


@dataclass(frozen=True)
class SyncScore:
    """Lip-sync score of a clip.

    distance: mean between audio and lips at the best offset, 0..2; confidence: the median over offsets minus that
    distance; offset_ms: positive if the lips are late.
    """

    confidence: float
    distance: float
    offset_ms: int


class LipExpert:
    """Lip-sync network with an audio and a lip half: layers of weights [in, out] and biases [out], with ReLU."""

    def __init__(self, layers: dict[str, list[tuple[FloatArray, FloatArray]]]) -> None:
        self._layers = layers

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> LipExpert:
        """Read the weights. Raises OSError or ValueError if they are missing or damaged."""
        with np.load(path, allow_pickle=False) as file:
            halves = {
                half: [(file[f"{half}{k}.weight"].astype(np.float32), file[f"{half}{k}.bias"].astype(np.float32))
                       for k in range(int(file[half]))]
                for half in (EARS, EYES)
            }  # fmt: skip
        return cls(halves)

    def hear(self, windows: FloatArray) -> FloatArray:
        """Map levelled mel windows [n, 1, 80, 32] to vectors [n, size]."""
        return self._run(EARS, pooled(windows))

    def see(self, shapes: FloatArray) -> FloatArray:
        """Map lip shapes [n, WIDTH] to vectors [n, size]; at the ends the first and last frame are repeated."""
        return self._run(EYES, about(shapes))

    def judge(self, windows: FloatArray, shapes: FloatArray) -> SyncScore:
        """Score a clip from its mel windows [n, 1, 80, 32] and lip shapes [n, WIDTH], frame by frame.

        Raises:
            ValueError: fewer than three seconds.
        """
        count = min(len(windows), len(shapes))
        if count < 5 * LATEST:
            raise ValueError(f"{count} frames of lips are too few to judge; at least {5 * LATEST}")
        heard, seen = self.hear(windows[:count]), self.see(shapes[:count])
        distances = np.array([_distance(heard, seen, lag) for lag in range(-LATEST, LATEST + 1)])
        best = int(distances.argmin())
        confidence = float(np.median(distances) - distances[best])
        return SyncScore(round(confidence, 3), round(float(distances[best]), 3), (best - LATEST) * FRAME_MS)

    def _run(self, half: str, x: FloatArray) -> FloatArray:
        for k, (weight, bias) in enumerate(self._layers[half]):
            x = (np.maximum(x, 0) if k else x) @ weight + bias
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6), np.float32)


def pooled(windows: FloatArray) -> FloatArray:
    """Map mel windows [n, 1, 80, 32], -4..4, to [n, BANDS * SLOTS], -1..1."""
    n, _, bands, width = windows.shape
    small = windows.reshape(n, BANDS, bands // BANDS, SLOTS, width // SLOTS).mean(axis=(2, 4))
    return np.asarray(small.reshape(n, -1) / 4, np.float32)


def about(shapes: FloatArray) -> FloatArray:
    """Join each frame's shapes with those of its neighbours: [n, WIDTH] to [n, FRAMES * WIDTH]."""
    at = np.arange(len(shapes))[:, None] + np.arange(FRAMES) - FRAMES // 2
    return np.asarray(shapes[np.clip(at, 0, len(shapes) - 1)].reshape(len(shapes), FRAMES * WIDTH), np.float32)


@functools.cache
def shared_expert() -> LipExpert:
    """Return the process-wide network, loaded on first use."""
    return LipExpert.load()


def _distance(heard: NDArray[np.float32], seen: NDArray[np.float32], lag: int) -> float:
    """Return the mean distance if the lips are `lag` frames late."""
    a = heard[max(-lag, 0) : len(heard) - max(lag, 0)]
    b = seen[max(lag, 0) : len(seen) + min(lag, 0)]
    return float(np.linalg.norm(a - b, axis=1).mean())
