"""Avatars: loading a bundle, a folder with a portrait and its face model, and the constants computed from it.

A bundle has these files:

- `avatar.json`: format, name, title, family, description, licence, and mode, which is how the portrait was cut out.
- `portrait.png` or `portrait.webp`: RGB, a square of the family's size; if frames may be larger, up to LARGEST_PHOTO.
- `matte.png`: grey, of the family's size, the person's share of each pixel; computed if it is missing.
- `arrays.npz`: the constants of the stages, by the manifest's names, and
  `landmarks` [478, 2]: the face mesh in the portrait, in -1..1; without them lids are painted, not moved;
  `manner` [4]: how the person moves, see `avatar.manner`;
  `resting` [U]: face units of the portrait's mouth at rest, see `avatar.mouth_fit`;
  `reference` [1, R], for a family with a face model: the portrait's coefficients, in the manifest's order, followed by
  the further values that its motion stage takes.

Bundles are in the family's `avatars/` and, for the user's own, in `avatars/` of AVATAR_HOME.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import EngineError
from engines.manifest import Manifest, StageSpec
from engines.runtime import Engine, Engines
from streamer.avatar.bundle_files import ARRAYS, portrait_file, read_arrays, read_picture
from streamer.avatar.catalogue import WHOLE_MODES, AvatarInfo, default_name, find_avatar
from streamer.avatar.condition_maps import ConditionRasterizer
from streamer.avatar.frame_size import offered_sizes
from streamer.avatar.manner import Manner
from streamer.avatar.mouth_fit import fit_mouth
from streamer.core.errors import BundleError
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.pictures import scaled

# Inputs that change per frame or with a session's options; all other inputs of these stages are the avatar's constants.
VARYING = {
    "expression": {"mel", "blink"},
    "pose": {"mel", "noise", "style", "past"},
    "motion": {"coefficients", "view", "view_on"},
    "motion_full": {"coefficients", "view", "view_on"},
    "render": {"driving_keypoints", "driving_conditions"},
    "paint": {"window", "conditions", "flow", "context", "refined"},
}
PREPARING = frozenset({"coefficients"})  # stages needed only to make an avatar
LARGEST_PHOTO = 1024  # pixels a side of a photo in a bundle
MESH_POINTS = 478  # of MediaPipe's face mesh with irises


@dataclass(frozen=True, eq=False)
class Avatar:
    """A face ready to be driven.

    constants: all values that do not change between frames, by name; `portrait` has the family's size.
    photo: the portrait as stored in the bundle, uint8 [P, P, 3] RGB, P at least the family's size.
    """

    info: AvatarInfo
    constants: Mapping[str, FloatArray]
    photo: ByteArray

    @property
    def name(self) -> str:
        """The avatar's name."""
        return self.info.name

    @classmethod
    def load(cls, engines: Engines, name: str | None = None) -> Avatar:
        """Read the bundle `name` (None: the family's default) and compute its appearance.

        Raises:
            BundleError: the avatar does not exist (the message lists the known ones) or is damaged.
        """
        manifest = engines.manifest
        return cls.open(engines, find_avatar(manifest, default_name(manifest) if name is None else name))

    @classmethod
    def open(cls, engines: Engines, info: AvatarInfo) -> Avatar:
        """Read a bundle from its info's folder, and compute its appearance. Raises BundleError when it is damaged."""
        manifest = engines.manifest
        photo = _read_photo(portrait_file(info.folder), manifest)
        avatar = cls(info, _read_constants(info.folder, manifest, photo), photo)
        try:
            engines["appearance"].activate()  # it may have been released after the last avatar
            appearance = engines["appearance"].infer(avatar.constants_of(manifest.stage("appearance")))
            avatar = cls(info, {**avatar.constants, **appearance}, photo)
            for stage in ("expression", "pose", avatar.motion_stage, "render", "paint"):  # not in the first frame
                if stage in manifest.stages and manifest.stage(stage).graphs:
                    avatar._check(engines[stage], len(manifest.coefficients))
        except EngineError as error:
            raise BundleError(f"{info.folder}: does not fit family {manifest.family}: {error}") from error
        return avatar

    @property
    def manner(self) -> Manner:
        """How the person moves, from the bundle."""
        return Manner.of(self.constants)

    @property
    def motion_stage(self) -> str:
        """Name of the motion stage: a face model has a separate one for whole photos."""
        return "motion_full" if self.info.mode in WHOLE_MODES and "reference" in self.constants else "motion"

    def rest_pose(self, size: int) -> FloatArray:
        """Return the portrait's pose, float32 [size]; zeros for a family whose poses are relative to the portrait."""
        reference = self.constants.get("reference_pose")
        return np.zeros(size, np.float32) if reference is None else reference[0]

    def _check(self, engine: Engine, coefficients: int) -> None:
        """Check that the stage has all its inputs, and bind them. Raises EngineError."""
        spec = engine.spec
        if missing := spec.inputs.keys() - self.constants.keys() - VARYING[spec.name]:
            raise EngineError(f"stage {spec.name} needs {', '.join(sorted(missing))}")
        engine.bind(self.constants_of(spec))
        if "coefficients" in spec.inputs:
            rows, rest = spec.inputs["coefficients"].shape[1], self.constants.get("reference_rest")
            found = coefficients + (0 if rest is None else rest.shape[1])
            if isinstance(rows, int) and not coefficients <= rows <= found:
                raise EngineError(f"stage {spec.name} takes {rows} coefficients, there are {coefficients} to {found}")

    def constants_of(self, spec: StageSpec) -> dict[str, FloatArray]:
        """Return the constants that a stage takes."""
        return {name: self.constants[name] for name in spec.inputs if name in self.constants}


