"""Compute an avatar's constants from a portrait, by rig fit or by the `coefficients` network.

In a family whose stage has the process "fit-rig" (the shipped one), the face rig is fitted to the landmarks. In a
family whose stage is a network (SadTalker's), coefficients are predicted from an aligned crop of the face, and the
motion stage gives the portrait's keypoints for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from engines.manifest import Manifest
from engines.runtime import Engine, open_stage
from streamer.avatar.bundle import largest_photo
from streamer.avatar.catalogue import MODES, WHOLE_MODES
from streamer.avatar.condition_maps import Topology
from streamer.avatar.frame_size import frame_size
from streamer.avatar.paste import BOX, whole_picture
from streamer.core.errors import ConfigError, PhotoError
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.options import DEFAULT_THREADS, LARGEST_UNASKED
from streamer.core.pictures import scaled
from streamer.photo import sadtalker_crop
from streamer.photo.head_square import cut_square, head_square
from streamer.photo.portrait import Portrait
from streamer.photo.rig_constants import face_model
from streamer.photo.rig_fit import FaceRig, fit_face
from streamer.vision.landmarks import LEFT_CORNERS, RIGHT_CORNERS, eye_middle
from streamer.vision.matting import cut_out

FIT_RIG = "fit-rig"
LEAST_EYES = 8  # pixels between the eyes in the family's picture
LITTLE_ROOM = 0.06  # of the picture's side extended beyond the photo's edge, above which the user is informed
TIGHT = "there is little room about the head, so the photo's edge was drawn out; more room looks better"
SMALL = (
    "the photo has {pixels} pixels about the head, so its pictures are {shown}x{shown}; a larger photo looks sharper"
)
WORTH_KEEPING = 1.15  # least side of a photo, in sides of the head's square, for keeping the whole photo
SCENE_ROWS = 3  # coefficients beyond the layout's: the crop of the face; only whole-scene motion takes them
# Positions of expression, head angles and head translation in the 257 coefficients of a face.
_EXPRESSION, _ANGLES, _TRANSLATION = slice(80, 144), slice(224, 227), slice(254, 257)


@dataclass(frozen=True, eq=False)
class Made:
    """Content of an avatar.

    photo: [P, P, 3] RGB, at the largest size that the family shows; picture: the same at the family's size, [S, S, 3];
    landmarks: [478, 2] in the picture's pixels; matte: [S, S] in 0..1, opacity of the person; whole: the picture that
    frames are pasted into, if the mode needs it or the photo shows more than the head.
    """

    photo: ByteArray
    picture: ByteArray
    landmarks: FloatArray
    mode: str
    arrays: Mapping[str, FloatArray]
    matte: FloatArray
    whole: ByteArray | None = None
    notes: list[str] = field(default_factory=list)


def modes_of(manifest: Manifest) -> tuple[str, ...]:
    """Return the family's crop modes, the default first; empty if no avatars can be made for it."""
    spec = manifest.stages.get("coefficients")
    if spec is None:
        return ()
    return ("crop", "full") if spec.process == FIT_RIG else MODES


def make_avatar(
    manifest: Manifest, portrait: Portrait, mode: str | None = None, threads: int = DEFAULT_THREADS
) -> Made:
    """Make an avatar's content for this family.

    Raises:
        ConfigError: no avatars can be made for the family, or not in this mode.
        PhotoError: the face is too small in this mode.
        EngineError: a network does not load.
    """
    modes = modes_of(manifest)
    if not modes:
        raise ConfigError(f"family {manifest.family} has no stage `coefficients`, so no avatars can be made for it")
    chosen = mode or modes[0]
    if chosen not in modes:
        raise ConfigError(f"mode {chosen}; family {manifest.family} has {', '.join(modes)}")
    if manifest.stage("coefficients").process == FIT_RIG:
        return _fit_rig(manifest, portrait, chosen)
    return _read_coefficients(manifest, portrait, chosen, threads)


