"""Chained Ogg files (RFC 3533, section 4): consecutive recordings, possibly with different rates and channels.

FFmpeg stops at the first link that differs, so each link is opened as a separate file.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from streamer.core.system.signals import called_from_c

CAPTURE = b"OggS"
HEADER = 27  # bytes before the segment table; [5] holds flags, [26] the number of segments
BEGINS = 2  # flag of the first page of a stream
SEARCHED = 64 << 10


def link_starts(file: BinaryIO) -> list[int]:
    """Return the byte offsets of an Ogg file's links; [0] if it has one link. Raises OSError."""
    starts, at, heads = [0], 0, True
    while (page := _page_at(file, at)) is not None:
        at, size, begins = page
        if begins and not heads:  # multiplexed streams begin on consecutive pages
            starts.append(at)
        heads = begins
        at += size
    return starts


def _page_at(file: BinaryIO, at: int) -> tuple[int, int, bool] | None:
    """Find the next page from `at` on; return its offset, its size, and whether a stream begins with it."""
    while True:
        file.seek(at)
        header = file.read(HEADER)
        if len(header) < HEADER:
            return None
        if header.startswith(CAPTURE):
            segments = file.read(header[26])
            return at, HEADER + len(segments) + sum(segments), bool(header[5] & BEGINS)
        found = (header + file.read(SEARCHED)).find(CAPTURE, 1)  # damaged bytes
        at += found if found > 0 else SEARCHED


class FileSpan(io.RawIOBase):
    """File object for the bytes of a file from `start` up to `end` (None: the end of the file). Owns the open file."""

    def __init__(self, path: Path, start: int = 0, end: int | None = None) -> None:
        """Raises OSError."""
        self._file = path.open("rb")
        self._start = start
        self._size = (path.stat().st_size if end is None else end) - start
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    @called_from_c
    def tell(self) -> int:
        """Return the position in the span."""
        return self._at

    @called_from_c
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek as in any file. Raises OSError for a position before the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("a place before the start")
        self._at = base + offset
        return self._at

    @called_from_c
    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, or to the end of the span if negative."""
        left = max(0, self._size - self._at)
        self._file.seek(self._start + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
