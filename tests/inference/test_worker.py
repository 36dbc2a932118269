"""The inference process from the server's side: it gives pictures, it may die, it comes back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from streamer.core.errors import AvatarError, SessionError
from streamer.core.frames import AudioChunk, ByteArray
from streamer.core.limits import WorkerLimits
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import SAMPLE_RATE
from streamer.core.rungs import Rung
from streamer.core.units.numbers import unpacked
from streamer.inference.messages import WorkerSettings
from streamer.inference.process import load
from streamer.inference.worker import InferenceWorker, WorkerState
from streamer.stages.life.steering import Background
from tests.families import tiny_family, tiny_vae_family

PATIENCE_S = 60.0
SECOND = np.zeros(SAMPLE_RATE, np.float32)


class Listener:
    """A session that notes what it is told."""

    def __init__(self) -> None:
        self.pictures: list[tuple[int, int, ByteArray]] = []
        self.failures: list[str] = []
        self.told = asyncio.Event()

    def on_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        self.pictures.append((generation, index, rgb))
        self.told.set()

    def on_rung(self, rung: Rung) -> None:
        pass

    def on_worker_failure(self, reason: str) -> None:
        self.failures.append(reason)
        self.told.set()

    async def until(self, pictures: int = 0, failures: int = 0) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.pictures) < pictures or len(self.failures) < failures:
                await self.told.wait()
                self.told.clear()


def _worker(family: Path, avatar: str | None = None, size: int = tiny_family.SIZE) -> InferenceWorker:
    return InferenceWorker(WorkerSettings(family, avatar, 1), size**2, WorkerLimits())


@pytest.fixture
async def worker(tiny_folder: Path) -> AsyncIterator[InferenceWorker]:
    made = _worker(tiny_folder)
    await made.start()
    yield made
    await made.stop()


def later() -> float:
    """An origin whose deadlines are far away."""
    return asyncio.get_running_loop().time() + 1000.0


@pytest.mark.process
async def test_sound_becomes_pictures_in_order(worker: InferenceWorker) -> None:
    listener = Listener()
    session = worker.open(tiny_family.NAME, PipelineOptions(), listener)
    session.begin(0, 0, later())
    session.push(0, AudioChunk(0, SECOND))
    await listener.until(pictures=20)
    assert [index for _, index, _ in listener.pictures[:20]] == list(range(20))
    shape = (tiny_family.SIZE, tiny_family.SIZE, 3)
    assert all(rgb.shape == shape and rgb.dtype == np.uint8 for _, _, rgb in listener.pictures)


@pytest.mark.process
async def test_a_session_without_pictures_gets_coefficients_in_their_place(worker: InferenceWorker) -> None:
    listener, other = Listener(), Listener()
    bare = worker.open(tiny_family.NAME, PipelineOptions(pictures=False), listener)
    drawn = worker.open(tiny_family.NAME, PipelineOptions(), other)
    for session in (bare, drawn):
        session.begin(0, 0, later())
        session.push(0, AudioChunk(0, SECOND))
    await listener.until(pictures=20)
    await other.until(pictures=20)
    assert [index for _, index, _ in listener.pictures[:20]] == list(range(20))
    values = np.stack([unpacked(numbers) for _, _, numbers in listener.pictures])
    assert values.shape[1] == len(tiny_family.UNITS) + len(tiny_family.POSE)
    assert np.isfinite(values).all()


@pytest.mark.process
async def test_sessions_do_not_see_each_others_pictures(worker: InferenceWorker) -> None:
    one, other = Listener(), Listener()
    sessions = [worker.open(tiny_family.NAME, PipelineOptions(), listener) for listener in (one, other)]
    for session, frame in zip(sessions, (0, 1000), strict=True):
        session.begin(0, frame, later() - frame / 25)
        session.push(0, AudioChunk(frame * 640, SECOND))
    await asyncio.gather(one.until(pictures=15), other.until(pictures=15))
    assert {index // 1000 for _, index, _ in one.pictures} == {0}
    assert {index // 1000 for _, index, _ in other.pictures} == {1}


@pytest.mark.process
async def test_a_family_with_a_face_model_talks_too(vae_folder: Path) -> None:
    """Sessions of one avatar differ by what they asked for; one that asks the impossible is told why."""
    worker = _worker(vae_folder, size=tiny_vae_family.SIZE)
    await worker.start()
    plain, turned, wrong = Listener(), Listener(), Listener()
    asked = {plain: FaceOptions(), turned: FaceOptions(yaw=0.2, pose_style=1), wrong: FaceOptions(pose_style=99)}
    for listener, face in asked.items():
        session = worker.open(tiny_vae_family.NAME, PipelineOptions(265, face=face), listener)
        session.begin(0, 0, later())
        session.push(0, AudioChunk(0, SECOND))
    await asyncio.gather(plain.until(pictures=15), turned.until(pictures=15), wrong.until(failures=1))
    assert wrong.failures == ["pose style 99; family tiny-vae has 0 to 3"]
    apart = [np.abs(a[2].astype(int) - b[2]).max() for a, b in zip(plain.pictures, turned.pictures, strict=False)]
    assert max(apart) > 2
    await worker.stop()


@pytest.mark.process
async def test_a_killed_process_is_reported_to_sessions_and_restarted(worker: InferenceWorker) -> None:
    listener = Listener()
    worker.open(tiny_family.NAME, PipelineOptions(), listener)
    first = worker.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await listener.until(failures=1)
    with pytest.raises(SessionError, match="not ready"):
        worker.open(tiny_family.NAME, PipelineOptions(), Listener())
    async with asyncio.timeout(PATIENCE_S):
        while worker.state is not WorkerState.READY:  # noqa: ASYNC110 - what a health check does
            await asyncio.sleep(0.05)
    assert worker.pid != first
    again = Listener()
    session = worker.open(tiny_family.NAME, PipelineOptions(), again)
    session.begin(0, 0, later())
    session.push(0, AudioChunk(0, SECOND))
    await again.until(pictures=1)


@pytest.mark.process
async def test_a_family_that_is_not_there_is_named(tmp_path: Path) -> None:
    worker = _worker(tmp_path)
    with pytest.raises(AvatarError, match=r"no manifest\.json"):
        await worker.start()
    assert worker.state is WorkerState.FAILED
    await worker.stop()


@pytest.mark.process
async def test_a_default_avatar_that_is_not_there_is_named(tiny_folder: Path) -> None:
    worker = _worker(tiny_folder, avatar="nobody")
    with pytest.raises(AvatarError, match=r"no avatar 'nobody'; there are dot"):
        await worker.start()
    await worker.stop()


@pytest.mark.process
async def test_stopping_ends_the_process(tiny_folder: Path) -> None:
    worker = _worker(tiny_folder)
    await worker.start()
    pid = worker.pid
    assert pid is not None
    await worker.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_avatar_that_is_asked_for_comes_first(tiny_folder: Path, own_home: Path) -> None:
    """Then the family's, then the user's own: the page shows them in this order."""
    own = own_home / "avatars" / "able"
    shutil.copytree(tiny_folder / "avatars" / "dot", own)
    assert load(WorkerSettings(tiny_folder, None, 1))[1].avatars == ("dot", "able")
    assert load(WorkerSettings(tiny_folder, "able", 1))[1].avatars == ("able", "dot")


@pytest.mark.process
async def test_a_removed_avatar_leaves_and_its_session_goes_on(worker: InferenceWorker, own_home: Path) -> None:
    tiny_family.write_avatar(own_home / "avatars" / "mine")
    await worker.load("mine", PATIENCE_S)
    before, after = Listener(), Listener()
    session = worker.open("mine", PipelineOptions(), before)
    worker.unload("mine")
    session.begin(0, 0, later())
    session.push(0, AudioChunk(0, SECOND))
    session.steer(Background("#00ff00"))
    session.push(0, AudioChunk(SAMPLE_RATE, SECOND))
    await before.until(pictures=40)
    assert not before.failures
    worker.open("mine", PipelineOptions(), after)
    await after.until(failures=1)
    assert after.failures[0].startswith("no avatar mine; there are dot")
