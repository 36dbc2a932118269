"""Chained Ogg files (RFC 3533, section 4): recordings one after the other, of different rates and channels perhaps.

FFmpeg ends with the first that differs, so each link is opened as a file of its own.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from streamer.core.system.signals import called_from_c

CAPTURE = b"OggS"
HEADER = 27  # bytes before the segment table; [5] has flags, [26] the number of segments
BEGINS = 2  # flag of the first page of a stream
SEARCHED = 64 << 10


def link_starts(file: BinaryIO) -> list[int]:
    """Return where the links of an Ogg file begin, in bytes; [0] if there is one. Raises OSError."""
    starts, at, heads = [0], 0, True
    while (page := _page_at(file, at)) is not None:
        at, size, begins = page
        if begins and not heads:  # streams that play together begin on pages next to each other
            starts.append(at)
        heads = begins
        at += size
    return starts


def _page_at(file: BinaryIO, at: int) -> tuple[int, int, bool] | None:
    """Find the next page from `at` on: its place, its size, and whether a stream begins with it."""
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
    """The bytes of a file from `start` to before `end` (None: its own), as a file. Closes it with itself."""

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
        """Move as in any file. Raises OSError for a place before the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("a place before the start")
        self._at = base + offset
        return self._at

    @called_from_c
    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, to the end of the span if negative."""
        left = max(0, self._size - self._at)
        self._file.seek(self._start + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
