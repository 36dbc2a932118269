"""Options of a session, a face and a recording, as dataclasses."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

NEUTRAL = "neutral"
AUTO = "auto"  # of emotions: what the voice lets the face feel


@dataclass(frozen=True)
class FaceOptions:
    """How the face is to behave; what a family can do of it is checked by `face_options.check`.

    still: the head keeps the portrait's pose; lips, lids and brows move.
    pose_style: which of the family's styles of head motion; None is the first.
    expression_scale: how strong the expression is, 1.0 as the network gives it.
    yaw, pitch, roll: angles in degrees at which the head is held; None leaves it free.
    pose_mode: one of POSE_MODES: "live" never waits for later sound, "offline" is the reference's own way and waits up
        to 1.6 s; None is live.
    background: behind the person: `#rrggbb`, `blur` or `transparent`, which makes pictures RGBA; None is as the
        portrait has it.
    energy: how lively head, brows and gaze are, 0 (still) to MAX_ENERGY; 1 is a person in conversation.
    emotion: what the face feels, one of EMOTIONS; AUTO is what the voice lets it feel; intensity: how much of it is
        seen, 0 to MAX_INTENSITY, 1 as in conversation.
    mode: what a session shows, one of SHOWN: "crop", the head, or "full", the whole photo; None is as the avatar was
        made.
    size: pixels a side of the frames, one of FRAME_SIZES; None is LARGEST_UNASKED, on another background
        LARGEST_CUT_OUT, or, of a smaller photo, less.
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
PLAIN_FACE = FaceOptions()  # as the family makes it


@dataclass(frozen=True)
class PipelineOptions:
    """What one session may choose.

    lookahead_ms: how long a frame may wait for later audio; None is all the family can use. See `lookahead`.
    seed: of the idle motion (head, blinks, gaze); the same seed and audio give the same frames.
    pictures: False gives coefficients in their place (see `core.units.numbers`).
    """

    lookahead_ms: int | None = None
    seed: int = 0
    face: FaceOptions = PLAIN_FACE
    pictures: bool = True


def any_seed(caller: str | None = None) -> int:
    """A seed for a session that names none: no two faces blink and turn alike.

    caller: a random name of whom the session is for, who finds the same face when it has to call again.
    """
    if caller is None:
        return secrets.randbelow(1 << 32)
    return int.from_bytes(hashlib.blake2b(caller.encode(), digest_size=4, person=b"seed").digest())


LETTERBOX = "letterbox"  # black bars beside the face
CROP = "crop"  # the face cut to fill the picture
FITS = (LETTERBOX, CROP)

DEFAULT_THREADS = 2  # of a processor, for the engines


@dataclass(frozen=True)
class RecordOptions:
    """Files to record a session to. performance: FILE.npz, see `performance`; video: FILE.mp4; None is nothing."""

    performance: Path | None = None
    video: Path | None = None


NOTHING = RecordOptions()
