"""Audio to expression coefficients, frame by frame.

A family's expression network gives either weights of face units, to which idle motion is added, or the coefficients of
a face model, computed from a reference expression and a blink ratio. The inputs in the manifest decide which.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np

from engines.manifest import Manifest
from engines.runtime import Binding, Engine, Engines
from streamer.audio.loudness import SILENCE_DB
from streamer.avatar.bundle import Avatar
from streamer.core.frames import FloatArray, Heard, Script
from streamer.core.options import AUTO, PipelineOptions
from streamer.stages.life.idle_face import Blinks, IdleFace
from streamer.stages.life.mood import Mood
from streamer.stages.life.voice_mood import VoiceMood
from streamer.stages.lookahead import Lookahead
from streamer.stages.mel import LIMIT

MAX_BATCH = 32  # windows per call: bounds the network's memory when a long clip is pushed at once
BLINK, REFERENCE = "blink", "reference_expression"  # inputs of an expression stage, beside "mel"


class ExpressionSource(Protocol):
    """Source of each frame's expression, float32 [E], in order."""

    def push(self, heard: Heard) -> list[FloatArray]:
        """Return the expressions now known."""

    def silent(self, window: FloatArray) -> FloatArray:
        """Return the expression for a window of silence, without idle motion; the source's time does not advance.

        window: [1, 1, MEL_BANDS, width].
        """

    def reset(self) -> None:
        """Return to the first frame."""


def open_expression(
    engines: Engines, avatar: Avatar, lookahead: Lookahead, options: PipelineOptions, script: Script
) -> ExpressionSource:
    """Return the expression source that fits the family's expression stage."""
    engine = engines["expression"]
    if BLINK in engine.spec.inputs:
        return ReferenceExpression(engine, avatar, lookahead, options, script)
    return UnitExpression(engine, engines.manifest, avatar, lookahead, options)


class ExpressionStage:
    """The expression network. Windows are independent of each other, so the stage has no state."""

    def __init__(self, binding: Binding, width: int) -> None:
        self._binding = binding
        self._width = width
        self._silence: FloatArray | None = None  # cached output for pure silence, [1, E]

    def infer(self, windows: FloatArray, blink: FloatArray | None = None) -> FloatArray:
        """Map float32 [n, 1, MEL_BANDS, width] and, if the network takes it, blink [n, 1] to [n, E]; any n."""
        if blink is None and (windows == -LIMIT).all():
            if self._silence is None:
                self._silence = self._infer(np.full((1, *windows.shape[1:]), -LIMIT, np.float32), None)
            return np.repeat(self._silence, len(windows), axis=0)
        return self._infer(windows, blink)

    def _infer(self, windows: FloatArray, blink: FloatArray | None) -> FloatArray:
        results = [np.zeros((0, self._width), np.float32)]
        for start in range(0, len(windows), MAX_BATCH):
            inputs = {"mel": windows[start : start + MAX_BATCH]}
            if blink is not None:
                inputs[BLINK] = blink[start : start + MAX_BATCH]
            results.append(self._binding.infer(inputs)["expression"])
        return np.concatenate(results)


