"""Face landmarks of a picture: 468 points of MediaPipe's face mesh (arXiv 1907.06724) and the two irises, 478 in all.

A face is detected (face_detector), rotated upright and cropped, and the mesh model runs on the crop. The crop is then
repeated around the mesh, which is steadier than the detector's box, and the mesh is averaged over several slightly
shifted crops. The eyes are refined at higher resolution with the iris model (Ablavatski et al. 2020, arXiv 2006.11341),
which is more accurate for lids and irises.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from engines.landmarks import open_model
from streamer.core.frames import ByteArray, FloatArray
from streamer.vision.face_detector import Detection, FaceDetector

MESH_POINTS, POINTS = 468, 478
RIGHT_CORNERS, LEFT_CORNERS = (33, 133), (362, 263)  # outer, inner corner; inner, outer corner: left to right
LEAST_PRESENCE = 0.5
MESH_SIZE, EYE_SIZE = 192, 64
MESH_MARGIN, EYE_MARGIN = 1.5, 2.3  # side of the crop, as a multiple of the face's or eye's longer side
MESH_PASSES = 2
# Offset, in the model's pixels, by which the mesh model's points lie up and left of MediaPipe 0.10.21's: measured on
# twelve portraits with both of its mesh models (median over all points; 0.5 of it is the convention of pixel centres).
MESH_OFFSET = 0.75
# Crops to average, relative to the last one: scale, rotation (degrees), shift (shares of the side). Eight crops reduce
# the distance to MediaPipe's larger model by a sixth.
CUTS = (
    (0.9, 0, 0, 0), (1.1, 0, 0, 0), (1, -6, 0, 0), (1, 6, 0, 0),
    (1, 0, 0.03, 0), (1, 0, -0.03, 0), (1, 0, 0, 0.03), (1, 0, 0, -0.03),
)  # fmt: skip

# Mesh indices of the iris model's 71 eye points, for the person's right eye; the last rows are brow and cheek.
RIGHT_EYE_POINTS = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
LEFT_EYE_POINTS = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398,
    359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414,
    446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413,
    265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip
REFINED = 32  # number of eye points to use: the lids and the ring around them
RIGHT_IRIS, LEFT_IRIS = 468, 473  # centre, then four points of the rim


@dataclass(frozen=True, eq=False)
class Face:
    """One face: points [478, 3] in pixels of the picture (x right, y down, z away from the viewer), presence 0..1."""

    points: FloatArray
    presence: float
    detection: Detection

    @property
    def eye_distance(self) -> float:
        """Distance in pixels between the centres of the eyes."""
        return float(np.linalg.norm(eye_middle(self.points, RIGHT_CORNERS) - eye_middle(self.points, LEFT_CORNERS)))


def eye_middle(points: FloatArray, corners: tuple[int, int]) -> FloatArray:
    """Return the midpoint [2] between an eye's corners."""
    return np.asarray(points[list(corners), :2].mean(0), np.float32)


class Landmarker:
    """Landmark reader: the face detector, the mesh model and the iris model."""

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._mesh = open_model("mesh")
        self._iris = open_model("iris")

    def find(self, picture: ByteArray) -> list[Face]:
        """Return the faces of an RGB picture [H, W, 3], the largest first."""
        faces = [self._read(picture, detection) for detection in self._detector.detect(picture)]
        found = [face for face in faces if face.presence >= LEAST_PRESENCE]
        return sorted(found, key=lambda face: -face.eye_distance)

    def follow(self, picture: ByteArray, before: FloatArray) -> FloatArray | None:
        """Track a face in a video: return its points in the next picture, or None if it is gone.

        before: its points [478, 3] in the previous picture. Uses two crops, without the detection and nine crops of
        `find`.
        """
        cut = _Cut.about(before[:MESH_POINTS, :2], before[263, :2] - before[33, :2], MESH_MARGIN, MESH_SIZE)
        mesh, _ = self._read_mesh(picture, cut)
        cut = _Cut.about(mesh[:, :2], mesh[263, :2] - mesh[33, :2], MESH_MARGIN, MESH_SIZE)
        mesh, presence = self._read_mesh(picture, cut)
        return self._with_eyes(picture, mesh) if presence >= LEAST_PRESENCE else None

    def _with_eyes(self, picture: ByteArray, mesh: FloatArray) -> FloatArray:
        points = np.concatenate([mesh, np.zeros((POINTS - MESH_POINTS, 3), np.float32)])
        self._read_eye(picture, points, RIGHT_EYE_POINTS, RIGHT_IRIS, mirrored=False)
        self._read_eye(picture, points, LEFT_EYE_POINTS, LEFT_IRIS, mirrored=True)
        return points

    def _read(self, picture: ByteArray, detection: Detection) -> Face:
        right_eye, left_eye = detection.points[:2]
        middle = (detection.box[:2] + detection.box[2:]) * np.float32(0.5)
        cut = _Cut.of(middle, left_eye - right_eye, detection.size * MESH_MARGIN, MESH_SIZE)
        for _ in range(MESH_PASSES):
            mesh, _ = self._read_mesh(picture, cut)
            cut = _Cut.about(mesh[:, :2], mesh[263, :2] - mesh[33, :2], MESH_MARGIN, MESH_SIZE)
        readings = [self._read_mesh(picture, cut.moved(*move)) for move in CUTS]
        mesh = np.mean([mesh for mesh, _ in readings], 0)
        presence = float(np.mean([presence for _, presence in readings]))
        return Face(self._with_eyes(picture, mesh), presence, detection)

    def _read_mesh(self, picture: ByteArray, cut: _Cut) -> tuple[FloatArray, float]:
        results = self._mesh.infer({"picture": cut.take(picture)[None]})
        points = results["points"].reshape(MESH_POINTS, 3) + np.array([MESH_OFFSET, MESH_OFFSET, 0], np.float32)
        return cut.to_picture(points), float(1 / (1 + np.exp(-results["presence"].reshape(()))))

    def _read_eye(
        self, picture: ByteArray, points: FloatArray, names: tuple[int, ...], iris: int, mirrored: bool
    ) -> None:
        """Refine an eye's lids and add its iris, in place. The model handles one eye; the other is mirrored."""
        corners = LEFT_CORNERS if mirrored else RIGHT_CORNERS
        cut = _Cut.about(
            points[list(corners), :2], points[corners[1], :2] - points[corners[0], :2], EYE_MARGIN, EYE_SIZE
        )
        image = cut.take(picture)
        results = self._iris.infer({"picture": (image[:, ::-1] if mirrored else image)[None]})
        lids, rim = results["lids"].reshape(71, 3), results["rim"].reshape(5, 3)
        if mirrored:
            for part in (lids, rim):
                part[:, 0] = EYE_SIZE - part[:, 0]
        chosen = list(names[:REFINED])
        points[chosen, :2] = cut.to_picture(lids)[:REFINED, :2]
        points[iris : iris + 5, :2] = cut.to_picture(rim)[:, :2]
        points[iris : iris + 5, 2] = points[list(corners), 2].mean()


