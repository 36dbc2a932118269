"""Avatar constants from a fitted rig: keypoints at rest and in the photo, and their displacement by face units.

A photo's face is seldom at rest: a smile shows teeth, lids droop. The keypoints at rest have closed lips, which is the
start position that the speech units assume; the photo's keypoints stay unchanged. Closing lips and lids are made to
meet, because the generator paints what the outlines show, and the teeth are placed behind the lips.
"""

from __future__ import annotations

import numpy as np

from streamer.avatar.condition_maps import Topology
from streamer.avatar.mouth_fit import RESTING
from streamer.core.frames import FloatArray
from streamer.photo.head_square import Square
from streamer.photo.rig_fit import CAMERA, FaceFit
from streamer.vision.landmarks import POINTS

Arrays = dict[str, FloatArray]

# Contours as landmark indices, from the left corner in the picture along the lower edge and back along the upper one.
LIPS_RING = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
RIGHT_LIDS_RING = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_LIDS_RING = (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)
MOUTH_CORNERS = (61, 291)
OPENERS = ("jawOpen", "mouthUpperUp", "mouthLowerDown", "mouthFunnel")
CLOSED, OPEN = 0.03, 0.10  # height of the mouth's opening over its width at which the lips count as closed, and as open
MOST_SMILE = 0.5  # a wider smile is reduced to this, so that the lips can form sounds
LIP_REACH, LID_REACH, RESIDUAL_REACH = 0.07, 0.05, 0.30  # decimetres
UPPER_SHARE = 0.35  # of the gap that the upper lip closes
# As shares of the mouth's width: TEETH_DROP, reach of the upper front teeth below the line between the lips;
# LOWER_DROP, shift of the lower row down from its place in the rig (upper teeth placed higher would stay hidden in
# speech, and only the lower row would show); TEETH_WIDTH, width of a row of ten, upper and lower.
TEETH_DROP, LOWER_DROP = 0.085, 0.045
TEETH_WIDTH = (0.92, 0.84)
ARCH_DEPTH = 0.35  # of the rig's depth: deeper back teeth would show beside the front ones in a slightly tilted head
WINDOW_STEP = 8  # pixels; see export.starter.training.generator
EYES_UP, MOUTH_DOWN = 4, 10  # shift of the windows above the eyes and below the lips, in pixels of 256


