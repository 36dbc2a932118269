"""Avatars: a folder with a portrait and its face model, and what is computed from it once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.frames import FloatArray


@dataclass(frozen=True, eq=False)
class Avatar:
    """A face ready to be driven. `constants` holds every value that does not change between frames, by name."""

    name: str
    title: str
    constants: Mapping[str, FloatArray]

    @classmethod
    def load(cls, engines: Engines, name: str | None = None) -> Avatar:
        """Read the bundle `name` (None: the family's default) and compute its appearance.

        Raises:
            BundleError: no such avatar (the message lists those there are), or a damaged one.
        """
        raise NotImplementedError


def list_avatars(manifest: Manifest) -> list[str]:
    """Names of the family's avatars and of the user's own for it, sorted."""
    raise NotImplementedError
