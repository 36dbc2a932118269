"""Augment speech with synthetic rooms, microphones, noise, levels and codecs.

Every function takes and returns float32 [n] at 16 kHz and keeps the timing to a fraction of a millisecond, except
`shift_voice`, which returns its stretch factor.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin2, lfilter, resample_poly

from streamer.core.rates import SAMPLE_RATE

Sound = NDArray[np.float32]
Noise = Callable[[np.random.Generator, int], Sound]


def shift_voice(sound: Sound, factor: float) -> tuple[Sound, float]:
    """Scale pitch and formants by about `factor` by resampling; also return the exact factor by which times shrink."""
    up, down = 100, round(100 * factor)
    return np.asarray(resample_poly(sound, up, down), np.float32), down / up


def equalise(rng: np.random.Generator, sound: Sound, most_db: float = 9.0) -> Sound:
    """Apply a random smooth equaliser, to imitate microphones and off-axis speech."""
    corners = np.array([0, 120, 300, 700, 1500, 3000, 5000, 8000]) / (SAMPLE_RATE / 2)
    gains = rng.uniform(-most_db, most_db, len(corners)) * rng.random()
    return _filter(sound, corners, 10 ** (gains / 20))


def band_limit(rng: np.random.Generator, sound: Sound) -> Sound:
    """Limit the band: telephone, or a dull or thin microphone."""
    low, high = [(300, 3400), (60, 4000), (200, 6000), (100, 5000)][int(rng.integers(4))]
    corners = np.array([0, low * 0.6, low, high, high * 1.15, 8000]) / (SAMPLE_RATE / 2)
    return _filter(sound, corners, np.array([0.01, 0.05, 1, 1, 0.05, 0.003]))


def _filter(sound: Sound, corners: NDArray[np.float64], gains: NDArray[np.float64]) -> Sound:
    taps = firwin2(255, corners, gains)
    return np.asarray(fftconvolve(sound, taps, mode="same"), np.float32)


def reverberate(rng: np.random.Generator, sound: Sound) -> Sound:
    """Add a room: direct sound plus exponentially decaying noise (RT60 0.1 to 0.7 s) that loses treble with time."""
    rt60 = rng.uniform(0.1, 0.7)
    length = int(rt60 * SAMPLE_RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail = lfilter([1 - 0.5], [1, -0.5], tail)
    tail[: int(rng.uniform(0.001, 0.012) * SAMPLE_RATE)] = 0
    tail *= 10 ** (-rng.uniform(2, 18) / 20) / np.sqrt((tail**2).sum())
    return np.asarray(sound + fftconvolve(sound, tail)[: len(sound)], np.float32)


def coloured_noise(rng: np.random.Generator, count: int) -> Sound:
    """Make white to brown noise: power falls with a random exponent of frequency; a third swells slowly."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.maximum(np.arange(len(spectrum)) * SAMPLE_RATE / count, 40)
    noise = np.fft.irfft(spectrum * frequency ** (-rng.uniform(0, 1)), count)
    if rng.random() < 1 / 3:
        steps = rng.uniform(0.2, 1.0, max(count // (SAMPLE_RATE // 2), 1) + 2)
        noise *= np.interp(np.arange(count), np.linspace(0, count, len(steps)), steps)
    return noise.astype(np.float32)


def white_noise(rng: np.random.Generator, count: int) -> Sound:
    """Make noise with the same power at all frequencies."""
    return rng.standard_normal(count).astype(np.float32)


def hum(rng: np.random.Generator, count: int) -> Sound:
    """Make mains hum: 50 or 60 Hz and its harmonics, with slight hiss."""
    time = np.arange(count) / SAMPLE_RATE
    base = float(rng.choice([50.0, 60.0]))
    tones = [rng.uniform(0.1, 1) / k * np.sin(2 * np.pi * (base * k * time + rng.random())) for k in range(1, 9)]
    return (np.sum(tones, axis=0) + 0.05 * rng.standard_normal(count)).astype(np.float32)


def clicks(rng: np.random.Generator, count: int) -> Sound:
    """Make clicks of keys and knocks: short decaying bursts."""
    sound = np.zeros(count)
    for start in rng.integers(0, max(count - 1, 1), max(1, count // (SAMPLE_RATE // 4))):
        length = min(int(rng.uniform(0.004, 0.05) * SAMPLE_RATE), count - int(start))
        burst = rng.standard_normal(length) * np.exp(-5 * np.arange(length) / max(length, 1))
        sound[start : start + length] += burst * rng.uniform(0.2, 1)
    return sound.astype(np.float32)


def tones(rng: np.random.Generator, count: int) -> Sound:
    """Make music-like sound: decaying notes with harmonics, two or three at once."""
    sound = np.zeros(count)
    for start in range(0, count, int(rng.uniform(0.15, 0.6) * SAMPLE_RATE)):
        length = min(int(rng.uniform(0.3, 1.5) * SAMPLE_RATE), count - start)
        time = np.arange(length) / SAMPLE_RATE
        for _ in range(int(rng.integers(1, 4))):
            note = 110 * 2 ** (int(rng.integers(0, 36)) / 12)
            voice = sum(np.sin(2 * np.pi * note * k * time) / k**1.5 for k in range(1, 6))
            sound[start : start + length] += voice * np.exp(-time * rng.uniform(1, 6)) * rng.uniform(0.3, 1)
    return sound.astype(np.float32)


def breath(rng: np.random.Generator, count: int) -> Sound:
    """Make a breath of unit power: noise with the vocal tract's resonances and a rising and falling envelope."""
    frequency = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    tract = float(rng.uniform(0.9, 1.25))  # scale of an open tract's resonances; above 1 for a short tract
    gain = 0.15 + sum(
        float(rng.uniform(0.3, 1)) / (1 + ((frequency - tract * at) / width) ** 2)
        for at, width in ((600, 250), (1500, 300), (2600, 400), (3800, 700))
    )
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * gain, count)
    at = np.linspace(0, 1, count)
    noise *= np.interp(at, [0, rng.uniform(0.2, 0.8), 1], [0.1, 1.0, 0.1])
    return np.asarray(noise / np.sqrt((noise**2).mean() + 1e-12), np.float32)


# Of the takes with noise: share with strong noise, and distance of the noise below the voice.
NOISY_SHARE, NOISY_DB, QUIET_DB = 2 / 3, (0.0, 20.0), (20.0, 45.0)
NOISES: tuple[Noise, ...] = (coloured_noise, coloured_noise, coloured_noise, hum, clicks, tones)


def add_noise(sound: Sound, noise: Sound, snr_db: float) -> Sound:
    """Add `noise` [>= n] to `sound`, `snr_db` below the level of its loud parts."""
    loud = np.sqrt((sound**2).mean() / max(float((np.abs(sound) > 0.02 * np.abs(sound).max()).mean()), 1e-3))
    level = np.sqrt((noise[: len(sound)] ** 2).mean()) + 1e-9
    return np.asarray(sound + noise[: len(sound)] * (loud / level) * 10 ** (-snr_db / 20), np.float32)


def vary_effort(rng: np.random.Generator, sound: Sound, most_db: float = 4.0) -> Sound:
    """Vary the level by a few dB over seconds, like a speaker who leans back and forth."""
    knots = rng.uniform(-most_db, most_db, len(sound) // SAMPLE_RATE + 2)
    gain = np.interp(np.arange(len(sound)), np.linspace(0, len(sound), len(knots)), knots)
    return np.asarray(sound * 10 ** (gain / 20), np.float32)


def to_peak(sound: Sound, peak_db: float) -> Sound:
    """Scale so that the highest sample is at `peak_db` dBFS."""
    return np.asarray(sound * (10 ** (peak_db / 20) / max(float(np.abs(sound).max()), 1e-9)), np.float32)


def through_opus(sound: Sound, bit_rate: int) -> Sound:
    """Encode and decode with Opus at `bit_rate`. The encoder's delay is removed and the length kept."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48000, layout="mono")
        stream.bit_rate = bit_rate
        pcm = (np.clip(resample_poly(sound, 3, 1), -1, 1) * 32767).astype(np.int16)
        for start in range(0, len(pcm), 960):
            block = pcm[start : start + 960]
            frame = av.AudioFrame.from_ndarray(np.pad(block, (0, 960 - len(block)))[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    parts = []
    with av.open(buffer, "r") as coded:
        for frame in coded.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    decoded = np.concatenate(parts)[: len(sound)]
    return np.asarray(np.pad(decoded, (0, len(sound) - len(decoded))), np.float32)


def channel(rng: np.random.Generator, sound: Sound, babble: Sound | None = None) -> Sound:
    """Apply a random channel; about one take in eight stays nearly clean. `babble`: other voices."""
    sound = vary_effort(rng, sound)
    if rng.random() < 0.7:
        sound = equalise(rng, sound)
    if rng.random() < 0.4:
        sound = reverberate(rng, sound)
    if rng.random() < 0.75:
        noise = NOISES[int(rng.integers(len(NOISES)))](rng, len(sound))
        sound = add_noise(sound, noise, rng.uniform(*(NOISY_DB if rng.random() < NOISY_SHARE else QUIET_DB)))
    if babble is not None and rng.random() < 0.12:
        sound = add_noise(sound, babble, rng.uniform(12, 30))
    if rng.random() < 0.12:
        sound = band_limit(rng, sound)
    return _sent(rng, to_peak(sound, -30 * rng.beta(1.0, 2.2)), clipped=0.06, coded=0.2)


def disturb(rng: np.random.Generator, sound: Sound, babble: Sound | None = None) -> Sound:
    """Add the effects of a room, a microphone and noise, stronger than `channel` and with more white noise."""
    sound = vary_effort(rng, sound)
    if rng.random() < 0.5:
        sound = equalise(rng, sound)
    if rng.random() < 0.35:
        sound = reverberate(rng, sound)
    kind = rng.random()
    if kind < 0.4:
        sound = add_noise(sound, white_noise(rng, len(sound)), rng.uniform(3, 32))
    elif kind < 0.7:
        sound = add_noise(sound, NOISES[int(rng.integers(len(NOISES)))](rng, len(sound)), rng.uniform(3, 35))
    elif kind < 0.82 and babble is not None:
        sound = add_noise(sound, babble, rng.uniform(6, 30))
    if rng.random() < 0.1:
        sound = band_limit(rng, sound)
    return _sent(rng, to_peak(sound, -36 * rng.beta(1.0, 2.0)), clipped=0.05, coded=0.05)


def _sent(rng: np.random.Generator, sound: Sound, clipped: float, coded: float) -> Sound:
    """Clip and encode, with the probabilities `clipped` and `coded`."""
    if rng.random() < clipped:
        sound = np.clip(sound * rng.uniform(1.5, 4), -0.9, 0.9).astype(np.float32)
    if rng.random() < coded:
        sound = through_opus(sound, int(rng.choice([12000, 16000, 24000, 32000])))
    return sound
