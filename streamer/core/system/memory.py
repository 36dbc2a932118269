"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Return what was freed to the system, where the C library can (glibc, malloc_trim(3)): it keeps it otherwise, for
    allocations to come. Takes some milliseconds."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; TypeError on Windows, which has no CDLL(None)
        return
    trim(0)
