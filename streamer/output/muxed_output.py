"""Writes pictures and the delayed sound to one stream or file: MPEG-TS, FLV, MP4, Matroska or WebM.

Timestamps are computed from the session's frame and packet numbers, so lips and sound stay in sync in the output,
whatever the wall clock does. Encoding and network I/O run in a child process (`process`), which a thread feeds from a
bounded queue; on overflow, messages are dropped and counted. A lost stream is restarted with a new process, and so with
fresh headers.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamer.audio.format import AUDIO_BLOCK, AUDIO_PTIME_MS, CHANNELS, Samples
from streamer.core.errors import AvatarError, DeviceError, MediaError
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.core.rates import FRAME_MS
from streamer.output.destination import Destination
from streamer.output.link import MuxerLink, OutputLostError
from streamer.output.muxer import MuxerJob
from streamer.output.process import Picture, Sound, ToMuxer

LIVE_WAITING = 45  # queued pictures and packets, three per 40 ms; above this, pictures are dropped
FILE_WAITING = 300
SOUND_WAITING = 300  # queued messages beyond that; above this, sound is dropped, too
RETRY_S = 1.0  # from the loss of a connection to the first retry; doubled each time
LONGEST_RETRY_S = 15.0
STEADY_S = 30.0  # a connection that lasted longer resets the retry interval
STUCK_S = 5.0  # a receiver that accepts nothing for this long counts as gone
STREAM_END_S = 2.0  # to send the queue
FILE_END_S = 60.0  # to write the queue
QUIET: Samples = np.zeros((AUDIO_BLOCK, CHANNELS), np.int16)


@dataclass
class OutputStats:
    """Counts since the start."""

    dropped: int = 0  # pictures: the encoder or the network was too slow, or the destination was gone
    sound_dropped: int = 0  # packets
    reconnected: int = 0


class MuxedOutput:
    """A `PictureSink` and a `SoundSink` in one, and a context manager.

    Until `begin`, a stream gets the pictures with silence. A file starts with frame 0 of the session.
    name: for display.
    """

    lead_s = 0.0

    def __init__(
        self,
        destination: Destination,
        fit: Fit,
        transparent: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the destination, which may take seconds. transparent: pictures are RGBA; requires `Destination.alpha`.
        monotonic: time in seconds.

        Raises:
            MediaError: the file cannot be created.
            DeviceError: no server answers at the stream's address, or the stream is refused.
        """
        self.stats = OutputStats()
        self._monotonic = monotonic
        self.name = destination.name
        self.seconds = 0.0  # length of the written part; set at the end
        self._destination = destination
        self._job = MuxerJob(destination, fit, transparent)
        self._delay = 0
        self._base: int | None = None  # timestamp of the session's start, in ms
        self._next = 0  # timestamp of the next picture
        self._queue: queue.Queue[ToMuxer] = queue.Queue(FILE_WAITING + SOUND_WAITING)
        self._waiting = LIVE_WAITING if destination.live else FILE_WAITING
        self._closing = threading.Event()
        self._failure: AvatarError | None = None
        self._taken = self._monotonic()  # when the process last accepted a message
        self._link: MuxerLink | None = None
        try:
            self._link = MuxerLink(self._job)
        except OutputLostError as error:
            raise self._refusal(str(error)) from None
        self._thread = threading.Thread(target=self._run, name="muxed-output", daemon=True)
        self._thread.start()

    def begin(self, delay_ms: int) -> None:
        """Start the session: its frame 0 leaves `delay_ms` after its packet 0."""
        self._delay = delay_ms
        self._base = self._next - (delay_ms % FRAME_MS if self._destination.live else delay_ms)

    def show(self, frame: int, rgb: ByteArray) -> None:
        """Queue a picture.

        Raises:
            DeviceError: the stream is gone; it is retried.
            MediaError: the file cannot be written any more; the part written so far is kept.
        """
        if self._base is not None:
            moment = self._base + self._delay + frame * FRAME_MS
            if moment >= self._next:
                self._put_picture(Picture(moment, rgb))
        elif self._destination.live:
            for part in range(0, FRAME_MS, AUDIO_PTIME_MS):
                self._put_sound(Sound(self._next + part, QUIET))
            self._put_picture(Picture(self._next, rgb))
        self._look_after()
        if (failure := self._failure) is not None:
            raise failure

    def play(self, block: int, samples: Samples) -> None:
        """Queue a packet of the session's sound; `show` reports failures."""
        if self._base is not None:
            self._put_sound(Sound(self._base + block * AUDIO_PTIME_MS, samples))

    def close(self) -> None:
        """Write the queue and end. Raises MediaError if a file is incomplete for a reason that is not reported yet."""
        told = self._failure
        patience = STREAM_END_S if self._destination.live else FILE_END_S
        self._closing.set()
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=patience)
        self._thread.join(patience)
        if self._link is not None:
            self._link.kill()
        if self._failure is not told and isinstance(self._failure, MediaError):
            raise self._failure

    def __enter__(self) -> MuxedOutput:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put_picture(self, picture: Picture) -> None:
        self._next = picture.moment + FRAME_MS
        if self._failure is not None or self._queue.qsize() >= self._waiting:
            self.stats.dropped += 1
        else:
            self._put(picture)

    def _put_sound(self, sound: Sound) -> None:
        if self._failure is not None or self._queue.qsize() >= self._waiting + SOUND_WAITING:
            self.stats.sound_dropped += 1
        else:
            self._put(sound)

    def _put(self, message: ToMuxer) -> None:
        if self._queue.empty():
            self._taken = self._monotonic()
        with contextlib.suppress(queue.Full):  # the queue is as large as both limits together
            self._queue.put_nowait(message)

    def _look_after(self) -> None:
        """Kill a process that is blocked by its receiver; it would wait forever."""
        stuck = self._queue.qsize() >= self._waiting and self._monotonic() - self._taken > STUCK_S
        if stuck and self._destination.live and self._failure is None and self._link is not None:
            self._link.kill()

    def _run(self) -> None:
        """Run the thread: feed one process after another."""
        pause = RETRY_S
        while True:
            opened = self._monotonic()
            try:
                if self._link is None:
                    self._link = MuxerLink(self._job)
                    self.stats.reconnected += 1
                    self._failure = None
                self._feed(self._link)
                return
            except OutputLostError as error:
                self._link = None
                self._failure = self._failure or self._loss(error)  # if a retry fails, keep the first reason
            if self._monotonic() - opened > STEADY_S:
                pause = RETRY_S
            self._forget()
            if not self._destination.live or self._closing.wait(pause):
                return
            pause = min(2 * pause, LONGEST_RETRY_S)

    def _feed(self, link: MuxerLink) -> None:
        """Send queued messages to the process until the end. Raises OutputLostError."""
        while True:
            message = self._queue.get()
            link.send(message)
            self._taken = self._monotonic()
            if message is None:
                self.seconds = link.finish(STREAM_END_S if self._destination.live else FILE_END_S)
                return

    def _forget(self) -> None:
        """Drop the queued messages, which are outdated."""
        with contextlib.suppress(queue.Empty):
            while True:
                message = self._queue.get_nowait()
                self.stats.dropped += isinstance(message, Picture)
                self.stats.sound_dropped += isinstance(message, Sound)

    def _refusal(self, reason: str) -> AvatarError:
        if self._destination.path is not None:
            return MediaError(f"{self.name}: cannot be written ({reason})")
        return DeviceError(f"{self.name}: cannot be opened ({reason}); is what receives the stream running?")

    def _loss(self, error: OutputLostError) -> AvatarError:
        if self._destination.path is None:
            return DeviceError(f"the output {self.name} is gone ({error})")
        self.seconds = error.seconds
        kept = f"the first {error.seconds:.1f} s are kept" if error.seconds else "what can be is kept"
        return MediaError(f"{self.name}: cannot be written any further ({error}); {kept}")
