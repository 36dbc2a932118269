"""A family's face rig, and its fit to the landmarks of a photo.

The rig consists of a mean face, shape modes (one standard deviation each) and face units (such as a smile or a blink),
all as displacements of the family's keypoints; see export.starter.assembly.face_rig. The fit solves a regularised
least-squares problem (Gauss-Newton) for the pose, scale, shape and expression whose projection is nearest to the
landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.core import npz
from streamer.core.errors import AvatarError
from streamer.core.frames import FloatArray
from streamer.vision.landmarks import POINTS

Doubles = NDArray[np.float64]

CAMERA = 14.0  # decimetres from the camera to the eyes
STEPS = 12
NOISE = 0.02  # standard deviation of a landmark's error, in eye distances
UNIT_SPREAD = 0.35  # standard deviation of a face unit's strength
EYE_DISTANCE = 0.58  # decimetres, of the mean face
# Units that the fit may use: they occur in photos and can be distinguished from the shape.
FITTED = (
    "browDown", "browInnerUp", "browOuterUp", "eyeBlink", "eyeSquint", "eyeWide", "jawOpen", "jawLeft", "jawRight",
    "mouthSmile", "mouthFrown", "mouthUpperUp", "mouthLowerDown", "mouthPucker", "mouthFunnel", "mouthStretch",
    "mouthPress", "mouthLeft", "mouthRight", "noseSneer",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class FaceRig:
    """Face rig. Arrays are in decimetres; x right, y down, z to the viewer, from the middle between the eyes.

    mean: [K, 3] keypoints of the mean face at rest; the first 478 are the face points, in the landmarks' order.
    landmarks: [478, 3] offset of the landmark model's point from the rig's face point.
    shapes: [S, K, 3], one standard deviation each; pivot [3] and pivot_shapes [S, 3]: the joint that the head rotates
    about.
    units: [U, K, 3] displacements by the family's expression coefficients.
    rigidity: [K] share of the head's rotation that each keypoint follows.
    extents: [2] half the width of the square that the family's pictures show: the tightest and the usual one.
    window: [2] height and width of the repainted windows, in pixels of the family's pictures.
    """

    mean: FloatArray
    landmarks: FloatArray
    shapes: FloatArray
    units: FloatArray
    rigidity: FloatArray
    pivot: FloatArray
    pivot_shapes: FloatArray
    extents: FloatArray
    window: FloatArray

    @classmethod
    def load(cls, path: Path) -> FaceRig:
        """Read a `rig.npz`. Raises AvatarError if it cannot be read or its arrays are inconsistent."""
        arrays = npz.load(path)
        if missing := cls.__dataclass_fields__.keys() - arrays.keys():
            raise AvatarError(f"{path}: not a face rig: it has no {', '.join(sorted(missing))}")
        rig = cls(**{name: np.asarray(arrays[name], np.float32) for name in cls.__dataclass_fields__})
        points, shapes, units = (len(values) for values in (rig.mean, rig.shapes, rig.units))
        expected = {
            "mean": (points, 3),
            "landmarks": (POINTS, 3),
            "shapes": (shapes, points, 3),
            "units": (units, points, 3),
            "rigidity": (points,),
            "pivot": (3,),
            "pivot_shapes": (shapes, 3),
            "extents": (2,),
            "window": (2,),
        }
        for name, shape in expected.items():
            if (found := getattr(rig, name).shape) != shape or points < POINTS:
                raise AvatarError(
                    f"{path}: {name} is {list(found)}, expected {list(shape)}, of {POINTS} points or more"
                )
        return rig


@dataclass(frozen=True, eq=False)
class FaceFit:
    """Fitted face. A rotated point (x, y, z) is at pixel `offset + scale * near * (x, y)`, near = 1 / (1 - z / CAMERA).

    shape: [K, 3] at rest, before the head's rotation; strengths: [U] of the photo's expression; pivot: [3], likewise.
    """

    rig: FaceRig
    rotation: FloatArray  # [3, 3]
    scale: float  # pixels per decimetre
    offset: FloatArray  # [2]
    shape: FloatArray
    strengths: FloatArray
    pivot: FloatArray

    def place(self, points: FloatArray) -> FloatArray:
        """Map rig space [n, 3] to pixels; the third column keeps the depth (decimetres to the viewer)."""
        turned = points @ self.rotation.T
        near = 1 / (1 - turned[:, 2:] / CAMERA)
        return np.concatenate([turned[:, :2] * near * self.scale + self.offset, turned[:, 2:]], 1)


def fit_face(rig: FaceRig, names: tuple[str, ...], landmarks: FloatArray) -> FaceFit:
    """Fit the rig to landmarks [478, 2+] in pixels; names: the rig's units."""
    fitted = [index for index, name in enumerate(names) if name.removesuffix("Left").removesuffix("Right") in FITTED]
    count = len(rig.shapes)
    problem = _Problem(
        seen=np.asarray(landmarks[:, :2], np.float64),
        mean=(rig.mean[:POINTS] + rig.landmarks).astype(np.float64),
        modes=np.concatenate([rig.shapes[:, :POINTS], rig.units[fitted][:, :POINTS]]).astype(np.float64),
        precision=np.concatenate([np.full(6, 1e-9), np.ones(count), np.full(len(fitted), UNIT_SPREAD**-2)]),
    )
    state = problem.start()
    for _ in range(STEPS):
        state = problem.improve(state)
        state.codes[count:] = state.codes[count:].clip(0, 1)
    strengths = np.zeros(len(names), np.float32)
    strengths[fitted] = state.codes[count:]
    shape_codes = state.codes[:count].astype(np.float32)
    return FaceFit(
        rig=rig,
        rotation=state.rotation.astype(np.float32),
        scale=state.scale,
        offset=state.offset.astype(np.float32),
        shape=rig.mean + np.einsum("s,skc->kc", shape_codes, rig.shapes),
        strengths=strengths,
        pivot=rig.pivot + np.einsum("s,sc->c", shape_codes, rig.pivot_shapes),
    )


