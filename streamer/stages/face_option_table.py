"""Table of face options: each described once, for command lines, queries and dataclasses.

Names are the fields of `core.options.FaceOptions`, with dashes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streamer.avatar import background
from streamer.core.options import (
    EMOTIONS,
    FRAME_SIZES,
    MAX_ANGLE,
    MAX_ENERGY,
    MAX_EXPRESSION_SCALE,
    MAX_INTENSITY,
    POSE_MODES,
    SHOWN,
)
from streamer.core.readers import number

MAX_POSE_STYLE = 999  # catches typing errors; the real number of styles depends on the family


@dataclass(frozen=True)
class Option:
    """One face option. `read` parses text into a value, or raises a ValueError that names the expected form."""

    field: str
    read: Callable[[str], Any]
    metavar: str | None  # None for a switch
    help: str
    live: bool = True  # whether a session may choose it
    files: bool = True  # whether `avatar render` offers it

    @property
    def name(self) -> str:
        """Spelling on the command line and in queries."""
        return self.field.replace("_", "-")


def _style(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > MAX_POSE_STYLE:
        raise ValueError("the number of a style, from 0")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


def _size(text: str) -> int:
    if text not in map(str, FRAME_SIZES):
        raise ValueError(" or ".join(map(str, FRAME_SIZES)))
    return int(text)


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(" or ".join(words))
        return text

    return read


def _angle(axis: str, help_text: str) -> Option:
    return Option(axis, number(-MAX_ANGLE, MAX_ANGLE), "DEGREES", help_text)


OPTIONS = (
    Option("still", _switch, None, "keep the head in the portrait's pose; lips and eyelids still move"),
    Option("pose_style", _style, "N", "style of head motion, for families that have several (default: 0)"),
    Option(
        "expression_scale",
        number(0.0, MAX_EXPRESSION_SCALE),
        "X",
        f"strength of the expression, 0 to {MAX_EXPRESSION_SCALE:g} (default: 1)",
    ),
    Option(
        "energy",
        number(0.0, MAX_ENERGY),
        "X",
        f"how lively head, brows and gaze are, 0 to {MAX_ENERGY:g} (default: 1)",
    ),
    Option(
        "emotion", _one_of(EMOTIONS), "|".join(EMOTIONS), "what the face feels (default: auto, as the voice sounds)"
    ),
    Option(
        "intensity",
        number(0.0, MAX_INTENSITY),
        "X",
        f"how much of the emotion is seen, 0 to {MAX_INTENSITY:g} (default: 1, as in conversation)",
    ),
    _angle("yaw", "hold the head turned to the side; the range depends on the family"),
    _angle("pitch", "hold the head raised or lowered"),
    _angle("roll", "hold the head tilted"),
    Option(
        "pose_mode",
        _one_of(POSE_MODES),
        "|".join(POSE_MODES),
        "offline: head motion computed from the whole sound, as in the reference; live: from the sound so far, as in a "
        "conversation (default: offline if the family supports it)",
        live=False,
    ),
    Option(
        "background",
        background.read,
        "COLOUR|blur|transparent|none",
        "background behind the person: a colour such as #00b140, the portrait's own blurred, or transparent where the "
        "output supports it (default: the portrait's own)",
    ),
    Option(
        "mode",
        _one_of(SHOWN),
        "|".join(SHOWN),
        "full: the whole photo, where the avatar was made of one that shows more than the head; crop: the head "
        "(default: as the avatar was made)",
        files=False,
    ),
    Option(
        "size",
        _size,
        "|".join(map(str, FRAME_SIZES)),
        "pixels a side of the face's pictures; a smaller photo gives what it has (default: 512, "
        "on another background 384)",
    ),
)
