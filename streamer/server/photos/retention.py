"""Expiry of visitors' photos: each is removed with its avatar after a number of days."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from engines.manifest import Manifest
from streamer.avatar.bundle_files import PORTRAIT
from streamer.avatar.gallery import Gallery, Portrait
from streamer.avatar.own import remove_avatar
from streamer.core.errors import BundleError
from streamer.inference.worker import InferenceWorker

LOOK_S = 3600.0
DAY_S = 86_400.0

logger = logging.getLogger(__name__)
audit = logging.getLogger("streamer.audit")


def is_over(portrait: Portrait, days: float, now: float) -> bool:
    """Return whether a visitor's portrait is older than `days`, by the time of its file, which is written once."""
    if not portrait.owner:
        return False
    try:
        return now - (portrait.folder / PORTRAIT).stat().st_mtime > days * DAY_S
    except OSError:
        return False


async def expire(
    manifest: Manifest, worker: InferenceWorker, gallery: Callable[[], Gallery | None], days: float
) -> None:
    """Remove expired photos every hour, until cancelled. Sessions that show one of them continue."""
    while True:
        if (known := gallery()) is not None:
            await _remove_old(manifest, worker, known, days)
        await asyncio.sleep(LOOK_S)


async def _remove_old(manifest: Manifest, worker: InferenceWorker, gallery: Gallery, days: float) -> None:
    for portrait in gallery.portraits():
        if portrait.name == gallery.default or not is_over(portrait, days, time.time()):
            continue
        try:
            await asyncio.to_thread(remove_avatar, manifest, portrait.name)
        except BundleError as error:
            logger.error("%s", error)
            continue
        gallery.remove(portrait.name)
        worker.unload(portrait.name)
        audit.info("a photo of %s is removed after %g days", portrait.owner, days)
