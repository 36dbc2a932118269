"""Figures for programs: a JSON file that is there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from streamer.errors import ConfigError


def write_json(path: Path, data: object) -> None:
    """Write `data`. Raises ConfigError when the file cannot be written; what was there before then still is."""
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(json.dumps(data, indent=1) + "\n")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None
