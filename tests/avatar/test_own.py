"""The user's own avatars are called something else or removed; those of a family stay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engines.manifest import Manifest
from streamer.avatar.catalogue import find_avatar, list_avatars
from streamer.avatar.own import remove_avatar, rename_avatar
from streamer.cli.main import main
from streamer.core.errors import BundleError, ConfigError
from tests.families import tiny_family


@pytest.fixture
def manifest(tiny_folder: Path, own_home: Path) -> Manifest:
    """The tiny family, with `me` of one's own."""
    folder = own_home / "avatars" / "me"
    shutil.copytree(tiny_folder / "avatars" / tiny_family.NAME, folder)
    about = json.loads((folder / "avatar.json").read_text())
    (folder / "avatar.json").write_text(json.dumps(about | {"name": "me", "title": "IMG 1234"}))
    return Manifest.load(tiny_folder)


def test_a_title_is_taken_where_a_name_is(manifest: Manifest) -> None:
    file = find_avatar(manifest, "me").folder / "avatar.json"
    file.chmod(0o600)
    rename_avatar(manifest, "me", "  Anna   Smith ")
    assert file.stat().st_mode & 0o777 == 0o600
    for asked in ("me", "Anna Smith", "anna smith"):
        assert find_avatar(manifest, asked).title == "Anna Smith"


def test_a_removed_avatar_is_gone(manifest: Manifest, own_home: Path) -> None:
    remove_avatar(manifest, "IMG 1234")
    assert "me" not in list_avatars(manifest)
    assert list((own_home / "avatars").iterdir()) == []


@pytest.mark.parametrize("title", ["", "  ", "x" * 61, "a\x07b"])
def test_an_impossible_title_is_refused(manifest: Manifest, title: str) -> None:
    with pytest.raises(ConfigError, match="use one line of 1 to 60"):
        rename_avatar(manifest, "me", title)


def test_the_familys_own_stay(manifest: Manifest) -> None:
    for alter in (lambda: remove_avatar(manifest, tiny_family.NAME), lambda: rename_avatar(manifest, "dot", "Spot")):
        with pytest.raises(BundleError, match="only your own avatars"):
            alter()
    assert tiny_family.NAME in list_avatars(manifest)


def test_two_of_one_title_are_distinguished_by_name_only(manifest: Manifest, own_home: Path) -> None:
    shutil.copytree(own_home / "avatars" / "me", own_home / "avatars" / "you")
    with pytest.raises(BundleError, match="there are dot, me, you"):
        find_avatar(manifest, "IMG 1234")


def test_the_commands(manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    family = ["--engines", str(manifest.folder)]
    assert main(["rename", "me", "Anna", *family]) == 0
    assert main(["remove", "anna", *family]) == 0
    assert main(["remove", "anna", *family]) == 2
    out, err = capsys.readouterr()
    assert "me is called Anna" in out
    assert err == "avatar: no avatar 'anna'; there are dot\n"
