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
    brows: Cut
    stylised: bool = False  # as in animated films: skin without pores
    iris: float = 1.0  # width, relative to a real one


# Low brows look angry during speech.
FRIENDLY = {
    "mouthSmileLeft": 0.62,
    "mouthSmileRight": 0.62,
    "mouthDimpleLeft": 0.15,
    "mouthDimpleRight": 0.15,
    "browInnerUp": 0.28,
    "browOuterUpLeft": 0.28,
    "browOuterUpRight": 0.28,
    "cheekSquintLeft": 0.22,
    "cheekSquintRight": 0.22,
    "eyeWideLeft": 0.42,
    "eyeWideRight": 0.42,
}


def _both(shapes: dict[str, float]) -> dict[str, float]:
    """Return shape targets of both sides from those of the left."""
    right = {name.replace("/l-", "/r-"): weight for name, weight in shapes.items()}
    return shapes | right


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
            eye_tint=(0.78, 0.64, 0.55),
            brows="eyebrow001",
            lashes="eyelashes01",
            shape_detail=0.0,
            shirt=(0.10, 0.16, 0.17),
            hair_tint=(0.50, 0.44, 0.40),
            teeth_tint=(2.3, 2.2, 2.05),
        ),
        expression=FRIENDLY,
        background=(0.70, 0.68, 0.65),
        hair=Cut(count=30000, length=3.3, steps=44, parting=0.28, lift=0.05, fall=2.2, comb=0.85, back=0.9,
                 curl=(0.04, 0.42), clumps=700, spread=0.035, width=0.0016, melanin=(0.86, 0.55),
                 hairline=(0.74, 0.42, 0.62)),
        brows=Cut(count=1100, length=0.085, steps=6, width=0.0011, melanin=(0.80, 0.45)),
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
            eye_tint=(0.60, 0.50, 0.43),
            brows="eyebrow001",
            lashes="eyelashes01",
            shape_detail=0.0,
            shirt=(0.45, 0.22, 0.10),
            hair_tint=(0.55, 0.52, 0.50),
            skin_tint=(1.7, 1.62, 1.58),
            teeth_tint=(2.3, 2.2, 2.05),
        ),
        # A wider smile would pull his lower lip past the teeth in f and v.
        expression=FRIENDLY
        | {"mouthSmileLeft": 0.42, "mouthSmileRight": 0.42, "mouthDimpleLeft": 0.1, "mouthDimpleRight": 0.1},
        background=(0.72, 0.70, 0.66),
        hair=Cut(count=60000, length=0.075, steps=8, lift=0.006, comb=0.0, curl=(0.012, 13.0), clumps=9000,
                 spread=0.008, width=0.0013, melanin=(0.97, 0.15), hairline=(0.70, 0.28, 1.25), fade=0.7),
        brows=Cut(count=1300, length=0.075, steps=6, width=0.0012, melanin=(0.97, 0.15)),
    ),
    Character(
        name="pia",
        title="Pia",
        description="A girl with copper hair as in an animated film, rendered from CC0 human data.",
        look=Look(
            races={"caucasian": 1.0},
            gender="female",
            ages={"young": 1.0},
            skin="young_caucasian_female2",
            hair="bob02",
            eyes="green",
            eye_tint=(1.1, 1.1, 1.05),
            brows="eyebrow001",
            lashes="eyelashes02",
            shape_detail=0.0,
            shapes=_both({"eyes/l-eye-scale-incr": 1.3, "eyes/l-eye-height2-incr": 0.5, "ears/l-ear-scale-decr": 0.3,
                          "cheek/l-cheek-volume-incr": 0.5})
            | {"head/head-round": 0.5, "head/head-age-decr": 0.6, "nose/nose-scale-vert-decr": 0.6,
               "nose/nose-scale-horiz-decr": 0.5, "nose/nose-point-up": 0.5, "nose/nose-volume-decr": 0.5,
               "chin/chin-triangle": 0.5, "chin/chin-width-decr": 0.4, "mouth/mouth-scale-horiz-decr": 0.2,
               "neck/neck-scale-horiz-decr": 0.6},
            shirt=(0.80, 0.55, 0.16),
            skin_tint=(1.05, 1.0, 0.98),
            teeth_tint=(2.4, 2.3, 2.2),
        ),
        expression=FRIENDLY | {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8},
        background=(0.42, 0.62, 0.66),
        hair=Cut(count=16000, length=1.9, steps=36, parting=-0.25, lift=0.10, fall=2.0, comb=0.9, back=0.8,
                 curl=(0.07, 0.5), clumps=130, spread=0.012, width=0.0035, dye=(0.36, 0.05, 0.008),
                 hairline=(0.76, 0.42, 0.62)),
        brows=Cut(count=700, length=0.10, steps=6, width=0.0022, dye=(0.25, 0.08, 0.03)),
        stylised=True,
        iris=1.35,
    ),
    Character(
        name="leo",
        title="Leo",
        description="A boy with tousled hair as in an animated film, rendered from CC0 human data.",
        look=Look(
            races={"caucasian": 0.6, "african": 0.2, "asian": 0.2},
            gender="male",
            ages={"young": 1.0},
            skin="young_caucasian_male2",
            hair="short02",
            eyes="deepblue",
            eye_tint=(1.1, 1.1, 1.1),
            brows="eyebrow001",
            lashes="eyelashes01",
            shape_detail=0.0,
            shapes=_both({"eyes/l-eye-scale-incr": 1.2, "eyes/l-eye-height2-incr": 0.4, "ears/l-ear-scale-incr": 0.3,
                          "cheek/l-cheek-volume-incr": 0.4})
            | {"head/head-oval": 0.3, "head/head-age-decr": 0.5, "nose/nose-scale-vert-decr": 0.4,
               "nose/nose-point-width-incr": 0.4, "nose/nose-point-up": 0.4, "chin/chin-width-decr": 0.2,
               "chin/chin-height-decr": 0.3, "neck/neck-scale-horiz-decr": 0.7},
            shirt=(0.10, 0.20, 0.36),
            skin_tint=(0.92, 0.80, 0.72),
            teeth_tint=(2.4, 2.3, 2.2),
        ),
        expression=FRIENDLY | {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8},
        background=(0.86, 0.70, 0.52),
        hair=Cut(count=15000, length=0.50, steps=16, parting=-0.5, lift=0.035, fall=1.8, comb=0.55, back=0.5,
                 curl=(0.03, 0.8), clumps=170, spread=0.012, width=0.0034, dye=(0.05, 0.018, 0.006),
                 hairline=(0.70, 0.30, 1.15), fade=0.9),
        brows=Cut(count=800, length=0.11, steps=6, width=0.0024, dye=(0.05, 0.025, 0.012)),
        stylised=True,
        iris=1.3,
    ),
)  # fmt: skip
PORTRAIT_EXTENT = 1.46  # decimetres: half the picture's width
PORTRAIT_BELOW_EYES = 0.18
PORTRAIT_DISTANCE = 14.0


def portrait_camera(person: Person) -> Camera:
    """Return the camera that frames the bundled portraits."""
    centre = person.eyes + np.array([0, -PORTRAIT_BELOW_EYES, -0.3])
    return Camera(centre, PORTRAIT_DISTANCE, PORTRAIT_EXTENT)
