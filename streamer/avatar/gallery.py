"""The avatars that a server offers: entries of the picker, and the still picture that a session starts with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from engines.manifest import Manifest
from streamer.avatar.backdrop import Backdrop
from streamer.avatar.bundle_files import WHOLE, portrait_file, read_bytes, read_picture
from streamer.avatar.catalogue import MODES, find_avatar, shows_whole
from streamer.avatar.frame_size import LIVE_PIXELS, frame_size
from streamer.avatar.matte import load_matte, scaled_matte
from streamer.avatar.own import is_own
from streamer.avatar.paste import limited, no_background, only_the_head
from streamer.core.errors import BundleError, ConfigError
from streamer.core.frames import ByteArray
from streamer.core.options import FaceOptions
from streamer.core.pictures import decode, encode_png, scaled

LARGEST_PNG = 512  # pixels a side: a page shows several


@dataclass(frozen=True, eq=False)
class Portrait:
    """One avatar as shown on the page.

    png: contents of its picture file, of at most LARGEST_PNG pixels a side; still: the portrait at the default frame
    size, uint8 [S, S, 3] RGB; photo: as in the bundle, uint8 [P, P, 3]; network: the family's size, also the matte's.
    """

    name: str
    title: str
    description: str
    png: bytes
    still: ByteArray
    photo: ByteArray
    network: int
    folder: Path
    own: bool  # belongs to the user, not to the family
    owner: str = ""  # visitor it belongs to, if any
    mode: str = MODES[0]  # it was made in
    whole: bool = False  # whether the bundle has the whole photo

    def shows_whole(self, face: FaceOptions) -> bool:
        """Return whether a session shows the whole photo. Raises ConfigError: it cannot as the options ask."""
        if not shows_whole(self.mode, face.mode) or (face.mode is None and not self.whole):
            return False
        if not self.whole:
            raise ConfigError(only_the_head(self.name))
        if face.background is not None:
            raise ConfigError(no_background(self.name))
        return True

    def whole_still(self) -> ByteArray:
        """Return the whole photo as a session shows it, uint8 [H, W, 3]. Raises BundleError: it is damaged."""
        return limited(read_picture(self.folder / WHOLE), LIVE_PIXELS)

    def on(self, background: str | None) -> ByteArray:
        """Return the still on a background (see `FaceOptions`); uint8 [S, S, 4] on a transparent one.

        Raises:
            BundleError: the avatar's matte is damaged.
        """
        if background is None:
            return self.still
        matte = load_matte(self.folder, scaled(self.photo, self.network))
        return Backdrop(self.still, scaled_matte(matte, self.still.shape[0]), background).put(self.still)

    def shown(self, background: str | None, size: int) -> ByteArray:
        """Return the portrait on a background at `size` pixels a side. Raises BundleError: its matte is damaged."""
        return scaled(self.photo if background is None else self.on(background), size)


class Gallery:
    """Portraits by name, in display order; read once, so that listing them needs no disk access."""

    def __init__(self, portraits: Iterable[Portrait], default: str) -> None:
        self._portraits = {portrait.name: portrait for portrait in portraits}
        self.default = default

    @classmethod
    def load(cls, manifest: Manifest, names: Iterable[str], default: str) -> Gallery:
        """Read the portraits of these avatars.

        Raises:
            BundleError: one of them does not exist or has no readable picture.
        """
        return cls([read_portrait(manifest, name) for name in names], default)

    def only(self, seen: Callable[[Portrait], bool]) -> Gallery:
        """Return the gallery of visible portraits; its default is the first if the server's is not visible."""
        portraits = [portrait for portrait in self._portraits.values() if seen(portrait)]
        names = [portrait.name for portrait in portraits]
        return Gallery(portraits, self.default if self.default in names or not names else names[0])

    def portraits(self) -> list[Portrait]:
        """Return all portraits."""
        return list(self._portraits.values())

    def owned(self, owner: str) -> int:
        """Count the avatars made from this visitor's photos."""
        return sum(portrait.owner == owner for portrait in self._portraits.values())

    def add(self, manifest: Manifest, name: str) -> dict[str, object]:
        """Add a new or renamed avatar; return its listing entry. Raises BundleError."""
        portrait = read_portrait(manifest, name)
        self.take(portrait)
        return self.listed(portrait)

    def take(self, portrait: Portrait) -> None:
        """Add a portrait, or replace the one of the same name."""
        self._portraits[portrait.name] = portrait

    def remove(self, name: str) -> None:
        """Remove an avatar, if it is there."""
        self._portraits.pop(name, None)

    def find(self, name: str | None) -> Portrait:
        """Return the portrait called `name`; None is the default. Raises BundleError, which lists the known names."""
        chosen = self._portraits.get(self.default if name is None else name)
        if chosen is None:
            raise BundleError(f"no avatar {str(name)[:40]!r}; there are {', '.join(self._portraits) or 'none'}")
        return chosen

    def listing(self, owns: Callable[[str], bool] = lambda owner: True) -> list[dict[str, object]]:
        """Return the entries for GET /avatars: name, title, description, picture (URL), default, own, whole.

        owns: whether the given owner is the visitor who asks.
        """
        return [self.listed(portrait, owns(portrait.owner)) for portrait in self._portraits.values()]

    def listed(self, portrait: Portrait, theirs: bool = True) -> dict[str, object]:
        """Return one entry of the listing."""
        return {
            "name": portrait.name,
            "title": portrait.title,
            "description": portrait.description,
            "picture": f"/avatars/{portrait.name}.png",
            "default": portrait.name == self.default,
            "own": portrait.own and theirs,
            "whole": portrait.whole,
        }


def read_portrait(manifest: Manifest, name: str) -> Portrait:
    """Read one avatar's portrait. Raises BundleError: it does not exist or has no readable picture."""
    info = find_avatar(manifest, name)
    path = portrait_file(info.folder)
    png = read_bytes(path)
    photo = decode(png)
    if photo is None:
        raise BundleError(f"{path}: not a picture")
    if max(photo.shape[:2]) > LARGEST_PNG or path.suffix != ".png":
        png = encode_png(scaled(photo, min(photo.shape[0], LARGEST_PNG)))
    still = scaled(photo, frame_size(manifest, photo.shape[0]))
    own = is_own(info)
    return Portrait(
        info.name,
        info.title,
        info.description,
        png,
        still,
        photo,
        manifest.size,
        info.folder,
        own,
        info.owner if own else "",
        info.mode,
        (info.folder / WHOLE).is_file(),
    )
