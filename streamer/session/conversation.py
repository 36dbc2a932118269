"""One user's conversation with an avatar, without the network: sound in, sound and pictures out, on one clock.

It connects the microphone's timeline, speech that a program pushes instead, the inference worker and playout. No I/O;
the caller passes the time, in seconds since the session's start.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from streamer.audio.decimator import FACTOR, Decimator
from streamer.audio.format import CHANNELS, MS, RATE, Samples
from streamer.core.frames import AudioChunk, AvatarFrame, ByteArray
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.core.rungs import FULL, Rung
from streamer.session.playout import Playout
from streamer.session.speech.speech_queue import PushedSpeech
from streamer.session.timeline import MicrophoneTimeline
from streamer.stages.life.steering import Shown, Steered

BEHIND_S = 1.0  # after a longer time gap (the machine slept), the missing sound is skipped


class FaceWorker(Protocol):
    """Interface of the inference worker to a conversation: `worker.WorkerSession`."""

    def begin(self, generation: int, frame: int, origin: float) -> None:
        """Begin a new generation of sound at `frame`; frame 0 is due at `origin`."""

    def push(self, generation: int, chunk: AudioChunk) -> None:
        """Send sound to the worker."""

    def cut(self, generation: int, frame: int, resume: int) -> None:
        """Discard the sound pushed from `frame` on; keep the mouth shut until frame `resume`."""

    def postpone(self, origin: float) -> None:
        """Shift the deadlines of all frames: frame 0 is now due at `origin`."""

    def steer(self, wanted: Steered | Shown) -> None:
        """Steer the face: emotion, energy, gaze, gesture or look."""


class NoFace:
    """Stand-in for a missing worker: sound continues without pictures."""

    def begin(self, generation: int, frame: int, origin: float) -> None:
        """Do nothing."""

    def push(self, generation: int, chunk: AudioChunk) -> None:
        """Do nothing."""

    def cut(self, generation: int, frame: int, resume: int) -> None:
        """Do nothing."""

    def postpone(self, origin: float) -> None:
        """Do nothing."""

    def steer(self, wanted: Steered | Shown) -> None:
        """Do nothing."""


class Conversation:
    """Conversation of one session; it runs once `begin` was called. Audio in `speech` replaces the microphone.

    gather_ms: minimum length of sound per hand-over to the worker.
    """

    def __init__(
        self, worker: FaceWorker, playout: Playout, speech: PushedSpeech | None = None, gather_ms: int = 0
    ) -> None:
        self.timeline = MicrophoneTimeline()
        self.playout = playout
        self.speech = speech or PushedSpeech()
        self.stale_pictures = 0  # pictures of an earlier generation, dropped
        self.rung = FULL  # current degradation level of the worker
        self.paused = False  # pushed speech is paused
        self.muted = False  # the microphone is muted
        self._worker = worker
        self._start = 0.0
        self._held_ms = 0  # of playout, as last sent to the worker
        self._generation = -1
        self._decimator = Decimator()
        self._position = 0  # of the next sample for the worker
        self._gather = gather_ms * MS
        self._gathered: list[Samples] = []  # sound for the worker, from `_position` on

    def begin(self, start: float) -> None:
        """Start at `start` on the machine's monotonic clock, from which the worker's deadlines derive."""
        self._start = start
        self._restart(0)

    def hear(self, pts: int, samples: Samples, now: float) -> None:
        """Take a microphone packet: int16 [n, 2] at 48 kHz, `pts` in the sender's count."""
        self._catch_up(now)
        if self.speech.has_the_word:
            self._say(now)
        else:
            self.timeline.push(pts, np.zeros_like(samples) if self.muted else samples, now)
        self._forward()

    def tick(self, now: float) -> None:
        """Advance time: fill with silence if the sender sends nothing, so the face keeps moving."""
        if self.playout.held_ms != self._held_ms:
            self._worker.postpone(self._origin())
        self._catch_up(now)
        if self.speech.has_the_word:
            self._say(now)
        else:
            self.timeline.close(now)
        self._forward()

    def steer(self, wanted: Steered | Shown) -> None:
        """Steer the face: emotion, energy, gaze, gesture or look; ignored while the worker is missing."""
        self._worker.steer(wanted)

    def interrupt(self) -> None:
        """Drop all pushed speech, queued or in flight (barge-in): the sound fades out and the mouth eases shut."""
        if not self.speech.in_flight:
            self.speech.clear(self.playout.position)
            return
        self.speech.clear(self.playout.cut())
        self._hand_over()
        self._generation += 1
        resume = -(-self.timeline.edge // (FACTOR * SAMPLES_PER_FRAME))
        self._worker.cut(self._generation, self.playout.next_frame, resume)

    def take_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        """Take a picture from the worker; drop it if its generation is outdated."""
        if generation != self._generation:
            self.stale_pictures += 1
            return
        self.playout.push_frame(AvatarFrame(index, rgb, index * SAMPLES_PER_FRAME))

    def take_rung(self, rung: Rung) -> None:
        """Apply the worker's new degradation level."""
        self.rung = rung
        self.playout.hold(rung.extra_ms)
        if rung.still:
            self.playout.rest()

    def begin_again(self, worker: FaceWorker) -> None:
        """Continue from the next frame on a new worker that has no state of the session."""
        self._worker = worker
        self._restart(self.timeline.edge)

    def lose_worker(self) -> None:
        """Continue without pictures until `begin_again`."""
        self._worker = NoFace()
        self.take_rung(FULL)

    def _catch_up(self, now: float) -> None:
        behind = now - self.timeline.edge / RATE
        if behind > BEHIND_S:
            self._restart(round(now * RATE))

    def _restart(self, position: int) -> None:
        """Begin a generation at the first frame from `position` on; discard everything in flight."""
        frame = -(-position // (FACTOR * SAMPLES_PER_FRAME))
        self._generation += 1
        self.timeline.skip_to(frame * SAMPLES_PER_FRAME * FACTOR)
        self._decimator = Decimator()
        self._gathered.clear()
        self._position = frame * SAMPLES_PER_FRAME
        self._worker.begin(self._generation, frame, self._origin())

    def _origin(self) -> float:
        """Return when frame 0 is due at playout's current delay; note that delay as sent to the worker."""
        self._held_ms = self.playout.held_ms
        return self._start + (self.playout.delay_ms + self._held_ms) / 1000

    def _say(self, now: float) -> None:
        missing = round(now * RATE) - self.timeline.edge
        if missing > 0 and self.paused:
            self.timeline.put(np.zeros((missing, CHANNELS), np.int16))
        elif missing > 0:
            self.timeline.put(self.speech.take(missing, self.timeline.edge))

    def _forward(self) -> None:
        end = self.timeline.edge
        samples = self.timeline.pop()
        if not len(samples):
            return
        self.playout.push_audio(end - len(samples), samples)
        self._gathered.append(samples)
        if sum(map(len, self._gathered)) >= self._gather:
            self._hand_over()

    def _hand_over(self) -> None:
        """Send the gathered sound to the worker."""
        if not self._gathered:
            return
        sound = self._decimator.push(np.concatenate(self._gathered))
        self._gathered.clear()
        self._worker.push(self._generation, AudioChunk(self._position, sound))
        self._position += sound.size
