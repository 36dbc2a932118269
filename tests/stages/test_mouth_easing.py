"""A mouth that is cut off eases shut in 120 ms, and nothing else of the face moves for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.manifest import Manifest
from streamer.core.frames import CoefficientWindow
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.pipeline import Avatar, CoefficientStream, Engines
from streamer.stages.mouth_easing import MouthEasing, Shut, mouth_rows
from tests.families import tiny_family

NAMES = ["eyeBlinkLeft", "jawOpen", "browInnerUp", "mouthFunnel"]
REST = np.array([0.5, 0.1, 0.5, 0.2], np.float32)


def test_it_shuts_in_three_frames_stays_shut_and_opens_in_three() -> None:
    shut = Shut(cut=10, resume=20)
    freedom = [round(shut.freedom(frame), 2) for frame in range(8, 26)]
    assert freedom == [1, 1, 0.44, 0.11, *[0] * 9, 0.11, 0.44, 1, 1, 1]


def test_a_mouth_that_is_shut_stays_shut_when_it_is_cut_off_again() -> None:
    again = Shut(10, 20).then(Shut(14, 24))
    assert [again.freedom(frame) for frame in range(12, 25)] == [0.0] * 13
    assert Shut(10, 20).then(Shut(40, 50)) == Shut(40, 50)


def test_only_the_mouth_gives_way_in_all_columns() -> None:
    assert mouth_rows(NAMES) == [1, 3]
    values = np.ones((6, 3), np.float32)
    easing = MouthEasing(REST, mouth_rows(NAMES))
    nearly = easing.ease(CoefficientWindow(11, values), Shut(10, 20)).values
    assert np.allclose(nearly[[0, 2, 4, 5]], 1.0)
    assert np.allclose(nearly[1], 0.1 + 0.9 / 9)
    assert np.allclose(nearly[3], 0.2 + 0.8 / 9)
    assert np.allclose(easing.ease(CoefficientWindow(12, values), Shut(10, 20)).values[[1, 3], :].T, [0.1, 0.2])
    assert (values == 1.0).all()


def test_a_stream_is_shut_as_it_is_in_silence(tiny_folder: Path) -> None:
    engines = Engines.open(Manifest.load(tiny_folder))
    stream = CoefficientStream(engines, Avatar.load(engines))
    mouth = mouth_rows(tiny_family.UNITS)
    silent = stream.push(np.zeros(20 * SAMPLES_PER_FRAME, np.float32))[-1]
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20 * SAMPLES_PER_FRAME).astype(np.float32)
    loud = stream.push(noise)[-1]
    assert np.abs(loud.values[mouth] - silent.values[mouth]).max() > 0.1
    shut = stream.ease(loud, Shut(loud.index - 2, loud.index + 5))
    assert np.allclose(shut.values[mouth], silent.values[mouth], atol=1e-5)
    assert np.array_equal(shut.values[len(tiny_family.UNITS) :], loud.values[len(tiny_family.UNITS) :])
