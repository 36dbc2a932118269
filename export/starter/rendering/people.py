"""Define the starter family's bundled characters as looks of the rig. None resembles a real person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.starter.rendering.gl import Camera
from export.starter.rendering.look import Look
from export.starter.rendering.rig import Person
from export.starter.rendering.strands import Cut


@dataclass(frozen=True)
class Character:
    """A bundled avatar: its rig look, the portrait's expression and the picture's dressing."""

    name: str
    title: str
    description: str
    look: Look
    expression: dict[str, float]
    background: tuple[float, float, float]  # sRGB of the backdrop's middle, 0..1
    hair: Cut


FRIENDLY = {
    "mouthSmileLeft": 0.42,
    "mouthSmileRight": 0.42,
    "browInnerUp": 0.22,
    "browOuterUpLeft": 0.16,
    "browOuterUpRight": 0.16,
    "cheekSquintLeft": 0.10,
    "cheekSquintRight": 0.10,
    "eyeWideLeft": 0.25,
    "eyeWideRight": 0.25,
}
# Brows that lie low look cross when they talk.
OPEN = FRIENDLY | {
    "mouthSmileLeft": 0.46,
    "mouthSmileRight": 0.46,
    "browInnerUp": 0.42,
    "browOuterUpLeft": 0.12,
    "browOuterUpRight": 0.12,
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
        expression=OPEN,
        background=(0.55, 0.62, 0.66),
        hair=Cut(count=30000, length=3.2, steps=40, parting=0.12, lift=0.04, fall=2.6, comb=0.75, back=0.8,
                 curl=(0.012, 0.6), clumps=900, spread=0.04, width=0.0016, melanin=(0.80, 0.55)),
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
        background=(0.47, 0.55, 0.60),
        hair=Cut(count=52000, length=0.085, steps=8, lift=0.008, comb=0.0, curl=(0.014, 13.0), clumps=9000,
                 spread=0.008, width=0.0014, melanin=(0.97, 0.15)),
    ),
)  # fmt: skip
PORTRAIT_EXTENT = 1.42  # decimetres: half the picture's width
PORTRAIT_BELOW_EYES = 0.30
PORTRAIT_DISTANCE = 14.0


def portrait_camera(person: Person) -> Camera:
    """The framing of the bundled portraits."""
    centre = person.eyes + np.array([0, -PORTRAIT_BELOW_EYES, -0.3])
    return Camera(centre, PORTRAIT_DISTANCE, PORTRAIT_EXTENT)
