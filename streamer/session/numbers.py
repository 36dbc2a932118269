"""What a session's face does, as numbers that leave with their sound, for those who draw it themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamer.core.frames import ByteArray, FloatArray
from streamer.core.units.numbers import packed, unpacked


@dataclass(frozen=True)
class NumberNames:
    """What the numbers are: units of the expression, 0..1, then the head's pose."""

    expression: tuple[str, ...]
    head: tuple[str, ...]

    @property
    def nothing(self) -> ByteArray:
        """The numbers of a face at rest, packed."""
        return packed(np.zeros(len(self.expression) + len(self.head), np.float32))


@dataclass(frozen=True, eq=False)
class NumbersFrame:
    """Those of a frame, float32 [E + P], and of the next where they are there already."""

    frame: int
    values: FloatArray
    following: FloatArray | None


class Numbers:
    """The numbers of one session, as they are due."""

    def __init__(self, names: NumberNames) -> None:
        self.names = names
        self._watchers: list[Callable[[NumbersFrame], None]] = []

    @property
    def watched(self) -> int:
        """How many are told."""
        return len(self._watchers)

    def watch(self, tell: Callable[[NumbersFrame], None]) -> None:
        """Tell this one of every frame, until `unwatch`."""
        self._watchers.append(tell)

    def unwatch(self, tell: Callable[[NumbersFrame], None]) -> None:
        """See `watch`."""
        self._watchers.remove(tell)

    def show(self, frame: int, numbers: ByteArray, following: ByteArray | None) -> None:
        """A frame is due: packed numbers, and those of the next frame."""
        if self._watchers:
            after = None if following is None else self._read(following)
            found = NumbersFrame(frame, self._read(numbers), after)
            for watcher in self._watchers:
                watcher(found)

    def _read(self, numbers: ByteArray) -> FloatArray:
        values = unpacked(numbers).copy()
        units = len(self.names.expression)
        values[:units] = np.clip(values[:units], 0.0, 1.0)
        return values
