"""The two people that the starter family brings along, as looks of the rig. Neither resembles anyone."""

from __future__ import annotations

from dataclasses import dataclass

from export.starter.rig import Look


@dataclass(frozen=True)
class Character:
    """A bundled avatar: its rig look, the portrait's expression and the picture's dressing."""

    name: str
    title: str
    description: str
    look: Look
    expression: dict[str, float]
    background: tuple[float, float, float]  # linear RGB of the backdrop


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
            brows="eyebrow009",
            lashes="eyelashes01",
            shape_detail=0.0,
            shirt=(0.10, 0.16, 0.17),
            hair_tint=(0.50, 0.44, 0.40),
            teeth_tint=(2.3, 2.2, 2.05),
        ),
        expression={"mouthSmileLeft": 0.22, "mouthSmileRight": 0.22, "browInnerUp": 0.3, "browOuterUpLeft": 0.1}
        | {"browOuterUpRight": 0.1, "cheekSquintLeft": 0.1, "cheekSquintRight": 0.1},
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
            eyes="brown",
            brows="eyebrow012",
            lashes="eyelashes01",
            shape_detail=0.0,
            shirt=(0.36, 0.30, 0.22),
            hair_tint=(0.55, 0.52, 0.50),
            teeth_tint=(2.3, 2.2, 2.05),
        ),
        expression={"mouthSmileLeft": 0.22, "mouthSmileRight": 0.22, "browInnerUp": 0.3, "browOuterUpLeft": 0.1}
        | {"browOuterUpRight": 0.1, "cheekSquintLeft": 0.1, "cheekSquintRight": 0.1},
        background=(0.42, 0.40, 0.36),
    ),
)
PORTRAIT_EXTENT = 1.34  # decimetres: half the picture's width
PORTRAIT_BELOW_EYES = 0.32
PORTRAIT_DISTANCE = 14.0
