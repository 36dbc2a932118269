"""The faces of a family in the inference process: an LRU cache; other faces are built when a session needs them.

A face takes about 17 MB and 125 ms to build, so a user with thirty photos should not pay for all of them.
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

KEPT = 3  # faces in memory; a session keeps its own face after an eviction

Face = tuple[Avatar, FaceRenderer]

logger = logging.getLogger(__name__)


class Faces:
    """The faces that sessions may open.

    names: all faces in the order offered, the default first; renderers: those in memory, by name.
    """

    def __init__(self, engines: Engines, default: str | None = None) -> None:
        """Build the default face (None: the family's) and check the others; a damaged one is skipped with a warning.

        Raises:
            BundleError: the default face cannot be used.
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
        """The default face, always the first of `names`."""
        return self._avatars[self.names[0]]

    def make(self, name: str) -> Face:
        """Build a face from its files, for `add`. May run in another thread, one face at a time. Raises BundleError."""
        try:
            avatar = self._read(name)
            return avatar, FaceRenderer(self.engines, avatar, pixels=LIVE_PIXELS)
        finally:
            self._tidy()

    def add(self, name: str, face: Face) -> None:
        """Keep a face in memory and offer it; evict the least recently used ones."""
        self.offer(name)
        self._avatars[name], self.renderers[name] = face
        self.use(name)
        for oldest in list(self.renderers)[:-KEPT]:
            self._drop(oldest)

    def offer(self, name: str) -> None:
        """Let sessions open a face that is on disk."""
        if name not in self.names:
            self.names.append(name)

    def use(self, name: str) -> bool:
        """Return whether a face is in memory, and mark it as the most recently used."""
        if name not in self.renderers:
            return False
        self.renderers[name] = self.renderers.pop(name)
        return True

    def remove(self, name: str) -> None:
        """Stop offering a face and evict it."""
        if name in self.names:
            self.names.remove(name)
        self._drop(name)

    def open_stream(self, name: str, options: PipelineOptions) -> CoefficientStream:
        """Open the coefficient stream of a new session, for a face in memory."""
        return CoefficientStream(self.engines, self._avatars[name], options)

    def _read(self, name: str) -> Avatar:
        avatar = Avatar.load(self.engines, name)
        matte_of(avatar)  # check it, or build a missing one now: a running session has no time for that
        return avatar

    def _drop(self, name: str) -> None:
        self.renderers.pop(name, None)
        self._avatars.pop(name, None)

    def _tidy(self) -> None:
        """Release the engine that only building faces needs, and return free memory to the system."""
        self.engines["appearance"].deactivate()
        give_back()
