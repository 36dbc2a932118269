"""Photos of every kind come out upright, RGB and 8 bits; what is no photo is one clear line."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamer.core.errors import PhotoError
from streamer.photo.photo_file import BACKDROP, LEAST_SIDE, WORKING_SIDE, load_photo

WIDTH, HEIGHT = 96, 80


def quarters() -> np.ndarray:
    """Red, green / blue, white: tells every turn and channel order."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[: HEIGHT // 2, : WIDTH // 2] = (255, 0, 0)
    picture[: HEIGHT // 2, WIDTH // 2 :] = (0, 255, 0)
    picture[HEIGHT // 2 :, : WIDTH // 2] = (0, 0, 255)
    picture[HEIGHT // 2 :, WIDTH // 2 :] = 255
    return picture


def corners(picture: np.ndarray) -> list[tuple[int, ...]]:
    """Colours near the four corners, rounded to 0 or 255, row by row."""
    rows = (picture[8, 8], picture[8, -9], picture[-9, 8], picture[-9, -9])
    return [tuple(int(value > 127) * 255 for value in row) for row in rows]


RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.bmp", "a.gif"])
def test_formats(tmp_path: Path, name: str) -> None:
    Image.fromarray(quarters()).save(tmp_path / name)
    picture = load_photo(tmp_path / name)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert picture.dtype == np.uint8
    assert corners(picture) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [(3, [WHITE, BLUE, GREEN, RED]), (6, [BLUE, RED, WHITE, GREEN]), (8, [GREEN, WHITE, RED, BLUE])],
)
def test_a_turned_camera_is_turned_back(tmp_path: Path, orientation: int, expected: list[tuple[int, ...]]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(quarters()).save(tmp_path / "a.jpg", exif=exif)
    assert corners(load_photo(tmp_path / "a.jpg")) == expected


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_become_a_plain_backdrop(tmp_path: Path, mode: str) -> None:
    rgba = np.dstack([quarters(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[: HEIGHT // 2, : WIDTH // 2, 3] = 0
    Image.fromarray(rgba).convert(mode).save(tmp_path / "a.png")
    picture = load_photo(tmp_path / "a.png")
    np.testing.assert_allclose(picture[8, 8], BACKDROP, atol=1)
    assert picture[-9, -9].min() > 250


def test_grey_of_16_bits_keeps_its_range(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, WIDTH).astype(np.uint16), (HEIGHT, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png")
    picture = load_photo(tmp_path / "a.png")
    assert (picture[..., 0] == picture[..., 2]).all()
    np.testing.assert_allclose(picture[5, [0, WIDTH // 2, -1], 0], [0, 128, 255], atol=2)


@pytest.mark.parametrize("mode", ["L", "1", "CMYK"])
def test_other_colour_modes(tmp_path: Path, mode: str) -> None:
    Image.fromarray(quarters()).convert(mode).save(tmp_path / "a.tif")
    assert load_photo(tmp_path / "a.tif").shape == (HEIGHT, WIDTH, 3)


@pytest.mark.slow
def test_fifty_megapixels_are_brought_to_a_workable_size(tmp_path: Path) -> None:
    Image.new("RGB", (8200, 6100), (200, 30, 30)).save(tmp_path / "a.jpg", quality=50)
    picture = load_photo(tmp_path / "a.jpg")
    assert max(picture.shape) <= WORKING_SIDE
    assert picture.shape[1] / picture.shape[0] == pytest.approx(8200 / 6100, rel=1e-3)
    assert picture.shape[1] >= WORKING_SIDE // 2


def png_claiming(width: int, height: int) -> bytes:
    """A PNG file whose header promises more than there is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [20_000, 2_000_000])
def test_what_claims_too_many_pixels_is_refused_before_decoding(tmp_path: Path, side: int) -> None:
    (tmp_path / "a.png").write_bytes(png_claiming(side, side))
    with pytest.raises(PhotoError, match="100 million taken at most; make it smaller"):
        load_photo(tmp_path / "a.png")


def test_what_would_fill_the_memory_is_refused_before_decoding(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_claiming(9_900, 9_900))
    with pytest.raises(
        PhotoError, match="9900x9900 pixels take 373 MiB, expected at most 256; make it smaller, or save"
    ):
        load_photo(tmp_path / "a.png")


def cut_off() -> bytes:
    data = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(data, "PNG")
    return data.getvalue()[:20_000]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"once upon a time", "not a picture; expected JPEG"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40, "HEIC picture, damaged; or save it as JPEG"),
        (cut_off(), "damaged or cut-off"),
        (png_claiming(100, 100), "damaged or cut-off"),
        (png_claiming(LEAST_SIDE - 1, 200), "63x200 pixels, expected at least 64x64"),
    ],
)
def test_a_file_that_is_not_a_photo_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "me.jpg"
    path.write_bytes(content)
    with pytest.raises(PhotoError, match=message) as caught:
        load_photo(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "words"), [("missing.jpg", "no such file"), (".", "is a folder")])
def test_no_file(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(PhotoError, match=words):
        load_photo(tmp_path / name)
