"""Changes of a running session's look: background, picture size and avatar."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from engines.manifest import Manifest
from streamer.avatar import background, frame_size
from streamer.avatar.gallery import Gallery
from streamer.core.errors import BundleError, ConfigError
from streamer.core.options import FaceOptions
from streamer.stages.life.steering import Background, Shown, Size, Wear
from streamer.stages.pose import VAE


def able_to_show(manifest: Manifest) -> list[str]:
    """Return the look controls that a family supports.

    The avatar cannot be changed where the networks of speech and pose depend on the person, as SadTalker's do.
    """
    sizes = ["size"] if len(frame_size.offered_sizes(manifest)) > 1 else []
    others = ["avatar"] if manifest.stage("pose").process != VAE else []
    return ["background", *sizes, *others]


class Looks:
    """The look of one session. gallery: the avatars its owner may choose now; raises HTTPException if not loaded."""

    def __init__(self, manifest: Manifest, face: FaceOptions, gallery: Callable[[], Gallery]) -> None:
        self._manifest = manifest
        self._background = face.background
        self._gallery = gallery

    def read(self, wanted: Shown) -> Shown:
        """Validate a requested look and fill in its details. Raises ConfigError if it is not available."""
        match wanted:
            case Background(value=value):
                return Background(background.changed(self._background, value))
            case Size(value=value):
                frame_size.check(self._manifest, value)
                return wanted
            case Wear(name=name):
                return Wear(self._find(name))

    def _find(self, name: str) -> str:
        try:
            return self._gallery().find(name).name
        except BundleError as error:
            raise ConfigError(str(error)) from None
        except web.HTTPException as error:
            raise ConfigError((error.text or error.reason).strip()) from None
