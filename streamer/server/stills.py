"""Portraits on backgrounds: the cut-out is made once for each avatar, the results are cached.

Cutting a person out takes 0.1 s, putting the cut-out on a colour 1 ms. Both run on one separate thread, so that a
visitor cannot fill the thread pool in which aiortc encodes.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from streamer.avatar.background import BLUR, TRANSPARENT, colour_of
from streamer.avatar.gallery import Portrait
from streamer.core.frames import ByteArray
from streamer.core.pictures import has_alpha, scaled

MOST_STILLS, MOST_PNGS = 32, 64  # cached; a still of 512 x 512 pixels takes about 1 MB
WHOLE = "whole"  # cache key instead of a background: the whole photo
Key = tuple[Portrait, str]  # portrait and background
Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Thread-safe LRU cache of `most` values."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """Return the value stored under this key, if it is still cached."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Key, value: Value) -> Value:
        """Store a value and return it; evict the least recently used."""
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return value


class Stills:
    """The first pictures of sessions, and the same as PNG files. `close` ends its thread."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "stills")
        self._cut_outs: WeakKeyDictionary[Portrait, ByteArray] = WeakKeyDictionary()
        self._stills: Recent[ByteArray] = Recent(MOST_STILLS)
        self._pngs: Recent[bytes] = Recent(MOST_PNGS)

    def close(self) -> None:
        """Shut the thread down."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def knows_png(self, portrait: Portrait, background: str | None) -> bool:
        """Return whether `png` is available without work."""
        return background is None or self._pngs.get((portrait, background)) is not None

    async def still(self, portrait: Portrait, background: str | None, size: int) -> ByteArray:
        """Return the portrait on a background, uint8 [size, size, 3], or [size, size, 4] on a transparent one.

        Raises:
            BundleError: the avatar's matte is damaged.
        """
        if background is None:
            return scaled(portrait.still, size)
        found = self._stills.get((portrait, background))
        whole = await self._run(lambda: self._still(portrait, background)) if found is None else found
        return scaled(whole, size)

    async def whole(self, portrait: Portrait) -> ByteArray:
        """Return the whole photo of an avatar that has one, uint8 [H, W, 3]. Raises BundleError."""
        found = self._stills.get((portrait, WHOLE))
        return await self._run(lambda: self._whole(portrait)) if found is None else found

    async def png(self, portrait: Portrait, background: str | None) -> bytes:
        """Return the portrait on a background as a PNG file. Raises BundleError."""
        if background is None:
            return portrait.png
        found = self._pngs.get((portrait, background))
        return await self._run(lambda: self._png(portrait, background)) if found is None else found

    async def _run(self, work: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _png(self, portrait: Portrait, background: str) -> bytes:
        key = portrait, background
        found = self._pngs.get(key)  # an earlier request may have made it
        if found is not None:
            return found
        picture = self._still(portrait, background)
        way = cv2.COLOR_RGBA2BGRA if has_alpha(picture) else cv2.COLOR_RGB2BGR
        return self._pngs.put(key, cv2.imencode(".png", cv2.cvtColor(picture, way))[1].tobytes())

    def _whole(self, portrait: Portrait) -> ByteArray:
        key = portrait, WHOLE
        found = self._stills.get(key)
        return self._stills.put(key, portrait.whole_still()) if found is None else found

    def _still(self, portrait: Portrait, background: str) -> ByteArray:
        key = portrait, background
        found = self._stills.get(key)
        if found is not None:
            return found
        if background == BLUR:
            return self._stills.put(key, portrait.on(BLUR))
        cut_out = self._cut_outs.get(portrait)
        if cut_out is None:
            cut_out = self._cut_outs[portrait] = portrait.on(TRANSPARENT)
        return self._stills.put(key, cut_out if background == TRANSPARENT else on_colour(cut_out, background))


def on_colour(cut_out: ByteArray, background: str) -> ByteArray:
    """Blend a picture with straight alpha, uint8 [H, W, 4], onto a colour `#rrggbb`; return uint8 [H, W, 3]."""
    share = cut_out[..., 3].astype(np.float32) / 255
    behind = np.empty((*cut_out.shape[:2], 3), np.float32)
    behind[:] = colour_of(background)
    mixed = cv2.blendLinear(cut_out[..., :3].astype(np.float32), behind, share, 1 - share)
    return np.asarray(mixed + np.float32(0.5), np.float32).astype(np.uint8)
