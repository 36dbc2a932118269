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


def test_a_smile_of_the_portrait_gives_way_to_speech_and_comes_back(starter: Engines) -> None:
    """Pushed in any chunks; and the coefficients do not say so, as they are not one face's."""
    names = starter.manifest.coefficients.expression
    mina = Avatar.load(starter, "mina")
    frames = np.zeros((60, len(starter.manifest.coefficients)), np.float32)
    frames[5:20, names.index("jawOpen")] = 0.4
    frames[5:20, names.index("mouthLowerDownLeft")] = 0.4
    spoken = [Coefficients(i, row[: len(names)], row[len(names) :]) for i, row in enumerate(frames)]
    whole, pieces = (MotionWindows((1, 1), 1, names) for _ in range(2))
    windows = whole.push(spoken) + whole.flush()
    cut = [window for start in range(0, 60, 7) for window in pieces.push(spoken[start : start + 7])] + pieces.flush()
    assert all(np.array_equal(window.values[:, 1], frames[i]) for i, window in enumerate(windows))
    motion = MotionStage(starter["motion"], mina)
    points, again = (np.stack([keypoints.points for keypoints in motion.infer(made)]) for made in (windows, cut))
    assert np.array_equal(points, again)
    width = np.linalg.norm(points[:, 61, :2] - points[:, 291, :2], axis=1)
    assert width[22] < 0.97 * width[0], "the jaw is shut again, the smile not back"
    assert width[59] > 0.99 * width[0]
    assert np.abs(np.diff(width)).max() < 0.05 * width[0]
