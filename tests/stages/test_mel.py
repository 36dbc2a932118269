"""The features are the ones the networks were trained on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.rates import MEL_BANDS, MEL_HOP, SAMPLE_RATE
from streamer.stages.mel import mel_filters, mel_spectrogram, pre_emphasis
from streamer.stages.mel_windows import clip_windows
from tests import DATA
from tests.fakes.sound import speech_like

REFERENCE = DATA / "speech_features.npz"  # from SadTalker's own feature code


def test_mel_frames_are_the_reference_implementation_s() -> None:
    with np.load(REFERENCE) as reference:
        mel = mel_spectrogram(reference["pcm"].astype(np.float32) / 32768)
        np.testing.assert_allclose(mel[reference["mel_index"]], reference["mel"], atol=2e-5)


def test_windows_are_the_reference_implementation_s() -> None:
    with np.load(REFERENCE) as reference:
        windows = clip_windows(reference["pcm"].astype(np.float32) / 32768)
        np.testing.assert_allclose(windows[reference["window_index"], 0], reference["windows"], atol=2e-5)


def test_silence_is_the_floor() -> None:
    mel = mel_spectrogram(np.zeros(SAMPLE_RATE, np.float32))
    assert mel.shape == (SAMPLE_RATE // MEL_HOP + 1, MEL_BANDS)
    assert (mel == -4.0).all()


@pytest.mark.parametrize("hertz", [200, 1000, 3000, 6000])
def test_a_tone_is_loudest_in_the_band_over_it(hertz: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    band = int(mel_spectrogram(tone.astype(np.float32))[40].argmax())
    centre = int(mel_filters()[band].argmax()) * SAMPLE_RATE / 800
    assert abs(centre - hertz) <= max(20.0, 0.05 * hertz)


def test_every_band_has_the_same_area() -> None:
    """Slaney's scaling. Narrow low bands fall between the FFT's bins, so only the wide ones can show it."""
    areas = mel_filters().sum(axis=1) * SAMPLE_RATE / 800
    np.testing.assert_allclose(areas[40:], 1.0, atol=0.02)


@given(cut=st.integers(0, 100))
def test_pre_emphasis_goes_on_where_it_stopped(cut: int) -> None:
    samples = speech_like(0.01)[:100]
    whole = pre_emphasis(samples)
    previous = float(samples[cut - 1]) if cut else 0.0
    parts = [pre_emphasis(samples[:cut]), pre_emphasis(samples[cut:], previous)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
