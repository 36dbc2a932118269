"""Sound to coefficients: the expression from the network, head pose and idle life from the manifest's process.

Everything about frame i is a function of the sound up to the look-ahead and of the seed, however the sound is cut
into chunks.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.config import SAMPLES_PER_FRAME
from streamer.errors import ManifestError
from streamer.expression import ExpressionStage
from streamer.frames import Coefficients, FloatArray
from streamer.idle import IdleFace
from streamer.loudness import SILENCE_DB, FrameLoudness
from streamer.motion import Lookahead
from streamer.pose import HeadPose
from streamer.window import MelWindows

POSE_PROCESS = "idle-and-speech"
POSE_NAMES = ("pitch", "yaw", "roll", "tx", "ty", "tz")  # what HeadPose gives: degrees, half pictures


class CoefficientSource:
    """Push sound, pop the coefficients of each frame. Queues hold at most what a push brought and the lag."""

    def __init__(self, engines: Engines, lookahead: Lookahead, seed: int) -> None:
        manifest = engines.manifest
        _check_pose(manifest)
        self._lookahead = lookahead
        self._windows = MelWindows()
        self._loudness = FrameLoudness()
        self._stage = ExpressionStage(engines["expression"])
        self._pose = HeadPose(seed)
        self._idle = IdleFace(seed, manifest.coefficients.expression)
        self._neutral = np.zeros(len(manifest.coefficients.expression), np.float32)
        self._start()

    def push(self, samples: FloatArray) -> list[Coefficients]:
        """Take float32 [n] at SAMPLE_RATE, any n; return the coefficients now known, in order."""
        self._samples += samples.size
        self._levels.extend(self._loudness.push(samples))
        self._expressions.extend(self._stage.infer(self._windows.push(samples)))
        frames = []
        while self._ready():
            frames.append(self._pop())
        return frames

    def flush(self) -> list[Coefficients]:
        """The sound has ended: coefficients of all remaining frames. `reset` before pushing again."""
        self._levels.extend(self._loudness.flush())
        self._expressions.extend(self._stage.infer(self._windows.flush()))
        total = -(-self._samples // SAMPLES_PER_FRAME)
        return [self._pop() for _ in range(self._next_frame, total)]

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self._windows.reset()
        self._loudness.reset()
        self._pose.reset()
        self._idle.reset()
        self._start()

    def _start(self) -> None:
        self._samples = 0
        self._next_frame = 0
        # A lagging value is there before it is known: at rest, as before any sound.
        self._expressions = deque([self._neutral] * self._lookahead.expression_lag)
        self._levels = deque([SILENCE_DB] * self._lookahead.loudness_lag)

    def _ready(self) -> bool:
        if not self._expressions or not self._levels:
            return False
        if self._lookahead.expression_lag == 0:
            return True
        wait = max(1, self._lookahead.samples)  # a frame has at least one sample, even when it waits for none
        return self._samples >= self._next_frame * SAMPLES_PER_FRAME + wait

    def _pop(self) -> Coefficients:
        level = self._levels.popleft()
        expression = np.clip(self._expressions.popleft() + self._idle.step(level), 0.0, 1.0)
        frame = Coefficients(self._next_frame, expression.astype(np.float32), self._pose.step(level))
        self._next_frame += 1
        return frame


def _check_pose(manifest: Manifest) -> None:
    process = manifest.stage("pose").process
    if process != POSE_PROCESS:
        raise ManifestError(f"family {manifest.family}: pose process {process}, this version has {POSE_PROCESS}")
    names = manifest.coefficients.pose
    if names != POSE_NAMES:
        raise ManifestError(f"family {manifest.family}: pose is {', '.join(names)}, expected {', '.join(POSE_NAMES)}")
