"""A photo's colours are what they look like, whatever space they are saved in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from streamer.core.errors import PhotoError
from streamer.photo import photo_file
from streamer.photo.photo_file import load_photo
from tests.fakes.icc import ADOBE_RGB, DISPLAY_P3, SRGB, cmyk_profile, grey_profile, rgb_profile

HEIC = Path(__file__).parents[1] / "data" / "display-p3.heic"  # 96x64: SAVED, the upper left quarter blue
SIZE = (96, 80)
SAVED = (200, 174, 159)
# Of SAVED, by the spaces' primaries and curves; sRGB's own curve for the last.
SKIN = {"adobe": (209, 175, 159), "p3": (207, 174, 158), "srgb": (200, 175, 159)}
PROFILES = {"adobe": rgb_profile(ADOBE_RGB), "p3": rgb_profile(DISPLAY_P3), "srgb": rgb_profile(SRGB)}


def saved(path: Path, picture: Image.Image, **options: Any) -> NDArray[np.int64]:
    picture.save(path, **options)
    return np.asarray(load_photo(path)[SIZE[1] // 2, SIZE[0] // 2], np.int64)


@pytest.mark.parametrize("space", list(SKIN))
@pytest.mark.parametrize(
    ("suffix", "mode"), [("png", "RGB"), ("png", "RGBA"), ("png", "P"), ("jpg", "RGB"), ("tif", "RGB")]
)
def test_an_embedded_profile_is_followed(tmp_path: Path, suffix: str, mode: str, space: str) -> None:
    picture = Image.new("RGB", SIZE, SAVED)
    picture = picture.quantize(8) if mode == "P" else picture.convert(mode)
    options = {"quality": 100} if suffix == "jpg" else {}
    seen = saved(tmp_path / f"a.{suffix}", picture, icc_profile=PROFILES[space], **options)
    assert np.abs(seen - SKIN[space]).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_follows_its_profile(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(np.full(SIZE[::-1], 32896, np.uint16)) if mode == "I;16" else Image.new("L", SIZE, 128)
    grey = grey.convert("LA") if mode == "LA" else grey
    seen = saved(tmp_path / "a.png", grey, icc_profile=grey_profile(1.0))
    assert np.abs(seen - 188).max() <= 1  # half the light


def test_a_print_shop_s_inks_follow_theirs(tmp_path: Path) -> None:
    inks = {"paper": (0, 0, 0, 0), "magenta": (0, 255, 0, 0), "black": (0, 0, 0, 255)}
    seen = {
        name: saved(tmp_path / "a.tif", Image.new("CMYK", SIZE, ink), icc_profile=cmyk_profile())
        for name, ink in inks.items()
    }
    assert seen["paper"].min() > 250
    assert seen["black"].max() < 5
    assert seen["magenta"][1] < seen["magenta"][2] < seen["magenta"][0]
    assert np.abs(seen["magenta"] - (255, 139, 192)).max() <= 3  # of Lab (195, 60, 0), as the profile says


def test_a_profile_of_another_kind_of_picture_or_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    for profile in (cmyk_profile(), b"no profile", PROFILES["p3"][:200]):
        seen = saved(tmp_path / "a.png", Image.new("RGB", SIZE, SAVED), icc_profile=profile)
        assert np.abs(seen - SAVED).max() <= 1


def test_a_camera_s_adobe_rgb_is_known_by_its_exif_alone(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    seen = saved(tmp_path / "a.jpg", Image.new("RGB", SIZE, SAVED), exif=exif, quality=100)
    assert np.abs(seen - SKIN["adobe"]).max() <= 2


def test_a_profile_and_a_turned_camera_go_together(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", SIZE, SAVED)
    picture.paste((0, 0, 0), (0, 0, SIZE[0], 20))
    picture.save(tmp_path / "a.jpg", exif=exif, icc_profile=PROFILES["p3"], quality=100)
    turned = load_photo(tmp_path / "a.jpg")
    assert turned.shape == (SIZE[0], SIZE[1], 3)
    assert turned[40, -5].max() < 10  # the upper edge is at the right
    assert np.abs(turned[40, 20].astype(int) - SKIN["p3"]).max() <= 2


def test_a_telephone_s_heic_opens_in_its_colours() -> None:
    picture = load_photo(HEIC)
    assert picture.shape == (64, 96, 3)
    assert np.abs(picture[50, 80].astype(int) - SKIN["p3"]).max() <= 3
    assert picture[8, 8].argmax() == 2


def test_without_its_reader_a_heic_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo_file, "HEIF_READER", False)
    monkeypatch.setattr(photo_file, "FORMATS", ("JPEG", "PNG"))
    with pytest.raises(PhotoError, match="a HEIC picture, for which the package pi-heif is needed"):
        load_photo(HEIC)
