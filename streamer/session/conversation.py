"""One person's conversation with an avatar, without the network: sound in, sound and pictures out, on one clock.

It joins the microphone's timeline, speech that a program pushes in its place, the inference worker and playout. No
I/O; the caller passes the time, in seconds since the session's start.
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

BEHIND_S = 1.0  # when so much time passed unseen (the machine slept), the sound in between is not made up for


class FaceWorker(Protocol):
    """What a conversation needs of the worker: `worker.WorkerSession`."""

    def begin(self, generation: int, frame: int, origin: float) -> None:
        """Sound of a new generation follows."""

    def push(self, generation: int, chunk: AudioChunk) -> None:
        """Hand over sound."""

    def cut(self, generation: int, frame: int, resume: int) -> None:
        """Void the sound pushed from `frame` on; keep the mouth shut until `resume`."""

    def postpone(self, origin: float) -> None:
        """Frame 0 would now be shown at `origin`, and all others likewise."""

    def steer(self, wanted: Steered | Shown) -> None:
        """Have the face do something beside speaking."""


class NoFace:
    """Takes the place of a worker that is not there: sound goes on without pictures."""

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
    """Speaks once `begin` was called. While `speech` has audio, it is heard in place of the microphone.

    gather_ms: of sound that the worker gets at a time, at least.
    """

    def __init__(
        self, worker: FaceWorker, playout: Playout, speech: PushedSpeech | None = None, gather_ms: int = 0
    ) -> None:
        self.timeline = MicrophoneTimeline()
        self.playout = playout
        self.speech = speech or PushedSpeech()
        self.stale_pictures = 0  # made for sound of an earlier generation
        self.rung = FULL  # of the worker
        self.paused = False  # pushed speech waits
        self.muted = False  # the microphone is not heard
        self._worker = worker
        self._start = 0.0
        self._held_ms = 0  # of playout, as the worker knows it
        self._generation = -1
        self._decimator = Decimator()
        self._position = 0  # of the next sample for the worker
        self._gather = gather_ms * MS
        self._gathered: list[Samples] = []  # for the worker, from that position on

    def begin(self, start: float) -> None:
        """Start at this moment of the machine's monotonic clock, which gives the worker its deadlines."""
        self._start = start
        self._restart(0)

    def hear(self, pts: int, samples: Samples, now: float) -> None:
        """Take a packet of the microphone: int16 [n, 2] at 48 kHz, `pts` in the sender's count."""
        self._catch_up(now)
        if self.speech.has_the_word:
            self._say(now)
        else:
            self.timeline.push(pts, np.zeros_like(samples) if self.muted else samples, now)
        self._forward()

    def tick(self, now: float) -> None:
        """Let time pass: a sender that says nothing is silent, and the face lives on."""
        if self.playout.held_ms != self._held_ms:
            self._worker.postpone(self._origin())
        self._catch_up(now)
        if self.speech.has_the_word:
            self._say(now)
        else:
            self.timeline.close(now)
        self._forward()

    def steer(self, wanted: Steered | Shown) -> None:
        """Have the face do something beside speaking; a worker that is not there forgets it."""
        self._worker.steer(wanted)

    def interrupt(self) -> None:
        """Drop all pushed speech, wherever it is: from the next packet on it is silent, and the mouth eases shut."""
        if not self.speech.in_flight:
            self.speech.clear(self.playout.position)
            return
        self.speech.clear(self.playout.cut())
        self._hand_over()
        self._generation += 1
        resume = -(-self.timeline.edge // (FACTOR * SAMPLES_PER_FRAME))
        self._worker.cut(self._generation, self.playout.next_frame, resume)

    def take_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        """A picture from the worker."""
        if generation != self._generation:
            self.stale_pictures += 1
            return
        self.playout.push_frame(AvatarFrame(index, rgb, index * SAMPLES_PER_FRAME))

    def take_rung(self, rung: Rung) -> None:
        """The worker makes less from now on, or more."""
        self.rung = rung
        self.playout.hold(rung.extra_ms)
        if rung.still:
            self.playout.rest()

    def begin_again(self, worker: FaceWorker) -> None:
        """Go on with the next frame on a worker that knows nothing of what was."""
        self._worker = worker
        self._restart(self.timeline.edge)

    def lose_worker(self) -> None:
        """Go on without pictures until `begin_again`."""
        self._worker = NoFace()
        self.take_rung(FULL)

    def _catch_up(self, now: float) -> None:
        behind = now - self.timeline.edge / RATE
        if behind > BEHIND_S:
            self._restart(round(now * RATE))

    def _restart(self, position: int) -> None:
        """Begin a generation at the first frame from `position` on; all that was under way is void."""
        frame = -(-position // (FACTOR * SAMPLES_PER_FRAME))
        self._generation += 1
        self.timeline.skip_to(frame * SAMPLES_PER_FRAME * FACTOR)
        self._decimator = Decimator()
        self._gathered.clear()
        self._position = frame * SAMPLES_PER_FRAME
        self._worker.begin(self._generation, frame, self._origin())

    def _origin(self) -> float:
        """The moment at which frame 0 is due, seen from the delay that playout has now."""
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
        """Give the worker what was gathered."""
        if not self._gathered:
            return
        sound = self._decimator.push(np.concatenate(self._gathered))
        self._gathered.clear()
        self._worker.push(self._generation, AudioChunk(self._position, sound))
        self._position += sound.size
