"""Queue of a face's pictures, sound and events for an agent framework: bounded, in order."""

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
MOST = 150  # queued pictures and blocks of sound, two seconds; beyond it the oldest is dropped
SILENT = 16  # of 32767: largest sample of silence after Opus


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
    """Queue of a face's pictures and sound (it is its `agent_voice.Pictures` and `Sound`) and of its events.

    The face has already reported the sound that an interruption silences here as played: its length is subtracted from
    the position in the event of the interruption.

    most: largest number of queued pictures and blocks. A consumer at a fixed pace (25 pictures a second) never catches
        up with a backlog, so keep it small there.
    dropped: pictures and blocks dropped because they were not taken in time.
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
        """Queue a picture; alpha is dropped."""
        self._put(Picture(np.ascontiguousarray(rgb[..., :3])))

    def play(self, block: int, samples: NDArray[np.int16]) -> None:
        """Queue 20 ms of sound."""
        sound = Block(samples)
        self._put(self._silent(sound) if self._muted else sound)

    def put_event(self, event: Event, seconds: float) -> None:
        """Queue an event of the face after `seconds`, when the sound it reports has arrived."""
        asyncio.get_running_loop().call_later(seconds, self._put, event)

    def mute(self) -> None:
        """Silence queued and arriving sound until `unmute`, after an interruption."""
        self._cancel_unmuting()
        self._muted, self._silenced = True, 0
        self._items = deque(self._silent(item) for item in self._items)

    def unmute(self, seconds: float) -> None:
        """Stop silencing sound that arrives after `seconds`."""
        self._cancel_unmuting()
        self._unmuting = asyncio.get_running_loop().call_later(seconds, self._open)

    async def next(self) -> Item:
        """Wait for the oldest queued item and return it."""
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
            if oldest is not None:  # events are few and never dropped
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
