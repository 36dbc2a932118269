"""Draw random people, expressions, head poses, cameras, lights and backgrounds for training pictures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from export.starter.rendering.gl import Camera, Light
from export.starter.rendering.look import Look
from export.starter.rendering.meshio import Floats
from export.starter.rendering.rig import Person, rotation

Units = dict[str, float]
Generator = np.random.Generator

# Skin textures with the race and gender they were made for.
SKINS = (
    ("caucasian", "female", "young_caucasian_female2"),
    ("african", "male", "young_african_male"),
    ("asian", "female", "young_asian_female"),
    ("asian", "male", "young_asian_male"),
    ("caucasian", "male", "young_caucasian_male"),
    ("african", "male", "old_african_male"),
    ("caucasian", "male", "middleage_caucasian_male"),
    ("asian", "female", "middleage_asian_female"),
    ("asian", "male", "middleage_asian_male"),
    ("african", "male", "middleage_african_male"),
    ("caucasian", "male", "young_caucasian_male2"),
)
HAIR = ("bob02", "long01", "ponytail01", "short01", "short02", "short03", "short04", "braid01", None)
EYE_COLOURS = ("brown", "brown", "brownlight", "blue", "green", "grey", "lightblue", "bluegreen")
AGES = ({"young": 1.0}, {"young": 1.0}, {"young": 0.5, "old": 0.5}, {"old": 1.0})
RACES = ("caucasian", "asian", "african")


def random_look(rng: Generator) -> Look:
    """Draw a random person: skin and face shape of matching origin, the rest independent."""
    race, gender, skin = SKINS[rng.integers(len(SKINS))]
    other = RACES[rng.integers(len(RACES))]
    races = {race: 0.8}
    races[other] = races.get(other, 0.0) + 0.2
    if "female" in skin and rng.random() < 0.15:
        gender = "male"  # three of eleven skins are women's: let shapes and skins mix a little
    elif rng.random() < 0.35:
        gender = "female"
    teeth = ("teeth_base", "teeth_shape01", "teeth_shape02", "teeth_shape03", "teeth_shape04")
    return Look(
        races=races,
        gender=gender,
        ages=AGES[rng.integers(len(AGES))],
        skin=skin,
        hair=HAIR[rng.integers(len(HAIR))],
        eyes=EYE_COLOURS[rng.integers(len(EYE_COLOURS))],
        brows=f"eyebrow{rng.integers(1, 13):03d}",
        lashes=f"eyelashes{rng.integers(1, 5):02d}",
        teeth=teeth[rng.integers(len(teeth))],
        shape_seed=int(rng.integers(1 << 30)),
        shirt=_colour(rng.random(3) * 0.7),
        hair_tint=_colour(np.ones(3) * rng.uniform(0.25, 1.4)),
        skin_tint=_skin_tint(rng),
        teeth_tint=_colour(rng.uniform(2.1, 3.3) * np.array([1, 0.96, 0.88]) * (1 + rng.normal(size=3) * 0.03)),
        teeth_drop=float(rng.uniform(0.015, 0.06)),
    )


def _skin_tint(rng: Generator) -> tuple[float, float, float]:
    """Draw a skin tint: mostly natural; one in eight is blue, green or grey, for painted and fictional faces."""
    spread = 0.35 if rng.random() < 0.12 else 0.08
    return _colour(rng.uniform(0.75, 1.3) * np.exp(rng.normal(size=3) * spread))


def _colour(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))


def _add(units: Units, weight: float, **changes: float) -> None:
    """Add to units by name; a name that only exists for two sides is added to both."""
    for name, value in changes.items():
        sides = [name] if name in BOTH_SIDES_IN_ONE else [f"{name}Left", f"{name}Right"]
        for side in sides:
            units[side] = min(1.0, units.get(side, 0.0) + value * weight)


BOTH_SIDES_IN_ONE = frozenset(
    [
        "browInnerUp",
        "cheekPuff",
        "jawForward",
        "jawLeft",
        "jawOpen",
        "jawRight",
        "mouthClose",
        "mouthFunnel",
        "mouthLeft",
        "mouthPucker",
        "mouthRight",
        "mouthRollLower",
        "mouthRollUpper",
        "mouthShrugLower",
        "mouthShrugUpper",
        "tongueOut",
    ]
)


def portrait_expression(rng: Generator) -> Units:
    """Draw a portrait's expression: eyes open; the mouth closed, smiling, or slightly open."""
    units: Units = {}
    u = rng.random
    kind = u()
    if kind < 0.5:
        _add(units, u() * (u() < 0.6), mouthPress=0.2, mouthSmile=0.3)
    elif kind < 0.65:
        _add(units, rng.uniform(0.4, 1), mouthSmile=0.8, mouthUpperUp=0.5 * (u() < 0.6), cheekSquint=0.4)
        _add(units, u() * (u() < 0.5), jawOpen=0.15)
    elif kind < 0.85:  # teeth in the photo move with the warp, so the network must learn to paint over them
        _add(units, rng.uniform(0.6, 1), mouthSmile=0.8, mouthUpperUp=0.6, mouthLowerDown=0.5 * u(), cheekSquint=0.4)
        _add(units, 1, jawOpen=rng.uniform(0.05, 0.3))
    else:
        _add(units, u(), jawOpen=0.25, mouthLowerDown=0.2, mouthFunnel=0.2 * u())
    if u() < 0.3:
        _add(units, u(), eyeWide=0.4)
    elif u() < 0.3:
        _add(units, u(), eyeSquint=0.5, eyeBlink=0.15)
    _gaze(units, rng, 0.2)
    if u() < 0.3:
        _add(units, u(), browOuterUp=0.4, browInnerUp=0.4)
    return units


