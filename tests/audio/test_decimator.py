"""48 kHz stereo to 16 kHz mono on the same clock."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.audio.decimator import FACTOR, REACH, Decimator
from streamer.audio.format import RATE, Samples


def tone(hertz: float, seconds: float = 0.5) -> Samples:
    wave = 16_000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return np.repeat(wave.astype(np.int16)[:, None], 2, axis=1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=20))
def test_any_chunks_give_what_one_gives(sizes: list[int]) -> None:
    sound = tone(440)[: sum(sizes)]
    decimator, start, out = Decimator(), 0, []
    for size in sizes:
        out.append(decimator.push(sound[start : start + size]))
        start += size
    assert np.allclose(np.concatenate(out), Decimator().push(sound), atol=1e-6)


@pytest.mark.parametrize("hertz", [100, 1000, 5000])
def test_speech_passes_unchanged_and_in_time(hertz: float) -> None:
    """Output sample k is input sample 3 k: no delay that would put the lips behind."""
    heard = Decimator().push(tone(hertz))
    expected = tone(hertz)[::FACTOR, 0][: heard.size].astype(np.float32) / 32768
    inner = slice(REACH, -REACH)
    assert np.abs(heard[inner] - expected[inner]).max() < 0.02


def test_what_would_fold_back_is_removed() -> None:
    heard = Decimator().push(tone(11_000))
    assert np.abs(heard[REACH:]).max() < 0.01


def test_both_channels_count() -> None:
    left = tone(440)
    left[:, 1] = 0
    both, one = Decimator().push(tone(440)), Decimator().push(left)
    assert np.allclose(one, both / 2, atol=1e-4)
