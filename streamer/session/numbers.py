"""Animation coefficients of a session's face, sent in time with the sound to clients that render it themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamer.core.frames import ByteArray, FloatArray
from streamer.core.units.numbers import packed, unpacked


@dataclass(frozen=True)
class NumberNames:
    """Names of the coefficients: expression units, 0..1, then the head's pose."""

    expression: tuple[str, ...]
    head: tuple[str, ...]

    @property
    def nothing(self) -> ByteArray:
        """Packed coefficients of a face at rest."""
        return packed(np.zeros(len(self.expression) + len(self.head), np.float32))


@dataclass(frozen=True, eq=False)
class NumbersFrame:
    """Coefficients of a frame, float32 [E + P], and of the next frame if available already."""

    frame: int
    values: FloatArray
    following: FloatArray | None


class Numbers:
    """Publisher of one session's coefficients at their due times."""

    def __init__(self, names: NumberNames) -> None:
        self.names = names
        self._watchers: list[Callable[[NumbersFrame], None]] = []

    @property
    def watched(self) -> int:
        """Number of watchers."""
        return len(self._watchers)

    def watch(self, tell: Callable[[NumbersFrame], None]) -> None:
        """Call `tell` with every frame until `unwatch`."""
        self._watchers.append(tell)

    def unwatch(self, tell: Callable[[NumbersFrame], None]) -> None:
        """Stop calling `tell`."""
        self._watchers.remove(tell)

    def show(self, frame: int, numbers: ByteArray, following: ByteArray | None) -> None:
        """Publish a frame that is due: its packed coefficients, and those of the next frame."""
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
