"""Writing files: atomic JSON, and checks of an output path."""

from __future__ import annotations

import json
from pathlib import Path

from engines.files import write_bytes
from streamer.core.errors import ConfigError, MediaError


def write_json(path: Path, data: object) -> None:
    """Replace a file by `data` as JSON, atomically. Raises ConfigError: it cannot be written; the old file stays."""
    try:
        write_bytes(path, (json.dumps(data, indent=1) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None


def check_output(path: Path) -> None:
    """Check, before any work, that a file can be written to `path`. Raises MediaError."""
    if not path.absolute().parent.is_dir():
        raise MediaError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise MediaError(f"{path}: is a folder; expected the name of a file")
