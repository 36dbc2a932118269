"""Shared parts of the export commands: argument readers and exit statuses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from engines.errors import AvatarError


def run(job: Callable[[], int | None], interrupted: str = "interrupted") -> int:
    """Run a command and return its exit status. Errors print one line; `interrupted` is printed after Ctrl-C."""
    try:
        return job() or 0
    except AvatarError as error:
        print(f"avatar: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise  # not a file error that the user can resolve
        print(f"avatar: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"avatar: {interrupted}", file=sys.stderr)
        return 130


def share(text: str) -> float:
    """Parse a number above 0, up to 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} found, a number above 0 and up to 1 expected")
    return value


def count(text: str) -> int:
    """Parse a whole number from 1."""
    if not (text.isascii() and text.isdigit() and len(text) <= 4) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} found, a whole number from 1 to 9999 expected")
    return int(text)


def new_file(text: str) -> Path:
    """Parse an output path, and check before the work that it can be written."""
    path = Path(text)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} found, a file in an existing folder expected")
    return path
