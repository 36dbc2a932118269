"""Regions of an avatar's picture: the painted window, and the eyes and mouth that training weights most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.starter.rendering.points import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from export.starter.training.generator import SIZE, WINDOW_STEP
from streamer.core import pictures
from streamer.core.frames import ByteArray, FloatArray
from streamer.vision.landmarks import shared_landmarker

BROWS, CHIN, SIDES = (70, 63, 105, 300, 293, 334), 152, (234, 454)  # of the face mesh
ROOM = 16  # margin in pixels for the head's movement and the dropping jaw
WITHOUT_A_FACE = np.array([(88, 96), (88, 160), (152, 128)], np.float32)  # assumed eyes and mouth
LEAST_LOOK = 256  # smallest picture side in pixels for finding landmarks


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions in pixels of the network's picture. window, extent: (top, left), (height, width) of the painted window;
    middles: (y, x) of the right eye, the left eye and the mouth, float32 [3, 2]; step: grid that aligns windows."""

    window: tuple[int, int]
    extent: tuple[int, int]
    middles: FloatArray
    step: int

    @classmethod
    def of(cls, portrait: ByteArray) -> Regions:
        """Find the regions of a portrait, uint8 [S, S, 3]; unless one face is found, assume a typical position."""
        step = max(WINDOW_STEP, SIZE // portrait.shape[0])
        faces = shared_landmarker().find(pictures.scaled(portrait, max(LEAST_LOOK, portrait.shape[0])))
        if len(faces) != 1:
            return cls._about(WITHOUT_A_FACE, np.array([(56, 64), (216, 192)], np.float32), step)
        points = faces[0].points[:, 1::-1] * (SIZE / max(LEAST_LOOK, portrait.shape[0]))
        middles = np.stack([points[list(ring)].mean(0) for ring in (RIGHT_EYE, LEFT_EYE, INNER_LIPS)])
        outline = points[[*BROWS, CHIN, *SIDES]]
        return cls._about(middles, np.stack([outline.min(0), outline.max(0)]), step)

    @classmethod
    def _about(cls, middles: FloatArray, box: FloatArray, step: int) -> Regions:
        first = np.clip(np.floor((box[0] - ROOM) / step) * step, 0, SIZE - step).astype(int)
        last = np.clip(np.ceil((box[1] + ROOM) / step) * step, step, SIZE).astype(int)
        height, width = last - first
        return cls((int(first[0]), int(first[1])), (int(height), int(width)), np.asarray(middles, np.float32), step)

    def draw_window(self, rng: np.random.Generator, side: int) -> tuple[int, int]:
        """Draw a square to train on, (top, left): most often near the mouth, else near an eye or anywhere."""
        kind = rng.random()
        if kind < 0.75:
            middle = self.middles[2 if kind < 0.45 else int(rng.integers(2))] + rng.normal(size=2) * 10
        else:
            middle = rng.uniform(0, SIZE, 2)
        top, left = np.clip(np.round((middle - side / 2) / self.step) * self.step, 0, SIZE - side).astype(int)
        return int(top), int(left)
