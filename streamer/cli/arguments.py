"""Values on a command line: read, or refused with what was found and what was expected."""

from __future__ import annotations

import argparse
from collections.abc import Callable

MOST_SESSIONS = 64  # more than any machine renders; a bound for typing mistakes


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if not text.strip().isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text} found, a whole number from {low} to {high} expected")
        return int(text)

    return read


def number(text: str, low: float, high: float, kind: str) -> float:
    """A number from `low` to `high`; `kind` is what it is called when it is refused."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text} found, {kind} from {low:g} to {high:g} expected")
    return value
