"""Messages between a server and the process that makes an avatar (`child`), as JSON."""

from __future__ import annotations

import msgspec


class MakeAvatar(msgspec.Struct, tag="make", frozen=True):
    """Request to make an avatar of the photo at `photo` for the family in `engines`."""

    photo: str
    name: str
    title: str
    engines: str
    threads: int = 1
    face: int | None = None  # which of several faces, counted from the left, from 1
    owner: str = ""  # the visitor who sent the photo


class Made(msgspec.Struct, tag="made", frozen=True):
    """Answer: the avatar is in the user's home; `notes` are remarks about the photo."""

    notes: tuple[str, ...]


class Refused(msgspec.Struct, tag="refused", frozen=True):
    """Answer: no avatar can be made; `reason` is for the sender of the photo and contains no path.

    faces: number of faces, if one has to be chosen.
    """

    reason: str
    faces: int | None = None


Answer = Made | Refused
