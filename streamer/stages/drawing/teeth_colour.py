"""Give painted teeth the colour of enamel, whatever tint the network gives them.

The network takes the light of a mouth from the skin about it; on dark skin and on yellowed paintings it makes teeth
blue or green. Enamel is nearly white with a share of yellow (CIELAB b* of 5 to 20; compare Joiner, Tooth colour: a
review of the literature, 2004). So nothing in a mouth may have less red than green, or more blue than that.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamer.avatar.bundle import Avatar
from streamer.core.frames import FloatArray

REDDEST, GREENEST, BLUEST = 1.02, 0.985, 0.93  # red, of the mean of all; green and blue, at most so much of red
OF_SKIN = 0.9  # blue of red that skin has at most; a face of chrome or of the sea keeps its own colours


def has_human_colours(avatar: Avatar) -> bool:
    """Whether the portrait's face has a skin's colours under white light: more red than blue."""
    photo, points = avatar.photo, avatar.constants["source_keypoints"].reshape(-1, 3)
    side = photo.shape[0]
    x, y = np.clip((points[:, :2].T + 1) * (side / 2), 0, side - 1).astype(int)
    red, _, blue = np.median(photo[y, x].astype(np.float32), axis=0)
    return bool(blue <= OF_SKIN * red)


def warmed(layer: FloatArray) -> FloatArray:
    """A painted mouth, float32 [h, w, 4] (RGB, multiplied by alpha or not, and alpha), without blue or green teeth."""
    red, green, blue, alpha = cv2.split(layer)
    red = np.maximum(red, (red + green + blue) * np.float32(REDDEST / 3))
    green = np.minimum(green, red * np.float32(GREENEST))
    blue = np.minimum(blue, red * np.float32(BLUEST))
    return np.asarray(cv2.merge((red, green, blue, alpha)), np.float32)
