"""Options common to all rendered videos, from a sound or from a performance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamer.core.options import DEFAULT_THREADS, PLAIN_FACE, FaceOptions
from streamer.render.content_credentials import Signer


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """avatar: a name or a photo, None for the default; photo_mode, photo_face: for a photo.

    track: audio track of the sound file, from 1; None: the first track with sound in it.
    sign: whether to sign the file. certificates: folder to sign with, None: the user's own. See `content_credentials`.
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
        """Open the signer of the file, or return None if it is not to be signed. Raises ConfigError."""
        return Signer.open(self.certificates) if self.sign else None
