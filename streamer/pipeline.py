"""The pipeline, synchronous and without I/O: push sound, get frames.

`CoefficientStream` (sound to coefficients, one per session) and `FaceRenderer` (coefficients to pictures, one per
avatar) can be used apart: a server runs the first for every session and gathers what is due for the second.
"""

from __future__ import annotations

from collections.abc import Sequence

from engines.runtime import Engines
from streamer.avatar import Avatar
from streamer.config import PipelineOptions
from streamer.frames import AvatarFrame, Coefficients, CoefficientWindow, FloatArray

__all__ = ["Avatar", "CoefficientStream", "Engines", "FaceRenderer", "Pipeline", "PipelineOptions"]


class CoefficientStream:
    """Sound to coefficient windows: mel, expression, head pose, idle life, and the motion stage's context."""

    def __init__(self, engines: Engines, options: PipelineOptions) -> None:
        raise NotImplementedError

    def push(self, samples: FloatArray) -> list[CoefficientWindow]:
        """Take float32 [n] at SAMPLE_RATE, any n; return the windows that became ready, in order."""
        raise NotImplementedError

    def flush(self) -> list[CoefficientWindow]:
        """The sound has ended: windows of all remaining frames; the last, partial frame counts as one."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        raise NotImplementedError


class FaceRenderer:
    """Coefficient windows to pictures, for one avatar."""

    def __init__(self, engines: Engines, avatar: Avatar) -> None:
        raise NotImplementedError

    def render(self, windows: Sequence[CoefficientWindow]) -> list[AvatarFrame]:
        """One frame for each window, in order."""
        raise NotImplementedError


class Pipeline:
    """Sound to frames for one session."""

    def __init__(self, engines: Engines, avatar: Avatar, options: PipelineOptions | None = None) -> None:
        raise NotImplementedError

    def push(self, samples: FloatArray) -> list[AvatarFrame]:
        """Take 16 kHz mono float32 [n] in [-1, 1], any n; return the frames that became ready."""
        raise NotImplementedError

    def flush(self) -> list[AvatarFrame]:
        """The sound has ended: all remaining frames."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        raise NotImplementedError

    def coefficients(self) -> list[Coefficients]:
        """Coefficients of the frames so far since the last call."""
        raise NotImplementedError
