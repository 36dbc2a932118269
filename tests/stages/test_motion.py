"""The look-ahead dial takes away future in whole frames; windows repeat what is missing at their ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.manifest import Manifest
from streamer.core.errors import ConfigError
from streamer.core.frames import Coefficients, CoefficientWindow
from streamer.pipeline import Avatar, Engines
from streamer.stages.lookahead import Lookahead
from streamer.stages.motion import MotionStage, MotionWindows


def row(count: int, start: int = 0) -> list[Coefficients]:
    """Coefficients that carry their own index."""
    return [Coefficients(i, np.array([i], np.float32), np.array([-i], np.float32)) for i in range(start, start + count)]


def seen(windows: list[CoefficientWindow]) -> list[list[float]]:
    return [window.values[0].tolist() for window in windows]


@pytest.mark.parametrize(
    ("milliseconds", "future", "lag", "loudness_lag"),
    [(None, 1, 0, 0), (185, 1, 0, 0), (160, 0, 0, 0), (145, 0, 0, 0), (120, 0, 1, 0), (40, 0, 3, 0), (0, 0, 4, 1)],
)
def test_the_dial(tiny_folder: Path, milliseconds: int | None, future: int, lag: int, loudness_lag: int) -> None:
    dial = Lookahead.of(Manifest.load(tiny_folder), milliseconds)
    assert (dial.future, dial.expression_lag, dial.loudness_lag) == (future, lag, loudness_lag)


@pytest.mark.parametrize("milliseconds", [-1, 186, 10_000])
def test_the_dial_has_ends(tiny_folder: Path, milliseconds: int) -> None:
    with pytest.raises(ConfigError, match=f"look-ahead of {milliseconds} ms; tiny takes 0 to 185 ms"):
        Lookahead.of(Manifest.load(tiny_folder), milliseconds)


def test_windows_wait_for_their_future_and_repeat_the_ends() -> None:
    windows = MotionWindows((2, 1), future=1)
    assert windows.push(row(1)) == []
    assert seen(windows.push(row(3, start=1))) == [[0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3]]
    assert seen(windows.flush()) == [[1, 2, 3, 3]]


def test_without_future_windows_come_at_once_and_repeat_the_last() -> None:
    windows = MotionWindows((1, 2), future=0)
    assert seen(windows.push(row(2))) == [[0, 0, 0, 0], [0, 1, 1, 1]]
    assert windows.flush() == []


def test_less_future_than_the_context_is_filled_up_whatever_the_chunks() -> None:
    """A batch may hold later coefficients already; they must not be looked at."""
    together, apart = MotionWindows((1, 3), future=1), MotionWindows((1, 3), future=1)
    batch = together.push(row(8))
    single = [window for coefficients in row(8) for window in apart.push([coefficients])]
    assert seen(batch) == seen(single)
    assert seen(batch)[3] == [2, 3, 4, 4, 4]


def test_windows_without_context() -> None:
    windows = MotionWindows((0, 0), future=0)
    assert seen(windows.push(row(2))) == [[0], [1]]
    assert seen(windows.push(row(1, start=2))) == [[2]]
    assert windows.flush() == []


def test_reset_forgets() -> None:
    windows = MotionWindows((1, 1), future=1)
    windows.push(row(5))
    windows.reset()
    assert seen(windows.push(row(2))) == [[0, 0, 1]]


def test_keypoints_are_what_the_network_makes_of_coefficients_and_face(tiny: Engines, dot: Avatar) -> None:
    """The tiny network: weighted mean over the context, times the basis, plus the translation."""
    rng = np.random.default_rng(1)
    windows = [CoefficientWindow(i, rng.uniform(size=(10, 3)).astype(np.float32)) for i in range(3)]
    keypoints = MotionStage(tiny["motion"], dot).infer(windows)
    assert [frame.index for frame in keypoints] == [0, 1, 2]
    for window, frame in zip(windows, keypoints, strict=True):
        mean = window.values @ np.array([0.2, 0.5, 0.3], np.float32)
        expected = dot.constants["neutral"] + np.tensordot(mean[:4], dot.constants["basis"], 1) + mean[7:10]
        np.testing.assert_allclose(frame.points, expected, atol=1e-5)
