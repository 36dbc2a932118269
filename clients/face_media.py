"""What a face shows and plays, on its way into an agent framework: bounded, in order, its events between."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.speech import Event

RATE = 48_000  # of sound
FPS = 25
BLOCK_MS = 20
MOST = 150  # pictures and blocks of sound that wait, two seconds; the oldest is dropped
SILENT = 16  # of 32767: what Opus makes of silence


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture: uint8 [H, W, 3]."""

    rgb: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Block:
    """20 ms of sound: int16 [960, 2] at RATE."""

    samples: NDArray[np.int16]


Item = Picture | Block | Event


class FaceMedia:
    """A face's ends (`agent_voice.Pictures` and `Sound`), and its events.

    What an interruption silences here was told as played already: it is taken off the position that is told last.

    most: pictures and blocks that may wait. Who takes them at a pace of their own (25 pictures a second) never catches
        up with what has gathered: let that be little.
    dropped: pictures and blocks that nobody took in time.
    """

    lead_s = 0.0

    def __init__(self, most: int = MOST) -> None:
        self.dropped = 0
        self._most = most
        self._silenced = 0  # blocks of speech since `mute`
        self._items: deque[Item] = deque()
        self._changed = asyncio.Event()
        self._muted = False
        self._unmuting: asyncio.TimerHandle | None = None

    def show(self, frame: int, rgb: NDArray[np.uint8]) -> None:
        """Take a picture; of one with alpha, the colours."""
        self._put(Picture(np.ascontiguousarray(rgb[..., :3])))

    def play(self, block: int, samples: NDArray[np.int16]) -> None:
        """Take 20 ms of sound."""
        sound = Block(samples)
        self._put(self._silent(sound) if self._muted else sound)

    def put_event(self, event: Event, seconds: float) -> None:
        """Add an event of the face after so many seconds, when the sound that it tells of has come."""
        asyncio.get_running_loop().call_later(seconds, self._put, event)

    def mute(self) -> None:
        """Silence the sound that waits and that comes, until `unmute`: it was interrupted."""
        self._cancel_unmuting()
        self._muted, self._silenced = True, 0
        self._items = deque(self._silent(item) for item in self._items)

    def unmute(self, seconds: float) -> None:
        """Let sound be heard that comes after so many seconds."""
        self._cancel_unmuting()
        self._unmuting = asyncio.get_running_loop().call_later(seconds, self._open)

    async def next(self) -> Item:
        """Return what waits longest, when there is anything."""
        while not self._items:
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        if isinstance(item, dict) and item.get("interrupted"):
            heard_ms = max(0, item["position_ms"] - BLOCK_MS * self._silenced)
            item, self._silenced = item | {"position_ms": heard_ms}, 0
        return item

    def _silent(self, item: Item) -> Item:
        if not isinstance(item, Block):
            return item
        self._silenced += bool(np.abs(item.samples).max(initial=0) > SILENT)
        return Block(np.zeros_like(item.samples))

    def _put(self, item: Item) -> None:
        if len(self._items) >= self._most:
            oldest = next((waiting for waiting in self._items if isinstance(waiting, Picture | Block)), None)
            if oldest is not None:  # events are few, and none is lost
                self._items.remove(oldest)
                self.dropped += 1
        self._items.append(item)
        self._changed.set()

    def _open(self) -> None:
        self._muted, self._unmuting = False, None

    def _cancel_unmuting(self) -> None:
        if self._unmuting is not None:
            self._unmuting.cancel()
            self._unmuting = None
