"""What every video file is made with, whatever moves its face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.core.options import DEFAULT_THREADS, PLAIN_FACE, FaceOptions
from streamer.render.content_credentials import Signer


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """avatar: a name or a photo, None for the usual one; photo_mode, photo_face: for a photo.

    track: of the sound's file, from 1; None is the first with sound in it.
    sign: whether to sign the file; with certificates of the folder, None is the user's own. See `content_credentials`.
    """

    out: Path
    avatar: str | None = None
    photo_mode: str | None = None
    photo_face: int | None = None
    track: int | None = None
    face: FaceOptions = PLAIN_FACE
    threads: int = DEFAULT_THREADS
    stats: bool = False
    sign: bool = False
    certificates: Path | None = None

    def signer(self) -> Signer | None:
        """Open the signer of the file, if it is to be signed. Raises ConfigError."""
        return Signer.open(self.certificates) if self.sign else None
