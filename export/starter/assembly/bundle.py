"""Write avatar bundles of rendered characters, whose face model is exactly the rig's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.starter.assembly.stages import WINDOW_HEIGHT, WINDOW_WIDTH
from export.starter.rendering.gl import Camera
from export.starter.rendering.meshio import Floats
from export.starter.rendering.people import Character, portrait_camera
from export.starter.rendering.points import INNER_LIPS, LEFT_EYE, RIGHT_EYE, PointSet
from export.starter.rendering.rig import Person, Rig
from streamer.avatar import bundle_files
from streamer.avatar.catalogue import AvatarInfo, write_info
from streamer.avatar.mouth_fit import RESTING
from streamer.vision.landmarks import Landmarker

SIZE = 256
WINDOW_STEP = 8

Arrays = dict[str, NDArray[np.float32]]


def face_model(person: Person, points: PointSet, camera: Camera, expression: Mapping[str, float]) -> Arrays:
    """Compute the motion stage's constants: zero coefficients give the portrait, with its `expression`."""

    def place(units: Mapping[str, float]) -> Floats:
        return camera.to_picture(points.gather(person, person.express(units)))

    neutral = place(expression)
    plain = place({})
    basis = np.stack([place({name: 1.0}) - plain for name in sorted(person.rig.units)])
    distance = camera.distance / camera.half_extent
    source = neutral.copy()
    source[:, :2] /= 1 - neutral[:, 2:] / distance
    arrays = {
        "neutral": neutral,
        "basis": basis,
        "rigidity": points.gather_scalar(person.rigidity),
        "pivot": camera.to_picture(person.neck[None])[0],
        "distance": np.array([distance]),
        "source_keypoints": source,
        "windows": paint_windows(source),
        RESTING: np.array([expression.get(name, 0.0) for name in sorted(person.rig.units)]),
    }
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


def paint_windows(keypoints: Floats) -> NDArray[np.float64]:
    """Place the windows to repaint, [2, 2] of (top, left): around both eyes, and the mouth with room for the jaw."""
    pixels = (keypoints[:, :2] + 1) * SIZE / 2
    eyes = pixels[[*RIGHT_EYE, *LEFT_EYE]].mean(0) + np.array([0, -4])
    mouth = pixels[list(INNER_LIPS)].mean(0) + np.array([0, 10])
    corners = np.array([eyes, mouth])[:, ::-1] - (WINDOW_HEIGHT / 2, WINDOW_WIDTH / 2)
    most = (SIZE - WINDOW_HEIGHT, SIZE - WINDOW_WIDTH)
    return np.clip(np.round(corners / WINDOW_STEP) * WINDOW_STEP, 0, most)


def complete_bundle(folder: Path, character: Character, arrays: Arrays, family: str) -> None:
    """Write avatar.json and arrays.npz beside the rendered portrait and matte."""
    write_info(AvatarInfo(character.name, character.title, character.description, "CC0-1.0", folder), family)
    bundle_files.write_arrays(folder / bundle_files.ARRAYS, arrays)


def seen_landmarks(portrait: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Detect the face mesh in a portrait, [478, 2] in -1..1. Raises ValueError if there is not exactly one face."""
    faces = Landmarker().find(portrait)
    if len(faces) != 1:
        raise ValueError(f"{len(faces)} faces in the portrait of a character, expected one")
    return np.asarray(faces[0].points[:, :2] * (2 / portrait.shape[0]) - 1, np.float32)


def character_arrays(rig: Rig, points: PointSet, character: Character) -> Arrays:
    """Compute the face model's arrays of a bundled character."""
    person = Person(rig, character.look)
    return face_model(person, points, portrait_camera(person), character.expression)
