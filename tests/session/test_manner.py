"""A face shows that it listens and thinks, unless it is told not to."""

from __future__ import annotations

from itertools import pairwise

from streamer.session.manner import Manner
from streamer.stages.life.steering import Gaze, Gesture


class Face:
    """Notes what it is asked for, with the second."""

    def __init__(self, seed: int = 1) -> None:
        self.asked: list[tuple[float, Gaze | Gesture]] = []
        self.manner = Manner(lambda wanted: self.asked.append((self.now, wanted)), seed)
        self.now = 0.0

    def be(self, state: str, seconds: float, pausing: bool = False) -> list[Gaze | Gesture]:
        """What it is asked for meanwhile."""
        before = len(self.asked)
        for _ in range(round(seconds * 50)):
            self.now += 0.02
            self.manner.step(state, pausing)
        return [wanted for _, wanted in self.asked[before:]]


def gazes(asked: list[Gaze | Gesture]) -> list[object]:
    return [wanted.at for wanted in asked if isinstance(wanted, Gaze)]


def names(asked: list[Gaze | Gesture]) -> list[str]:
    return [wanted.name for wanted in asked if isinstance(wanted, Gesture)]


def test_who_listens_looks_at_the_speaker_and_nods_between_phrases() -> None:
    nods = []
    for seed in range(20):
        face = Face(seed)
        beginning = face.be("listening", 2.0)
        assert beginning[0] == Gaze("camera")
        assert names(beginning) == ["brows"]
        nods.append("nod" in names(face.be("listening", 0.3, pausing=True)))
    assert 8 <= sum(nods) <= 19  # mostly, but not always


def test_nods_come_also_without_pauses_and_never_on_each_other() -> None:
    face = Face()
    face.be("listening", 60.0)
    at = [moment for moment, wanted in face.asked if isinstance(wanted, Gesture) and wanted.name == "nod"]
    assert 8 <= len(at) <= 16
    assert min(later - earlier for earlier, later in pairwise(at)) > 1.5
    assert set(gazes([wanted for _, wanted in face.asked])) == {"camera", "free"}


def test_who_thinks_looks_up_and_aside_and_at_the_listener_before_speaking() -> None:
    face = Face()
    face.be("listening", 1.0)
    thinking = face.be("thinking", 4.0)
    assert names(thinking) == ["ponder"]
    looks = gazes(thinking)
    assert len(looks) >= 3
    assert all(isinstance(at, tuple) and abs(at[0]) >= 0.5 and at[1] >= 0.5 for at in looks)
    assert gazes(face.be("speaking", 2.0)) == ["camera", "free"]
    assert face.be("speaking", 5.0) == face.be("idle", 5.0) == []


def test_a_look_that_was_asked_for_stays() -> None:
    face = Face()
    face.manner.gaze_free = False
    assert gazes(face.be("listening", 10.0) + face.be("thinking", 5.0)) == []
    assert names([wanted for _, wanted in face.asked])


def test_it_can_be_switched_off() -> None:
    face = Face()
    face.be("thinking", 1.0)
    face.manner.on = False
    assert gazes(face.be("thinking", 1.0)) == ["camera", "free"]  # nothing stays behind
    assert face.be("listening", 10.0) == []
