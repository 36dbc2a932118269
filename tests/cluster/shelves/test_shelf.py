"""Avatars on a shelf: fetched once a machine, whole or not at all, and not kept for ever."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import fsspec
import pytest

from engines.manifest import Manifest
from streamer.avatar.catalogue import list_avatars
from streamer.avatar.gallery import Gallery
from streamer.cluster.shelves.bundles import pack
from streamer.cluster.shelves.shelf import Shelf
from streamer.core.errors import BundleError, ConfigError


@pytest.fixture
def manifest(tiny_folder: Path) -> Manifest:
    return Manifest.load(tiny_folder)


@pytest.fixture
def own(own_home: Path, manifest: Manifest) -> Path:
    """An avatar called `me` in this user's folder."""
    folder = own_home / "avatars" / "me"
    shutil.copytree(manifest.folder / "avatars" / "dot", folder)
    return folder


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/shelf"


def test_an_avatar_comes_to_another_machine_whole(
    url: str, own: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = Shelf(url, manifest.family).put(manifest, "me")
    other = tmp_path / "other"
    assert Shelf(url, manifest.family).fetch(other) == ["me"]
    monkeypatch.setenv("AVATAR_HOME", str(other))
    assert "me" in list_avatars(manifest)
    assert Gallery.load(manifest, ["me"], "me").find("me").own
    assert hashlib.sha256(pack(other / "avatars" / "me")).hexdigest() == digest


def test_a_machine_fetches_once_and_the_same_face_is_stored_once(
    url: str, own: Path, manifest: Manifest, tmp_path: Path
) -> None:
    shelf = Shelf(url, manifest.family)
    shutil.copytree(own, own.with_name("again"))
    assert shelf.put(manifest, "me") == shelf.put(manifest, "again")
    assert len(list(Path(url.removeprefix("file://"), "objects").iterdir())) == 1
    assert shelf.fetch(tmp_path / "other") == ["again", "me"]
    shutil.rmtree(Path(url.removeprefix("file://"), "objects"))
    assert shelf.fetch(tmp_path / "other") == ["again", "me"]  # nothing is fetched


def test_a_face_that_is_put_anew_replaces_the_old_one_and_the_old_bundle_goes(
    url: str, own: Path, manifest: Manifest, tmp_path: Path
) -> None:
    shelf, other = Shelf(url, manifest.family), tmp_path / "other"
    shelf.put(manifest, "me")
    shelf.fetch(other)
    about = own / "avatar.json"
    about.write_text(about.read_text() + "\n")
    shelf.put(manifest, "me")
    shelf.fetch(other)
    assert (other / "avatars" / "me" / "avatar.json").read_text() == about.read_text()
    assert len(list((other / "bundles").iterdir())) == 2
    shelf.fetch(other, kept_bytes=0)
    assert len(list((other / "bundles").iterdir())) == 1


def test_an_avatar_of_the_machines_own_is_not_replaced(url: str, own: Path, manifest: Manifest, own_home: Path) -> None:
    shelf = Shelf(url, manifest.family)
    shelf.put(manifest, "me")
    shelf.fetch(own_home)
    assert not own.is_symlink()


def archive(*entries: tuple[str, bytes, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(content), "/etc/passwd"
            file.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "packed",
    [
        archive(("../outside", tarfile.REGTYPE, b"x")),
        archive(("portrait.png", tarfile.SYMTYPE, b"")),
        archive((".hidden", tarfile.REGTYPE, b"x")),
        b"no archive",
    ],
)
def test_a_bundle_that_is_none_is_left_out(url: str, manifest: Manifest, tmp_path: Path, packed: bytes) -> None:
    digest = hashlib.sha256(packed).hexdigest()
    store = fsspec.filesystem("file")
    root = url.removeprefix("file://")
    for path, data in ((f"{root}/objects/{digest}.tar", packed), (f"{root}/avatars/tiny/evil", digest.encode())):
        store.makedirs(path.rpartition("/")[0], exist_ok=True)
        store.pipe_file(path, data)
    other = tmp_path / "other"
    assert Shelf(url, manifest.family).fetch(other) == []
    assert list((other / "bundles").iterdir()) == []
    assert not (tmp_path / "outside").exists()


def test_bytes_that_are_not_what_their_name_says_are_left_out(
    url: str, own: Path, manifest: Manifest, tmp_path: Path
) -> None:
    shelf = Shelf(url, manifest.family)
    digest = shelf.put(manifest, "me")
    Path(url.removeprefix("file://"), "objects", f"{digest}.tar").write_bytes(pack(own)[:-1] + b"x")
    assert shelf.fetch(tmp_path / "other") == []


def test_mistakes_are_told_in_one_line(url: str, manifest: Manifest, tmp_path: Path) -> None:
    assert Shelf(url, "tiny").fetch(tmp_path / "other") == []  # an empty shelf is no mistake
    for act, error, words in (
        (lambda: Shelf("nowhere://x", "tiny"), ConfigError, "nowhere"),
        (lambda: Shelf(url, "tiny").put(manifest, "dot"), ConfigError, "comes with the engines"),
        (lambda: Shelf(url, "tiny").put(manifest, "nobody"), BundleError, "no avatar"),
    ):
        with pytest.raises(error, match=words):
            act()
