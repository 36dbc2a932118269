"""Avatars are found by name, checked against the family, and refused with one line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.avatar.catalogue import find_avatar, list_avatars
from streamer.core.errors import BundleError
from streamer.pipeline import Avatar, Engines
from tests.families.tiny_family import POINTS, SIZE, face, write_avatar


@pytest.fixture
def mine(own_home: Path) -> Path:
    """An avatar of the user's own."""
    folder = own_home / "avatars" / "mine"
    write_avatar(folder)
    return folder


def test_the_default_avatar_is_loaded_with_its_appearance(tiny: Engines) -> None:
    avatar = Avatar.load(tiny)
    assert avatar.name == "dot"
    assert avatar.info.title == "Dot"
    portrait = avatar.constants["portrait"]
    assert portrait.shape == (1, 3, SIZE, SIZE)
    # RGB, though OpenCV wrote the file as BGR: the lower half's blue is 40.
    np.testing.assert_allclose(portrait[0, :, -1, 0] * 255, [160, 80, 40], atol=0.01)
    features = avatar.constants["source_conditions"] * portrait.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(avatar.constants["features"], features, atol=1e-5)


def test_the_user_s_own_avatars_come_after_the_family_s(tiny: Engines, mine: Path) -> None:
    assert list_avatars(tiny.manifest) == ["dot", "mine"]
    assert Avatar.load(tiny, "mine").info.folder == mine


def test_an_own_avatar_cannot_take_the_place_of_the_family_s(tiny: Engines, own_home: Path) -> None:
    write_avatar(own_home / "avatars" / "dot")
    assert list_avatars(tiny.manifest) == ["dot"]
    assert find_avatar(tiny.manifest, "dot").folder.is_relative_to(tiny.manifest.folder)


def test_avatars_of_other_families_are_not_listed(tiny: Engines, own_home: Path) -> None:
    write_avatar(own_home / "avatars" / "stranger", family="other")
    assert list_avatars(tiny.manifest) == ["dot"]
    with pytest.raises(BundleError, match="made for family other, the engines are of family tiny"):
        Avatar.load(tiny, "stranger")


@pytest.mark.parametrize("name", ["nobody", "", "../dot", "a/b", "x" * 500, "nobody\n"])
def test_an_unknown_name_lists_those_there_are(tiny: Engines, mine: Path, name: str) -> None:
    with pytest.raises(BundleError, match=r"no avatar '.*'; there are dot, mine$") as caught:
        Avatar.load(tiny, name)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("name", ["Dot", "dot\n"])
def test_a_title_names_an_avatar_too(tiny: Engines, name: str) -> None:
    assert Avatar.load(tiny, name).name == "dot"


def test_a_portrait_of_another_size(tiny: Engines, mine: Path) -> None:
    cv2.imwrite(str(mine / "portrait.png"), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(BundleError, match=r"portrait\.png: 30x20 pixels, expected 32x32"):
        Avatar.load(tiny, "mine")


@pytest.mark.parametrize("content", [b"", b"GIF89a?", None])
def test_a_file_that_is_not_a_portrait(tiny: Engines, mine: Path, content: bytes | None) -> None:
    path = mine / "portrait.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError, match=r"portrait\.png: (not a picture|No such file)"):
        Avatar.load(tiny, "mine")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"numbers"])
def test_arrays_that_are_none(tiny: Engines, mine: Path, content: bytes) -> None:
    (mine / "arrays.npz").write_bytes(content)
    with pytest.raises(BundleError, match=r"arrays\.npz: (not an|a damaged) \.npz file"):
        Avatar.load(tiny, "mine")


def test_arrays_that_are_damaged_anywhere(tiny: Engines, mine: Path) -> None:
    path, random = mine / "arrays.npz", np.random.default_rng(0)
    np.savez_compressed(path, allow_pickle=False, **face())
    whole = path.read_bytes()
    refused = 0
    for place in random.integers(len(whole), size=60):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        try:
            Avatar.load(tiny, "mine")
        except BundleError:
            refused += 1
    assert refused > 30  # not every byte of a zip file matters


def test_an_array_in_place_of_several(tiny: Engines, mine: Path) -> None:
    with (mine / "arrays.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(BundleError, match=r"(not an|a damaged) \.npz file"):
        Avatar.load(tiny, "mine")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_numbers_that_no_face_has(tiny: Engines, mine: Path, value: float) -> None:
    points = face()["source_keypoints"].copy()
    points.flat[4] = value
    np.savez(mine / "arrays.npz", allow_pickle=False, **face() | {"source_keypoints": points})
    with pytest.raises(BundleError, match="source_keypoints holds values that are no numbers"):
        Avatar.load(tiny, "mine")


def test_keypoints_of_another_number(tiny: Engines, mine: Path) -> None:
    np.savez(mine / "arrays.npz", allow_pickle=False, **face() | {"source_keypoints": np.zeros((3, 3), np.float32)})
    with pytest.raises(BundleError, match=rf"source_keypoints is \[3, 3\], expected \[{POINTS}, 3\]"):
        Avatar.load(tiny, "mine")


def test_a_manner_of_another_form(tiny: Engines, mine: Path) -> None:
    np.savez(mine / "arrays.npz", allow_pickle=False, **face() | {"manner": np.ones(3, np.float32)})
    with pytest.raises(BundleError, match=r"manner is \[3\], expected \[4\]"):
        Avatar.load(tiny, "mine")


def test_landmarks_of_another_number(tiny: Engines, mine: Path) -> None:
    np.savez(mine / "arrays.npz", allow_pickle=False, **face() | {"landmarks": np.zeros((68, 2), np.float32)})
    with pytest.raises(BundleError, match=r"landmarks is \[68, 2\], expected \[478, 2\]"):
        Avatar.load(tiny, "mine")


def test_pickled_arrays_are_not_opened(tiny: Engines, mine: Path) -> None:
    """A pickle can run code."""
    np.savez(mine / "arrays.npz", neutral=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleError, match=r"(not an|a damaged) \.npz file"):
        Avatar.load(tiny, "mine")


def test_arrays_of_another_face_model(tiny: Engines, mine: Path) -> None:
    arrays = face() | {"basis": np.zeros((2, POINTS, 3), np.float32)}
    np.savez(mine / "arrays.npz", allow_pickle=False, **arrays)
    with pytest.raises(BundleError, match=r"does not fit family tiny: .*basis is float32\[2,10,3\], expected"):
        Avatar.load(tiny, "mine")


@pytest.mark.parametrize("absent", ["basis", "source_keypoints"])
def test_an_array_that_is_missing(tiny: Engines, mine: Path, absent: str) -> None:
    arrays = {name: value for name, value in face().items() if name != absent}
    np.savez(mine / "arrays.npz", allow_pickle=False, **arrays)
    with pytest.raises(BundleError, match=absent):
        Avatar.load(tiny, "mine")


def test_a_damaged_description(tiny: Engines, mine: Path) -> None:
    (mine / "avatar.json").write_text(json.dumps({"format": 3}))
    assert list_avatars(tiny.manifest) == ["dot"]
    with pytest.raises(BundleError, match=r"avatar\.json: format 3, this version reads format 1"):
        Avatar.load(tiny, "mine")
