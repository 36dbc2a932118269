"""What every video file is made with, whatever moves its face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.core.options import DEFAULT_THREADS, PLAIN_FACE, FaceOptions


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """avatar: a name or a photo, None for the usual one; photo_mode, photo_face: for a photo.

    track: of the sound's file, from 1; None is the first with sound in it.
    """

    out: Path
    avatar: str | None = None
    photo_mode: str | None = None
    photo_face: int | None = None
    track: int | None = None
    face: FaceOptions = PLAIN_FACE
    threads: int = DEFAULT_THREADS
    stats: bool = False