def _fit_rig(manifest: Manifest, portrait: Portrait, mode: str) -> Made:
    spec, conditions = manifest.stage("coefficients"), manifest.stage("render").conditions
    if spec.rig is None or conditions is None:
        raise ConfigError(f"family {manifest.family}: making avatars needs a rig and conditions, and it lacks one")
    names = manifest.coefficients.expression
    fit = fit_face(FaceRig.load(spec.rig), names, portrait.landmarks)
    height, width = portrait.picture.shape[:2]
    square = head_square(fit.offset, fit.scale, fit.rig.extents, (width, height))
    size = manifest.size
    arrays = face_model(fit, names, Topology.load(conditions), portrait.landmarks, square, size)
    seen = square.to_picture(portrait.landmarks)
    arrays["landmarks"] = np.asarray(seen[:, :2], np.float32)
    landmarks = (seen + 1) * (size / 2)
    photo = cut_square(portrait.picture, square, max(size, min(int(2 * square.half), largest_photo(manifest))))
    picture = scaled(photo, size)
    matte = _matte(portrait, lambda photo: cut_square(photo, square, size), picture, landmarks)
    notes = [TIGHT] if square.overhang((width, height)) > LITTLE_ROOM else []
    shown = frame_size(manifest, photo.shape[0])
    if shown < min(LARGEST_UNASKED, largest_photo(manifest)):
        notes.append(SMALL.format(pixels=int(2 * square.half), shown=shown))
    if mode not in WHOLE_MODES and max(width, height) < WORTH_KEEPING * 2 * square.half:
        return Made(photo, picture, landmarks, mode, arrays, matte, notes=notes)
    edges = (square.x - square.half, square.y - square.half, square.x + square.half, square.y + square.half)
    whole, box = whole_picture(portrait.picture, edges, shown)
    return Made(photo, picture, landmarks, mode, {**arrays, BOX: box.array()}, matte, whole, notes)


def _matte(
    portrait: Portrait, cut: Callable[[ByteArray], ByteArray], picture: ByteArray, landmarks: FloatArray
) -> FloatArray:
    """Return the matte of the picture that `cut` crops from the photo: the photo's own, or a computed one."""
    if portrait.cut_out is None:
        return cut_out(picture, landmarks)
    told = cut(np.repeat(portrait.cut_out[..., None], 3, axis=2))[..., 0]
    return np.asarray(told, np.float32) / np.float32(255)


def _read_coefficients(manifest: Manifest, portrait: Portrait, mode: str, threads: int) -> Made:
    height, width = portrait.picture.shape[:2]
    box = sadtalker_crop.crop_box(mode, portrait.landmarks, width, height)
    picture = box.cut(portrait.picture, manifest.size)
    landmarks = box.to_picture(portrait.landmarks, manifest.size)
    apart = float(np.linalg.norm(eye_middle(landmarks, LEFT_CORNERS) - eye_middle(landmarks, RIGHT_CORNERS)))
    if apart < LEAST_EYES:
        raise PhotoError(
            f"in mode {mode} the face is {apart:.0f} pixels from eye to eye, expected at least {LEAST_EYES}; "
            "use mode crop or full"
        )
    with _opened(manifest, "coefficients", threads) as stage:
        values, cut_out = read_coefficients(stage, picture, landmarks)
    reference = np.concatenate([values, cut_out])[None].astype(np.float32)
    matte = _matte(portrait, lambda photo: box.cut(photo, manifest.size), picture, landmarks)
    arrays = {"reference": reference, "source_keypoints": _own_keypoints(manifest, picture, reference, mode, threads)}
    if mode not in WHOLE_MODES:
        return Made(picture, picture, landmarks, mode, arrays, matte)
    edges = (box.left, box.top, box.right, box.bottom)
    whole, place = whole_picture(portrait.picture, edges, manifest.size)
    return Made(picture, picture, landmarks, mode, {**arrays, BOX: place.array()}, matte, whole)


def read_coefficients(stage: Engine, picture: ByteArray, landmarks: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a face's expression and pose, [E + P], and its crop, [3]. landmarks: in the picture's pixels."""
    face, cut_out = sadtalker_crop.face_input(picture, landmarks)
    values = stage.infer({"face": face})["coefficients"][0]
    return np.concatenate([values[_EXPRESSION], values[_ANGLES], values[_TRANSLATION]]), cut_out


def _own_keypoints(
    manifest: Manifest, picture: ByteArray, reference: FloatArray, mode: str, threads: int
) -> FloatArray:
    """Return the motion stage's keypoints for the portrait's own coefficients, [1, K, 3]."""
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / np.float32(255.0)
    with _opened(manifest, "appearance", threads) as stage:
        canonical = stage.infer({"portrait": planes})["canonical_keypoints"]
    name = "motion_full" if mode in WHOLE_MODES else "motion"
    spec = manifest.stage(name)
    rows = len(manifest.coefficients) + (SCENE_ROWS if mode in WHOLE_MODES else 0)
    width = sum(spec.context) + 1
    coefficients = np.repeat(reference[:, :rows, None], width, axis=2)
    still = np.zeros((1, 3), np.float32)
    with _opened(manifest, name, threads) as stage:
        inputs = {"coefficients": coefficients, "view": still, "view_on": still, "canonical_keypoints": canonical}
        return stage.infer(inputs)["keypoints"]


class _opened:  # noqa: N801 - used like a function
    """Context manager of one stage, active within the block."""

    def __init__(self, manifest: Manifest, stage: str, threads: int) -> None:
        self._engine = open_stage(manifest, stage, threads=threads)

    def __enter__(self) -> Engine:
        self._engine.activate()
        return self._engine

    def __exit__(self, *_: object) -> None:
        self._engine.deactivate()
