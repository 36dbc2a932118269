"""Coefficients to driving keypoints: the motion stage's context, and the stage itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engines.runtime import Engine
from streamer.avatar.bundle import Avatar
from streamer.avatar.mouth_fit import YIELDS
from streamer.core.frames import Coefficients, CoefficientWindow, FloatArray, Keypoints
from streamer.stages.lip_activity import LipActivity


@dataclass
class _State:
    known: list[Coefficients] = field(default_factory=list)  # from the first one that a later window needs
    busy: list[float] = field(default_factory=list)  # lip activity in each of them
    next_frame: int = 0


class MotionWindows:
    """Converter from coefficients to the motion stage's windows. Holds past + 1 + future coefficients."""

    def __init__(self, context: tuple[int, int], future: int, names: Sequence[str] = ()) -> None:
        """context: frames before and after; future: later frames to wait for; names: expression coefficients."""
        self._past, self._width = context[0], sum(context) + 1
        self._future = future
        self._lips = LipActivity(names)
        self._state = _State()

    def push(self, coefficients: Sequence[Coefficients]) -> list[CoefficientWindow]:
        """Take the next coefficients, without gaps; return the windows whose future is now known."""
        self._state.known.extend(coefficients)
        self._state.busy.extend(self._lips.step(frame.expression) for frame in coefficients)
        last = self._last()
        return [self._pop(min(last, frame + self._future)) for frame in self._until(last - self._future)]

    def flush(self) -> list[CoefficientWindow]:
        """Return the windows of the remaining frames, repeating the last coefficients."""
        last = self._last()
        return [self._pop(min(last, frame + self._future)) for frame in self._until(last)]

    def reset(self) -> None:
        """Clear all state: the next coefficients are those of frame 0."""
        self._lips.reset()
        self._state = _State()

    def _last(self) -> int:
        known = self._state.known
        return known[-1].index if known else -1

    def _until(self, last: int) -> range:
        return range(self._state.next_frame, last + 1)

    def _pop(self, newest: int) -> CoefficientWindow:
        """Return the next frame's window, using no coefficient later than `newest`."""
        state = self._state
        frame, first = state.next_frame, state.known[0].index
        indices = np.clip(np.arange(self._width) + frame - self._past, first, newest) - first
        values = np.stack([state.known[i].vector() for i in indices], axis=1)
        window = CoefficientWindow(frame, values, busy=np.array([state.busy[i] for i in indices], np.float32))
        state.next_frame += 1
        done = max(0, state.next_frame - self._past - first)
        del state.known[:done], state.busy[:done]
        return window


class MotionStage:
    """Motion network of one avatar.

    If the network takes more coefficients than the stream has, the avatar's `reference_rest` fills the last ones. The
    portrait's resting mouth shape, such as a smile, is reduced while the lips are active (see `avatar.mouth_fit`). This
    is done only here, so that coefficients have the same meaning for all avatars.
    """

    def __init__(self, engine: Engine, avatar: Avatar) -> None:
        spec = engine.spec
        self._binding = engine.bind(avatar.constants_of(spec), ["keypoints"])
        self._rows = int(spec.inputs["coefficients"].shape[1])
        self._takes_view = "view" in spec.inputs
        self._rest = avatar.constants.get("reference_rest", np.zeros((1, 0), np.float32))
        self._yields = avatar.constants.get(YIELDS)

    def infer(self, windows: Sequence[CoefficientWindow]) -> list[Keypoints]:
        """Return the driving keypoints of every window's frame."""
        if not windows:
            return []
        inputs = {"coefficients": self._fill(np.stack([self._relaxed(window) for window in windows]))}
        if self._takes_view:
            view = np.stack([_FREE if window.view is None else window.view for window in windows])
            inputs |= {"view": np.nan_to_num(view), "view_on": np.asarray(~np.isnan(view), np.float32)}
        points: FloatArray = self._binding.infer(inputs)["keypoints"]
        return [Keypoints(window.index, frame) for window, frame in zip(windows, points, strict=True)]

    def _relaxed(self, window: CoefficientWindow) -> FloatArray:
        if self._yields is None or window.busy is None:
            return window.values
        values = window.values.copy()
        values[: len(self._yields)] -= self._yields[:, None] * window.busy
        return values

    def _fill(self, batch: FloatArray) -> FloatArray:
        missing = self._rows - batch.shape[1]
        if missing <= 0:
            return batch
        rest = self._rest[0, :missing]
        return np.concatenate([batch, np.broadcast_to(rest[:, None], (len(batch), len(rest), batch.shape[2]))], axis=1)


_FREE = np.full(3, np.nan, np.float32)
