"""Options of a session, a face and a recording, as dataclasses."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

NEUTRAL = "neutral"
AUTO = "auto"  # the emotion heard in the voice


@dataclass(frozen=True)
class FaceOptions:
    """Appearance and behaviour of the face; `face_options.check` checks that a family supports them.

    still: the head keeps the portrait's pose; lips, lids and brows move.
    pose_style: one of the family's styles of head motion; None is the first.
    expression_scale: factor on the expression; 1.0 leaves it as the network gives it.
    yaw, pitch, roll: fixed angles of the head in degrees; None leaves an axis free.
    pose_mode: one of POSE_MODES: "live" never waits for later sound, "offline" is the reference's method and waits up
        to 1.6 s; None is live.
    background: behind the person: `#rrggbb`, `blur` or `transparent`, which makes pictures RGBA; None keeps the
        portrait's.
    energy: liveliness of head, brows and gaze, 0 (still) to MAX_ENERGY; 1 is a person in conversation.
    emotion: emotion of the face, one of EMOTIONS; AUTO takes it from the voice; intensity: its strength, 0 to
        MAX_INTENSITY, 1 as in conversation.
    mode: part of the photo to show, one of SHOWN: "crop", the head, or "full", the whole photo; None is the mode that
        the avatar was made in.
    size: side of the frames in pixels, one of FRAME_SIZES; None is LARGEST_UNASKED, or LARGEST_CUT_OUT on another
        background, or less for a smaller photo.
    badge: write "AI-generated" into the pictures.
    """

    still: bool = False
    pose_style: int | None = None
    expression_scale: float = 1.0
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None
    pose_mode: str | None = None
    background: str | None = None
    energy: float = 1.0
    emotion: str = AUTO
    intensity: float = 1.0
    mode: str | None = None
    size: int | None = None
    badge: bool = False


MAX_ENERGY = 2.0
EMOTIONS = (AUTO, NEUTRAL, "happy", "sad", "angry", "surprised", "calm")
MAX_INTENSITY = 2.0
SHOWN = ("crop", "full")
FRAME_SIZES = (256, 384, 512, 768)
LARGEST_UNASKED = 512
LARGEST_CUT_OUT = 384  # on another background: a picture then takes 33 ms on one thread, at 512 it would be 43
POSE_MODES = ("live", "offline")
MAX_ANGLE = 90.0  # degrees of yaw, pitch and roll, either way; a family may allow less
MAX_EXPRESSION_SCALE = 3.0
PLAIN_FACE = FaceOptions()  # all defaults


@dataclass(frozen=True)
class PipelineOptions:
    """Pipeline options of one session.

    lookahead_ms: how long a frame may wait for later audio; None is all that the family can use. See `lookahead`.
    seed: seed of the idle motion (head, blinks, gaze); the same seed and audio give the same frames.
    pictures: False sends coefficients in place of pictures (see `core.units.numbers`).
    """

    lookahead_ms: int | None = None
    seed: int = 0
    face: FaceOptions = PLAIN_FACE
    pictures: bool = True


def any_seed(caller: str | None = None) -> int:
    """Return a random seed for a session without one, so that no two faces blink and turn alike.

    caller: a random ID of the client; it gets the same seed again when it reconnects.
    """
    if caller is None:
        return secrets.randbelow(1 << 32)
    return int.from_bytes(hashlib.blake2b(caller.encode(), digest_size=4, person=b"seed").digest())


LETTERBOX = "letterbox"  # black bars beside the face
CROP = "crop"  # the face cropped to fill the picture
FITS = (LETTERBOX, CROP)

DEFAULT_THREADS = 2  # processor threads for the engines


@dataclass(frozen=True)
class RecordOptions:
    """Files to record a session to. performance: FILE.npz, see `performance`; video: FILE.mp4; None: do not record."""

    performance: Path | None = None
    video: Path | None = None


NOTHING = RecordOptions()
