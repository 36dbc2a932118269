"""Atomic file writes: no reader sees half a file, and no crash leaves one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700  # for users' recordings and faces


def partial_path(path: Path) -> Path:
    """Return the temporary path for writing `path`: a hidden file beside it, with the same suffix.

    It contains the process ID, so that two programs that write the same file do not mix.
    """
    return path.absolute().with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


@contextlib.contextmanager
def replacing(path: Path, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path; the file written there replaces `path` if the block succeeds.

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
    """Write a whole file atomically, see `replacing`. Raises OSError."""
    with replacing(path, private) as partial:
        partial.write_bytes(data)


def create_private(path: Path) -> None:
    """Create an empty file that only the user may read; opening it for writing keeps its mode. Raises OSError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE))


def private_folder(path: Path) -> None:
    """Create a folder that only the user may enter, and its missing parents; an existing folder is not changed."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
