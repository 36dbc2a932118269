"""Decoding of one audio track on its timeline: gaps become silence and are reported.

Streams may change their rate or channels, contain damaged bytes, be cut off, or leave out pauses. None of these ends
the audio early without a report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.audio.resampler import AudioResampler

from engines.errors import first_line
from streamer.audio.format import CHANNELS
from streamer.core.frames import FloatArray

# All errors that PyAV raises for a file: FFmpeg's errors, and its own for unexpected content.
PYAV_ERRORS = (av.error.FFmpegError, OSError, ValueError, RuntimeError, LookupError, TypeError, ArithmeticError)
RATES = range(1_000, 768_001)  # Hz
SMALLEST_GAP_S = 0.015  # smaller gaps are rounding of time stamps (a millisecond in Matroska); a packet is 20 ms
LARGEST_GAP_S = 600.0  # larger gaps are wrong time stamps
ABSURD = 8.0  # of full scale: louder samples come from damaged bytes
DEMUX_ERRORS = 8  # consecutive errors after which reading stops


@dataclass(frozen=True, eq=False)
class Part:
    """Piece of audio at the track's current rate: float32 [n, 2]."""

    rate: int
    samples: FloatArray


@dataclass
class Course:
    """Progress and defects of decoding. Times are in seconds of the track's timeline, inserted silence included."""

    seconds: float = 0.0
    sounding: bool = False  # whether any frame was decoded
    damaged: list[float] = field(default_factory=list)  # positions of packets that were damaged or incomplete
    gaps: list[tuple[float, float]] = field(default_factory=list)  # (position, length) of inserted silence
    reason: str = ""  # FFmpeg's message for the first damage
    peak: float = 0.0


def parts(container: av.container.InputContainer, index: int, course: Course) -> Iterator[Part]:
    """Decode audio track `index` (from 0) to its end and record progress in `course`. Raises nothing."""
    stream = container.streams.audio[index]
    timeline = _Timeline(container, course)
    stereo = _Stereo()
    for packet in _packets(container, stream, course):
        if packet.is_corrupt:
            course.damaged.append(course.seconds)
        try:
            frames = stream.decode(packet)
        except PYAV_ERRORS as error:
            _note(course, error)
            continue
        for frame in frames:
            if frame.sample_rate not in RATES:
                _note(course, ValueError(f"{frame.sample_rate} Hz found; expected {RATES.start} to {RATES[-1]} Hz"))
                continue
            if frame.is_corrupt:
                course.damaged.append(course.seconds)
            yield from timeline.before(frame)
            try:
                samples = stereo.of(frame)
            except PYAV_ERRORS as error:
                _note(course, error)
                continue
            peak = float(np.abs(samples).max(initial=0.0))
            if peak > ABSURD and not stream.codec_context.name.startswith("pcm"):
                course.damaged.append(course.seconds)
                samples, peak = np.zeros_like(samples), 0.0
            course.sounding = True
            course.seconds += len(samples) / frame.sample_rate
            course.peak = max(course.peak, peak)
            yield Part(frame.sample_rate, np.clip(samples, -1.0, 1.0))


def _packets(
    container: av.container.InputContainer, stream: av.AudioStream, course: Course
) -> Iterator[av.Packet[av.AudioStream]]:
    """Yield all readable packets. After an error, reading continues: later packets may be intact."""
    errors = 0
    while errors < DEMUX_ERRORS:
        try:
            for packet in container.demux(stream):
                errors = 0
                yield packet
            return
        except PYAV_ERRORS as error:
            errors += 1
            _note(course, error)


def _note(course: Course, error: Exception) -> None:
    course.reason = course.reason or first_line(error)
    course.damaged.append(course.seconds)


class _Timeline:
    """Finder of gaps in the time stamps, frame by frame, so that clock drift does not accumulate."""

    def __init__(self, container: av.container.InputContainer, course: Course) -> None:
        start = container.start_time  # start of the earliest track, which need not be this one
        self._end: Fraction | None = None if start is None else Fraction(start, av.time_base)
        self._course = course

    def before(self, frame: av.AudioFrame) -> Iterator[Part]:
        """Yield the silence missing before a frame."""
        told = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        expected = told if self._end is None else self._end
        moment = expected if told is None else told
        self._end = None if moment is None else moment + Fraction(frame.samples, frame.sample_rate)
        gap = 0.0 if moment is None or expected is None else float(moment - expected)
        if not SMALLEST_GAP_S < gap <= LARGEST_GAP_S:
            return  # time stamps that run back or jump: two recordings in succession
        self._course.gaps.append((self._course.seconds, gap))
        missing = round(gap * frame.sample_rate)
        self._course.seconds += missing / frame.sample_rate
        while missing > 0:
            length = min(missing, frame.sample_rate)
            missing -= length
            yield Part(frame.sample_rate, np.zeros((length, CHANNELS), np.float32))


class _Stereo:
    """Converter of frames to stereo at their own rate. Mono is duplicated; more channels are mixed by FFmpeg."""

    def __init__(self) -> None:
        self._kind: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def of(self, frame: av.AudioFrame) -> FloatArray:
        """Return float32 [n, 2] in -1..1. Raises one of PYAV_ERRORS."""
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if self._resampler is None or kind != self._kind:
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._kind, self._resampler = kind, AudioResampler(format="fltp", layout=layout, rate=frame.sample_rate)
        frame.pts = None  # the resampler would fill gaps in the time stamps with silence
        converted = [np.asarray(part.to_ndarray(), np.float32) for part in self._resampler.resample(frame)]
        planes = np.concatenate([np.zeros((CHANNELS, 0), np.float32), *(_both(plane) for plane in converted)], axis=1)
        samples: FloatArray = np.nan_to_num(planes.T, posinf=1.0, neginf=-1.0)
        return samples


def _both(plane: FloatArray) -> FloatArray:
    return np.broadcast_to(plane, (CHANNELS, plane.shape[1]))
