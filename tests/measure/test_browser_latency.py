"""The browser measurement finds the delays that are there, by one clock, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamer.audio.format import RATE
from streamer.measure.onsets import vowels
from tests.measure.browser_latency import MOUTH, latencies

SECONDS, BLOCK = 20.0, 128
OFFSET = 7.25  # of the page's clock before the audio clock
PICTURE_S, SOUND_S = 0.36, 0.31


def measured(picture_s: float | None = PICTURE_S) -> dict[str, Any]:
    """What the page would keep: the sound comes back after SOUND_S, the mouth follows the vowels after `picture_s`."""
    spoken = np.abs(vowels(SECONDS) / 32768)
    peaks = spoken[: len(spoken) // BLOCK * BLOCK].reshape(-1, BLOCK).max(axis=1)
    times = np.arange(len(peaks)) * BLOCK / RATE
    heard = np.interp(times - SOUND_S, times, peaks, left=0.0)
    pictures = []
    for moment in np.arange(0.0, SECONDS, 0.04):
        opened = 0.0 if picture_s is None else np.interp(moment - picture_s, times, peaks) > 0.05
        pictures.append((moment + OFFSET, [100.0 + 50.0 * float(opened)] * (MOUTH * MOUTH)))
    return {"blocks": np.stack([times, peaks, heard], axis=1).tolist(), "pictures": pictures, "offset": OFFSET}


def test_the_delays_of_picture_and_sound_are_found() -> None:
    found = latencies(measured())
    assert len(found.picture) == len(found.sound) >= 9
    assert np.median(found.sound) == pytest.approx(SOUND_S, abs=0.01)
    assert PICTURE_S - 0.01 <= np.median(found.picture) <= PICTURE_S + 0.05


def test_a_mouth_that_does_not_move_is_not_counted() -> None:
    assert latencies(measured(picture_s=None)).picture == []
