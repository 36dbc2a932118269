"""Conversion of pushed sound of any format to 16-bit stereo at `timeline.RATE`.

Queued sound stays in its pushed format; it is converted piece by piece just before playback.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler

from streamer.audio.format import CHANNELS, RATE, Samples
from streamer.session.speech.speech_format import Format, Opus, Pcm

PIECE_MS = 20  # PCM converted at a time


class _Decoder(Protocol):
    """Queue of sound in one format. `take` decodes a small piece, or returns None when the queue is empty."""

    @property
    def waiting_s(self) -> float: ...

    def push(self, message: bytes) -> None: ...

    def take(self) -> list[av.AudioFrame] | None: ...

    def drop(self) -> None: ...


class SpeechSound:
    """One utterance's sound; resampling (swresample) does not shift it in time."""

    def __init__(self, sound: Format) -> None:
        self._decoder: _Decoder = _OpusDecoder(sound) if isinstance(sound, Opus) else _PcmDecoder(sound)
        self._resampler = AudioResampler(format="s16", layout="stereo", rate=RATE)
        self._ready: Samples = np.zeros((0, CHANNELS), np.int16)
        self._flushed = False

    @property
    def waiting_s(self) -> float:
        """Seconds not yet taken."""
        return self._decoder.waiting_s + len(self._ready) / RATE

    def push(self, message: bytes) -> None:
        """Append a message, already validated by its format."""
        self._decoder.push(message)

    def drop(self) -> None:
        """Drop everything not yet taken."""
        self._decoder.drop()
        self._ready = self._ready[:0]
        self._flushed = True

    def take(self, length: int, ended: bool) -> Samples:
        """Return up to `length` samples; fewer if they have not arrived yet or, once `ended`, if none are left."""
        ready = [self._ready]
        count = len(self._ready)
        while count < length and (frames := self._decoder.take()) is not None:
            ready += [_stereo(part) for frame in frames for part in self._resampler.resample(frame)]
            count = sum(map(len, ready))
        if count < length and ended and not self._flushed:
            ready += [_stereo(part) for part in self._resampler.resample(None)]
            self._flushed = True
        samples = np.concatenate(ready)
        self._ready = samples[length:]
        return samples[:length]


class _PcmDecoder:
    """Decoder of PCM: messages of any length in, pieces of PIECE_MS out."""

    def __init__(self, sound: Pcm) -> None:
        self._format = sound
        self._pushed: deque[bytes] = deque()
        self._bytes = 0

    @property
    def waiting_s(self) -> float:
        return self._bytes / (self._format.rate * self._format.frame_bytes)

    def push(self, message: bytes) -> None:
        self._pushed.append(message)
        self._bytes += len(message)

    def drop(self) -> None:
        self._pushed.clear()
        self._bytes = 0

    def take(self) -> list[av.AudioFrame] | None:
        """Return up to PIECE_MS of sound, in stereo at the format's rate."""
        wanted = self._format.rate * PIECE_MS // 1000 * self._format.frame_bytes
        parts: list[bytes] = []
        while wanted and self._pushed:
            part = self._pushed.popleft()
            if len(part) > wanted:
                self._pushed.appendleft(part[wanted:])
                part = part[:wanted]
            wanted -= len(part)
            parts.append(part)
        piece = b"".join(parts)
        self._bytes -= len(piece)
        if not piece:
            return None
        samples = np.frombuffer(piece, "<i2").reshape(-1, self._format.channels)
        return [_frame(np.broadcast_to(samples, (len(samples), CHANNELS)), self._format.rate)]


class _OpusDecoder:
    """Decoder of Opus packets; one that cannot be decoded becomes silence of the duration in its header."""

    def __init__(self, sound: Opus) -> None:
        self._format = sound
        self._packets: deque[tuple[bytes, float]] = deque()
        self.waiting_s = 0.0
        codec = av.CodecContext.create("libopus", "r")
        assert isinstance(codec, AudioCodecContext)
        codec.format, codec.layout, codec.sample_rate = "s16", "stereo", RATE
        self._codec = codec

    def push(self, message: bytes) -> None:
        seconds = self._format.seconds(message)
        self._packets.append((message, seconds))
        self.waiting_s += seconds

    def drop(self) -> None:
        self._packets.clear()
        self.waiting_s = 0.0

    def take(self) -> list[av.AudioFrame] | None:
        """Return one packet's sound, in stereo at RATE."""
        if not self._packets:
            return None
        packet, seconds = self._packets.popleft()
        self.waiting_s = max(0.0, self.waiting_s - seconds) if self._packets else 0.0
        length = round(seconds * RATE)
        try:
            frames = self._codec.decode(av.Packet(packet))
        except av.error.FFmpegError:
            frames = []
        if sum(frame.samples for frame in frames) != length:
            return [_frame(np.zeros((length, CHANNELS), np.int16), RATE)]
        for frame in frames:
            frame.pts = None  # positions follow from sample counts, not from pts
        return list(frames)


def _frame(samples: Samples, rate: int) -> av.AudioFrame:
    both = np.ascontiguousarray(samples, np.int16)
    frame = av.AudioFrame.from_ndarray(both.reshape(1, -1), format="s16", layout="stereo")
    frame.sample_rate = rate
    return frame


def _stereo(frame: av.AudioFrame) -> Samples:
    return np.asarray(frame.to_ndarray(), np.int16).reshape(-1, CHANNELS)
