"""A recorded conversation, played again: the same face makes the same pictures, another one the same faces."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engines as shipped
from engines.runtime import Engines
from streamer.avatar import Avatar
from streamer.media import read_stereo
from streamer.messages import WorkerSettings
from streamer.performance_file import open_performance
from streamer.worker import InferenceWorker
from tests import tiny_family
from tests.recorded import OtherProcess, Scene, replayed

STARTER = Path(shipped.__file__).parent / "starter"


async def interrupted(scene: Scene) -> None:
    """Someone talks, a program does and is cut off twice within a moment, and the worker has to begin anew."""
    await scene.live(0.6)
    scene.say(2.0)
    await scene.live(0.7)
    scene.interrupt()
    scene.say(2.0)
    await scene.live(0.5)
    scene.interrupt()
    await scene.live(0.1)
    scene.say(0.5)
    await scene.live(0.4)
    scene.begin_again()
    await scene.live(0.8)
    scene.recorder.finish()
    scene.recorder.wait()


def check_same(scene: Scene, played: dict[int, np.ndarray], least: int) -> None:
    """Every picture that was shown is played to the bit."""
    assert len(scene.shown) >= least
    different = [frame for frame, picture in scene.shown.items() if not np.array_equal(picture, played[frame])]
    assert not different


@pytest.fixture
async def worker(tiny_folder: Path) -> AsyncIterator[InferenceWorker]:
    made = InferenceWorker(WorkerSettings(tiny_folder, None, 1), tiny_family.SIZE)
    await made.start()
    yield made
    await made.stop()


async def test_the_same_face_makes_the_same_pictures(
    worker: InferenceWorker, tiny: Engines, dot: Avatar, tmp_path: Path
) -> None:
    """Through the real process; cuts and a new beginning included, and the sound is what was heard."""
    target = tmp_path / "r.npz"
    scene = Scene(OtherProcess(worker, dot.name), tiny.manifest, dot.name, target)
    await interrupted(scene)
    with open_performance(target) as performance:
        played = replayed(tiny, dot, performance)
        check_same(scene, played, least=60)
        assert len(performance.starts) == 2
        assert performance.freedom.min() == 0.0
        unmoved = replayed(tiny, dot, replace(performance, freedom=np.ones_like(performance.freedom)))
        assert any(not np.array_equal(picture, unmoved[frame]) for frame, picture in scene.shown.items())
        assert performance.sound is not None
        sound = np.concatenate(list(read_stereo(performance.sound)))
    np.testing.assert_array_equal(sound, np.concatenate(scene.heard))
    assert len(scene.notes) == 1
    assert scene.notes[0].startswith(f"recorded {target}: ")
    assert os.listdir(tmp_path) == [target.name]
