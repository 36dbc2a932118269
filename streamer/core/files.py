"""Writing files: JSON that is replaced whole, and checks of an output path."""

from __future__ import annotations

import json
from pathlib import Path

from streamer.core.errors import ConfigError, MediaError


def write_json(path: Path, data: object) -> None:
    """Write `data`. Raises ConfigError when the file cannot be written; what was there before then still is."""
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(json.dumps(data, indent=1) + "\n")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None


def check_output(path: Path) -> None:
    """Whether a file may come to lie at `path`, before work is put into it. Raises MediaError."""
    if not path.absolute().parent.is_dir():
        raise MediaError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise MediaError(f"{path}: is a folder; expected the name of a file")
