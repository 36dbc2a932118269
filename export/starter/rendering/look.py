"""Describe a person's appearance by the names of its assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Look:
    """Appearance of one person; file names are those of the asset folder."""

    races: Mapping[str, float]  # weights of african, asian, caucasian
    gender: str
    ages: Mapping[str, float]  # weights of young, old
    skin: str
    hair: str | None
    eyes: str = "brown"
    eye_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    brows: str = "eyebrow001"
    lashes: str = "eyelashes02"
    teeth: str = "teeth_base"
    shape_seed: int = 0
    shape_detail: float = 0.35
    shapes: Mapping[str, float] = field(default_factory=dict)  # extra named targets
    shirt: tuple[float, float, float] = (0.10, 0.15, 0.30)
    hair_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    skin_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    teeth_tint: tuple[float, float, float] = (2.0, 1.9, 1.75)
    teeth_drop: float = 0.04  # the assets' teeth are too high: a talking mouth would hide the upper row
