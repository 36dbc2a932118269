"""Files that all machines of a cluster share: in a folder, an S3-compatible store, or what else `fsspec` knows.

Libraries for stores raise what they like. Here each failure is a `StoreError` of one line, and each wait has an end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import fsspec

from streamer.core.errors import ConfigError, StoreError

CONNECT_S, ANSWER_S, TRIES = 3.0, 10.0, 2  # of a store on the network
S3 = ("s3://", "s3a://")
LONGEST_REASON = 160  # characters
# botocore's own words are about its insides.
WORDS = {
    "NoCredentialsError": "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY on every machine",
    "PermissionError": "it refuses these credentials, or they do not allow this",
    "EndpointConnectionError": "no connection; AWS_ENDPOINT_URL says where a store is that is not Amazon's",
    "ConnectTimeoutError": "no connection in time",
    "ReadTimeoutError": "no answer in time",
}


class Store:
    """Files below `url`. All methods block, and raise StoreError where the store does not do what it should."""

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
        """Look whether the store is there, an empty one too."""
        with self._telling("read"):
            try:
                self._files.ls(self._root)
            except FileNotFoundError:
                if self.url.startswith(S3):  # a bucket that is missing is made by nobody, a folder by who writes first
                    self._files.ls(self._root.partition("/")[0])

    def names(self, folder: str) -> list[str]:
        """The paths of all files in a folder and those below it, without the folder's own; none where there is none."""
        with self._telling("read"):
            self._files.invalidate_cache()
            root = f"{self._root}/{folder}"
            return sorted(str(path).removeprefix(f"{root}/") for path in self._files.find(root))

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        with self._telling("read"):
            self._files.invalidate_cache()
            return bool(self._files.exists(f"{self._root}/{path}"))

    def read(self, path: str, most: int) -> bytes | None:
        """A file's bytes; None where it is not there or has more than `most`."""
        with self._telling("read"):
            try:
                data = bytes(self._files.cat_file(f"{self._root}/{path}", end=most + 1))
            except FileNotFoundError:
                return None
            return data if len(data) <= most else None

    def write(self, path: str, data: bytes) -> None:
        """Write a file, whole or not at all where the store is one of objects."""
        with self._telling("written"):
            self._files.pipe_file(f"{self._root}/{path}", data)

    def remove(self, path: str) -> None:
        """Remove a file; nothing where it is not there."""
        with self._telling("written"), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(f"{self._root}/{path}")

    @contextlib.contextmanager
    def _telling(self, done: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of whatever library
            raise StoreError(f"{self.url}: cannot be {done} ({reason(error)})") from None


def reason(error: Exception) -> str:
    """What went wrong, in a few words."""
    for kind in type(error).__mro__:
        if kind.__name__ in WORDS:
            return WORDS[kind.__name__]
    return " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__


def _options(url: str) -> dict[str, Any]:
    """What each kind of store needs to be told to make folders by itself, keep no listings and end its waits."""
    if url.startswith(S3):
        waits = {"connect_timeout": CONNECT_S, "read_timeout": ANSWER_S, "retries": {"max_attempts": TRIES - 1}}
        return {"use_listings_cache": False, "config_kwargs": waits}
    return {"auto_mkdir": True} if "://" not in url or url.startswith(("file://", "local://")) else {}