def speaking_expression(rng: Generator) -> Units:
    """Draw an expression during speech or a smile, with eyes open, closing or shut."""
    units: Units = {}
    _mouth(units, rng)
    _eyes(units, rng)
    return units


def _mouth(units: Units, rng: Generator) -> None:
    u = rng.random
    kind = u()
    if kind < 0.22:  # open vowels
        _add(units, 1, jawOpen=rng.uniform(0.15, 0.9), mouthLowerDown=0.5 * u(), mouthUpperUp=0.5 * u())
        _add(units, u() < 0.3, mouthStretch=0.4 * u(), mouthSmile=0.4 * u())
    elif kind < 0.32:  # open and rounded
        _add(units, 1, jawOpen=rng.uniform(0.1, 0.6), mouthFunnel=rng.uniform(0.3, 1), mouthPucker=0.5 * u())
    elif kind < 0.44:  # rounded
        _add(units, 1, mouthPucker=rng.uniform(0.5, 1), mouthFunnel=0.6 * u(), jawOpen=0.25 * u())
    elif kind < 0.54:  # pressed, rolled in
        _add(units, 1, mouthPress=0.8 * u(), mouthRollLower=0.6 * u(), mouthRollUpper=0.5 * u())
        _add(units, u() < 0.4, jawOpen=0.25, mouthClose=0.25)
    elif kind < 0.64:  # smiles
        _add(units, 1, mouthSmile=rng.uniform(0.3, 1), mouthUpperUp=0.6 * u(), mouthLowerDown=0.4 * u())
        _add(units, u() < 0.6, jawOpen=0.3 * u(), cheekSquint=0.5 * u())
    elif kind < 0.76:  # spread, teeth showing
        _add(units, 1, mouthStretch=0.6 * u(), jawOpen=0.3 * u(), mouthLowerDown=0.6 * u(), mouthUpperUp=0.5 * u())
    elif kind < 0.82:  # lower lip under the teeth
        _add(units, 1, mouthRollLower=rng.uniform(0.4, 1), mouthUpperUp=0.5 * u(), jawOpen=0.15 * u())
    elif kind < 0.95:  # anything
        for name in ("jawOpen", "mouthFunnel", "mouthRollLower", "mouthShrugUpper", "mouthShrugLower", "mouthPucker"):
            _add(units, u() < 0.35, **{name: 0.6 * u()})
        for name in ("mouthSmile", "mouthFrown", "mouthUpperUp", "mouthLowerDown", "mouthDimple", "mouthPress"):
            _add(units, u() < 0.35, **{name: 0.6 * u()})
    if u() < 0.06:
        _add(units, 1, tongueOut=0.5 * u())
    if u() < 0.1:
        _add(units, 1, **{("jawLeft", "jawRight", "mouthLeft", "mouthRight")[rng.integers(4)]: 0.3 * u()})


def _eyes(units: Units, rng: Generator) -> None:
    u = rng.random
    kind = u()
    if kind < 0.22:
        _add(units, 1, eyeBlink=rng.uniform(0.85, 1.0))
    elif kind < 0.4:
        _add(units, 1, eyeBlink=rng.uniform(0.2, 0.85))
    elif kind < 0.46:
        _add(units, u(), eyeWide=1)
    if u() < 0.5:
        _gaze(units, rng, 0.35)
    if u() < 0.25:
        _add(units, 1, browOuterUp=u(), browInnerUp=u())
    elif u() < 0.12:
        _add(units, u(), browDown=0.6)
    if u() < 0.1:
        _add(units, u(), eyeSquint=0.8)


