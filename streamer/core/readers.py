"""Parsers of numbers for command lines and queries; their ValueError names the expected form."""

from __future__ import annotations

import math
from collections.abc import Callable

_LONGEST = 18  # characters of a number


def whole(low: int, high: int, kind: str = "a whole number") -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        plain = text.strip()
        if not plain.isascii() or not plain.isdigit() or len(plain) > _LONGEST or not low <= int(plain) <= high:
            raise ValueError(f"{kind} from {low} to {high}")
        return int(plain)

    return read


def number(low: float, high: float, kind: str = "a number") -> Callable[[str], float]:
    """Return a parser of numbers from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"{kind} from {low:g} to {high:g}")
        return value

    return read


def even(low: int, high: int, kind: str) -> Callable[[str], int]:
    """Return a parser of even numbers from `low` to `high`; `kind` names them, such as "an even number of pixels"."""
    read_whole = whole(low, high, kind)

    def read(text: str) -> int:
        value = read_whole(text)
        if value % 2:
            raise ValueError(f"{kind} from {low} to {high}")
        return value

    return read