@dataclass(frozen=True, eq=False)
class _State:
    rotation: Doubles  # [3, 3]
    scale: float
    offset: Doubles  # [2]
    codes: Doubles  # [M]


@dataclass(frozen=True, eq=False)
class _Problem:
    """Fit problem. seen [n, 2]: pixels; mean [n, 3], modes [M, n, 3]: decimetres; precision [6 + M]: the prior's."""

    seen: Doubles
    mean: Doubles
    modes: Doubles
    precision: Doubles

    def start(self) -> _State:
        """Return the initial state, from the eyes only."""
        right_eye, left_eye = self.seen[[33, 133]].mean(0), self.seen[[362, 263]].mean(0)
        across = left_eye - right_eye
        scale = float(np.linalg.norm(across)) / EYE_DISTANCE
        rotation = _about_z(float(np.arctan2(across[1], across[0])))
        return _State(rotation, scale, (right_eye + left_eye) / 2, np.zeros(len(self.modes)))

    def improve(self, state: _State) -> _State:
        """Return the state after one Gauss-Newton step."""
        turned = (self.mean + np.einsum("m,mkc->kc", state.codes, self.modes)) @ state.rotation.T
        near = 1 / (1 - turned[:, 2] / CAMERA)
        error = self.seen - (state.scale * turned[:, :2] * near[:, None] + state.offset)
        sigma = NOISE * EYE_DISTANCE * state.scale
        jacobian = _jacobian(turned, near, state.scale, self.modes @ state.rotation.T)
        rows, values = jacobian.reshape(-1, jacobian.shape[2]) / sigma, error.ravel() / sigma
        # einsum, because NumPy's BLAS takes twenty times as long for so small a product on a busy machine.
        left = np.einsum("ri,rj->ij", rows, rows) + np.diag(self.precision)
        right = np.einsum("ri,r->i", rows, values) - self.precision * np.concatenate([np.zeros(6), state.codes])
        step = np.linalg.solve(left, right)
        return _State(
            rotation=_small_rotation(step[:3]) @ state.rotation,
            scale=state.scale * float(np.exp(np.clip(step[3], -0.3, 0.3))),
            offset=state.offset + step[4:6],
            codes=state.codes + step[6:],
        )


def _jacobian(turned: Doubles, near: Doubles, scale: float, modes: Doubles) -> Doubles:
    """Return derivatives [n, 2, 6 + M] of the projected points: rotation (3), log scale, offset (2), then modes."""
    count = len(turned)
    by_point = np.zeros((count, 2, 3))
    by_point[:, 0, 0] = by_point[:, 1, 1] = scale * near
    by_point[:, :, 2] = scale * turned[:, :2] * (near**2 / CAMERA)[:, None]
    turns = np.zeros((count, 3, 3))  # d turned / d rotation vector
    x, y, z = turned.T
    turns[:, 1, 0], turns[:, 2, 0] = -z, y
    turns[:, 0, 1], turns[:, 2, 1] = z, -x
    turns[:, 0, 2], turns[:, 1, 2] = -y, x
    result = np.zeros((count, 2, 6 + len(modes)))
    result[:, :, :3] = by_point @ turns
    result[:, :, 3] = scale * turned[:, :2] * near[:, None]
    result[:, 0, 4] = result[:, 1, 5] = 1
    result[:, :, 6:] = np.einsum("kab,mkb->kam", by_point, modes)
    return result


def _about_z(angle: float) -> Doubles:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def _small_rotation(vector: Doubles) -> Doubles:
    """Return the rotation matrix of a rotation vector, by Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
