"""Pictures and the delayed sound into one stream or file: MPEG-TS, FLV, MP4, Matroska or WebM.

A picture's and a packet's moments are counted from the session's own numbers, so lips and sound belong together in what
is written whatever the wall clock did. Encoding and the network are another process's affair (`muxer_process`), which a
thread feeds from a bounded queue: overflow is dropped and counted. A stream that is lost is begun again with a
new process, and so with fresh headers.
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

LIVE_WAITING = 45  # pictures and packets, at three for every 40 ms; then pictures are dropped
FILE_WAITING = 300
SOUND_WAITING = 300  # more of them; then sound is dropped, too
RETRY_S = 1.0  # from a connection's loss to the first attempt to have it back; doubled each time
LONGEST_RETRY_S = 15.0
STEADY_S = 30.0  # a connection that has lasted so long is worth trying again at once
STUCK_S = 5.0  # a receiver that takes nothing for so long is as good as gone
STREAM_END_S = 2.0  # to send what waits
FILE_END_S = 60.0  # to write it
QUIET: Samples = np.zeros((AUDIO_BLOCK, CHANNELS), np.int16)


@dataclass
class OutputStats:
    """Counts since the start."""

    dropped: int = 0  # pictures that the encoder or the network had no time for, or that came while it was gone
    sound_dropped: int = 0  # packets
    reconnected: int = 0


class MuxedOutput:
    """A `PictureSink` and a `SoundSink` in one, and a context manager.

    Until `begin`, a stream shows what it is given with silence, picture after picture; a file begins with the first
    picture of the session's sound. name: for people.
    """

    lead_s = 0.0

    def __init__(
        self,
        destination: Destination,
        fit: Fit,
        transparent: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens the destination, which may take seconds. transparent: pictures are RGBA, for `Destination.alpha`.
        monotonic: the time in seconds.

        Raises:
            MediaError: the file cannot be made.
            DeviceError: nobody answers at the stream's address, or the stream is refused.
        """
        self.stats = OutputStats()
        self._monotonic = monotonic
        self.name = destination.name
        self.seconds = 0.0  # written, once it is closed
        self._destination = destination
        self._job = MuxerJob(destination, fit, transparent)
        self._delay = 0
        self._base: int | None = None  # moment of the session's start, in ms
        self._next = 0  # moment of the next picture
        self._queue: queue.Queue[ToMuxer] = queue.Queue(FILE_WAITING + SOUND_WAITING)
        self._waiting = LIVE_WAITING if destination.live else FILE_WAITING
        self._closing = threading.Event()
        self._failure: AvatarError | None = None
        self._taken = self._monotonic()  # when the process last took something
        self._link: MuxerLink | None = None
        try:
            self._link = MuxerLink(self._job)
        except OutputLostError as error:
            raise self._refusal(str(error)) from None
        self._thread = threading.Thread(target=self._run, name="muxed-output", daemon=True)
        self._thread.start()

    def begin(self, delay_ms: int) -> None:
        """The pictures and packets that follow are a session's, whose frame 0 leaves `delay_ms` after its packet 0."""
        self._delay = delay_ms
        self._base = self._next - (delay_ms % FRAME_MS if self._destination.live else delay_ms)

    def show(self, frame: int, rgb: ByteArray) -> None:
        """Hand over a picture.

        Raises:
            DeviceError: the stream is gone; it is tried again.
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
        """Write what waits and end. Raises MediaError when a file is incomplete that was not before."""
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
        with contextlib.suppress(queue.Full):  # larger than both limits
            self._queue.put_nowait(message)

    def _look_after(self) -> None:
        """End a process that a receiver holds up: it waits for ever otherwise."""
        stuck = self._queue.qsize() >= self._waiting and self._monotonic() - self._taken > STUCK_S
        if stuck and self._destination.live and self._failure is None and self._link is not None:
            self._link.kill()

    def _run(self) -> None:
        """The thread: feed one process after the other."""
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
                self._failure = self._failure or self._loss(error)  # of a vain attempt, the first reason
            if self._monotonic() - opened > STEADY_S:
                pause = RETRY_S
            self._forget()
            if not self._destination.live or self._closing.wait(pause):
                return
            pause = min(2 * pause, LONGEST_RETRY_S)

    def _feed(self, link: MuxerLink) -> None:
        """Until the end. Raises OutputLostError."""
        while True:
            message = self._queue.get()
            link.send(message)
            self._taken = self._monotonic()
            if message is None:
                self.seconds = link.finish(STREAM_END_S if self._destination.live else FILE_END_S)
                return

    def _forget(self) -> None:
        """Drop what waits: it is of the past."""
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
