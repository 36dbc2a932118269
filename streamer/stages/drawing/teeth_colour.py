"""Correction of painted teeth to the colour of enamel.

The network infers the light in a mouth from the skin around it; on dark skin and on yellowed paintings it makes teeth
blue or green. Enamel is nearly white with a yellow tint (CIELAB b* of 5 to 20; compare Joiner, Tooth colour: a review
of the literature, 2004). So the colours of a mouth are limited: a minimum of red, and a maximum of green and blue
relative to red.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamer.avatar.bundle import Avatar
from streamer.core.frames import FloatArray

REDDEST, GREENEST, BLUEST = 1.02, 0.985, 0.93  # red: least share of the mean; green, blue: largest share of red
OF_SKIN = 0.9  # largest ratio of blue to red in skin; other faces, such as chrome or sea-blue, are not corrected


def has_human_colours(avatar: Avatar) -> bool:
    """Return whether the portrait's face has skin colours under white light: more red than blue."""
    photo, points = avatar.photo, avatar.constants["source_keypoints"].reshape(-1, 3)
    side = photo.shape[0]
    x, y = np.clip((points[:, :2].T + 1) * (side / 2), 0, side - 1).astype(int)
    red, _, blue = np.median(photo[y, x].astype(np.float32), axis=0)
    return bool(blue <= OF_SKIN * red)


def warmed(layer: FloatArray) -> FloatArray:
    """Return a painted mouth, float32 [h, w, 4] (RGB, premultiplied or not, and alpha), without blue or green teeth."""
    red, green, blue, alpha = cv2.split(layer)
    red = np.maximum(red, (red + green + blue) * np.float32(REDDEST / 3))
    green = np.minimum(green, red * np.float32(GREENEST))
    blue = np.minimum(blue, red * np.float32(BLUEST))
    return np.asarray(cv2.merge((red, green, blue, alpha)), np.float32)
