"""Sessions wait until their faces are made; others go on meanwhile."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.core.frames import AudioChunk, ByteArray
from streamer.core.options import PipelineOptions
from streamer.core.rates import SAMPLE_RATE
from streamer.inference.faces import Face, Faces
from streamer.inference.messages import Begin, Close, Load, Loaded, Open, SessionFailed, Sound, Steer, Unload
from streamer.inference.reception import MOST_HELD, Answer, Reception
from streamer.inference.scheduler import Inference
from streamer.stages.life.steering import Wear
from tests.families import tiny_family

PATIENCE_S = 60.0
SECOND = AudioChunk(0, np.zeros(SAMPLE_RATE, np.float32))
OTHER = "able"


class SlowlyMade(Faces):
    """Faces that are made no sooner than the test allows."""

    def __init__(self, engines: Engines) -> None:
        self.allowed = threading.Event()
        self.allowed.set()
        super().__init__(engines)
        self.allowed.clear()

    def make(self, name: str) -> Face:
        assert self.allowed.wait(PATIENCE_S)
        return super().make(name)


class House:
    """A reception, with two faces of which one is in memory."""

    def __init__(self, faces: SlowlyMade) -> None:
        self.faces = faces
        self.inference = Inference(faces.open_stream, faces.renderers, clock=lambda: 0.0)
        self.reception = Reception(self.inference, faces)

    def open(self, session: int, avatar: str) -> list[Answer]:
        return self.reception.take(Open(session, avatar, PipelineOptions()))

    def speak(self, session: int) -> list[Answer]:
        return [*self.reception.take(Begin(session, 0, 0, 1000.0)), *self.reception.take(Sound(session, 0, SECOND))]

    def arrived(self) -> list[Answer]:
        """Let the faces be made, and return the answers of that."""
        self.faces.allowed.set()
        answers: list[Answer] = []
        deadline = time.monotonic() + PATIENCE_S
        while self.reception.busy:
            assert time.monotonic() < deadline
            time.sleep(0.001)
            answers += self.reception.arrivals()
        return answers

    def shown(self) -> dict[int, list[ByteArray]]:
        """The pictures that sessions get, by session."""
        found: dict[int, list[ByteArray]] = {}
        while (rendered := self.inference.step()) is not None:
            found.setdefault(rendered.session, []).append(rendered.frame.rgb)
        return found


@pytest.fixture
def house(tiny_folder: Path, own_home: Path) -> Iterator[House]:
    tiny_family.write_avatar(own_home / "avatars" / OTHER)
    with Engines.open(Manifest.load(tiny_folder), threads=1, without={"coefficients"}) as engines:
        made = House(SlowlyMade(engines))
        yield made
        made.faces.allowed.set()
        made.reception.close()


def test_a_session_waits_for_its_face_while_others_go_on(house: House) -> None:
    assert house.open(1, OTHER) == house.speak(1) == []
    assert house.open(2, tiny_family.NAME) == house.speak(2) == []
    assert house.shown().keys() == {2}
    assert house.arrived() == []
    assert house.shown().keys() == {1}


def test_a_face_in_memory_lets_a_session_in_at_once(house: House) -> None:
    house.open(1, OTHER)
    house.arrived()
    assert house.open(2, OTHER) == house.speak(2) == []
    assert not house.reception.busy
    assert house.shown().keys() == {2}


def test_a_face_that_is_damaged_meanwhile_ends_the_sessions_that_wait_for_it(house: House, own_home: Path) -> None:
    (own_home / "avatars" / OTHER / "arrays.npz").write_bytes(b"PK")
    house.open(1, OTHER)
    (failed,) = house.arrived()
    assert isinstance(failed, SessionFailed)
    assert (failed.session, "arrays.npz" in failed.reason) == (1, True)
    (failed,) = house.open(2, OTHER)
    assert failed == SessionFailed(2, f"no avatar {OTHER}; there are {tiny_family.NAME}")


def test_a_session_that_is_closed_while_it_waits_is_forgotten(house: House) -> None:
    house.open(1, OTHER)
    house.speak(1)
    house.reception.take(Close(1))
    assert house.arrived() == []
    assert not house.shown()


def test_what_a_waiting_session_sends_is_bounded(house: House) -> None:
    house.open(1, OTHER)
    answers = [answer for _ in range(MOST_HELD) for answer in house.reception.take(Begin(1, 0, 0, 1000.0))]
    assert answers == [SessionFailed(1, f"avatar {OTHER} took too long")]


def test_a_session_keeps_its_face_until_the_next_is_made(house: House, own_home: Path) -> None:
    portrait = own_home / "avatars" / OTHER / "portrait.png"
    cv2.imwrite(str(portrait), cv2.bitwise_not(np.asarray(cv2.imread(str(portrait)), np.uint8)))
    house.open(1, tiny_family.NAME)
    house.speak(1)
    house.reception.take(Steer(1, Wear(OTHER)))
    assert house.reception.busy
    before = house.shown()[1][-1].astype(int)
    assert house.arrived() == []
    house.reception.take(Sound(1, 0, AudioChunk(SAMPLE_RATE, SECOND.samples)))
    after = house.shown()[1][-1].astype(int)
    assert np.abs(before + after - 255).mean() < 5  # the other one's portrait is this one's negative


def test_a_new_face_is_told_of_when_it_is_made(house: House, own_home: Path) -> None:
    shutil.copytree(own_home / "avatars" / OTHER, own_home / "avatars" / "calm")
    assert house.reception.take(Load("calm")) == []
    assert house.open(1, "calm") == house.speak(1) == []  # it may be opened already
    assert house.arrived() == [Loaded("calm")]
    assert house.shown().keys() == {1}
    house.reception.take(Load("nobody"))
    (failed,) = house.arrived()
    assert "no avatar 'nobody'" in str(failed)


def test_a_face_that_is_removed_while_it_is_made_is_not_offered(house: House) -> None:
    house.open(1, OTHER)
    assert house.reception.take(Unload(OTHER)) == [SessionFailed(1, f"avatar {OTHER} was removed")]
    assert not house.reception.busy
    assert OTHER not in house.faces.names