@functools.cache
def shared_landmarker() -> Landmarker:
    """Return the process-wide models, loaded on first use, which takes a second."""
    return Landmarker()


@dataclass(frozen=True, eq=False)
class _Cut:
    """Crop: a rotated square of the picture, scaled to `size` pixels: picture = middle + (cut - size / 2) @ axes."""

    middle: FloatArray
    axes: FloatArray  # [2, 2]: one pixel of the crop to the right, and down, in picture pixels
    size: int

    @classmethod
    def of(cls, middle: FloatArray, right: FloatArray, side: float, size: int) -> _Cut:
        """Return the square around `middle` whose upper edge runs along `right`."""
        unit = right / max(float(np.linalg.norm(right)), 1e-6) * (side / size)
        return cls(np.asarray(middle, np.float32), np.array([unit, [-unit[1], unit[0]]], np.float32), size)

    @classmethod
    def about(cls, points: FloatArray, right: FloatArray, margin: float, size: int) -> _Cut:
        """Return the square around the rotated bounding box of `points`, of the box's longer side times `margin`."""
        unit = right / max(float(np.linalg.norm(right)), 1e-6)
        frame = np.array([unit, [-unit[1], unit[0]]], np.float32)
        turned = points @ frame.T
        low, high = turned.min(0), turned.max(0)
        return cls.of((low + high) / 2 @ frame, unit, float((high - low).max()) * margin, size)

    def moved(self, scale: float, turn: float, right: float, down: float) -> _Cut:
        """Return the crop scaled, rotated about its middle by `turn` degrees, and shifted by shares of its side."""
        cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        turned = np.array([[cosine, sine], [-sine, cosine]], np.float32) @ self.axes
        middle = self.middle + np.array([right, down], np.float32) @ self.axes * self.size
        return _Cut(middle, turned * np.float32(scale), self.size)

    def take(self, picture: ByteArray) -> FloatArray:
        """Return the crop's pixels [size, size, 3] in 0..1; outside the picture, its border is repeated."""
        start = self.middle - (self.size / 2 - 0.5) * (self.axes[0] + self.axes[1]) - 0.5
        table = np.concatenate([self.axes.T, start[:, None]], 1)
        shrink = float(np.linalg.norm(self.axes[0]))
        if shrink > 2:  # direct sampling would skip pixels
            factor = 1 / shrink
            picture = np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
            table = np.concatenate([table[:, :2] * factor, ((start + 0.5) * factor - 0.5)[:, None]], 1)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        taken = cv2.warpAffine(picture, table, (self.size, self.size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(taken, np.float32) / np.float32(255.0)

    def to_picture(self, points: FloatArray) -> FloatArray:
        """Map points [n, 3] from the crop's pixels to pixels of the picture."""
        flat = (points[:, :2] - self.size / 2) @ self.axes + self.middle
        depth = points[:, 2:] * np.linalg.norm(self.axes[0])
        return np.concatenate([flat, depth], 1).astype(np.float32)
