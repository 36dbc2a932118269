"""Errors of the streamer.

AvatarError                  (engines.errors) shown to the user as one line
  ├─ EngineError             (engines.errors)
  │    └─ ManifestError      (engines.errors)
  ├─ ConfigError             an option, or a combination of options, that cannot work
  ├─ MediaError              a sound or video file that cannot be read or written
  ├─ BundleError             an avatar that does not exist or is damaged
  ├─ PhotoError              a photo that cannot be made into an avatar
  ├─ DeviceError             a camera, microphone or loudspeaker, or its driver, is missing
  ├─ SessionError            a peer or a session that cannot continue
  ├─ StoreError              files shared by machines that cannot be read or written
  ├─ VoiceError              a text that cannot be spoken
  └─ SpeechError             (streamer.session.speech.speech_protocol) a message that the speech protocol does not allow
"""

from __future__ import annotations

from engines.errors import AvatarError, EngineError, ManifestError

__all__ = [
    "AvatarError",
    "BundleError",
    "ConfigError",
    "DeviceError",
    "EngineError",
    "ManifestError",
    "MediaError",
    "PhotoError",
    "SessionError",
    "StoreError",
    "VoiceError",
]


class ConfigError(AvatarError):
    """An option, or a combination of options, that cannot work."""


class MediaError(AvatarError):
    """A sound or video file that cannot be read or written."""


class BundleError(AvatarError):
    """An avatar that does not exist, or whose folder is damaged."""


class PhotoError(AvatarError):
    """A photo that cannot be read, or cannot be made into an avatar."""


class DeviceError(AvatarError):
    """A camera, microphone or loudspeaker that is missing or was removed, or whose driver or package is missing."""


class SessionError(AvatarError):
    """A peer or a session that cannot continue."""


class StoreError(AvatarError):
    """Files that several machines share cannot be read or written."""


class VoiceError(AvatarError):
    """A text that cannot be spoken. `again`: a retry may succeed."""

    def __init__(self, message: str, again: bool = False) -> None:
        super().__init__(message)
        self.again = again
