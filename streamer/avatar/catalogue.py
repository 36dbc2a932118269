"""Catalogue of avatars: their folders, names and descriptions."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import platformdirs

from engines import json_file
from engines.errors import ManifestError
from engines.json_file import Natural, Text, form
from engines.manifest import Manifest
from streamer.core.errors import BundleError

FORMAT = 1
ABOUT = "avatar.json"
HOME_VARIABLE = "AVATAR_HOME"
MODES = ("crop", "extcrop", "resize", "full", "extfull")  # how a portrait was cut out of its picture
WHOLE_MODES = ("full", "extfull")  # frames can be pasted back into the whole picture


def shows_whole(made: str, asked: str | None) -> bool:
    """Return whether pictures show the whole photo, given the mode an avatar was made in and the one asked for."""
    return (asked or made) in WHOLE_MODES


Mode = Annotated[str, form(f"one of {', '.join(MODES)}", pattern=f"^({'|'.join(MODES)})$")]
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_SHOWN_NAMES = 20


@dataclass(frozen=True)
class AvatarInfo:
    """Metadata of a bundle. owner: the visitor who sent its photo; "" for avatars of the server's operator."""

    name: str
    title: str
    description: str
    licence: str
    folder: Path
    mode: str = MODES[0]
    owner: str = ""


class _About(msgspec.Struct):
    """Schema of `avatar.json`."""

    format: Natural
    title: Text
    family: Text
    description: Text
    licence: Text
    mode: Mode = MODES[0]
    name: str = ""  # for readers of the file; the folder's name is used
    owner: str = ""


def list_avatars(manifest: Manifest) -> list[str]:
    """Return the names of the family's avatars and of the user's own ones for it, the default first."""
    own = (path.parent.name for path in sorted(home_folder().glob(f"avatars/*/{ABOUT}")))
    mine = [name for name in own if NAME_PATTERN.fullmatch(name) and name not in manifest.avatars]
    theirs = sorted(manifest.avatars, key=lambda name: (name != manifest.default_avatar, name))
    return [*theirs, *(name for name in mine if _belongs(manifest, name))]


def default_name(manifest: Manifest) -> str:
    """Return the avatar to use when none is named: the family's default, else the user's first.

    Raises:
        BundleError: the family has none, and neither has the user.
    """
    if names := list_avatars(manifest)[:1]:
        return names[0]
    raise BundleError(
        f"family {manifest.family} has no avatar yet; make one of a picture with `avatar prepare PHOTO --name NAME`"
    )


def find_avatar(manifest: Manifest, name: str) -> AvatarInfo:
    """Find the avatar called `name`: the family's, else the user's own, else the only one with such a title.

    Raises:
        BundleError: the avatar does not exist, the name is not valid, or the bundle is damaged.
    """
    folder = _folder(manifest, name) if NAME_PATTERN.fullmatch(name) else None
    if folder is None:
        known = list_avatars(manifest)
        folder = _titled(manifest, known, name)
    if folder is None:
        if not known:
            default_name(manifest)  # raises the error for it
        more = f" and {len(known) - _SHOWN_NAMES} more" if len(known) > _SHOWN_NAMES else ""
        hint = f"; for a photo, say first: avatar prepare {name[:80]}" if is_photo(name) else ""
        raise BundleError(f"no avatar {name[:40]!r}; there are {', '.join(known[:_SHOWN_NAMES])}{more}{hint}")
    return read_info(manifest, folder)


def read_info(manifest: Manifest, folder: Path) -> AvatarInfo:
    """Read the metadata of the bundle in `folder`. Raises BundleError when it is damaged or of another family."""
    info, family = _read_info(folder)
    if family != manifest.family:
        raise BundleError(
            f"avatar {info.name} was made for family {family}, the engines are of family {manifest.family}"
        )
    return info


def is_photo(text: str) -> bool:
    """Return whether the text is the path of a picture and not the name of an avatar."""
    if NAME_PATTERN.fullmatch(text):
        return False
    try:
        return Path(text).suffix != "" or Path(text).is_file()
    except (OSError, ValueError):  # not a valid path: too long, or with a null character
        return False


def home_folder() -> Path:
    """Return the folder of the user's data: AVATAR_HOME, else the platform's data folder."""
    chosen = os.environ.get(HOME_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_data_path("avatar-streamer", appauthor=False)


def _folder(manifest: Manifest, name: str) -> Path | None:
    if name in manifest.avatars:
        return manifest.folder / "avatars" / name
    own = home_folder() / "avatars" / name
    return own if (own / ABOUT).is_file() else None


def _titled(manifest: Manifest, names: list[str], title: str) -> Path | None:
    wanted = " ".join(title.split()).casefold()
    folders = [folder for name in names if (folder := _folder(manifest, name)) is not None]
    found = [folder for folder in folders if _read_info(folder)[0].title.casefold() == wanted]
    return found[0] if len(found) == 1 else None


def _belongs(manifest: Manifest, name: str) -> bool:
    """Return whether the user's bundle is of this family; False for a damaged one, which listings leave out."""
    try:
        find_avatar(manifest, name)
    except BundleError:
        return False
    return True


def write_info(info: AvatarInfo, family: str) -> None:
    """Write a bundle's `avatar.json`, readable by its user only. Raises OSError."""
    about = _About(FORMAT, info.title, family, info.description, info.licence, info.mode, info.name, info.owner)
    json_file.write(info.folder / ABOUT, about, private=True)


def _read_info(folder: Path) -> tuple[AvatarInfo, str]:
    try:
        about = json_file.read_format(folder / ABOUT, _About, FORMAT)
    except ManifestError as error:
        raise BundleError(str(error)) from None
    info = AvatarInfo(folder.name, about.title, about.description, about.licence, folder, about.mode, about.owner)
    return info, about.family
