"""The face for an avatar: detected in a photo, chosen among several, and checked for suitability."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from streamer.core.errors import PhotoError
from streamer.core.frames import ByteArray, FloatArray
from streamer.photo.photo_file import load_cut_out
from streamer.vision.landmarks import Face, Landmarker

MAIN_FACE = 1.6  # times as large as the next: clearly the main face
LEAST_EYE_DISTANCE, FEW_EYE_DISTANCE = 16.0, 36.0  # pixels
MOST_YAW, WIDE_YAW = 42.0, 25.0  # degrees
MOST_ROLL = 20.0  # degrees of head roll above which the picture is rotated upright
SURE_PRESENCE, SURE_SCORE = 0.995, 0.8
LEAST_PRESENCE = 0.8  # an animal's face detected as human reaches 0.9 at times, mostly far less
MOST_OUTSIDE = 0.08  # largest share of the landmarks beyond the photo's edge
MATTE_SLACK = 0.02  # tolerance between a matte's and the photo's proportions
LEAST_COVER = 0.8
MOUTH_OPEN = 0.2  # height of the mouth's opening over its width: laughing or speaking
LIDS_SHUT = 0.12  # height of an eye's opening over its width


@dataclass(frozen=True, eq=False)
class Portrait:
    """Picture [H, W, 3] RGB, the landmarks [478, 3] of the chosen face in it, and remarks for the user.

    cut_out: opacity of the person, [H, W] 0..255, if the photo or its owner gave one.
    """

    picture: ByteArray
    landmarks: FloatArray
    notes: list[str] = field(default_factory=list)
    cut_out: ByteArray | None = None


def read_portrait(path: Path, landmarker: Landmarker, chosen: int | None = None, matte: Path | None = None) -> Portrait:
    """Load a photo and find the face to animate. `chosen` counts the faces from left to right, from 1.

    matte: a picture in which the person is light or the rest is transparent; by default, the photo's own transparency.

    Raises:
        PhotoError: the file is not a picture; no face, or several and none chosen; the face is too small or too far in
            profile; the matte has other proportions, or leaves out the face.
    """
    photo, cut_out = load_cut_out(path)
    if matte is not None:
        cut_out = load_matte(matte, photo)
    picture, faces, quarters = _find_upright(photo, landmarker)
    notes = ["the photo lies on its side or its head; it was turned upright"] if quarters else []
    face = _choose(path, faces, chosen, notes)
    notes += check_face(path, face, picture.shape[1], picture.shape[0])
    if cut_out is not None:
        cut_out = np.ascontiguousarray(np.rot90(cut_out, quarters))
        if not covers(cut_out, face.points):
            if matte is not None:
                raise PhotoError(f"{matte}: leaves out the face; expected the person in white, the rest in black")
            cut_out = None
    roll = head_angles(face.points)[2]
    if abs(roll) > MOST_ROLL:
        notes.append(f"the head leans by {abs(roll):.0f} degrees; the picture was turned upright")
        turned, points = _turn(picture, face.points, roll)
        return Portrait(turned, points, notes, None if cut_out is None else _turn(cut_out, face.points, roll)[0])
    return Portrait(picture, face.points, notes, cut_out)


def load_matte(path: Path, photo: ByteArray) -> ByteArray:
    """Load a matte for a photo [H, W, 3]: [H, W] 0..255. Raises PhotoError."""
    picture, opacity = load_cut_out(path)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if opacity is None else opacity
    (high, wide), (height, width) = grey.shape[:2], photo.shape[:2]
    if abs(wide * height - high * width) > MATTE_SLACK * high * width:
        raise PhotoError(f"{path}: {wide}x{high} pixels, the photo {width}x{height}; expected the same proportions")
    return np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def covers(cut_out: ByteArray, points: FloatArray) -> bool:
    """Return whether the matte covers most of a face's landmarks [478, 2+]."""
    height, width = cut_out.shape
    columns, rows = (points[:, axis].astype(int).clip(0, length - 1) for axis, length in ((0, width), (1, height)))
    return bool(cut_out[rows, columns].mean() > LEAST_COVER * 255)


def _find_upright(picture: ByteArray, landmarker: Landmarker) -> tuple[ByteArray, list[Face], int]:
    """Return the picture rotated so that faces are detected best, its faces, and the number of quarter turns.

    The models also accept upside-down faces, but with lower scores: on fourteen portraits, upright faces scored above
    0.83 and 0.999, upside-down ones below 0.78 and 0.995.
    """
    faces = landmarker.find(picture)
    if faces and faces[0].presence >= SURE_PRESENCE and faces[0].detection.score >= SURE_SCORE:
        return picture, faces, 0
    found = [(picture, faces)]
    for quarters in (1, 2, 3):
        turned = np.ascontiguousarray(np.rot90(picture, quarters))
        found.append((turned, landmarker.find(turned)))
    best = max(range(4), key=lambda k: _sureness(found[k][1]))
    return (*found[best], best)


def _sureness(faces: list[Face]) -> float:
    return faces[0].presence * faces[0].detection.score if faces else 0.0


