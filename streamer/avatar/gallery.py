"""The avatars a server offers: what the picker shows, and the still that a session begins with."""

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
    """One avatar as the page sees it.

    png: its picture's file, of at most LARGEST_PNG pixels a side; still: the portrait as large as frames are unasked,
    uint8 [S, S, 3] RGB; photo: as the bundle has it, uint8 [P, P, 3]; network: the family's size, which the matte has.
    """

    name: str
    title: str
    description: str
    png: bytes
    still: ByteArray
    photo: ByteArray
    network: int
    folder: Path
    own: bool  # the user's, not the family's
    owner: str = ""  # which visitor's, where it is one's
    mode: str = MODES[0]  # in which it was made
    whole: bool = False  # whether the bundle has the whole photo

    def shows_whole(self, face: FaceOptions) -> bool:
        """Whether a session shows the whole photo. Raises ConfigError where it cannot as the options ask."""
        if not shows_whole(self.mode, face.mode) or (face.mode is None and not self.whole):
            return False
        if not self.whole:
            raise ConfigError(only_the_head(self.name))
        if face.background is not None:
            raise ConfigError(no_background(self.name))
        return True

    def whole_still(self) -> ByteArray:
        """The whole photo as a session shows it, uint8 [H, W, 3]. Raises BundleError when it is damaged."""
        return limited(read_picture(self.folder / WHOLE), LIVE_PIXELS)

    def on(self, background: str | None) -> ByteArray:
        """The still on a background (see `FaceOptions`); uint8 [S, S, 4] on a transparent one.

        Raises:
            BundleError: the avatar's matte is damaged.
        """
        if background is None:
            return self.still
        matte = load_matte(self.folder, scaled(self.photo, self.network))
        return Backdrop(self.still, scaled_matte(matte, self.still.shape[0]), background).put(self.still)

    def shown(self, background: str | None, size: int) -> ByteArray:
        """As `on`, at `size` pixels a side. Raises BundleError."""
        return scaled(self.photo if background is None else self.on(background), size)


class Gallery:
    """Portraits by name, in the order they are shown; read once, so no request ever touches the disk."""

    def __init__(self, portraits: Iterable[Portrait], default: str) -> None:
        self._portraits = {portrait.name: portrait for portrait in portraits}
        self.default = default

    @classmethod
    def load(cls, manifest: Manifest, names: Iterable[str], default: str) -> Gallery:
        """The portraits of these avatars.

        Raises:
            BundleError: one of them is not there or has no readable picture.
        """
        return cls([read_portrait(manifest, name) for name in names], default)

    def only(self, seen: Callable[[Portrait], bool]) -> Gallery:
        """Those that somebody sees. The default is the first where they do not see the server's."""
        portraits = [portrait for portrait in self._portraits.values() if seen(portrait)]
        names = [portrait.name for portrait in portraits]
        return Gallery(portraits, self.default if self.default in names or not names else names[0])

    def portraits(self) -> list[Portrait]:
        """All of them."""
        return list(self._portraits.values())

    def owned(self, owner: str) -> int:
        """How many are of this visitor's photos."""
        return sum(portrait.owner == owner for portrait in self._portraits.values())

    def add(self, manifest: Manifest, name: str) -> dict[str, object]:
        """An avatar that has come to be, or is called something else; as it is listed. Raises BundleError."""
        portrait = read_portrait(manifest, name)
        self.take(portrait)
        return self.listed(portrait)

    def take(self, portrait: Portrait) -> None:
        """Show one more, or another in place of one of the same name."""
        self._portraits[portrait.name] = portrait

    def remove(self, name: str) -> None:
        """An avatar is no more."""
        self._portraits.pop(name, None)

    def find(self, name: str | None) -> Portrait:
        """The portrait called `name`; None is the default. Raises BundleError naming those there are."""
        chosen = self._portraits.get(self.default if name is None else name)
        if chosen is None:
            raise BundleError(f"no avatar {str(name)[:40]!r}; there are {', '.join(self._portraits) or 'none'}")
        return chosen

    def listing(self, owns: Callable[[str], bool] = lambda owner: True) -> list[dict[str, object]]:
        """For GET /avatars: name, title, description, picture (its address), default, own, whole (see FaceOptions).

        owns: whether what belongs to a visitor belongs to who asks.
        """
        return [self.listed(portrait, owns(portrait.owner)) for portrait in self._portraits.values()]

    def listed(self, portrait: Portrait, theirs: bool = True) -> dict[str, object]:
        """One of the listing."""
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
    """One avatar as the page sees it. Raises BundleError when it is not there or has no readable picture."""
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
