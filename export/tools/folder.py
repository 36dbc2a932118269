"""Write a folder atomically: readers never find a partial one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` at the end; it is deleted on an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        work = Path(name) / "new"
        work.mkdir()
        yield work
        if folder.exists():
            folder.rename(Path(name) / "old")
        work.rename(folder)
