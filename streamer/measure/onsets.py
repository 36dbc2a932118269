"""A test signal with sharp onsets, and the delay until each is heard and seen: latency as a person perceives it."""

from __future__ import annotations

import numpy as np

from streamer.audio.format import RATE
from streamer.measure.caller import Grey, Heard, Mono, Seen

PERIOD_S, VOICED_S = 1.6, 0.6  # a vowel, then a pause in which the mouth closes and the picture settles
LEAD_S = 2.0  # before the first vowel, for the connection to settle
FORMANTS = (730, 1090, 2440)  # Hz, of an "ah", which opens the mouth widest
SEARCH_S = 1.2  # after an onset
QUIET_S = 0.2  # after an onset, nothing can have come back yet: these pictures show the closed mouth
LOUD = 0.05  # peak, of full scale, from which sound counts as begun
MOVED = 0.35  # of the largest change of the mouth region in the search, from which it counts as opening
CLEAR = 2.0  # grey levels: if the largest change is smaller, the mouth did not open


def vowels(seconds: float) -> Mono:
    """Return a vowel every PERIOD_S, mono int16 at 48 kHz. One is computed and repeated, as the event loop waits."""
    t = np.arange(round(PERIOD_S * RATE)) / RATE
    harmonics = np.arange(1, 30)[:, None] * 130
    gains = sum(np.exp(-np.abs(harmonics - formant) / 150) for formant in FORMANTS)
    period = np.arange(round(RATE / 10)) / RATE  # all harmonics of 130 Hz repeat in it
    wave = (gains * np.sin(2 * np.pi * harmonics * period)).sum(axis=0)
    wave *= 0.4 / np.abs(wave).max()
    envelope = np.clip(np.minimum(t, VOICED_S - t) / 0.01, 0, 1)
    vowel = np.asarray(32767 * envelope * np.resize(wave, len(t)), np.int16)
    lead, count = round(LEAD_S * RATE), round(seconds * RATE)
    return np.concatenate([np.zeros(lead, np.int16), np.resize(vowel, max(count - lead, 0))])[:count]


def beginnings(start: float, seconds: float) -> list[float]:
    """Return the times of the onsets in `vowels(seconds)` that have at least SEARCH_S after them."""
    count = int((seconds - SEARCH_S - LEAD_S) / PERIOD_S) + 1
    return [start + LEAD_S + PERIOD_S * number for number in range(count)]


def heard_after(moment: float, sound: list[Heard]) -> float | None:
    """Return the seconds from `moment` to the first loud millisecond received, or None."""
    for packet in sound:
        if packet.moment > moment + SEARCH_S:
            break
        loud = np.flatnonzero(packet.level > LOUD)
        if packet.moment > moment and loud.size:
            return packet.moment + int(loud[0]) / 1000 - moment
    return None


def seen_after(moment: float, pictures: list[Seen]) -> float | None:
    """Return the seconds from `moment` until the mouth starts to move; None if it did not, or not clearly."""
    near = [picture for picture in pictures if moment <= picture.moment <= moment + SEARCH_S]
    before = [picture.mouth for picture in near if picture.moment <= moment + QUIET_S]
    if not before or len(near) == len(before):
        return None
    closed: Grey = np.mean(before, axis=0, dtype=np.float32)
    changes = np.array([np.abs(picture.mouth - closed).mean() for picture in near])
    if changes.max() < CLEAR:
        return None
    return near[int(np.argmax(changes > MOVED * changes.max()))].moment - moment
