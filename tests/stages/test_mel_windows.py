"""Sliding windows: however the sound is cut, the whole clip's windows come out, each as early as it can."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import ManifestError
from engines.manifest import GraphSpec, StageSpec, TensorSpec
from streamer.core.frames import FloatArray
from streamer.core.rates import (
    EXPRESSION_LOOKAHEAD,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    WINDOW_REACH,
    window_start,
)
from streamer.stages.mel_windows import SADTALKER, MelWindows, WindowShape, clip_windows
from tests.fakes.sound import chunks, speech_like

CLIP = speech_like(12.3)
SHORT = CLIP[: 3 * SAMPLE_RATE]


def stream(pieces: list[FloatArray], shape: WindowShape = SADTALKER) -> FloatArray:
    windows = MelWindows(shape)
    return np.concatenate([*(windows.push(piece) for piece in pieces), windows.flush()])


@pytest.mark.parametrize("size", [16, 160, 320, 640, 641, 999, 16_000, 160_000])
def test_chunked_equals_whole(size: int) -> None:
    clip = CLIP if size > 160 else SHORT
    np.testing.assert_allclose(stream(chunks(clip, size)), clip_windows(clip), atol=1e-5)


@pytest.mark.parametrize("size", [160, 641, 16_000])
def test_levelled_windows_chunked_equal_whole(size: int) -> None:
    shape = WindowShape(32, 3, levelled=True)
    whole = clip_windows(SHORT, shape)
    np.testing.assert_allclose(stream(chunks(SHORT, size), shape), whole, atol=1e-4)
    assert np.abs(whole - clip_windows(SHORT, WindowShape(32, 3))).max() > 0.3  # they are levelled
    windows = MelWindows(shape)
    windows.push(10 * SHORT)
    windows.reset()
    np.testing.assert_allclose(windows.push(SHORT), whole[: windows.next_frame], atol=1e-4)


@pytest.mark.parametrize("size", [160, 641, 16_000])
@pytest.mark.parametrize("shape", [WindowShape(33), WindowShape(40, ahead=5)])
def test_a_wider_window_holds_the_usual_one(size: int, shape: WindowShape) -> None:
    pieces = chunks(SHORT, size)
    wide = stream(pieces, shape)
    np.testing.assert_allclose(wide, clip_windows(SHORT, shape), atol=1e-5)
    past = shape.width - shape.ahead - 16
    np.testing.assert_array_equal(wide[..., past : past + 16], stream(pieces))
    assert not np.array_equal(wide[20, ..., 0], wide[20, ..., 1])  # by then the past is the clip's own, not clamped


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=40))
def test_any_cut_equals_whole(sizes: list[int]) -> None:
    """Of any length too: a clip that ends within a frame is filled up with silence."""
    edges = np.minimum(np.cumsum([0, *sizes]), len(CLIP))
    pieces = [CLIP[start:end] for start, end in pairwise(edges.tolist())]
    whole = clip_windows(CLIP[: edges[-1]])
    assert len(whole) == -(-int(edges[-1]) // SAMPLES_PER_FRAME)
    np.testing.assert_allclose(stream(pieces), whole, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(1, len(SHORT) - 1), seed=st.integers(0, 3))
def test_later_sound_never_changes_an_earlier_window(cut: int, seed: int) -> None:
    other = np.concatenate([SHORT[:cut], 5 * speech_like(1.0, seed=9 + seed)])
    early = MelWindows().push(SHORT[:cut])
    np.testing.assert_allclose(MelWindows().push(other)[: len(early)], early, atol=1e-5)


@pytest.mark.parametrize("ahead", [0, 3, -2])
def test_a_window_waits_for_its_own_last_sample_and_no_other(ahead: int) -> None:
    """Feeding sample by sample, each window comes with the sample that ends its last STFT frame."""
    shape = WindowShape(16 + ahead, ahead)
    windows, arrived = MelWindows(shape), []
    for position in range(8000):
        arrived += [position + 1] * len(windows.push(SHORT[position : position + 1]))
    expected = [(window_start(i) + 15 + ahead) * 200 + 400 for i in range(len(arrived))]
    assert arrived == expected
    waits = [end - i * SAMPLES_PER_FRAME for i, end in enumerate(arrived)]
    assert max(waits) == shape.reach
    assert WINDOW_REACH <= EXPRESSION_LOOKAHEAD == 145 * SAMPLE_RATE // 1000


def test_windows_are_clamped_into_the_clip() -> None:
    """Before the first mel frame the first is repeated, behind the last the last."""
    windows = clip_windows(SHORT)[:, 0]
    assert (windows[0, :, :7] == windows[0, :, :1]).all()
    assert not (windows[0, :, 7:] == windows[0, :, :1]).all(axis=0).any()
    assert (windows[-1, :, -6:] == windows[-1, :, -1:]).all()


def test_an_empty_clip_has_no_windows() -> None:
    windows = MelWindows()
    assert len(windows.push(np.zeros(0, np.float32))) == len(windows.flush()) == len(clip_windows(CLIP[:0])) == 0


def test_reset_starts_anew() -> None:
    windows = MelWindows()
    windows.push(CLIP[5000:9000])
    windows.reset()
    np.testing.assert_array_equal(windows.push(SHORT), MelWindows().push(SHORT))


def test_a_stage_says_whether_its_windows_are_levelled() -> None:
    graph = GraphSpec(Path("x.onnx"), "fp32", {"mel": TensorSpec(("n", 1, 80, 32))}, {})
    stage = StageSpec("expression", (graph,), lookahead_ms=185)
    assert WindowShape.of(stage) == WindowShape(32, 3)
    assert WindowShape.of(replace(stage, lookahead_ms=145)) == WindowShape(32, 0)
    assert WindowShape.of(replace(stage, lookahead_ms=120)) == WindowShape(32, -2)
    assert WindowShape.of(replace(stage, process="levelled-mel")) == WindowShape(32, 3, levelled=True)
    with pytest.raises(ManifestError, match="expression process cepstra; this version has levelled-mel"):
        WindowShape.of(replace(stage, process="cepstra"))
