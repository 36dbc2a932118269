"""Lip shapes that are comparable between faces: lip points with head pose, face size and face shape removed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray

# MediaPipe's numbering. Anchors hardly move in speech: corners of the eyes, root and sides of the nose.
ANCHORS = (33, 133, 362, 263, 168, 6, 98, 327)
LIPS = (13, 14, 82, 87, 312, 317, 78, 308, 0, 17, 37, 84, 267, 314, 61, 291, 152)  # inner, outer, corners, chin
WIDTH = 2 * len(LIPS)

_Plane = NDArray[np.complex128]


def lip_shapes(points: FloatArray) -> FloatArray:
    """Map landmarks [n, >= 478, 2 or 3] of one face to shapes [n, WIDTH]: deviations from its median, in eye distances.

    Frames are aligned by rotation, scale and shift of their anchors (Procrustes, least squares).
    """
    plane = np.asarray(points[..., :2], np.float64) @ (1, 1j)  # one complex factor rotates and scales
    anchors = plane[:, list(ANCHORS)]
    centre = anchors.mean(axis=1, keepdims=True)
    theirs = anchors - centre
    upright = theirs[0] / ((theirs[0, 2] + theirs[0, 3] - theirs[0, 0] - theirs[0, 1]) / 2)
    first = theirs * _bringing(theirs, upright)
    common = np.median(first.real, axis=0) + 1j * np.median(first.imag, axis=0)
    lips = (plane[:, list(LIPS)] - centre) * _bringing(theirs, common)
    apart = lips - (np.median(lips.real, axis=0) + 1j * np.median(lips.imag, axis=0))
    return np.concatenate([apart.real, apart.imag], axis=1).astype(np.float32)


def _bringing(theirs: _Plane, common: _Plane) -> _Plane:
    """Return the factors [n, 1] that best map anchors [n, k] to the common ones [k]."""
    return np.asarray((theirs.conj() @ common / (np.abs(theirs) ** 2).sum(axis=1))[:, None], np.complex128)
