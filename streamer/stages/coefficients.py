"""Audio to coefficients: expression and head pose, each from a separate source, joined frame by frame.

Frame i depends only on the seed and on the audio up to its look-ahead, not on how the audio is split into chunks.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from engines.runtime import Engines
from streamer.audio.loudness import FrameLoudness
from streamer.audio.tone import FrameTones
from streamer.avatar.bundle import Avatar
from streamer.core.frames import Coefficients, FloatArray, Heard, Script
from streamer.core.options import PipelineOptions
from streamer.core.rates import SAMPLE_RATE, SAMPLES_PER_FRAME
from streamer.stages.causal_pose import CausalPose
from streamer.stages.expression import UnitExpression, open_expression
from streamer.stages.lookahead import Lookahead
from streamer.stages.mel_windows import MelWindows, WindowShape
from streamer.stages.pose import IdlePose, open_pose


class CoefficientSource:
    """Converter from audio to the coefficients of each frame. Queues hold at most one push's frames plus the lag."""

    def __init__(
        self, engines: Engines, avatar: Avatar, lookahead: Lookahead, options: PipelineOptions, script: Script
    ) -> None:
        self._lookahead = lookahead
        self._shape = WindowShape.of(engines["expression"].spec)
        self._windows = MelWindows(self._shape)
        self._loudness = FrameLoudness()
        self._tones = FrameTones()
        self._expression = open_expression(engines, avatar, lookahead, options, script)
        self._pose = open_pose(engines, avatar, lookahead, options, script)
        self._start()

    def push(self, samples: FloatArray) -> list[Coefficients]:
        """Take float32 [n] at SAMPLE_RATE, any n; return the coefficients now known, in order."""
        self._samples += samples.size
        self._take(Heard(self._windows.push(samples), self._loudness.push(samples), self._tones.push(samples)))
        frames = []
        while self._ready():
            frames.append(self._pop())
        return frames

    def flush(self) -> list[Coefficients]:
        """Return all remaining frames' coefficients at the end of the audio. Call `reset` before pushing again."""
        self._take(Heard(self._windows.flush(), self._loudness.flush(), self._tones.flush()))
        self._poses.extend(self._pose.flush())
        total = -(-self._samples // SAMPLES_PER_FRAME)
        return [self._pop() for _ in range(self._next_frame, total)]

    def set_energy(self, energy: float) -> None:
        """Set the face's liveliness from the next frame on; no effect on sources that have no energy setting."""
        for part in (self._expression, self._pose):
            if isinstance(part, UnitExpression | IdlePose | CausalPose):
                part.set_energy(energy)

    def set_emotion(self, emotion: str, intensity: float) -> None:
        """Set the emotion from the next frame on; no effect on a family without face units."""
        if isinstance(self._expression, UnitExpression):
            self._expression.set_emotion(emotion, intensity)

    def silent_expression(self) -> FloatArray:
        """Return the expression network's output for silence, without idle motion: float32 [E]."""
        return self._expression.silent(MelWindows(self._shape).push(np.zeros(SAMPLE_RATE, np.float32))[-1:])

    def reset(self) -> None:
        """Clear all state: the next sample is sample 0."""
        self._windows.reset()
        self._loudness.reset()
        self._tones.reset()
        self._expression.reset()
        self._pose.reset()
        self._start()

    def _start(self) -> None:
        self._samples = 0
        self._next_frame = 0
        self._expressions: deque[FloatArray] = deque()
        self._poses: deque[FloatArray] = deque()

    def _take(self, heard: Heard) -> None:
        self._expressions.extend(self._expression.push(heard))
        self._poses.extend(self._pose.push(heard))

    def _ready(self) -> bool:
        if not self._expressions or not self._poses:
            return False
        if self._lookahead.expression_lag == 0:
            return True
        wait = max(1, self._lookahead.samples)  # a frame needs at least one sample, even without look-ahead
        return self._samples >= self._next_frame * SAMPLES_PER_FRAME + wait

    def _pop(self) -> Coefficients:
        expression, pose = self._expressions.popleft(), self._poses.popleft()
        frame = Coefficients(self._next_frame, np.asarray(expression, np.float32), np.asarray(pose, np.float32))
        self._next_frame += 1
        return frame