def _gaze(units: Units, rng: Generator, spread: float) -> None:
    """Draw a gaze direction for both eyes; left and right are the person's own."""
    across, up = rng.normal(size=2) * spread
    outer, inner = ("Left", "Right") if across > 0 else ("Right", "Left")
    units[f"eyeLookOut{outer}"] = units[f"eyeLookIn{inner}"] = float(min(abs(across), 1))
    _add(units, min(abs(float(up)), 0.8), **{"eyeLookUp" if up > 0 else "eyeLookDown": 1.0})


@dataclass(frozen=True)
class HeadPose:
    """Degrees, and a shift of the head in decimetres."""

    pitch: float
    yaw: float
    roll: float
    shift: Floats

    @property
    def rotation(self) -> Floats:
        """Rotation matrix [3, 3]."""
        return rotation(self.pitch, self.yaw, self.roll)


def source_pose(rng: Generator) -> HeadPose:
    """Draw a portrait's pose: mostly frontal."""
    pitch, yaw, roll = rng.normal(size=3) * (4, 8, 3)
    return HeadPose(float(pitch), float(yaw), float(roll), np.zeros(3))


def driving_pose(rng: Generator, source: HeadPose) -> HeadPose:
    """Draw a driving pose: mostly within a live head's range around the portrait's pose, sometimes far from it."""
    kind = rng.random()
    if kind < 0.25:
        return source
    if kind < 0.7:
        pitch, yaw, roll = np.array([source.pitch, source.yaw, source.roll]) + rng.normal(size=3) * (4, 6, 3)
    else:
        pitch, yaw, roll = rng.uniform(-1, 1, 3) * (15, 22, 14)
    return HeadPose(float(pitch), float(yaw), float(roll), rng.normal(size=3) * 0.03)


def random_camera(rng: Generator, person: Person) -> Camera:
    """Draw a camera that frames head and shoulders, or the head alone."""
    extent = float(rng.uniform(1.1, 1.5))
    below = 0.22 + 0.34 * (extent - 1.1)
    centre = person.eyes + np.array([0, -below, -0.3]) + rng.normal(size=3) * (0.07, 0.07, 0.05)
    return Camera(centre, float(rng.uniform(11, 18)), extent)


def random_light(rng: Generator) -> Light:
    """Draw a key light from the front half, warm or cool, over ambient light."""
    direction = np.array([rng.uniform(-1, 1), rng.uniform(0, 1), 1.0])
    rim = np.array([rng.choice([-1.0, 1.0]), 0.2, -0.3])
    return Light(
        key_direction=direction / np.linalg.norm(direction),
        key=np.array([1.35, 1.27, 1.17]) * rng.uniform(0.5, 1.15) * (1 + rng.normal(size=3) * 0.04),
        sky=np.array([0.42, 0.43, 0.46]) * rng.uniform(0.7, 1.7),
        ground=np.array([0.26, 0.23, 0.21]) * rng.uniform(0.7, 1.5),
        rim_direction=rim / np.linalg.norm(rim),
        rim=np.array([0.25, 0.28, 0.35]) * rng.random(),
    )


def random_background(rng: Generator, side: int) -> NDArray[np.float32]:
    """Draw a soft gradient, often with shapes or lines that must not move with the head; [side, side, 3] in 0..255."""
    cells = int(rng.integers(2, 8))
    base = rng.random((cells, cells, 3)) * 255 * rng.uniform(0.2, 1) * 0.7 + rng.random(3) * 76
    picture = cv2.resize(base.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    if rng.random() < 0.6:
        for _ in range(rng.integers(2, 12)):
            colour = tuple(float(value) for value in rng.random(3) * 255)
            x, y, a, b = (int(value) for value in rng.integers(0, side, 4))
            if rng.random() < 0.5:
                cv2.rectangle(picture, (x, y), (x + a // 3, y + b // 3), colour, -1 if rng.random() < 0.7 else 3)
            else:
                cv2.line(picture, (x, y), (a, b), colour, int(rng.integers(1, 12)))
        if rng.random() < 0.5:
            picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(1, 6)))
    return np.asarray(picture, np.float32)