def open_rasterizer(render: StageSpec) -> ConditionRasterizer | None:
    """Make the rasterizer of the render stage's condition maps, at the stage's size; None if it takes none."""
    if render.conditions is None:
        return None
    size = render.inputs["driving_conditions"].shape[-1]
    return ConditionRasterizer(render.conditions, int(size))


def _read_constants(folder: Path, manifest: Manifest, photo: ByteArray) -> dict[str, FloatArray]:
    """Read the constants from the bundle's files, and add the portrait's condition maps."""
    path = folder / ARRAYS
    constants = read_arrays(path)
    constants["portrait"] = _planes(scaled(photo, manifest.size))
    keypoints = constants.get("source_keypoints")
    count = manifest.stage("render").inputs["driving_keypoints"].shape[1]
    if keypoints is None or keypoints.shape not in ((count, 3), (1, count, 3)):
        found = "none" if keypoints is None else list(keypoints.shape)
        raise BundleError(f"{path}: source_keypoints is {found}, expected [{count}, 3]")
    constants["source_keypoints"] = keypoints.reshape(1, -1, 3)
    if (landmarks := constants.get("landmarks")) is not None and landmarks.shape != (MESH_POINTS, 2):
        raise BundleError(f"{path}: landmarks is {list(landmarks.shape)}, expected [{MESH_POINTS}, 2]")
    try:
        Manner.of(constants)
    except ValueError as error:
        raise BundleError(f"{path}: {error}") from None
    if (reference := constants.get("reference")) is not None:
        constants |= _split(path, reference, manifest)
    if rasterizer := open_rasterizer(manifest.stage("render")):
        constants |= fit_mouth(constants, manifest.coefficients.expression, rasterizer.topology)
        constants["source_conditions"] = rasterizer.draw(constants["source_keypoints"][0])[None]
    return constants


def _split(path: Path, reference: FloatArray, manifest: Manifest) -> dict[str, FloatArray]:
    """Split the portrait's coefficients into the parts that stages take by name."""
    expression, total = len(manifest.coefficients.expression), len(manifest.coefficients)
    if reference.ndim != 2 or reference.shape[0] != 1 or reference.shape[1] < total:
        raise BundleError(f"{path}: reference is {list(reference.shape)}, expected [1, {total}] or more")
    return {
        "reference_expression": reference[:, :expression],
        "reference_pose": reference[:, expression:total],
        "reference_rest": reference[:, total:],
    }


def _read_photo(path: Path, manifest: Manifest) -> ByteArray:
    """Read the bundle's portrait, uint8 [P, P, 3] RGB."""
    picture = read_picture(path)
    height, width = picture.shape[:2]
    least, most = manifest.size, largest_photo(manifest)
    if height != width or not least <= width <= most:
        sides = f"{least}x{least}" if least == most else f"a square of {least} to {most}"
        raise BundleError(f"{path}: {width}x{height} pixels, expected {sides}")
    return picture


def largest_photo(manifest: Manifest) -> int:
    """Return the largest photo side in a bundle of the family; above the family's size only if frames can be larger."""
    return LARGEST_PHOTO if len(offered_sizes(manifest)) > 1 else manifest.size


def _planes(picture: ByteArray) -> FloatArray:
    """Convert a picture to float planes, [1, 3, S, S] in 0..1."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(255.0)
