"""The file of a performance: what was recorded comes back to the bit, and what is none of it is refused in one line."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.core import npz
from streamer.core.errors import MediaError
from streamer.core.npz import Array
from streamer.recording.flac import FlacWriter
from streamer.recording.performance import About, Performance
from streamer.recording.performance_file import open_performance, save_performance

ABOUT = About(("open", "wide"), ("yaw",), 25, "tiny", "dot", 185, (None, 4.5, None))


def performance(frames: int = 40) -> Performance:
    """Two runs with a hole between them, something cut off in the first."""
    rng = np.random.default_rng(5)
    return Performance(
        ABOUT,
        expression=rng.normal(size=(frames, 2)).astype(np.float32),
        pose=rng.normal(size=(frames, 1)).astype(np.float32),
        index=np.arange(frames) + 7 * (np.arange(frames) >= 30),
        starts=np.array([0, 30]),
        freedom=np.where(np.arange(frames) % 9 == 8, 0.25, 1.0).astype(np.float32),
        rest=np.array([0.1, 0.2], np.float32),
    )


def plain() -> dict[str, Array]:
    """The arrays that a file must have."""
    return {
        "expression": np.zeros((10, 2), np.float32),
        "pose": np.zeros((10, 1), np.float32),
        "expression_names": np.array(["open", "wide"]),
        "pose_names": np.array(["yaw"]),
        "fps": np.array(25),
    }


def read(path: Path) -> Performance:
    with open_performance(path) as found:
        return found


def refused(path: Path) -> str:
    with pytest.raises(MediaError) as error:
        read(path)
    text = str(error.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def test_all_of_it_comes_back(tmp_path: Path) -> None:
    sound = tmp_path / "s.flac"
    writer = FlacWriter(sound)
    writer.write(np.full((5000, 2), 77, np.int16))
    writer.close()
    written = replace(performance(), sound=sound)
    save_performance(tmp_path / "p.npz", written)
    with open_performance(tmp_path / "p.npz") as found:
        assert found.about == ABOUT
        for name in ("expression", "pose", "index", "starts", "freedom", "rest"):
            np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
        assert found.sound is not None
        assert found.sound.read_bytes() == sound.read_bytes()
        assert list(found.runs()) == [slice(0, 30), slice(30, 40)]
    assert not found.sound.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.npz", "s.flac"]


def test_numpy_reads_it_without_pickle(tmp_path: Path) -> None:
    save_performance(tmp_path / "p.npz", performance())
    with np.load(tmp_path / "p.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["pose"], performance().pose)
        assert list(arrays["expression_names"]) == ["open", "wide"]
        assert int(arrays["fps"]) == 25


def test_what_numpy_wrote_is_one_run(tmp_path: Path) -> None:
    """With what `avatar render --coefficients` saved from the beginning, and nothing else."""
    np.savez_compressed(tmp_path / "p.npz", allow_pickle=False, **plain())
    found = read(tmp_path / "p.npz")
    assert found.about == About(("open", "wide"), ("yaw",), 25)
    assert (found.freedom == 1).all()
    assert list(found.runs()) == [slice(0, 10)]
    assert found.sound is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pose": None}, "it has no pose"),
        ({"expression": np.full((10, 2), np.nan, np.float32)}, "expression holds values that are no numbers"),
        ({"pose": np.full((10, 1), 1e30, np.float32)}, "pose holds values that are no numbers, or beyond"),
        ({"pose": np.zeros((9, 1), np.float32)}, r"pose is \[9, 1\], \[10, 1\] expected"),
        ({"expression": np.zeros((10, 3), np.float32)}, r"expression is \[10, 3\]"),
        ({"expression": np.zeros((0, 2), np.float32), "pose": np.zeros((0, 1), np.float32)}, "0 frames found"),
        ({"expression": np.zeros(20, np.float32)}, "numbers expected"),
        ({"expression": np.array([[None, 1]] * 10)}, "holds objects"),
        ({"expression": np.array([["a", "b"]] * 10)}, "numbers expected"),
        ({"expression_names": np.array([1, 2])}, "names expected"),
        ({"expression_names": np.array(["x"] * 2000)}, "at most 1000"),
        ({"fps": np.array("25")}, "a whole number expected"),
        ({"format": np.array(2)}, "format 2, this version reads format 1"),
        ({"format": np.array(2), "pose": None}, "format 2, this version reads format 1"),
        ({"freedom": np.full(10, 1.5, np.float32)}, "freedom is beyond 0 to 1"),
        ({"rest": np.zeros(3, np.float32)}, r"rest is \[3\], \[2\] expected"),
        ({"view": np.zeros(2)}, "three angles expected"),
        ({"view": np.array([0, np.inf, 0])}, "three angles expected"),
        ({"starts": np.array([3])}, "the first of them 0"),
        ({"starts": np.array([0, 10])}, "rows in order"),
        ({"starts": np.zeros(0, np.int64)}, "rows in order"),
        ({"index": np.arange(10)[::-1]}, "not in order"),
        ({"index": np.arange(10) * 2}, "frames are missing within a run"),
        ({"index": np.arange(10) - 5}, "frames -5 to 4"),
        ({"index": np.arange(10) + (1 << 62)}, "expected"),
        ({"index": np.array([0, 2**63 - 1, -(2**63), *range(1, 8)]), "starts": np.arange(10)}, "expected"),
        ({"index": np.arange(9)}, r"9 frames|expected"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Array | None], says: str, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {name: value for name, value in (plain() | change).items() if value is not None}
    path = tmp_path / "p.npz"
    np.savez(path, **arrays)
    refused(path)
    with pytest.raises(MediaError, match=says):
        read(path)


def _packed(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def _array(array: Array, shape: tuple[int, ...] | None = None) -> bytes:
    """An .npy file, whatever shape it claims."""
    file = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": shape or array.shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + array.tobytes()


def _headed(text: str) -> bytes:
    """An .npy file with this for a header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def _with(**entries: bytes) -> bytes:
    return _packed({f"{name}.npy": _array(value) for name, value in plain().items()} | entries)


