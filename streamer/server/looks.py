"""What a session's face may be made to look like while it is seen: its background, its size, and whose it is."""

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
    """What any face of a family can be asked for. Where the networks of speech and pose know whose face it is, as
    SadTalker's do, it stays that person's."""
    sizes = ["size"] if len(frame_size.offered_sizes(manifest)) > 1 else []
    others = ["avatar"] if manifest.stage("pose").process != VAE else []
    return ["background", *sizes, *others]


class Looks:
    """One session's. gallery: whom its owner may choose now; raises HTTPException where there is none."""

    def __init__(self, manifest: Manifest, face: FaceOptions, gallery: Callable[[], Gallery]) -> None:
        self._manifest = manifest
        self._background = face.background
        self._gallery = gallery

    def read(self, wanted: Shown) -> Shown:
        """What a wish comes to. Raises ConfigError when it cannot be had."""
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
