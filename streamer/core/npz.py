"""`.npz` files, read with suspicion and written piece by piece.

Numpy's own reader believes what a file says of itself: it allocates what a header declares, and unpickles where it is
let. Here every entry's size is known before any of it is unpacked. Format: numpy/lib/format.py of NumPy (NEP 1).
"""

from __future__ import annotations

import contextlib
import shutil
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import first_line
from streamer.core.errors import MediaError

Array = NDArray[Any]

MOST_BYTES = 1 << 30  # of all arrays that are read from a file, unpacked
MOST_FILE_BYTES = 8 << 30  # of another file inside: a day of sound, and more
KINDS = "fiuUb"  # numbers, text, truth values; neither objects nor records
PIECE_BYTES = 1 << 20


@contextlib.contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive at `path`; whatever is found wrong with it inside is a MediaError that names it."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error})") from None
    except zipfile.BadZipFile as error:
        raise MediaError(f"{path}: not an .npz file, or a damaged one ({error})") from None
    except (ValueError, EOFError, zlib.error, RuntimeError) as error:
        # Of damaged entries; RuntimeError: an encrypted one.
        raise MediaError(f"{path}: a damaged .npz file ({first_line(error)})") from None


def load(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Array]:
    """All arrays of a file.

    Raises:
        MediaError: it cannot be read, is damaged, holds objects, or more than `most_bytes`.
    """
    with opened(path) as archive:
        return read_arrays(archive, None, most_bytes)


def read_arrays(
    archive: zipfile.ZipFile, names: Collection[str] | None, most_bytes: int = MOST_BYTES
) -> dict[str, Array]:
    """Those of the named arrays that the archive has; None names all.

    Raises:
        ValueError, EOFError, BadZipFile, zlib.error: it is damaged, larger than `most_bytes`, or holds objects.
    """
    entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    wanted = {name: entries[name] for name in (entries if names is None else names) if name in entries}
    if (size := sum(info.file_size for info in wanted.values())) > most_bytes:
        raise ValueError(f"{size >> 20} MiB of numbers, expected at most {most_bytes >> 20}")
    arrays = {}
    for name, info in wanted.items():
        with _unpacked(archive, info) as file:
            arrays[name] = _read_array(file, name, info.file_size)
    return arrays


def _read_array(file: IO[bytes], name: str, size: int) -> Array:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} is in version {version} of numpy's format")
    try:
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    except (SyntaxError, TypeError, TokenError):  # numpy takes a header for what Python wrote
        raise ValueError(f"the header of {name} cannot be read") from None
    if dtype.kind not in KINDS:
        raise ValueError(f"{name} holds {'objects' if dtype.hasobject else dtype}, expected numbers or text")
    data = file.read(size)
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize != len(data):
        raise ValueError(f"{name} is said to be {dtype}{list(shape)}, and has {len(data)} bytes")
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if fortran else "C")


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """An entry. Raises ValueError where it is packed as numpy packs nothing: each other way has its own errors."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is packed in an unknown way")
    return archive.open(info)


def extract(archive: zipfile.ZipFile, name: str, target: Path) -> bool:
    """Copy a file out of the archive; False where it has no such file. Raises as `read_arrays`."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        return False
    if info.file_size > MOST_FILE_BYTES:
        raise ValueError(f"{name} has {info.file_size >> 30} GiB, expected at most {MOST_FILE_BYTES >> 30}")
    with _unpacked(archive, info) as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy, PIECE_BYTES)
    return True


def write(path: Path, arrays: Mapping[str, Array], files: Mapping[str, Path]) -> None:
    """Write arrays, packed, and files, as they are. Arrays may lie on disk: no more than a piece is in memory.

    Raises:
        OSError: it cannot be written, or a file not be read.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in files.items():
            archive.write(file, name, zipfile.ZIP_STORED)
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as entry:
                _write_array(entry, array)


def _write_array(entry: IO[bytes], array: Array) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    np.lib.format.write_array_header_1_0(entry, header)
    if not array.ndim:
        entry.write(array.tobytes())
        return
    rows = max(1, PIECE_BYTES // max(1, array.itemsize * array[:1].size))
    for start in range(0, len(array), rows):
        entry.write(np.ascontiguousarray(array[start : start + rows]).tobytes())
