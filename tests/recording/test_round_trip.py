"""A recorded conversation, played again: the same face makes the same pictures, another one the same faces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engines as shipped
from engines.runtime import Engines
from streamer.audio.sound_file import read_stereo
from streamer.avatar.bundle import Avatar
from streamer.core.frames import ByteArray, CoefficientWindow
from streamer.core.options import PLAIN_FACE, FaceOptions
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.pipeline import FaceRenderer
from streamer.recording.performance import Performance
from streamer.recording.performance_file import open_performance
from streamer.render.from_performance import face_of, filled, windows
from tests.fakes.recorded import InProcess, OtherProcess, Scene, replayed
from tests.families import tiny_family

STARTER = Path(shipped.__file__).parent / "starter"


def lying_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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


def check_same(scene: Scene, played: dict[int, ByteArray], least: int) -> None:
    """Every picture that was shown is played to the bit."""
    assert len(scene.shown) >= least
    different = [frame for frame, picture in scene.shown.items() if not np.array_equal(picture, played[frame])]
    assert not different


def apart(one: ByteArray, other: ByteArray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.fixture
async def worker(tiny_folder: Path) -> AsyncIterator[InferenceWorker]:
    made = InferenceWorker(WorkerSettings(tiny_folder, None, 1), tiny_family.SIZE**2)
    await made.start()
    yield made
    await made.stop()


@pytest.mark.process
async def test_the_same_face_makes_the_same_pictures(
    worker: InferenceWorker, tiny: Engines, dot: Avatar, tmp_path: Path
) -> None:
    """Through the real process; cuts and a new beginning included, and the sound is what was heard."""
    target = tmp_path / "r.npz"
    scene = Scene(OtherProcess(worker, dot.name), tiny.manifest, dot.name, target)
    await interrupted(scene)
    with open_performance(target) as performance:
        played = replayed(tiny, dot, performance)
        check_same(scene, played, least=30)  # those that came while they were waited for
        assert len(performance.starts) == 2
        assert performance.freedom.min() == 0.0
        unmoved = replayed(tiny, dot, replace(performance, freedom=np.ones_like(performance.freedom)))
        assert any(not np.array_equal(picture, unmoved[frame]) for frame, picture in scene.shown.items())
        assert performance.sound is not None
        sound = np.concatenate(list(read_stereo(performance.sound)))
    np.testing.assert_array_equal(sound, np.concatenate(scene.heard))
    assert len(scene.notes) == 1
    assert scene.notes[0].startswith(f"recorded {target}: ")
    assert lying_in(tmp_path) == [target.name]


@pytest.mark.slow
@pytest.mark.parametrize("face", [FaceOptions(yaw=5.0, roll=-2.0), FaceOptions(still=True, expression_scale=0.5)])
async def test_how_the_face_was_held_is_played_too(
    face: FaceOptions, tiny: Engines, dot: Avatar, tmp_path: Path
) -> None:
    target = tmp_path / "r.npz"
    scene = Scene(InProcess(tiny, dot), tiny.manifest, dot.name, target, face)
    await interrupted(scene)
    with open_performance(target) as performance:
        check_same(scene, replayed(tiny, dot, performance), least=60)
        assert performance.about.view == (face.yaw, face.pitch, face.roll)


@pytest.mark.slow
async def test_a_view_beside_the_coefficients_is_played_too(vae: Engines, ada: Avatar, tmp_path: Path) -> None:
    """A face model whose motion averages over more, and takes the view as an input."""
    target = tmp_path / "r.npz"
    scene = Scene(InProcess(vae, ada), vae.manifest, ada.name, target, FaceOptions(yaw=0.2, pose_style=1))
    await interrupted(scene)
    with open_performance(target) as performance:
        check_same(scene, replayed(vae, ada, performance), least=35)


@pytest.mark.slow
async def test_another_face_does_the_same(starter: Engines, tmp_path: Path) -> None:
    """With the family that ships: its own pictures; another face gets the same coefficients.

    Live, windows of mouth and eyes that hardly changed followed the head; a film paints them all.
    """
    small, target = FaceOptions(size=256), tmp_path / "r.npz"
    mina, kofi = Avatar.load(starter, "mina"), Avatar.load(starter, "kofi")
    scene = Scene(InProcess(starter, mina), starter.manifest, "mina", target, small)
    scene.say(1.0)
    await scene.live(1.0, microphone=False)
    scene.interrupt()
    await scene.live(0.4, microphone=False)
    scene.recorder.finish()
    scene.recorder.wait()
    with open_performance(target) as performance:
        played = replayed(starter, mina, performance, small)
        assert len(scene.shown) >= 25
        assert max(apart(picture, played[frame]) for frame, picture in scene.shown.items()) < 0.5  # grey levels
        assert apart(played[0], played[20]) > 0.5
        ours, theirs = (list(windows(starter.manifest, face, performance, PLAIN_FACE)) for face in (mina, kofi))
        assert all(np.array_equal(one.values, other.values) for one, other in zip(ours, theirs, strict=True))
        other = FaceRenderer(starter, kofi, small).render(theirs[10:11])[0].rgb
        assert not np.array_equal(other, scene.shown[10])
        assert performance.freedom.min() == 0.0
        assert np.ptp(performance.expression[:, names(performance).index("jawOpen")]) > 0.05


def names(performance: Performance) -> tuple[str, ...]:
    return performance.about.expression_names


@pytest.mark.slow
async def test_another_view_may_be_asked_for(tiny: Engines, dot: Avatar, tmp_path: Path) -> None:
    target = tmp_path / "r.npz"
    scene = Scene(InProcess(tiny, dot), tiny.manifest, dot.name, target, FaceOptions(yaw=5.0))
    await interrupted(scene)
    yaw = len(tiny_family.UNITS) + tiny_family.POSE.index("yaw")
    with open_performance(target) as performance:
        for asked, expected in ((PLAIN_FACE, 5.0), (FaceOptions(yaw=-3.0), -3.0)):
            face = face_of(performance, asked)
            found = list(windows(tiny.manifest, dot, performance, face))
            assert all((window.values[yaw] == expected).all() for window in found)
        still = list(windows(tiny.manifest, dot, performance, FaceOptions(still=True)))
        assert all((window.values[len(tiny_family.UNITS) :] == 0).all() for window in still)


def test_missing_frames_repeat_the_last() -> None:
    """Frames between two runs, and after the last."""
    made = [CoefficientWindow(index, np.zeros((1, 1), np.float32)) for index in (2, 3, 6)]
    made = [replace(window, values=window.values + window.index) for window in made]
    shown = [(window.index, int(window.values[0, 0])) for window in filled(iter(made), 9)]
    assert shown == [(0, 2), (1, 2), (2, 2), (3, 3), (4, 3), (5, 3), (6, 6), (7, 6), (8, 6)]
    assert [window.index for window in filled(iter(made), 3)] == [0, 1, 2]
