"""Messages between a server and the process that makes an avatar (`child`), as JSON."""

from __future__ import annotations

import msgspec


class MakeAvatar(msgspec.Struct, tag="make", frozen=True):
    """Make an avatar of the photo at `photo` for the family in `engines`."""

    photo: str
    name: str
    title: str
    engines: str
    threads: int = 1
    face: int | None = None  # which of several, counted from the left, from 1
    owner: str = ""  # which visitor sent it


class Made(msgspec.Struct, tag="made", frozen=True):
    """The avatar is in the user's home; `notes` are remarks about the photo."""

    notes: tuple[str, ...]


class Refused(msgspec.Struct, tag="refused", frozen=True):
    """No avatar can be made; `reason` is for the sender of the photo and names no path.

    faces: how many there are, where one has to be chosen.
    """

    reason: str
    faces: int | None = None


Answer = Made | Refused
