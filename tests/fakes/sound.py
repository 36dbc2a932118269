"""Sound for tests, made from numbers."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler

from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE

VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480))  # formants of ah, ee, oo, eh: Hz


def speech_like(seconds: float, seed: int = 0) -> FloatArray:
    """Syllables of vowels with gaps between them: harmonics of a wandering pitch, louder near the formants."""
    return _spoken(seconds, seed).copy()


@lru_cache(maxsize=32)
def _spoken(seconds: float, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 0.7 * t)) / SAMPLE_RATE
    syllable = (t * 4).astype(int)
    vowel = rng.integers(0, len(VOWELS), syllable.max(initial=0) + 1)[syllable]
    sound = np.zeros(n)
    for harmonic in range(1, 30):
        distance = np.abs(np.array(VOWELS) - 120 * harmonic).min(axis=1)
        sound += np.exp(-distance / 150)[vowel] * np.sin(harmonic * phase)
    envelope = np.clip(1.4 * np.sin(np.pi * (t * 4 % 1)), 0, 1) * (syllable % 5 != 4)
    return np.asarray(0.1 * envelope * sound + 1e-4 * rng.normal(size=n), np.float32)


def chunks(samples: FloatArray, size: int) -> list[FloatArray]:
    """`samples` cut into pieces of `size`, the last one shorter."""
    return [samples[start : start + size] for start in range(0, len(samples), size)]


def encoded(path: Path, codec: str, *tracks: FloatArray, rate: int = SAMPLE_RATE, pause: float = 0.0) -> Path:
    """Save sound tracks, float32 [n] or [n, 2], in the kind of file that the name says.

    pause: seconds by which the time stamps of the second half are later, as of packets that were never sent.
    """
    with av.open(str(path), "w") as container:
        layouts = ["mono" if track.ndim == 1 else "stereo" for track in tracks]
        streams = [container.add_stream(codec, rate=rate, layout=layout) for layout in layouts]
        for stream, layout, track in zip(streams, layouts, tracks, strict=True):
            assert isinstance(stream, av.AudioStream)
            form, size = stream.codec_context.format.name, stream.codec_context.frame_size or 1024
            cutter = AudioResampler(format=form, layout=layout, rate=rate, frame_size=size)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(np.atleast_2d(track.T)), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            done = 0
            for part in [*cutter.resample(frame), *cutter.resample(None)]:
                part.pts, part.time_base = done + round(pause * rate) * (done > len(track) / 2), Fraction(1, rate)
                done += part.samples
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    return path


def write_wav(path: Path, samples: FloatArray, rate: int = SAMPLE_RATE) -> Path:
    """Save mono sound as 16-bit WAV."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        pcm = np.clip(samples * 32767, -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