def _encrypted() -> bytes:
    data = bytearray(_with())
    for start in range(len(data) - 4):  # the flag of each entry, in both of its headers
        if data[start : start + 4] == b"PK\x03\x04":
            data[start + 6] |= 1
        elif data[start : start + 4] == b"PK\x01\x02":
            data[start + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda: b"", "not an .npz file"),
        (lambda: b"RIFF....WAVE", "not an .npz file"),
        (lambda: _with()[:-60], "not an .npz file"),
        (lambda: _packed({"readme.txt": b"hello"}), "it has no expression, expression_names, fps"),
        (lambda: _with(**{"pose.npy": b"no array at all"}), "damaged"),
        (lambda: _with(**{"pose.npy": _array(np.zeros((10, 1), np.float32), (10**6, 10**6))}), "is said to be"),
        (lambda: _with(**{"pose.npy": _array(np.zeros((10, 1), np.float32), (-10, -1))}), "damaged"),
        (lambda: _with(**{"pose.npy": b"\x93NUMPY\x01\x00\xff\xff{'descr': " + b"[" * 60_000}), "damaged"),
        (lambda: _with(**{"pose.npy": _headed("{'descr': '<f4', 'shape': (1,")}), "the header of pose cannot be read"),
        (lambda: _with(**{"pose.npy": _headed("{[]: 1}")}), "the header of pose cannot be read"),
        (lambda: _with(**{"pose.npy": _headed("{1: 2, 'shape': 3}")}), "the header of pose cannot be read"),
        (lambda: _with(**{"pose.npy": _headed("    x\n  y")}), "the header of pose cannot be read"),
        (lambda: _packed({"pose.npy": b"\0" * 99}, zipfile.ZIP_LZMA), "packed in an unknown way"),
        (lambda: _with(**{"pose.npy": b"\x93NUMPY\x03\x00" + b"\0" * 64}), "version"),
        (_encrypted, "damaged"),
    ],
)
def test_a_file_that_is_not_a_performance_is_refused(data: Callable[[], bytes], says: str, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(data())
    assert says in refused(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """2 GiB of zeros in 2 MB; what an entry claims to be is looked at first, and what is more is not read."""
    path, claimed = tmp_path / "p.npz", (npz.MOST_BYTES >> 2) + 1
    data = bytearray(_with(**{"pose.npy": _array(np.zeros((10, 1), np.float32))}))
    at = data.rindex(b"pose.npy") - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    data[at + 24 : at + 28] = struct.pack("<I", 4 * claimed)
    path.write_bytes(bytes(data))
    assert "MiB of numbers, expected at most" in refused(path)


def test_no_file_and_no_such_folder(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "nothing.npz")
    assert "a folder; expected the file of a performance" in refused(tmp_path)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8))
def test_no_damage_is_worse_than_a_refusal(tmp_path: Path, where: int, what: bytes) -> None:
    file = tmp_path / "whole.npz"
    if not file.exists():
        save_performance(file, performance())
    data = bytearray(file.read_bytes())
    where %= len(data)
    data[where : where + len(what)] = what
    broken = tmp_path / "broken.npz"
    broken.write_bytes(data)
    with contextlib.suppress(MediaError):
        read(broken)


def test_a_folder_that_is_full_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"cannot be written \(No such file"):
        save_performance(tmp_path / "nowhere" / "p.npz", performance())
