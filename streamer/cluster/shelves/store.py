"""Files shared by all machines of a cluster: in a folder, an S3-compatible store, or any other store of `fsspec`.

The store libraries raise many kinds of exceptions. Here each failure is a one-line `StoreError`, and S3 calls time out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import fsspec

from streamer.core.errors import ConfigError, StoreError

CONNECT_S, ANSWER_S, TRIES = 3.0, 10.0, 2  # for S3
S3 = ("s3://", "s3a://")
LONGEST_REASON = 160  # characters
# Messages for errors whose botocore text only describes its internals.
WORDS = {
    "NoCredentialsError": "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY on every machine",
    "PermissionError": "it refuses these credentials, or they do not allow this",
    "EndpointConnectionError": "no connection; AWS_ENDPOINT_URL says where a store is that is not Amazon's",
    "ConnectTimeoutError": "no connection in time",
    "ReadTimeoutError": "no answer in time",
}


class Store:
    """Files below `url`. All methods block, and raise StoreError when the store fails."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for an address that fsspec does not know."""
        self.url = url.rstrip("/")
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.url, **_options(self.url))
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{url}: {error}") from None
        if self.url.startswith(S3):
            self._files.retries = TRIES

    def check(self) -> None:
        """Check that the store can be read; it may be empty."""
        with self._telling("read"):
            try:
                self._files.ls(self._root)
            except FileNotFoundError:
                if self.url.startswith(S3):  # a folder is created by the first write, a bucket is not
                    self._files.ls(self._root.partition("/")[0])

    def names(self, folder: str) -> list[str]:
        """Return the paths of all files below a folder, relative to it; an empty list if the folder does not exist."""
        with self._telling("read"):
            self._files.invalidate_cache()
            root = f"{self._root}/{folder}"
            return sorted(str(path).removeprefix(f"{root}/") for path in self._files.find(root))

    def has(self, path: str) -> bool:
        """Return whether a file exists."""
        with self._telling("read"):
            self._files.invalidate_cache()
            return bool(self._files.exists(f"{self._root}/{path}"))

    def read(self, path: str, most: int) -> bytes | None:
        """Return a file's bytes; None if it does not exist or has more than `most` bytes."""
        with self._telling("read"):
            try:
                data = bytes(self._files.cat_file(f"{self._root}/{path}", end=most + 1))
            except FileNotFoundError:
                return None
            return data if len(data) <= most else None

    def write(self, path: str, data: bytes) -> None:
        """Write a file; object stores write it atomically."""
        with self._telling("written"):
            self._files.pipe_file(f"{self._root}/{path}", data)

    def remove(self, path: str) -> None:
        """Remove a file if it exists."""
        with self._telling("written"), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{path}")

    @contextlib.contextmanager
    def _telling(self, done: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each library has its own exception types
            raise StoreError(f"{self.url}: cannot be {done} ({reason(error)})") from None


def reason(error: Exception) -> str:
    """Return a short description of an error."""
    for kind in type(error).__mro__:
        if kind.__name__ in WORDS:
            return WORDS[kind.__name__]
    return " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__


def _options(url: str) -> dict[str, Any]:
    """Return the fsspec options for a store: timeouts and no listing cache for S3, automatic folders for files."""
    if url.startswith(S3):
        waits = {"connect_timeout": CONNECT_S, "read_timeout": ANSWER_S, "retries": {"max_attempts": TRIES - 1}}
        return {"use_listings_cache": False, "config_kwargs": waits}
    return {"auto_mkdir": True} if "://" not in url or url.startswith(("file://", "local://")) else {}
