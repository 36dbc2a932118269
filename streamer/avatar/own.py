"""Rename or remove the user's own avatars. Those of a family cannot be changed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from engines.manifest import Manifest
from streamer.avatar.catalogue import AvatarInfo, find_avatar, home_folder, write_info
from streamer.core.errors import BundleError, ConfigError

MOST_TITLE = 60  # characters


def is_own(info: AvatarInfo) -> bool:
    """Return whether an avatar is the user's own, and so may be changed."""
    return info.folder.parent == home_folder() / "avatars"


def retitled(manifest: Manifest, name: str, title: str) -> AvatarInfo:
    """Return an avatar's info with another title; nothing is written.

    Raises:
        ConfigError: the title is not valid.
        BundleError: the avatar does not exist or is not the user's own.
    """
    title = " ".join(title.split())
    if not (title.isprintable() and 0 < len(title) <= MOST_TITLE):
        raise ConfigError(f"a title of {len(title)} characters; use one line of 1 to {MOST_TITLE}")
    return replace(_own(manifest, name), title=title)


def rename_avatar(manifest: Manifest, name: str, title: str) -> AvatarInfo:
    """Give an avatar another title. Its name stays; `--avatar` accepts both.

    Raises:
        ConfigError: the title is not valid.
        BundleError: the avatar does not exist, is not the user's own, or cannot be written.
    """
    info = retitled(manifest, name, title)
    try:
        write_info(info, manifest.family)
    except OSError as error:
        raise BundleError(f"{info.folder}: cannot be written ({error.strerror})") from None
    return find_avatar(manifest, info.name)


def remove_avatar(manifest: Manifest, name: str) -> Path:
    """Remove an avatar permanently; return its former folder.

    Raises:
        BundleError: the avatar does not exist, is not the user's own, or cannot be removed.
    """
    folder = _own(manifest, name).folder
    gone = folder.with_name(f".{folder.name}.{os.getpid()}.removed")
    try:
        folder.rename(gone)  # atomic
        shutil.rmtree(gone)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be removed ({error.strerror})") from None
    return folder


def _own(manifest: Manifest, name: str) -> AvatarInfo:
    info = find_avatar(manifest, name)
    if not is_own(info):
        raise BundleError(f"{info.name} comes with the family {manifest.family}; only your own avatars can be altered")
    return info
