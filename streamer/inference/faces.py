"""The faces of a family in the inference process: those used last stay in memory, any other is made when it is wanted.

A face takes some 17 MB and an eighth of a second: nobody who keeps thirty photos should pay for all of them.
"""

from __future__ import annotations

import logging

from streamer.avatar.bundle import Avatar
from streamer.avatar.catalogue import default_name, find_avatar, list_avatars
from streamer.avatar.frame_size import LIVE_PIXELS
from streamer.avatar.matte import matte_of
from streamer.core.errors import BundleError
from streamer.core.options import PipelineOptions
from streamer.core.system.memory import give_back
from streamer.pipeline import CoefficientStream, Engines, FaceRenderer

KEPT = 3  # in memory; sessions keep what they show whatever leaves it

Face = tuple[Avatar, FaceRenderer]

logger = logging.getLogger(__name__)


class Faces:
    """The faces that sessions may be opened with.

    names: of all, in the order in which they are offered, the default first; renderers: those in memory, by name.
    """

    def __init__(self, engines: Engines, default: str | None = None) -> None:
        """Make the default face (None: the family's) and look at the others; a damaged one is left out, with a warning.

        Raises:
            BundleError: the default one cannot be used.
        """
        self.engines = engines
        self.names: list[str] = []
        self.renderers: dict[str, FaceRenderer] = {}
        self._avatars: dict[str, Avatar] = {}
        manifest = engines.manifest
        first = find_avatar(manifest, default_name(manifest) if default is None else default).name
        self.add(first, self.make(first))
        for name in list_avatars(manifest):
            if name != first:
                try:
                    self._read(name)
                    self.names.append(name)
                except BundleError as error:
                    logger.warning("avatar %s is left out: %s", name, error)
        self._tidy()

    @property
    def default(self) -> Avatar:
        """The default face, which was made first."""
        return self._avatars[self.names[0]]

    def make(self, name: str) -> Face:
        """Make a face anew, for `add`; another thread may do it, one face at a time. Raises BundleError."""
        try:
            avatar = self._read(name)
            return avatar, FaceRenderer(self.engines, avatar, pixels=LIVE_PIXELS)
        finally:
            self._tidy()

    def add(self, name: str, face: Face) -> None:
        """Keep a face in memory, and offer it; those not used for longest leave."""
        self.offer(name)
        self._avatars[name], self.renderers[name] = face
        self.use(name)
        for oldest in list(self.renderers)[:-KEPT]:
            self._drop(oldest)

    def offer(self, name: str) -> None:
        """Let sessions be opened with a face that is on the disk."""
        if name not in self.names:
            self.names.append(name)

    def use(self, name: str) -> bool:
        """Whether a face is in memory, where it then stays the longest."""
        if name not in self.renderers:
            return False
        self.renderers[name] = self.renderers.pop(name)
        return True

    def remove(self, name: str) -> None:
        """Offer it no longer."""
        if name in self.names:
            self.names.remove(name)
        self._drop(name)

    def open_stream(self, name: str, options: PipelineOptions) -> CoefficientStream:
        """The way from sound to coefficients of a new session with a face in memory."""
        return CoefficientStream(self.engines, self._avatars[name], options)

    def _read(self, name: str) -> Avatar:
        avatar = Avatar.load(self.engines, name)
        matte_of(avatar)  # checked, and made where there is none: when a session asks for it there is no time
        return avatar

    def _drop(self, name: str) -> None:
        self.renderers.pop(name, None)
        self._avatars.pop(name, None)

    def _tidy(self) -> None:
        """Release what only the making of faces needs, and memory that is free."""
        self.engines["appearance"].deactivate()
        give_back()
