"""Face options: read from a query, written to a query, and checked against a family's capabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from engines.manifest import Manifest
from streamer.avatar import background, frame_size
from streamer.core.errors import ConfigError
from streamer.core.options import (
    AUTO,
    MAX_ENERGY,
    MAX_EXPRESSION_SCALE,
    NEUTRAL,
    PLAIN_FACE,
    POSE_MODES,
    FaceOptions,
)
from streamer.stages.face_option_table import OPTIONS
from streamer.stages.held_view import HeldView
from streamer.stages.pose import VAE

_LONGEST = 20  # characters of a value


def of_query(query: Mapping[str, str], default: FaceOptions) -> FaceOptions:
    """Return a session's options: those in its query, with the server's as defaults.

    Raises:
        ConfigError: an invalid value, or an option that is not available to a live session.
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
    """Return the options that differ from the defaults, in the form that `of_query` reads."""
    chosen = {option.name: getattr(face, option.field) for option in OPTIONS}
    plain = {option.name: getattr(PLAIN_FACE, option.field) for option in OPTIONS}
    return {
        name: str(int(value)) if isinstance(value, bool) else str(value)
        for name, value in chosen.items()
        if value != plain[name]
    }


def feels(manifest: Manifest) -> bool:
    """Return whether the family's expression consists of face units, which an emotion can move."""
    return "mouthSmileLeft" in manifest.coefficients.expression


def check(manifest: Manifest, face: FaceOptions) -> None:
    """Check that the family supports the options.

    Raises:
        ConfigError: it does not; the message names the option and the available values.
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
    if not 0.0 <= face.expression_scale <= MAX_EXPRESSION_SCALE:
        raise ConfigError(f"expression scale {face.expression_scale:g}, expected 0 to {MAX_EXPRESSION_SCALE:g}")
    if not 0.0 <= face.energy <= MAX_ENERGY:
        raise ConfigError(f"energy {face.energy:g}, expected 0 to {MAX_ENERGY:g}")
    if face.energy != PLAIN_FACE.energy and pose.process == VAE:
        raise ConfigError(f"energy {face.energy:g}; the head motion of family {manifest.family} is as it was learnt")
    if face.emotion not in (AUTO, NEUTRAL) and not feels(manifest):
        raise ConfigError(f"emotion {face.emotion}; the expression of family {manifest.family} has no face units")
    HeldView.of(manifest, face)
    background.check(face.background)
    frame_size.check(manifest, face.size)


def for_a_file(manifest: Manifest, face: FaceOptions) -> FaceOptions:
    """Return the options for rendering a file: offline pose mode by default, because delay does not matter there."""
    if face.pose_mode is None and manifest.stage("pose").process == VAE:
        return replace(face, pose_mode="offline")
    return face
