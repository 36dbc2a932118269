"""Scale face units to each mouth, so that all mouths speak alike: how far they open, and how lips meet teeth.

Face units are displacements of one rig's lips. On a wide mouth, or on one that smiles in its portrait, the same units
open the lips by less of the mouth's width, and the lower lip misses the teeth in f and v. So, when a bundle is loaded,
its units are scaled until two speech postures have their intended effect on this face. Openness, as viewers and
landmark models see it, is the gap between the lips over the mouth's width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamer.avatar.condition_maps import Topology
from streamer.core.frames import FloatArray

RESTING = "resting"  # in a bundle, [U]: units of the portrait's mouth at rest
YIELDS = "yields"  # [U]: how much of RESTING is reduced while the lips are busy
LESS_AT_WORK = ("mouthSmile", "mouthDimple", "mouthPress", "mouthStretch", "mouthFrown")
GIVEN_UP = 0.5  # share of RESTING, for the units in LESS_AT_WORK, that is reduced

UPPER_LIP, LOWER_LIP, CORNERS = 13, 14, (61, 291)  # keypoints, in MediaPipe's numbering
MIDDLE_TEETH = slice(4, 6)  # of the ten of a jaw
OPENERS = ("jawOpen", "mouthClose", "mouthLowerDown", "mouthUpperUp")
# The median posture of the lips in speech, and its gap over the mouth's width.
OPEN = {"jawOpen": 0.27, "mouthLowerDown": 0.45, "mouthUpperUp": 0.33, "mouthStretch": 0.12}
OPENNESS = 0.33
OPENER_GAINS = (0.7, 1.5)
# The posture of an f: the lower lip rolls in until its edge meets the edge of the upper teeth.
TUCKED = {"jawOpen": 0.195, "mouthUpperUp": 0.34, "mouthRollLower": 1.0, "mouthShrugLower": 0.10}
ROLL = "mouthRollLower"
ROLL_GAINS = (0.3, 1.7)
HALVINGS = 12


def fit_mouth(constants: Mapping[str, FloatArray], names: Sequence[str], topology: Topology) -> dict[str, FloatArray]:
    """Return the bundle's `basis`, scaled to this mouth, and YIELDS; nothing for a bundle without face units.

    Args:
        constants: a bundle's constants; `neutral` [K, 3], `basis` [U, K, 3], `distance` [1], and RESTING, if present.
        names: names of the units, with their sides.
        topology: gives the keypoints of the teeth.
    """
    neutral, basis = constants.get("neutral"), constants.get("basis")
    if neutral is None or basis is None or basis.shape != (len(names), *neutral.shape) or "distance" not in constants:
        return {}  # another format, or damaged: binding it reports the error
    if not {_plain(name) for name in names} >= OPEN.keys() | TUCKED.keys():
        return {}
    resting = constants.get(RESTING)
    yields = np.zeros(len(names), np.float32)
    if resting is not None and resting.shape == yields.shape:
        yields = GIVEN_UP * resting * _rows(names, dict.fromkeys(LESS_AT_WORK, 1.0))
    lips = _Lips.of(neutral, basis, float(constants["distance"][0]), topology)
    open_lips, tucked = (_rows(names, posture) - yields for posture in (OPEN, TUCKED))
    scales = np.ones(len(names), np.float32)

    opening = _rows(names, dict.fromkeys(OPENERS, 1.0)) > 0
    scales[opening] = _gain(lambda gain: lips.openness(np.where(opening, gain, 1) * open_lips), OPENNESS, OPENER_GAINS)
    rolling = _rows(names, {ROLL: 1.0}) > 0
    scales[rolling] = _gain(lambda gain: -lips.past_teeth(np.where(rolling, gain, scales) * tucked), 0.0, ROLL_GAINS)
    return {"basis": np.asarray(basis * scales[:, None, None], np.float32), YIELDS: yields.astype(np.float32)}


@dataclass(frozen=True, eq=False)
class _Lips:
    """The few keypoints that measure a mouth: upper and lower lip, corners, edges of the middle upper teeth.

    neutral: [n, 3]; basis: [U, n, 3]; distance: of the camera.
    """

    neutral: FloatArray
    basis: FloatArray
    distance: float

    @classmethod
    def of(cls, neutral: FloatArray, basis: FloatArray, distance: float, topology: Topology) -> _Lips:
        points = [UPPER_LIP, LOWER_LIP, *CORNERS, *topology.teeth[0, MIDDLE_TEETH].ravel()]
        return cls(neutral[points], basis[:, points], distance)

    def openness(self, units: FloatArray) -> float:
        """Return the gap between the lips over the mouth's width; below 0 they overlap."""
        points = self._at(units)
        return float(points[1, 1] - points[0, 1]) / self._width(points)

    def past_teeth(self, units: FloatArray) -> float:
        """Return how far the lower lip is below the edge of the upper teeth, in widths of the mouth."""
        points = self._at(units)
        return float(points[1, 1] - points[4:, 1].max()) / self._width(points)

    def _at(self, units: FloatArray) -> FloatArray:
        points = self.neutral + np.einsum("u,unc->nc", units, self.basis)
        return np.asarray(points[:, :2] / (1 - points[:, 2:] / self.distance), np.float32)

    @staticmethod
    def _width(points: FloatArray) -> float:
        return max(float(np.linalg.norm(points[2] - points[3])), 1e-6)


def _rows(names: Sequence[str], amounts: Mapping[str, float]) -> FloatArray:
    """Return amounts, given by names without a side, as values of all units, float32 [U]."""
    return np.array([amounts.get(_plain(name), 0.0) for name in names], np.float32)


def _plain(name: str) -> str:
    return name.removesuffix("Left").removesuffix("Right")


def _gain(rising: Callable[[float], float], wanted: float, limits: tuple[float, float]) -> float:
    """Find by bisection the gain within limits at which `rising` is nearest to `wanted`."""
    low, high = limits
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2
