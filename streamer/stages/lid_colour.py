"""Lids in the colour of the skin around them.

The network learnt the colour of lids from a few skins, and paints those of others too dark and too orange. What it
paints of a face with its eyes shut is compared, once for each avatar, with the skin about the eyes in the photo; the
ratio is then applied wherever a lid is painted, and not to the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import ByteArray, FloatArray

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)
NEAR, NEARER = (15, 11), (5, 5)  # pixels about an eye, of which the ring between is its skin
BELOW, ABOVE = 0.6, 0.4  # shares of the skin under the eye and over it, where there may be shadow, in a lid's colour
SHADE = 0.95  # of that: a lid lies a little deeper
LEAST, MOST = 0.5, 2.2  # of a gain
LASHES = (0.45, 0.40)  # luminance against the lid's from which, and over how much, paint is skin and no lash


@dataclass(frozen=True, eq=False)
class LidColour:
    """Gains of the lids in the window of the eyes, and where they hold: gains [2, 3], places [2, h, w] in 0..1."""

    gains: FloatArray
    places: FloatArray
    luminance: FloatArray  # [2] of what is painted

    @classmethod
    def measure(cls, portrait: FloatArray, keypoints: FloatArray, shut: FloatArray, corner: FloatArray) -> LidColour:
        """portrait: [S, S, 3] in 0..1; keypoints: its own, [K, 2 or 3]; shut: the eyes' layer [h, w, 4] of a frame with
        the lids shut; corner: that layer's (top, left) in the portrait."""
        size, (top, left) = portrait.shape[0], (int(corner[0]), int(corner[1]))
        window = (slice(top, top + shut.shape[0]), slice(left, left + shut.shape[1]))
        pixels = (keypoints[:, :2] + 1) * (size / 2)
        gains: list[FloatArray] = []
        places: list[FloatArray] = []
        luminance: list[float] = []
        for ring in (RIGHT_EYE, LEFT_EYE):
            eye = np.zeros((size, size), np.uint8)
            cv2.fillPoly(eye, [pixels[list(ring)].astype(np.int32)], 1)
            skin = _skin_about(portrait, eye, float(pixels[list(ring), 1].mean()))
            painted = _painted_skin(shut, cv2.dilate(eye, np.ones((3, 3), np.uint8))[window] > 0)
            if skin is None or painted is None:
                gains.append(np.ones(3, np.float32))
                luminance.append(1.0)
            else:
                gains.append(np.clip(SHADE * skin / painted, LEAST, MOST))
                luminance.append(float(painted.mean()))
            wide = cv2.dilate(eye, np.ones((15, 17), np.uint8)).astype(np.float32)
            places.append(np.asarray(cv2.GaussianBlur(wide, (0, 0), 3), np.float32)[window])
        return cls(np.asarray(gains, np.float32), np.asarray(places, np.float32), np.asarray(luminance, np.float32))

    def correct(self, layer: FloatArray, opening: FloatArray) -> FloatArray:
        """The eyes' layer [h, w, 4] with its lids corrected. opening: [h, w] in 0..1, where the eyes are seen."""
        alpha = np.maximum(layer[..., 3:], 1e-3)
        bright = layer[..., :3].mean(-1, keepdims=True) / alpha
        factor = np.ones((*layer.shape[:2], 3), np.float32)
        lids = (1 - cv2.blur(opening, (3, 3)))[..., None]
        for gain, place, luminance in zip(self.gains, self.places, self.luminance, strict=True):
            no_lash = ((bright / luminance - LASHES[0]) / LASHES[1]).clip(0, 1)
            factor += (gain - 1) * place[..., None] * lids * no_lash
        return np.concatenate([np.minimum(layer[..., :3] * factor, layer[..., 3:]), layer[..., 3:]], -1)


def _skin_about(portrait: FloatArray, eye: ByteArray, middle: float) -> FloatArray | None:
    """The mean colour [3] of the skin about an eye; None where there is none to be seen."""
    near = cv2.dilate(eye, np.ones(NEAR[::-1], np.uint8)) > 0
    ring = near & ~(cv2.dilate(eye, np.ones(NEARER, np.uint8)) > 0)
    below = np.arange(len(portrait))[:, None] > middle
    under, over = portrait[ring & below], portrait[ring & ~below]
    if len(under) < 8 or len(over) < 8:
        return None
    light = under.mean(1)
    under = under[(light >= np.percentile(light, 30)) & (light <= np.percentile(light, 95))]
    light = over.mean(1)
    over = over[light >= np.percentile(light, 50)]
    return np.asarray(BELOW * under.mean(0) + ABOVE * over.mean(0), np.float32)


def _painted_skin(layer: FloatArray, where: NDArray[np.bool_]) -> FloatArray | None:
    """The mean colour [3] of a painted lid without its lashes; None where nothing is painted."""
    alpha = layer[..., 3:] * where[..., None]
    if alpha.sum() < 1:
        return None
    colour = layer[..., :3] / np.maximum(layer[..., 3:], 1e-3)
    bright = colour.mean(-1, keepdims=True)
    weight = alpha * (bright > 0.8 * np.median(bright[where]))
    return np.asarray((colour * weight).sum((0, 1)) / max(float(weight.sum()), 1e-6), np.float32)
