"""Cutting a person out of a portrait, without a network: GrabCut about the face's landmarks, then a soft edge.

Rother et al. 2004, "GrabCut"; the edge by a guided filter (He et al. 2010).
"""

from __future__ import annotations

import cv2
import numpy as np

from streamer.errors import PhotoError
from streamer.frames import ByteArray, FloatArray
from streamer.landmarks import MESH_POINTS, shared_landmarker

PASSES = 5  # of GrabCut
UNKNOWN_FACE = ((0.5, 0.48), (0.22, 0.32))  # middle and radii, of the side, where no face is found


def cut_out(picture: ByteArray, landmarks: FloatArray | None = None) -> FloatArray:
    """How much of each pixel is the person: float32 [S, S] in 0..1, of a portrait uint8 [S, S, 3].

    landmarks: [478, 2+] in its pixels; found when they are not given.
    """
    size = picture.shape[0]
    outline = _face_outline(picture, landmarks)
    left, top, across, down = cv2.boundingRect(outline)
    marks = np.full((size, size), cv2.GC_PR_BGD, np.uint8)
    centre = (left + across // 2, top + down // 2)
    cv2.ellipse(marks, centre, (int(0.75 * across), int(0.8 * down)), 0, 0, 360, cv2.GC_PR_FGD, -1)
    marks[top + down :, max(0, left - across // 2) : left + across + across // 2] = cv2.GC_PR_FGD
    marks[: size // 3, [0, 1, -2, -1]] = cv2.GC_BGD
    marks[: max(1, size // 64)] = np.where(marks[: max(1, size // 64)] == cv2.GC_PR_FGD, cv2.GC_PR_FGD, cv2.GC_BGD)
    cv2.fillPoly(marks, [outline], cv2.GC_FGD)
    cv2.rectangle(marks, (centre[0] - across // 5, centre[1]), (centre[0] + across // 5, size), cv2.GC_FGD, -1)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(picture[..., ::-1])
    cv2.grabCut(bgr, marks, (0, 0, size, size), *models, PASSES, cv2.GC_INIT_WITH_MASK)
    person = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    soft = cv2.GaussianBlur(person, (0, 0), size / 256)
    cv2.fillPoly(soft, [outline], 1.0)
    return np.asarray(soft.clip(0, 1), np.float32)


def _face_outline(picture: ByteArray, landmarks: FloatArray | None) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """The convex hull of the face, [n, 1, 2] pixels."""
    size = picture.shape[0]
    if landmarks is None:
        try:
            faces = shared_landmarker().find(picture)
        except PhotoError:  # its models are not installed
            faces = []
        landmarks = faces[0].points if faces else None
    if landmarks is None:
        angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        ring = np.stack([np.cos(angles), np.sin(angles)], 1)
        points = (np.array(UNKNOWN_FACE[0]) + ring * UNKNOWN_FACE[1]) * size
    else:
        points = landmarks[:MESH_POINTS, :2]
    return np.asarray(cv2.convexHull(np.round(points).astype(np.int32)), np.int32)
