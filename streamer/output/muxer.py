"""Muxes pictures and sound into one stream or file through PyAV: H.264 and AAC, or VP9 and Opus in WebM.

Both carry timestamps in milliseconds of one clock that the caller counts, so they stay in sync if they arrive late,
early or incomplete. Calls block, and connecting holds the GIL, so this runs in a separate process (`process`).
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import av
import numpy as np

from engines.errors import first_line
from streamer.audio.format import CHANNELS, MS, RATE, Samples
from streamer.core.disclosure import COMMENT
from streamer.core.errors import MediaError
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.core.rates import FPS, FRAME_MS
from streamer.output import colour
from streamer.output.destination import FLV, MP4, MPEGTS, WEBM, Destination

THREADS = 2  # leaves processor time for the face
LIVE_KEY_FRAME_S = 1  # the longest wait of a viewer who joins
FILE_KEY_FRAME_S = 2  # also the length of an MP4's fragments: the most that a crash loses
LIVE_BITS_PER_PIXEL = 0.18  # at most; 4 Mbit/s for 1280x720
QUALITY = "20"  # x264's constant rate factor
VP9_QUALITY = "30"  # of 0..63
AUDIO_BIT_RATE = 160_000
EARLY_SOUND = 100  # packets kept until the first picture comes
SILENCE = RATE  # most samples of silence in one frame
LATE_SOUND = RATE // 2  # sound this many samples behind the pictures counts as missing


@dataclass(frozen=True)
class MuxerJob:
    """Destination and picture format. transparent: pictures keep their alpha (RGBA); requires `Destination.alpha`."""

    destination: Destination
    fit: Fit
    transparent: bool = False


class Muxer:
    """An open destination; `close` finishes a file and moves it to its final name.

    The output starts at the first picture. Earlier sound is left out; missing sound is replaced by silence.
    """

    def __init__(self, job: MuxerJob) -> None:
        """Open the destination, connect and write the header. Raises MediaError."""
        self.pictures = 0  # written
        self._job = job
        self._origin: int | None = None  # ms
        self._edge = 0  # sound written so far, in samples after the origin
        self._last = -1  # picture written last, in frames after the origin
        self._early: list[tuple[int, Samples]] = []
        self._settled = False
        destination = job.destination
        try:
            _find_host(destination)
            options = _container_options(destination)
            self._container = av.open(destination.url, "w", format=destination.container, container_options=options)
            self._container.metadata["comment"] = COMMENT
            self._video, self._audio = self._add_video(), self._add_audio()
            self._container.start_encoding()
        except (av.error.FFmpegError, OSError, UnicodeError) as error:  # UnicodeError: the name is not valid text
            self._settle()
            raise MediaError(first_line(error)) from None

    @property
    def seconds(self) -> float:
        """Return the length of the written part."""
        return (self._last + 1) / FPS

    def picture(self, moment: int, rgb: ByteArray) -> None:
        """Append uint8 [h, w, 3], or [h, w, 4] if transparent. Raises MediaError."""
        if self._origin is None:
            self._origin = moment
        index = (moment - self._origin) // FRAME_MS
        if index <= self._last:
            return
        fitted = self._job.fit.put(rgb)
        frame = colour.converted(fitted, "yuva420p" if self._job.transparent else "yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        self._mux(self._video, frame)
        self._last = index
        self.pictures += 1
        early, self._early = self._early, []
        for when, samples in early:
            self.sound(when, samples)
        self._fill((index + 1) * FRAME_MS * MS - LATE_SOUND)

    def sound(self, moment: int, samples: Samples) -> None:
        """Append int16 [n, 2]; `moment` is the timestamp of its first sample. Raises MediaError."""
        if self._origin is None:
            self._early = [*self._early, (moment, samples)][-EARLY_SOUND:]
            return
        start = (moment - self._origin) * MS
        self._fill(start)
        if start + len(samples) > self._edge:
            self._append(samples[self._edge - start :])

    def close(self) -> None:
        """Flush the encoders and end. A file without pictures is removed. Raises MediaError; see `leave`."""
        try:
            self._mux(self._video, None)
            self._mux(self._audio, None)
        finally:
            self.leave()

    def leave(self) -> None:
        """End without flushing, after the destination failed. The written part of a file is kept. Raises MediaError."""
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(first_line(error)) from None
        finally:
            self._settle()

    def _fill(self, until: int) -> None:
        """Append silence up to `until`; otherwise the container holds the pictures back until sound arrives."""
        while (gap := min(until - self._edge, SILENCE)) > 0:
            self._append(np.zeros((gap, CHANNELS), np.int16))

    def _append(self, samples: Samples) -> None:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        frame.pts, frame.time_base = self._edge, Fraction(1, RATE)
        self._edge += len(samples)
        self._mux(self._audio, frame)

    def _mux(self, stream: Any, frame: av.VideoFrame | av.AudioFrame | None) -> None:
        try:
            self._container.mux(stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(first_line(error)) from None

    def _add_video(self) -> av.VideoStream:
        job, fit = self._job, self._job.fit
        codec = "libvpx-vp9" if job.destination.container == WEBM else "libx264"
        stream = self._container.add_stream(codec, rate=FPS, options=_video_options(job))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = fit.width, fit.height
        stream.pix_fmt = "yuva420p" if job.transparent else "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.codec_context.thread_count = THREADS
        colour.mark(stream)
        if job.transparent:
            stream.metadata["alpha_mode"] = "1"
        return stream

    def _add_audio(self) -> av.AudioStream:
        codec = "libopus" if self._job.destination.container == WEBM else "aac"
        stream = self._container.add_stream(codec, rate=RATE, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = AUDIO_BIT_RATE
        return stream

    def _settle(self) -> None:
        """Move a file to its final name, or remove it if it contains no picture."""
        destination, settled, self._settled = self._job.destination, self._settled, True
        if destination.partial is None or settled:
            return
        with contextlib.suppress(OSError):
            if self.pictures:
                destination.keep()
            else:
                destination.partial.unlink()


def _find_host(destination: Destination) -> None:
    """Resolve the host, because FFmpeg reports an unknown name only as "Input/output error". Raises MediaError."""
    if destination.live:
        host = urlsplit(destination.url).hostname
        try:
            socket.getaddrinfo(host, None)
        except OSError:
            raise MediaError(f"no host {host} is known") from None


def _container_options(destination: Destination) -> dict[str, str]:
    options = {"flush_packets": "1"}  # write each packet at once
    if destination.live:
        options["max_interleave_delta"] = "200000"  # µs that pictures and sound wait for each other, instead of 10 s
    if destination.container == MP4:
        # Playable up to the last fragment if the program is killed; delay_moov puts the first picture at 0.
        options["movflags"] = "hybrid_fragmented+delay_moov"
    if destination.container == MPEGTS:
        options["pes_payload_size"] = "0"  # otherwise sound is buffered for 140 ms
    if destination.container == FLV and destination.live:
        options["flvflags"] = "no_duration_filesize"
    return options


def _video_options(job: MuxerJob) -> dict[str, str]:
    live = job.destination.live
    options = {"g": str(FPS * (LIVE_KEY_FRAME_S if live else FILE_KEY_FRAME_S))}
    if job.destination.container == WEBM:
        return options | {
            "deadline": "realtime", "cpu-used": "8", "row-mt": "1", "auto-alt-ref": "0", "lag-in-frames": "0",
            "crf": VP9_QUALITY, "b": "0",
        }  # fmt: skip
    options |= {"preset": "veryfast", "crf": QUALITY, "bf": "0"}
    if live:
        most = round(job.fit.width * job.fit.height * FPS * LIVE_BITS_PER_PIXEL)
        options |= {"tune": "zerolatency", "sc_threshold": "0", "maxrate": str(most), "bufsize": str(most)}
    return options
