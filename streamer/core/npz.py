"""`.npz` files: read without trusting their headers, and written in pieces.

NumPy's reader trusts the file: it allocates the size that a header declares, and unpickles if allowed. Here the size of
every entry is checked before it is unpacked. Format: numpy/lib/format.py of NumPy (NEP 1).
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

MOST_BYTES = 1 << 30  # unpacked size of all arrays read from a file
MOST_FILE_BYTES = 8 << 30  # of another file in the archive: more than a day of sound
KINDS = "fiuUb"  # numbers, text, booleans; no objects or records
PIECE_BYTES = 1 << 20


@contextlib.contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the archive at `path`; errors of reading it in the block become a MediaError that names it."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error})") from None
    except zipfile.BadZipFile as error:
        raise MediaError(f"{path}: not an .npz file, or a damaged one ({error})") from None
    except (ValueError, EOFError, zlib.error, RuntimeError) as error:
        # From damaged entries; RuntimeError: from an encrypted one.
        raise MediaError(f"{path}: a damaged .npz file ({first_line(error)})") from None


def load(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Array]:
    """Read all arrays of a file.

    Raises:
        MediaError: it cannot be read, is damaged, contains objects, or has more than `most_bytes`.
    """
    with opened(path) as archive:
        return read_arrays(archive, None, most_bytes)


def read_arrays(
    archive: zipfile.ZipFile, names: Collection[str] | None, most_bytes: int = MOST_BYTES
) -> dict[str, Array]:
    """Read the named arrays, as far as the archive has them; None reads all.

    Raises:
        ValueError, EOFError, BadZipFile, zlib.error: it is damaged, larger than `most_bytes`, or contains objects.
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
    except (SyntaxError, TypeError, TokenError):  # numpy parses the header as Python source
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
    """Open an entry. Raises ValueError: its compression is not one that numpy uses (others raise their own errors)."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is packed in an unknown way")
    return archive.open(info)


def extract(archive: zipfile.ZipFile, name: str, target: Path) -> bool:
    """Copy a file out of the archive; return False if it has no such file. Raises as `read_arrays`."""
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
    """Write arrays, compressed, and files, uncompressed. Memory-mapped arrays are written piece by piece.

    Raises:
        OSError: the archive cannot be written, or a file cannot be read.
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
