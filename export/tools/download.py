"""Download files robustly: resume after dropped connections, check, and replace the target only when complete."""

from __future__ import annotations

import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from engines.errors import AvatarError

BLOCK = 1 << 18
TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 6  # consecutive attempts without a new byte
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
SPARE = 64 << 20  # bytes of the disk to leave free
LARGEST = 8 << 30  # bytes of a file, at most

Progress = Callable[[int, int | None], None]  # bytes so far, and all of them if known


class DownloadError(AvatarError):
    """A file could not be fetched."""


class _InterruptedError(Exception):
    """The connection ended early; the received bytes are kept."""


@dataclass
class Retry:
    """Retry policy with backoff: `attempts` in a row without a new byte, after doubling pauses.

    say: called before each retry with reason and delay.
    """

    attempts: int = ATTEMPTS
    first_pause: float = FIRST_PAUSE
    say: Callable[[str], None] = print


def download(url: str, part: Path, progress: Progress, retry: Retry | None = None) -> None:
    """Fetch `url` into the file `part`, resuming after its present end.

    The server's ETag is kept beside it in `part`.etag, so that two versions of a file are never mixed.

    Raises:
        DownloadError: the file does not exist, the server keeps failing, or disk space is too small.
    """
    retry = retry or Retry()
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url}: only http and https addresses can be fetched")
    failures, pause, reached = 0, retry.first_pause, _size(part)
    while True:
        try:
            _attempt(url, part, progress)
            return
        except _InterruptedError as error:
            if _size(part) > reached:  # so a server that cannot resume does not cause endless retries
                failures, pause, reached = 0, retry.first_pause, _size(part)
            else:
                failures, pause = failures + 1, min(2 * pause, LONGEST_PAUSE)
            if failures >= retry.attempts:
                raise DownloadError(
                    f"{url}: gave up after {failures} attempts ({error}); run it again to go on at {_size(part)} bytes"
                ) from None
            retry.say(f"{part.name}: {error}; going on in {pause:.0f} s")
            time.sleep(pause)


def _attempt(url: str, part: Path, progress: Progress) -> None:
    """Make one request. Raises _InterruptedError if a retry may help."""
    have, tag = _size(part), _read_tag(part)
    request = urllib.request.Request(url, headers={"User-Agent": "avatar-streamer", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if tag:
            request.add_header("If-Range", tag)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            _receive(response, part, have, progress)
    except urllib.error.HTTPError as error:
        _refused(url, error, part, have)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _InterruptedError(getattr(error, "reason", None) or error or type(error).__name__) from None


def _refused(url: str, error: urllib.error.HTTPError, part: Path, have: int) -> None:
    """Handle an HTTP error: return if the file is already complete, else raise."""
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        if error.headers.get("Content-Range", "") == f"bytes */{have}":
            return
        discard(part)  # it belongs to another file
        raise _InterruptedError("the server's file is another one: starting over")
    if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or error.code == http.HTTPStatus.TOO_MANY_REQUESTS:
        raise _InterruptedError(f"HTTP {error.code}")
    raise DownloadError(f"{url}: HTTP {error.code} {error.reason}")


def _receive(response: http.client.HTTPResponse, part: Path, have: int, progress: Progress) -> None:
    start = _start(response, have)
    if start is None:
        discard(part)
        raise _InterruptedError("the server sent another part than asked for: starting over")
    length = response.headers.get("Content-Length")
    total = start + int(length) if length and length.isdigit() else None
    _check_space(part, (total or 0) - start)
    _write_tag(part, response.headers.get("ETag"))
    with part.open("ab" if start else "wb") as file:
        done = _copy(response, file, start, total, progress)
    if total is not None and done < total:
        raise _InterruptedError(f"the connection ended at {done} of {total} bytes")


def _start(response: http.client.HTTPResponse, have: int) -> int | None:
    """Return the response's offset in the file: 0 if the server ignores ranges; None for another range."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    return have if response.headers.get("Content-Range", "").startswith(f"bytes {have}-") else None


def _copy(response: http.client.HTTPResponse, file: BinaryIO, done: int, total: int | None, progress: Progress) -> int:
    """Copy until the end or an error; return the file's size.

    Raises:
        _InterruptedError: the connection broke. DownloadError: the disk is full, or the file is larger than LARGEST.
    """
    while True:
        try:
            block = response.read1(BLOCK)
        except (http.client.HTTPException, OSError) as error:
            raise _InterruptedError(str(error) or type(error).__name__) from None
        if not block:
            return done
        try:
            file.write(block)
        except OSError as error:
            raise DownloadError(f"{file.name}: cannot be written ({error.strerror})") from None
        done += len(block)
        if done > LARGEST:
            raise DownloadError(f"{file.name}: more than {LARGEST / 1e9:.0f} GB came, far more than expected")
        progress(done, total)


def _check_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free - SPARE
    if needed > free:
        raise DownloadError(f"{part.parent}: {needed / 1e6:.0f} MB needed, {max(free, 0) / 1e6:.0f} MB free")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _tag_path(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _read_tag(part: Path) -> str | None:
    path = _tag_path(part)
    return path.read_text(encoding="ascii", errors="ignore") or None if path.is_file() else None


def _write_tag(part: Path, tag: str | None) -> None:
    """Store a strong ETag; a weak one does not guarantee equal bytes."""
    if tag and not tag.startswith("W/") and tag.isascii():
        _tag_path(part).write_text(tag, encoding="ascii")
    else:
        _tag_path(part).unlink(missing_ok=True)


def discard(part: Path) -> None:
    """Delete a partial download."""
    part.unlink(missing_ok=True)
    _tag_path(part).unlink(missing_ok=True)


def finish(part: Path, path: Path) -> None:
    """Move a complete download to its target."""
    _tag_path(part).unlink(missing_ok=True)
    part.replace(path)
