"""The worker process: a complete server for its share of a machine, behind an `Enclosure`.

Its settings come as one line of JSON on standard input, to keep secrets out of the process list. The end of that input
means that the supervisor has ended; the worker then ends, too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
from aiohttp.typedefs import Middleware

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.avatar.catalogue import home_folder
from streamer.cluster.enclosure import Enclosure
from streamer.core.aio import MonotonicClock
from streamer.core.console import note
from streamer.core.errors import AvatarError
from streamer.server.app import serve
from streamer.server.options import ServeOptions
from streamer.server.photos.shared_photos import PhotoStore, SharedPhotos
from streamer.server.registry import Lobby


class WorkerSettings(msgspec.Struct, frozen=True):
    """Settings of a worker. pass_word: password that gateways send (`signed.Signer`). shelf: URL of the store for
    visitors' photos, or None.
    """

    worker: str
    node: str
    pass_word: str
    options: ServeOptions
    shelf: str | None = None

    def encode(self) -> bytes:
        """Encode the settings as one line of JSON."""
        return msgspec.json.encode(self, enc_hook=str) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> WorkerSettings:
        """Decode a line written by `encode`. Raises msgspec.ValidationError."""
        return msgspec.json.decode(line, type=cls, dec_hook=read_path)


def read_path(kind: type, value: Any) -> Any:
    """Decode a path, which msgspec does not support natively."""
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)


def main() -> int:
    """Serve until SIGTERM or the end of the input; return the exit status."""
    settings = WorkerSettings.decode(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()

    def enclose(lobby: Lobby, photos: SharedPhotos | None) -> Middleware:
        told = settings.worker, settings.node, settings.pass_word
        return Enclosure(*told, lobby, MonotonicClock(), photos).middleware()

    try:
        serve(settings.options, enclose, _store(settings))
    except AvatarError as error:
        note(str(error))
        return 2
    return 0


def _store(settings: WorkerSettings) -> PhotoStore | None:
    """Return the store of visitors' photos, or None. Raises AvatarError."""
    if settings.shelf is None:
        return None
    from streamer.cluster.shelves.photo_shelf import PhotoShelf  # requires fsspec

    return PhotoShelf(settings.shelf, Manifest.load(settings.options.family or SHIPPED_FAMILY), home_folder())


def _end_with_input() -> None:
    while os.read(0, 4096):  # not through the buffer: a thread must not hold its lock at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
