"""Coefficients to driving keypoints: the look-ahead dial, the motion stage's context, and the stage itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from engines.manifest import Manifest
from engines.runtime import Engine
from streamer.avatar import Avatar
from streamer.config import SAMPLES_PER_FRAME, WINDOW_REACH, ms_to_samples
from streamer.errors import ConfigError
from streamer.frames import Coefficients, CoefficientWindow, FloatArray, Keypoints


@dataclass(frozen=True)
class Lookahead:
    """How long a frame waits for later sound, and what that buys.

    Frame i is made when the sound up to `samples` past its start is there, or earlier if it needs less. A look-ahead
    below the full one takes away future in whole frames: first the motion stage's context, whose missing frames repeat
    the last known coefficients; then, below WINDOW_REACH, the expression itself, which lags `expression_lag` frames.

    samples: the dial.
    future: frames of true future in the motion stage's context.
    expression_lag: frames the expression is behind the sound.
    loudness_lag: the same of the sound level that head motion follows.
    """

    samples: int
    future: int
    expression_lag: int
    loudness_lag: int

    @classmethod
    def of(cls, manifest: Manifest, lookahead_ms: int | None = None) -> Lookahead:
        """The dial at `lookahead_ms`; None is all that the family can use.

        Raises:
            ConfigError: outside 0 .. the family's full look-ahead.
        """
        full = manifest.lookahead_ms
        chosen = full if lookahead_ms is None else lookahead_ms
        if not 0 <= chosen <= full:
            raise ConfigError(f"look-ahead of {chosen} ms; {manifest.family} takes 0 to {full} ms")
        samples = ms_to_samples(chosen)
        most = manifest.stage("motion").context[1]
        return cls(
            samples=samples,
            future=max(0, min(most, (samples - WINDOW_REACH) // SAMPLES_PER_FRAME)),
            expression_lag=_frames_missing(WINDOW_REACH - samples),
            loudness_lag=_frames_missing(SAMPLES_PER_FRAME - samples),
        )


def _frames_missing(samples: int) -> int:
    return max(0, -(-samples // SAMPLES_PER_FRAME))


@dataclass
class _State:
    known: list[Coefficients] = field(default_factory=list)  # from the first that a window to come needs
    next_frame: int = 0


class MotionWindows:
    """Coefficients in, the motion stage's windows out. Holds past + 1 + future coefficients."""

    def __init__(self, context: tuple[int, int], future: int) -> None:
        self._past, self._width = context[0], sum(context) + 1
        self._future = future
        self._state = _State()

    def push(self, coefficients: Sequence[Coefficients]) -> list[CoefficientWindow]:
        """Take the next coefficients, without gaps; return the windows whose future is now known."""
        self._state.known.extend(coefficients)
        last = self._last()
        return [self._pop(min(last, frame + self._future)) for frame in self._until(last - self._future)]

    def flush(self) -> list[CoefficientWindow]:
        """No more coefficients: windows of the frames left, the last coefficients repeated."""
        last = self._last()
        return [self._pop(min(last, frame + self._future)) for frame in self._until(last)]

    def reset(self) -> None:
        """Forget everything: the next coefficients are those of frame 0."""
        self._state = _State()

    def _last(self) -> int:
        known = self._state.known
        return known[-1].index if known else -1

    def _until(self, last: int) -> range:
        return range(self._state.next_frame, last + 1)

    def _pop(self, newest: int) -> CoefficientWindow:
        """The next frame's window, looking no further than coefficient `newest`."""
        state = self._state
        frame, first = state.next_frame, state.known[0].index
        indices = np.clip(np.arange(self._width) + frame - self._past, first, newest) - first
        window = CoefficientWindow(frame, np.stack([state.known[i].vector() for i in indices], axis=1))
        state.next_frame += 1
        del state.known[: max(0, state.next_frame - self._past - first)]
        return window


class MotionStage:
    """The motion network of one avatar."""

    def __init__(self, engine: Engine, avatar: Avatar) -> None:
        self._binding = engine.bind(avatar.constants_of(engine.spec), ["keypoints"])

    def infer(self, windows: Sequence[CoefficientWindow]) -> list[Keypoints]:
        """Driving keypoints of every window's frame."""
        if not windows:
            return []
        batch = np.stack([window.values for window in windows])
        points: FloatArray = self._binding.infer({"coefficients": batch})["keypoints"]
        return [Keypoints(window.index, frame) for window, frame in zip(windows, points, strict=True)]
