"""Return freed memory to the operating system."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return freed memory to the system, if the C library can (glibc, malloc_trim(3)). Takes some milliseconds.

    The library would otherwise keep it for later allocations.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; TypeError on Windows, which has no CDLL(None)
        return
    trim(0)
