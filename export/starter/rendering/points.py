"""Choose the keypoints of the starter family: points of the rig that drive the picture and its condition maps.

478 face points in MediaPipe's order (so that a photo's landmarks match them), points over the skull, ears, neck and
shoulders that keep the whole head together, outlines of twenty teeth, and the tongue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from export.starter.rendering.meshio import Floats, Ints
from export.starter.rendering.rig import Person, Rig, face_vertices

FACE_POINTS = 478
HEAD_POINTS = 64
SHOULDER_POINTS = 28
TEETH_PER_JAW = 10
POINTS_PER_TOOTH = 8
TONGUE_POINTS = 24

# Contours in MediaPipe's numbering (its documented face-mesh connections).
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)
IRISES = (468, 473)
EYE_CORNERS = ((33, 133), (362, 263))


@dataclass(frozen=True)
class PointSet:
    """Indices that gather the keypoints from a person's parts, in the order face, head, shoulders, teeth, tongue."""

    skin: Ints  # face and head points: base-mesh vertices
    shirt: Ints
    teeth: Ints  # [upper then lower, tooth by tooth, POINTS_PER_TOOTH each]
    tongue: Ints

    def __len__(self) -> int:
        return len(self.skin) + len(self.shirt) + len(self.teeth) + len(self.tongue)

    def gather(self, person: Person, posed: dict[str, Floats]) -> Floats:
        """Gather world positions [K, 3] of the keypoints; skin and shirt points lie on the smoothed surface drawn."""
        rig = person.rig
        return np.concatenate(
            [
                rig.skin_mesh.limit(posed["skin"], self.skin),
                rig.shirt_mesh.limit(posed["shirt"], self.shirt),
                posed["teeth"][self.teeth],
                posed["tongue"][self.tongue],
            ]
        )

    def gather_scalar(self, values: dict[str, Floats]) -> Floats:
        """Gather one value per keypoint, [K], from values per control point of each part."""
        picked = [values["skin"][self.skin], values["shirt"][self.shirt], values["teeth"][self.teeth]]
        return np.concatenate([*picked, values["tongue"][self.tongue]])


def spread_out(points: Floats, count: int, taken: Floats, spacing_from_taken: float) -> Ints:
    """Choose `count` rows of `points` by farthest-point sampling, all at least a spacing away from `taken` [m, 3]."""
    distance = np.min(np.linalg.norm(points[:, None] - taken[None], axis=2), axis=1)
    distance[distance < spacing_from_taken] = -1
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def _outline(points: NDArray[np.float64], count: int) -> Ints:
    """Choose `count` rows of `points` [n, 2] around their convex hull, evenly by direction from the middle."""
    hull = ConvexHull(points).vertices
    around = points[hull] - points[hull].mean(0)
    angles = np.arctan2(around[:, 1], around[:, 0])
    wanted = -np.pi + (np.arange(count) + 0.5) * 2 * np.pi / count
    gap = np.abs(np.angle(np.exp(1j * (angles[None] - wanted[:, None]))))
    return np.asarray(hull[gap.argmin(1)])


def choose_points(rig: Rig, person: Person) -> PointSet:
    """Choose the keypoints on a plain `person`; the same indices are used for all persons."""
    face = face_vertices()
    skin = person.neutral["skin"]
    used = np.unique(rig.skin_mesh.control_faces)
    outside = used[(rig.mouth_shade[used] == 1) & (skin[used, 2] > person.neck[2] - 0.75)]
    outside = outside[skin[outside, 1] > person.neck[1] - 0.1]
    head = outside[spread_out(skin[outside], HEAD_POINTS, skin[face], 0.2)]

    shirt = person.neutral["shirt"]
    cloth = np.unique(rig.shirt_mesh.control_faces)
    cloth = cloth[(person.neckline[cloth] > 0.02) & (shirt[cloth, 2] > person.neck[2] - 0.3)]
    cloth = cloth[(np.abs(shirt[cloth, 0]) < 1.9) & (shirt[cloth, 1] > person.neck[1] - 1.0)]
    shoulders = cloth[spread_out(shirt[cloth], SHOULDER_POINTS, skin[head], 0.0)]

    tongue = person.neutral["tongue"]
    top = np.arange(len(tongue))[tongue[:, 2] > np.median(tongue[:, 2]) - 0.1]
    rim = top[_outline(tongue[top][:, [0, 2]], TONGUE_POINTS)]
    return PointSet(np.concatenate([face, head]), shoulders, _teeth(rig, person), rim)


def _teeth(rig: Rig, person: Person) -> Ints:
    """Choose front outlines of the middle ten teeth of each jaw, upper first, left to right in the picture."""
    labels = rig.loose_parts(rig.teeth_path(person.look))
    points = person.neutral["teeth"]
    pieces = [np.flatnonzero(labels == k) for k in range(1, labels.max() + 1)]
    middles = np.array([points[piece].mean(0) for piece in pieces])
    between = np.median(middles[:, 1])
    chosen: list[Ints] = []
    for upper in (True, False):
        jaw = [k for k in range(len(pieces)) if (middles[k, 1] > between) == upper]
        front = sorted(jaw, key=lambda k: -middles[k, 2])[:TEETH_PER_JAW]
        for k in sorted(front, key=lambda k: middles[k, 0]):
            chosen.append(pieces[k][_outline(points[pieces[k]][:, :2], POINTS_PER_TOOTH)])
    return np.concatenate(chosen)


def topology(points: PointSet, person: Person) -> dict[str, NDArray[np.generic]]:
    """Compute the arrays of `topology.npz` (streamer.avatar.condition_maps.Topology) for these keypoints."""
    first_tooth = len(points.skin) + len(points.shirt)
    first_tongue = first_tooth + len(points.teeth)
    teeth = np.arange(first_tooth, first_tongue).reshape(2, TEETH_PER_JAW, POINTS_PER_TOOTH)
    depth = person.neutral["teeth"][points.teeth, 2].reshape(teeth.shape).mean(2)
    return {
        "outer_lips": np.array(OUTER_LIPS),
        "inner_lips": np.array(INNER_LIPS),
        "eyes": np.array([RIGHT_EYE, LEFT_EYE]),
        "eye_corners": np.array(EYE_CORNERS),
        "irises": np.array(IRISES),
        "teeth": teeth,
        "tooth_shades": np.exp(-4.0 * (depth.max() - depth)).astype(np.float32),
        "tongue": np.arange(first_tongue, len(points)),
    }
