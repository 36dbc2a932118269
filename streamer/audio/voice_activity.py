"""Voice activity detection in chunks of 32 ms.

A neural detector (engines.voice_activity) gives each chunk's probability of voice; the rest is hysteresis: speech
begins after several likely chunks in a row, and ends after a silence longer than a pause within a sentence.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from engines.runtime import Engine
from engines.voice_activity import CHUNK, CONTEXT, STATE, open_model
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE

CHUNK_MS = 1000 * CHUNK // SAMPLE_RATE
LIKELY, UNLIKELY = 0.5, 0.35  # thresholds of voice, and of silence during speech (the authors' values)
BEGIN_CHUNKS = 3  # 96 ms
END_CHUNKS = 576 // CHUNK_MS
PAUSE_CHUNKS = 224 // CHUNK_MS  # pause between phrases; breaths and stop consonants are shorter

Probability = Callable[[FloatArray], float]


class NeuralDetector:
    """Stateful detector: the probability of voice in the next 512 samples at SAMPLE_RATE, float32 in -1..1."""

    def __init__(self) -> None:
        """Raises EngineError."""
        self._model = _shared_model().bind({})
        self._state: FloatArray = np.zeros(STATE, np.float32)
        self._context: FloatArray = np.zeros(CONTEXT, np.float32)

    def __call__(self, samples: FloatArray) -> float:
        """Return the probability, 0..1, for the next samples, float32 [512]."""
        heard = np.concatenate([self._context, samples])
        found = self._model.infer({"input": heard[None], "state": self._state})
        self._state, self._context = found["stateN"], samples[-CONTEXT:]
        return float(found["output"][0, 0])


@functools.cache
def _shared_model() -> Engine:
    return open_model()


class VoiceActivity:
    """Voice activity of a stream. speaking: whether there is speech; pausing: whether it pauses between two phrases."""

    def __init__(self, probability: Probability) -> None:
        self.speaking = self.pausing = False
        self._probability = probability
        self._waiting: FloatArray = np.zeros(0, np.float32)
        self._likely = self._unlikely = 0  # consecutive chunks

    def push(self, samples: FloatArray) -> None:
        """Process float32 [n] at SAMPLE_RATE, any n."""
        waiting = np.concatenate([self._waiting, samples])
        while len(waiting) >= CHUNK:
            self._judge(self._probability(waiting[:CHUNK]))
            waiting = waiting[CHUNK:]
        self._waiting = waiting

    def _judge(self, probability: float) -> None:
        self._likely = self._likely + 1 if probability >= LIKELY else 0
        self._unlikely = self._unlikely + 1 if probability < UNLIKELY else 0
        if self.speaking:
            self.speaking = self._unlikely < END_CHUNKS
        else:
            self.speaking = self._likely >= BEGIN_CHUNKS
        self.pausing = self.speaking and self._unlikely >= PAUSE_CHUNKS
