"""`avatar prepare`: make an avatar bundle from a photo, written atomically."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines.files import PRIVATE_FOLDER, partial_path, private_folder
from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar import matte
from streamer.avatar.bundle import Avatar
from streamer.avatar.bundle_files import ARRAYS, MATTE, PORTRAIT, PREVIEW, WHOLE, write_arrays, write_picture
from streamer.avatar.catalogue import NAME_PATTERN, AvatarInfo, home_folder, is_photo, read_info, write_info
from streamer.avatar.condition_maps import SUBPIXEL_BITS
from streamer.avatar.manner import USUAL, Manner
from streamer.core.errors import BundleError, ConfigError
from streamer.core.frames import ByteArray
from streamer.core.names import plain_name
from streamer.core.options import DEFAULT_THREADS
from streamer.photo.make_avatar import Made, make_avatar
from streamer.photo.portrait import read_portrait
from streamer.photo.rig_constants import LEFT_LIDS_RING, LIPS_RING, RIGHT_LIDS_RING
from streamer.vision.landmarks import LEFT_IRIS, RIGHT_IRIS, shared_landmarker

LICENCE = "that of the photo"
_PREVIEW_SIDE = 384
_MOST_TITLE = 60  # characters


@dataclass(frozen=True)
class PrepareOptions:
    """Options of `avatar prepare`.

    name: None derives it from the file name; mode: None is the family's default; matte: None uses the photo's
    transparency, or computes a matte; owner: the visitor who sent the photo, if any; manner: how the person moves.
    """

    photo: Path
    name: str | None = None
    title: str | None = None
    face: int | None = None
    mode: str | None = None
    matte: Path | None = None
    force: bool = False
    threads: int = DEFAULT_THREADS
    owner: str = ""
    manner: Manner = USUAL


@dataclass(frozen=True)
class Prepared:
    """Location of the bundle, and remarks about the photo."""

    name: str
    folder: Path
    notes: tuple[str, ...]

    @property
    def preview(self) -> Path:
        """Preview picture: the portrait, and beside it the same with the detected outlines."""
        return self.folder / PREVIEW


def prepare(manifest: Manifest, options: PrepareOptions) -> Prepared:
    """Make a user avatar under AVATAR_HOME.

    Raises:
        ConfigError: the name is invalid or taken, the title is invalid, or the family lacks the mode.
        PhotoError: no avatar can be made of the photo.
        BundleError: the bundle cannot be written.
    """
    name = name_of(options.photo) if options.name is None else options.name
    if not NAME_PATTERN.fullmatch(name):
        raise ConfigError(f"{name[:40]!r} is no name for an avatar; use up to 40 of a-z, 0-9, _ and -: --name NAME")
    if options.title is not None and not (options.title.isprintable() and 0 < len(options.title) <= _MOST_TITLE):
        raise ConfigError(f"a title of {len(options.title)} characters; use one line of 1 to {_MOST_TITLE}")
    if name in manifest.avatars:
        raise ConfigError(f"{name} is an avatar of family {manifest.family} itself; choose another --name")
    folder = home_folder() / "avatars" / name
    if folder.exists() and not options.force:
        raise ConfigError(f"there is an avatar {name} in {folder}; choose another --name, or replace it with --force")
    partial = partial_path(folder)
    try:
        private_folder(folder.parent)
        folder.parent.chmod(PRIVATE_FOLDER)  # earlier versions left it readable by all users
        notes = write_avatar(manifest, options, partial, name)
        _replace(partial, folder)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Prepared(name, folder, notes)


@contextmanager
def named_or_photo(
    engines: Engines, asked: str | None, mode: str | None, face: int | None, say: Callable[[str], None]
) -> Iterator[Avatar]:
    """Provide the avatar with a name (None: the default), or a temporary one made from a photo.

    mode, face: as in PrepareOptions, for a photo; `say` receives the remarks about it.

    Raises:
        AvatarError: no such avatar; or as in `prepare`.
    """
    if asked is None or not is_photo(asked):
        if mode is not None or face is not None:
            raise ConfigError("--mode and --face are for a photo; an avatar has them since it was made")
        yield Avatar.load(engines, asked)
        return
    with tempfile.TemporaryDirectory(prefix="avatar-") as parent:
        photo = Path(asked)
        folder = Path(parent) / name_of(photo)
        for note in write_avatar(engines.manifest, PrepareOptions(photo, mode=mode, face=face), folder, folder.name):
            say(note)
        yield Avatar.open(engines, read_info(engines.manifest, folder))


def name_of(photo: Path) -> str:
    """Return a name for a photo's avatar, derived from the file name."""
    return plain_name(photo.stem) or "me"


def write_avatar(manifest: Manifest, options: PrepareOptions, folder: Path, name: str) -> tuple[str, ...]:
    """Create `folder` with the bundle; return remarks about the photo. Raises as `prepare` does, and OSError."""
    portrait = read_portrait(options.photo, shared_landmarker(), options.face, options.matte)
    made = make_avatar(manifest, portrait, options.mode, options.threads)
    private_folder(folder)
    title = options.title or name.replace("-", " ").replace("_", " ").title()
    description = f"Made of a photo on {datetime.date.today().isoformat()}."
    write_info(AvatarInfo(name, title, description, LICENCE, folder, made.mode, options.owner), manifest.family)
    write_picture(folder / PORTRAIT, made.photo)
    matte.write_matte(folder / MATTE, made.matte)
    write_picture(folder / PREVIEW, _preview(made))
    if made.whole is not None:
        write_picture(folder / WHOLE, made.whole)
    own = {} if options.manner == USUAL else options.manner.arrays()
    write_arrays(folder / ARRAYS, {**made.arrays, **own})
    return (*portrait.notes, *made.notes)


def _replace(new: Path, folder: Path) -> None:
    """Replace `folder` by `new`; at any time, one complete bundle exists."""
    old = new.with_suffix(".old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _preview(made: Made) -> ByteArray:
    side = _PREVIEW_SIDE
    plain = np.asarray(cv2.resize(made.picture, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    drawn = plain.copy()
    points = made.landmarks * (side / made.picture.shape[0])
    fixed = np.round(points * (1 << SUBPIXEL_BITS)).astype(np.int32)
    for ring, colour in (
        (LIPS_RING, (255, 210, 60)),
        (RIGHT_LIDS_RING, (80, 220, 255)),
        (LEFT_LIDS_RING, (80, 220, 255)),
    ):
        cv2.polylines(drawn, [fixed[list(ring)]], True, colour, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        middle = (int(fixed[iris, 0]), int(fixed[iris, 1]))
        cv2.circle(drawn, middle, 3 << SUBPIXEL_BITS, (255, 90, 90), -1, cv2.LINE_AA, SUBPIXEL_BITS)
    return np.concatenate([plain, drawn], axis=1)
