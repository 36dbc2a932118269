"""The two people that the starter family brings along, as looks of the rig. Neither resembles anyone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.starter.rendering.gl import Camera
from export.starter.rendering.rig import Look, Person


@dataclass(frozen=True)
class Character:
    """A bundled avatar: its rig look, the portrait's expression and the picture's dressing."""

    name: str
    title: str
    description: str
    look: Look
    expression: dict[str, float]
    background: tuple[float, float, float]  # linear RGB of the backdrop


FRIENDLY = {
    "mouthSmileLeft": 0.42,
    "mouthSmileRight": 0.42,
    "browInnerUp": 0.10,
    "browOuterUpLeft": 0.20,
    "browOuterUpRight": 0.20,
    "cheekSquintLeft": 0.10,
    "cheekSquintRight": 0.10,
    "eyeWideLeft": 0.25,
    "eyeWideRight": 0.25,
}

CHARACTERS = (
    Character(
        name="mina",
        title="Mina",
        description="A young woman with long dark hair, rendered from CC0 human data.",
        look=Look(
            races={"asian": 0.55, "caucasian": 0.45},
            gender="female",
            ages={"young": 1.0},
            skin="young_asian_female",
            hair="long01",
            eyes="brownlight",
            eye_tint=(0.80, 0.72, 0.68),
            brows="eyebrow001",
            lashes="eyelashes01",
            shape_detail=0.0,
            shirt=(0.10, 0.16, 0.17),
            hair_tint=(0.50, 0.44, 0.40),
            teeth_tint=(2.3, 2.2, 2.05),
        ),
        expression=FRIENDLY,
        background=(0.30, 0.36, 0.38),
    ),
    Character(
        name="kofi",
        title="Kofi",
        description="A young man with short black hair, rendered from CC0 human data.",
        look=Look(
            races={"african": 0.75, "caucasian": 0.25},
            gender="male",
            ages={"young": 1.0},
            skin="young_african_male",
            hair="short04",
            eyes="brownlight",
            eye_tint=(0.46, 0.41, 0.38),
            brows="eyebrow001",
            lashes="eyelashes01",
            shape_detail=0.0,
            shirt=(0.36, 0.30, 0.22),
            hair_tint=(0.55, 0.52, 0.50),
            teeth_tint=(2.3, 2.2, 2.05),
        ),
        expression=FRIENDLY,
        background=(0.42, 0.40, 0.36),
    ),
)
PORTRAIT_EXTENT = 1.42  # decimetres: half the picture's width
PORTRAIT_BELOW_EYES = 0.30
PORTRAIT_DISTANCE = 14.0


def portrait_camera(person: Person) -> Camera:
    """The framing of the bundled portraits."""
    centre = person.eyes + np.array([0, -PORTRAIT_BELOW_EYES, -0.3])
    return Camera(centre, PORTRAIT_DISTANCE, PORTRAIT_EXTENT)