def head_angles(points: FloatArray) -> tuple[float, float, float]:
    """Return rough yaw, pitch and roll of a face in degrees, from its landmarks [478, 3]."""
    across = points[454] - points[234]  # between the ears
    up = points[10] - points[152]  # chin to forehead
    yaw = float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))
    pitch = float(np.degrees(np.arctan2(up[2], np.hypot(up[0], up[1]))))
    eyes = points[[362, 263], :2].mean(0) - points[[33, 133], :2].mean(0)
    return yaw, pitch, float(np.degrees(np.arctan2(eyes[1], eyes[0])))


class SeveralFacesError(PhotoError):
    """Error: `count` faces, none clearly the largest, and none was chosen."""

    def __init__(self, count: int, words: str) -> None:
        super().__init__(words)
        self.count = count


def _choose(path: Path, faces: list[Face], chosen: int | None, notes: list[str]) -> Face:
    if not faces:
        raise PhotoError(f"{path}: no human face found; expected one that looks towards the camera and is not covered")
    ordered = sorted(faces, key=lambda face: float(face.points[:, 0].mean()))
    if chosen is not None:
        if not 1 <= chosen <= len(ordered):
            raise PhotoError(f"{path}: face {chosen} asked for, {_count(ordered)} found, counted from left to right")
        return ordered[chosen - 1]
    main = faces[0]
    if len(faces) > 1:
        place = ordered.index(main) + 1
        if main.eye_distance < MAIN_FACE * faces[1].eye_distance:
            raise SeveralFacesError(
                len(ordered),
                f"{path}: {_count(ordered)} found; choose one with --face 1 (the leftmost) to --face {len(ordered)}, "
                "or cut the photo to one person",
            )
        notes.append(f"{_count(ordered)} found; took the largest, --face {place} from the left")
    return main


def _count(faces: list[Face]) -> str:
    return "1 face" if len(faces) == 1 else f"{len(faces)} faces"


def check_face(path: Path, face: Face, width: int, height: int) -> list[str]:
    """Check a face in a photo of `width` x `height` pixels and return remarks about it.

    Raises:
        PhotoError: the face is not human, too small, cut off, or too far in profile.
    """
    if face.presence < LEAST_PRESENCE:
        raise PhotoError(f"{path}: no human face found, only something a little like one; expected a person's")
    size = face.eye_distance
    if size < LEAST_EYE_DISTANCE:
        raise PhotoError(
            f"{path}: the face is too small, {size:.0f} pixels between the eyes; expected at least "
            f"{LEAST_EYE_DISTANCE:.0f}, better {2 * FEW_EYE_DISTANCE:.0f}"
        )
    outside = (face.points[:, :2] < 0) | (face.points[:, :2] > (width, height))
    if outside.any(1).mean() > MOST_OUTSIDE:
        raise PhotoError(f"{path}: the face is cut off by the photo's edge; expected all of it, with room about it")
    yaw = abs(head_angles(face.points)[0])
    if yaw > MOST_YAW:
        raise PhotoError(
            f"{path}: the face is seen from the side, turned by about {yaw:.0f} degrees; expected at most "
            f"{MOST_YAW:.0f}, better a look into the camera"
        )
    notes = []
    if face.presence < SURE_PRESENCE or face.detection.score < SURE_SCORE:
        notes.append("this is hardly a human face (an animal, a mask?), so its features may be in the wrong places")
    if size < FEW_EYE_DISTANCE:
        notes.append(f"the face is small, {size:.0f} pixels between the eyes, and will look soft")
    if yaw > WIDE_YAW:
        notes.append(f"the face is turned by about {yaw:.0f} degrees; one that looks into the camera moves better")
    if max(_openness(face.points, eye) for eye in ((159, 145, 33, 133), (386, 374, 362, 263))) < LIDS_SHUT:
        notes.append("the eyes look closed, and will stay so; take a photo with open eyes")
    if _openness(face.points, (13, 14, 61, 291)) > MOUTH_OPEN:
        notes.append("the mouth is open; lips that touch in the photo speak better")
    return notes


def _openness(points: FloatArray, ends: tuple[int, int, int, int]) -> float:
    """Return height over width, from the points at the upper and lower edge and in both corners."""
    upper, lower, one, other = points[list(ends), :2]
    return float(np.linalg.norm(upper - lower)) / max(float(np.linalg.norm(one - other)), 1e-6)


def _turn(picture: ByteArray, points: FloatArray, degrees: float) -> tuple[ByteArray, FloatArray]:
    """Rotate picture and landmarks by `-degrees` about the picture's centre; the canvas grows to hold all of it."""
    height, width = picture.shape[:2]
    table = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cosine, sine = abs(table[0, 0]), abs(table[0, 1])
    size = (int(height * sine + width * cosine), int(height * cosine + width * sine))
    table[:, 2] += (size[0] / 2 - width / 2, size[1] / 2 - height / 2)
    turned = cv2.warpAffine(picture, table, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    moved = points.copy()
    moved[:, :2] = points[:, :2] @ table[:, :2].T + table[:, 2]
    return np.asarray(turned, np.uint8), moved.astype(np.float32)
