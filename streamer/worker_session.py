"""The inference worker, for one session."""

from __future__ import annotations

from streamer.frames import AudioChunk
from streamer.worker import InferenceWorker


class WorkerSession:
    """What a `conversation.Conversation` talks to; `number` is what `worker.open` gave."""

    def __init__(self, worker: InferenceWorker, number: int) -> None:
        self._worker = worker
        self._number = number

    def begin(self, generation: int, frame: int, origin: float) -> None:
        """Sound of a new generation follows."""
        self._worker.begin(self._number, generation, frame, origin)

    def push(self, generation: int, chunk: AudioChunk) -> None:
        """Hand over sound."""
        self._worker.push(self._number, generation, chunk)

    def cut(self, generation: int, frame: int, resume: int) -> None:
        """What was handed over is not heard from `frame` on; the mouth is shut until `resume`."""
        self._worker.cut(self._number, generation, frame, resume)
