"""How a face is to behave: the options in their three forms (command line, query, dataclass) and what a family can do.

Every option is described once, in OPTIONS; names are those of `config.FaceOptions`, with dashes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engines.manifest import Manifest
from streamer.avatar import background
from streamer.core.errors import ConfigError
from streamer.core.options import PLAIN_FACE, POSE_MODES, FaceOptions
from streamer.stages.held_view import LIMITS, HeldView
from streamer.stages.pose import VAE

MOST_SCALE = 3.0
MOST_STYLE = 999  # a bound for typing mistakes; the family knows how many it has
_LONGEST = 20  # characters of a value


@dataclass(frozen=True)
class Option:
    """One option. `read` turns its text into its value, or raises ValueError that says what was expected."""

    field: str
    read: Callable[[str], Any]
    metavar: str | None  # None: a switch
    help: str
    live: bool = True  # whether a session may choose it

    @property
    def name(self) -> str:
        """As it is spelt on the command line and in queries."""
        return self.field.replace("_", "-")


def _number(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return value

    return read


def _style(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > MOST_STYLE:
        raise ValueError("the number of a style, from 0")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


def _mode(text: str) -> str:
    if text not in POSE_MODES:
        raise ValueError(" or ".join(POSE_MODES))
    return text


def _angle(axis: str, help_text: str) -> Option:
    return Option(axis, _number(-LIMITS[axis], LIMITS[axis]), "DEGREES", help_text)


OPTIONS = (
    Option("still", _switch, None, "the head keeps the portrait's pose; lips and lids move"),
    Option("pose_style", _style, "N", "which style of head motion, where the family has several (default: 0)"),
    Option(
        "expression_scale", _number(0.0, MOST_SCALE), "X", "how strong the expression is (default: 1, as it was learnt)"
    ),
    _angle("yaw", "hold the head turned to the side; how far a family goes differs"),
    _angle("pitch", "hold the head raised or lowered"),
    _angle("roll", "hold the head tilted"),
    Option(
        "pose_mode",
        _mode,
        "|".join(POSE_MODES),
        "offline: head motion as the reference makes it, of all the sound; live: as in a conversation, of the sound so "
        "far (default: offline where the family has it)",
        live=False,
    ),
    Option(
        "background",
        background.read,
        "COLOUR|blur|transparent|none",
        "behind the person: a colour such as #00b140, the portrait's own blurred, or nothing, where what shows the "
        "pictures can do that (default: as the portrait has it)",
    ),
)


def add_arguments(parser: argparse.ArgumentParser, live: bool) -> None:
    """The options on a command line; `live`: only those that a session may choose."""
    group = parser.add_argument_group("how the face behaves")
    for option in OPTIONS:
        if live and not option.live:
            continue
        if option.metavar is None:
            group.add_argument(f"--{option.name}", action="store_true", default=None, help=option.help)
        else:
            group.add_argument(f"--{option.name}", type=_argument(option), metavar=option.metavar, help=option.help)


def of_arguments(args: argparse.Namespace) -> FaceOptions:
    """The options that a command line has."""
    given = {option.field: getattr(args, option.field, None) for option in OPTIONS}
    return replace(PLAIN_FACE, **{field: value for field, value in given.items() if value is not None})


def of_query(query: Mapping[str, str], default: FaceOptions) -> FaceOptions:
    """The options of a session: those that its address has, else the server's.

    Raises:
        ConfigError: a value that is none, or an option that a session cannot have.
    """
    chosen: dict[str, Any] = {}
    for option in OPTIONS:
        if (text := query.get(option.name)) is None:
            continue
        try:
            value = option.read(text if len(text) <= _LONGEST else "")
        except ValueError as error:
            raise ConfigError(f"{option.name} is {text[:_LONGEST]!r}, expected {error}") from None
        if not option.live and value != POSE_MODES[0]:
            raise ConfigError(f"{option.name} {text} waits for later sound and is for `avatar render` only")
        chosen[option.field] = value
    return replace(default, **chosen)


def to_query(face: FaceOptions) -> dict[str, str]:
    """What `of_query` reads: the options that are not as they are by themselves."""
    chosen = {option.name: getattr(face, option.field) for option in OPTIONS}
    plain = {option.name: getattr(PLAIN_FACE, option.field) for option in OPTIONS}
    return {
        name: str(int(value)) if isinstance(value, bool) else str(value)
        for name, value in chosen.items()
        if value != plain[name]
    }


def check(manifest: Manifest, face: FaceOptions) -> None:
    """Whether the family can do what the options ask.

    Raises:
        ConfigError: it cannot; the message names the option and what there is.
    """
    pose = manifest.stage("pose")
    if face.pose_style is not None:
        styles = int(pose.inputs["style"].shape[1]) if "style" in pose.inputs else 0
        if not styles:
            raise ConfigError(f"pose style {face.pose_style}; family {manifest.family} has no styles of head motion")
        if face.pose_style >= styles:
            raise ConfigError(f"pose style {face.pose_style}; family {manifest.family} has 0 to {styles - 1}")
    if face.pose_mode == "offline" and pose.process != VAE:
        raise ConfigError(f"pose mode offline; the head of family {manifest.family} has only the mode live")
    if not 0.0 <= face.expression_scale <= MOST_SCALE:
        raise ConfigError(f"expression scale {face.expression_scale:g}, expected 0 to {MOST_SCALE:g}")
    HeldView.of(manifest, face)
    background.check(face.background)


def for_a_file(manifest: Manifest, face: FaceOptions) -> FaceOptions:
    """The options for a file, where waiting costs nothing: the reference's own pose, unless another is asked."""
    if face.pose_mode is None and manifest.stage("pose").process == VAE:
        return replace(face, pose_mode="offline")
    return face


def _argument(option: Option) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return option.read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text} found, {error} expected") from None

    return read