def facing(ring: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of a ring's points that meet when it closes, as (upper, lower)."""
    half = len(ring) // 2
    return tuple(zip(ring[:half:-1], ring[1:half], strict=True))


def face_model(
    fit: FaceFit, names: tuple[str, ...], topology: Topology, landmarks: FloatArray, square: Square, size: int
) -> Arrays:
    """Return the avatar's constants: neutral, basis, rigidity, pivot, distance, source_keypoints, windows, resting.

    Args:
        fit: the rig, fitted to the landmarks.
        names: of the family's expression coefficients.
        topology: which keypoints are teeth and tongue.
        landmarks: [478, 2+], in pixels of the photo.
        square: the part of the photo that the avatar's picture shows, `size` pixels wide.
    """
    rig = fit.rig
    seen = fit.shape + np.einsum("u,ukc->kc", fit.strengths, rig.units)
    offsets = residual(fit, topology, seen, landmarks)
    photo = seen + offsets
    resting = at_rest(fit, names, photo)
    rest = fit.shape + np.einsum("u,ukc->kc", resting, rig.units) + offsets
    rest = rest + _closing(rig.mean, rest, facing(LIPS_RING), LIP_REACH, UPPER_SHARE)
    hung = _hang_teeth(fit, topology, rest)
    photo, rest = photo + hung, rest + hung
    units = personal_units(fit, names, rest)
    picture = _Picture(fit, square)
    neutral = picture.place(rest)
    source = picture.place(photo)
    distance = np.array([CAMERA * fit.scale / square.half], np.float32)
    source[:, :2] /= 1 - source[:, 2:] / distance
    return {
        "neutral": neutral,
        "basis": picture.directions(units),
        "rigidity": rig.rigidity,
        "pivot": picture.place(fit.pivot[None])[0],
        "distance": distance,
        "source_keypoints": source,
        "windows": paint_windows(source, rig.window, size),
        RESTING: resting,
    }


class _Picture:
    """Transform from rig space to picture space: unit is half a picture, y down, perspective not yet applied."""

    def __init__(self, fit: FaceFit, square: Square) -> None:
        self._fit, self._square = fit, square
        self._scale = fit.scale / square.half

    def place(self, points: FloatArray) -> FloatArray:
        """Map points [n, 3]."""
        placed = self._fit.place(points)
        flat = self._square.to_picture(placed) * (1 - placed[:, 2:] / CAMERA)
        return np.concatenate([flat, placed[:, 2:] * self._scale], 1).astype(np.float32)

    def directions(self, vectors: FloatArray) -> FloatArray:
        """Map direction vectors [..., 3]."""
        return np.asarray(vectors @ self._fit.rotation.T * self._scale, np.float32)


def residual(fit: FaceFit, topology: Topology, seen: FloatArray, landmarks: FloatArray) -> FloatArray:
    """Return the fit's residual: rig-space offsets [K, 3] that move the face points onto the landmarks.

    Other points follow nearby face points; teeth and tongue, which are rigid, follow the lips as one piece.
    """
    rig = fit.rig
    face = seen[:POINTS] + rig.landmarks
    error = landmarks[:, :2] - fit.place(face)[:, :2]
    near = 1 / (1 - (face @ fit.rotation.T)[:, 2:] / CAMERA)
    flat = np.concatenate([error / (fit.scale * near), np.zeros((POINTS, 1))], 1) @ fit.rotation
    others = seen[POINTS:]
    square = ((others[:, None] - seen[None, :POINTS]) ** 2).sum(2)
    weights = np.exp(-square / (2 * RESIDUAL_REACH**2))
    total = weights.sum(1, keepdims=True)
    followed = weights @ flat / (total + 1e-6) * (total / (total + 8.0))
    offsets = np.concatenate([flat, followed])
    offsets[_inside(topology)] = flat[[*LIPS_RING]].mean(0)
    return offsets.astype(np.float32)


def _inside(topology: Topology) -> list[int]:
    """Return the points inside the mouth."""
    return [*topology.teeth.ravel(), *topology.tongue]


def _hang_teeth(fit: FaceFit, topology: Topology, rest: FloatArray) -> FloatArray:
    """Return displacements [K, 3] that place teeth and tongue behind this face's closed lips.

    They are placed by their position in the picture, not in the head: otherwise a head that looks up or down would show
    too much of them or nothing.
    """
    width = float(np.linalg.norm(rest[MOUTH_CORNERS[0]] - rest[MOUTH_CORNERS[1]]))
    line = rest[[13, 14]].mean(0)
    count = topology.teeth.shape[1]
    front = topology.teeth[0, count // 2 - 1 : count // 2 + 1].ravel()
    down = fit.rotation[1]  # the picture's downward axis, in the head's frame
    drop = (float(line @ down) + TEETH_DROP * width - float((rest[front] @ down).max())) / float(down[1])
    moved, inside = np.zeros_like(rest), _inside(topology)
    moved[inside, 1] = drop
    moved[topology.teeth[1].ravel(), 1] += LOWER_DROP * width
    for row, share in zip(topology.teeth, TEETH_WIDTH, strict=True):
        across = rest[row.ravel(), 0]
        scale = share * width / float(np.ptp(across))
        moved[row.ravel(), 0] = (across - across.mean()) * (scale - 1) + (line[0] - across.mean())
    moved[topology.tongue, 0] = line[0] - rest[topology.tongue, 0].mean()
    back = rest[inside, 2] - rest[front, 2].mean()
    moved[inside, 2] = back * (ARCH_DEPTH - 1)
    return moved


def paint_windows(keypoints: FloatArray, window: FloatArray, size: int) -> FloatArray:
    """Return the windows that the generator repaints, [2, 2] of (top, left): the eyes, and mouth with dropped jaw."""
    pixels = (keypoints[:, :2] + 1) * (size / 2)
    eyes = pixels[[*RIGHT_LIDS_RING, *LEFT_LIDS_RING]].mean(0) - np.array([0, EYES_UP * size / 256])
    mouth = pixels[[*LIPS_RING]].mean(0) + np.array([0, MOUTH_DOWN * size / 256])
    corners = np.array([eyes, mouth])[:, ::-1] - window / 2
    rounded = np.round(corners / WINDOW_STEP) * WINDOW_STEP
    return np.clip(rounded, 0, size - window).astype(np.float32)


def at_rest(fit: FaceFit, names: tuple[str, ...], photo: FloatArray) -> FloatArray:
    """Return strengths [U] of the resting expression: the photo's with closed lips and any wide smile reduced."""
    height = float(np.linalg.norm(photo[13] - photo[14]))
    width = float(np.linalg.norm(photo[MOUTH_CORNERS[0]] - photo[MOUTH_CORNERS[1]]))
    opened = float(np.clip((height / width - CLOSED) / (OPEN - CLOSED), 0, 1))
    strengths = fit.strengths.copy()
    for index, name in enumerate(names):
        plain = name.removesuffix("Left").removesuffix("Right")
        if plain in OPENERS:
            strengths[index] *= 1 - opened
        elif plain == "mouthSmile":
            strengths[index] = min(strengths[index], MOST_SMILE)
    return strengths


def personal_units(fit: FaceFit, names: tuple[str, ...], rest: FloatArray) -> FloatArray:
    """Return the rig's units [U, K, 3], scaled to this face's mouth, jaw and eyes, with blinks that close fully."""
    rig = fit.rig
    scales = {
        "mouth": _ratio(rest, rig.mean, MOUTH_CORNERS),
        "jaw": _ratio(rest, rig.mean, (2, 152)),
        "eye": (_ratio(rest, rig.mean, (33, 133)) + _ratio(rest, rig.mean, (362, 263))) / 2,
    }
    units = rig.units.copy()
    for index, name in enumerate(names):
        for start, scale in scales.items():
            if name.startswith(start):
                units[index] *= scale
    for name, pairs in (("eyeBlinkRight", facing(RIGHT_LIDS_RING)), ("eyeBlinkLeft", facing(LEFT_LIDS_RING))):
        index = names.index(name)
        upper, lower = (np.linalg.norm(units[index, [pair[k] for pair in pairs]], axis=1).mean() for k in (0, 1))
        shut = rig.mean + rig.units[index]
        units[index] += _closing(shut, rest + units[index], pairs, LID_REACH, float(upper / (upper + lower + 1e-6)))
    return units


def _ratio(points: FloatArray, mean: FloatArray, ends: tuple[int, int]) -> float:
    lengths = [float(np.linalg.norm(rows[ends[0]] - rows[ends[1]])) for rows in (points, mean)]
    return float(np.clip(lengths[0] / lengths[1], 0.75, 1.35))


def _closing(
    model: FloatArray, points: FloatArray, pairs: tuple[tuple[int, int], ...], reach: float, upper_share: float
) -> FloatArray:
    """Return displacements [K, 3] after which the pairs are as far apart as in `model`; nearby points follow."""
    upper, lower = [list(side) for side in zip(*pairs, strict=True)]
    gap = (points[lower] - points[upper]) - (model[lower] - model[upper])
    moved = np.zeros_like(points)
    middle = (points[upper] + points[lower]) / 2
    face = points[:POINTS]
    nearest = np.linalg.norm(face[:, None, :2] - middle[None, :, :2], axis=2).argmin(1)
    above = face[:, 1] < middle[nearest, 1]
    for side, chosen, shift in ((above, upper, gap * upper_share), (~above, lower, -gap * (1 - upper_share))):
        square = ((face[:, None, :2] - points[chosen][None, :, :2]) ** 2).sum(2)
        weights = np.exp(-square / (2 * reach**2))
        near = np.exp(-square.min(1) / (2 * reach**2))
        field = weights @ shift / (weights.sum(1, keepdims=True) + 1e-9) * near[:, None]
        moved[:POINTS][side] = field[side]
        moved[chosen] = shift
    return moved
