"""Write files so that a reader, or a crash, never meets half of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700  # for what people record and the faces they make


def partial_path(path: Path) -> Path:
    """Where `path` is written before it has its name: hidden beside it, with its suffix and the id of this process,
    so that two programs that write one file do not mix."""
    return path.absolute().with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


@contextlib.contextmanager
def replacing(path: Path, private: bool = False) -> Iterator[Path]:
    """Give the block a temporary path; the file written there takes the place of `path` if the block ends well.

    private: create the file with mode 0600.

    Raises:
        OSError: the file cannot be written or moved.
    """
    partial = partial_path(path)
    try:
        if private:
            create_private(partial)
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes, private: bool = False) -> None:
    """Write a whole file as `replacing` does. Raises OSError."""
    with replacing(path, private) as partial:
        partial.write_bytes(data)


def create_private(path: Path) -> None:
    """Create an empty file that only the user may read; writers that open it keep its mode. Raises OSError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE))


def private_folder(path: Path) -> None:
    """Create a folder, and those above it, that only the user may enter; one that exists stays as it is."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