class UnitExpression:
    """Face units, 0..1: the network's output plus idle motion and emotion."""

    def __init__(
        self, engine: Engine, manifest: Manifest, avatar: Avatar, lookahead: Lookahead, options: PipelineOptions
    ) -> None:
        names = manifest.coefficients.expression
        self._stage = ExpressionStage(engine.bind({}), len(names))
        self._idle = IdleFace(options.seed, names, options.face.energy, avatar.manner.blinks)
        face = options.face
        self._mood = Mood(options.seed, names, face.emotion, face.intensity)
        self._voice = VoiceMood(names, face.intensity if face.emotion == AUTO else 0.0)
        self._neutral = np.zeros(len(names), np.float32)
        self._lookahead = lookahead
        self._scale = np.float32(options.face.expression_scale)
        self._start()

    def push(self, heard: Heard) -> list[FloatArray]:
        """Return the expressions now known."""
        self._spoken.extend(self._scale * self._stage.infer(heard.windows))
        tones = heard.tones or [None] * len(heard.levels)
        self._offsets.extend(self._life(level, tone) for level, tone in zip(heard.levels, tones, strict=True))
        known = min(len(self._spoken), len(self._offsets))
        return [np.clip(self._spoken.popleft() + self._offsets.popleft(), 0.0, 1.0) for _ in range(known)]

    def set_energy(self, energy: float) -> None:
        """Set the liveliness of brows and gaze from the next frame on."""
        self._idle.energy = energy

    def set_emotion(self, emotion: str, intensity: float) -> None:
        """Set the emotion from the next frame on."""
        self._mood.feel(emotion, intensity)
        self._voice.share = intensity if emotion == AUTO else 0.0

    def silent(self, window: FloatArray) -> FloatArray:
        """Return the expression for a window of silence, without idle motion."""
        expression: FloatArray = np.clip(self._scale * self._stage.infer(window)[0], 0.0, 1.0)
        return expression

    def reset(self) -> None:
        """Return to the first frame."""
        self._idle.reset()
        self._mood.reset()
        self._voice.reset()
        self._start()

    def _start(self) -> None:
        # The first frames have no value yet because of the lag: use the rest state, as before any audio.
        self._spoken = deque([self._neutral] * self._lookahead.expression_lag)
        lag = range(self._lookahead.loudness_lag)
        self._offsets = deque(self._life(SILENCE_DB, None) for _ in lag)

    def _life(self, level: float, tone: tuple[float, float] | None) -> FloatArray:
        """Return the next frame's offsets that do not come from speech: idle motion and emotion."""
        felt = self._mood.step(level) + self._idle.energy * self._voice.step(tone, level)
        return self._idle.step(level) + felt


class ReferenceExpression:
    """Coefficients of a face model, computed from the portrait's own expression (SadTalker's ExpNet)."""

    def __init__(
        self, engine: Engine, avatar: Avatar, lookahead: Lookahead, options: PipelineOptions, script: Script
    ) -> None:
        constants = avatar.constants_of(engine.spec)
        rest: FloatArray = constants[REFERENCE][0]
        self._scale = np.float32(options.face.expression_scale)
        self._rest = self._scale * rest
        self._engine, self._stage = engine, ExpressionStage(engine.bind(constants), len(rest))
        self._blinks, self._lag, self._script = (
            Blinks(options.seed, avatar.manner.blinks),
            lookahead.expression_lag,
            script,
        )
        self._frame, self._missing = 0, self._lag

    def push(self, heard: Heard) -> list[FloatArray]:
        """Return the expressions now known."""
        known = [self._rest] * self._missing
        self._missing = 0
        blink = np.array([self._blink(self._frame + i) for i in range(len(heard.windows))], np.float32)[:, None]
        known += list(self._scale * self._infer(heard.windows, blink))
        self._frame += len(heard.windows)
        return known

    def silent(self, window: FloatArray) -> FloatArray:
        """Return the expression for a window of silence, with the lids open."""
        silent: FloatArray = self._scale * self._stage.infer(window, np.zeros((1, 1), np.float32))[0]
        return silent

    def reset(self) -> None:
        """Return to the first frame."""
        self._blinks.reset()
        self._frame, self._missing = 0, self._lag

    def _blink(self, frame: int) -> float:
        if self._script.blink is not None:
            return float(self._script.blink[frame % len(self._script.blink)])
        # A reference track already contains blinks.
        return self._blinks.step() if self._script.reference is None else 0.0

    def _infer(self, windows: FloatArray, blink: FloatArray) -> FloatArray:
        if (reference := self._script.reference) is None:
            return self._stage.infer(windows, blink)
        rows = [reference[(self._frame + i) % len(reference)][None] for i in range(len(windows))]
        found = [
            self._engine.infer({"mel": windows[i : i + 1], BLINK: blink[i : i + 1], REFERENCE: row})["expression"]
            for i, row in enumerate(rows)
        ]
        return np.concatenate([np.zeros((0, len(self._rest)), np.float32), *found])
