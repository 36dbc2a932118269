"""What is left out where there is too little time, and when it comes back."""

import pytest

from streamer.core.frames import Paint
from streamer.core.options import PipelineOptions
from streamer.core.rates import FPS, LATE_MS
from streamer.core.rungs import RUNGS
from streamer.inference.messages import Open, Postpone
from tests.fakes.slow_device import begin, device, speak


class Talk:
    """Sessions on a device for a while: sound as it is spoken, pictures due `delay_s` later. A session does as it is
    told: its delay follows the ladder."""

    def __init__(self, seconds: float, sessions: int = 1, delay_s: float = 0.1) -> None:
        self.inference, self.renderer = device(seconds)
        self.sessions = range(sessions)
        self.delay_s = self.extra_s = delay_s
        self.frame = 0
        self.lateness: list[float] = []
        for session in self.sessions:
            begin(self.inference, session, origin=delay_s)

    @property
    def rung(self) -> str:
        return RUNGS[self.inference.pulse().rung].name

    def last(self, seconds: float) -> None:
        self.lateness = []
        for _ in range(round(seconds * FPS)):
            moment = (self.frame + 1) / FPS
            self.renderer.now = max(self.renderer.now, moment)
            for session in self.sessions:
                speak(self.inference, session, self.frame)
            while self.renderer.now < moment + 1 / FPS:
                self._step()
                if not self.inference.busy:
                    break
            self.frame += 1

    def _step(self) -> None:
        made = self.inference.step()
        if (rung := self.inference.stepped()) is not None:
            self.extra_s = self.delay_s + rung.extra_ms / 1000
            for session in self.sessions:
                self.inference.handle(Postpone(session, self.extra_s))
        if made is not None:
            self.lateness.append(self.renderer.now - made.frame.index / FPS - self.extra_s)

    def rate(self, seconds: float) -> float:
        """New pictures a second and session whose lips still fit."""
        self.last(seconds)
        return sum(late <= LATE_MS / 1000 for late in self.lateness) / seconds / len(self.sessions)


def test_a_device_with_time_for_all_leaves_nothing_out() -> None:
    talk = Talk(0.02)
    talk.last(10)
    assert talk.rung == "full"
    assert set(talk.renderer.painted) == {Paint.WHERE_MOVED}
    assert talk.rate(4) == 25


@pytest.mark.parametrize(
    ("seconds", "sessions", "rung", "least"),
    [(0.05, 1, "paint", 24), (0.04, 2, "rate", 12), (0.09, 1, "size", 12), (0.2, 1, "delay", 6), (0.06, 3, "delay", 6)],
)
def test_a_slow_device_leaves_out_what_it_must_and_goes_on(
    seconds: float, sessions: int, rung: str, least: float
) -> None:
    talk = Talk(seconds, sessions)
    talk.last(10)
    assert talk.rate(4) >= least
    assert talk.rung == rung


def test_lips_are_in_step_when_a_picture_takes_long() -> None:
    """160 ms a picture, four times what there is for one."""
    talk = Talk(0.16)
    talk.last(10)
    assert talk.rate(10) >= 7
    assert max(talk.lateness) <= LATE_MS / 1000


def test_the_portrait_shows_only_when_no_picture_could_be_in_time() -> None:
    talk = Talk(2.0)
    talk.last(60)
    assert talk.inference.pulse().steps["still"] >= 1


def test_a_face_that_has_stood_for_long_gets_a_picture_however_late() -> None:
    """Before the ladder has found what helps, a face that moves out of step is better than none."""
    talk = Talk(0.5)
    talk.last(3)
    assert len(talk.renderer.painted) >= 4


def test_two_seconds_without_a_picture_are_no_reason_for_the_portrait() -> None:
    talk = Talk(0.3)
    talk.last(20)
    for _ in range(3):
        talk.renderer.seconds = 2.0
        talk.last(0.04)
        talk.renderer.seconds = 0.3
        talk.last(10)
    assert talk.inference.pulse().steps.get("still", 0) == 0
    assert talk.rate(5) >= 3


def test_shed_work_resumes_when_there_is_time() -> None:
    talk = Talk(0.2)
    talk.last(10)
    talk.renderer.seconds = 0.02
    talk.last(60)
    assert talk.rung == "full"
    assert talk.rate(4) == 25


@pytest.mark.slow
def test_a_rung_that_does_not_hold_is_tried_ever_less() -> None:
    """Two sessions of 23 ms: the pictures all painted take 46 ms of 40, every second 32."""
    talk = Talk(0.023, sessions=2)
    talk.last(200)
    assert talk.rung in ("full", "paint")
    assert talk.inference.pulse().steps["paint"] < 10


def test_a_single_stall_sheds_no_work() -> None:
    talk = Talk(0.02)
    talk.last(5.2)
    talk.renderer.seconds = 0.25
    talk.last(0.04)
    talk.renderer.seconds = 0.02
    talk.last(5)
    assert talk.rung == "full"


def test_a_session_gets_the_rung_that_it_joins() -> None:
    talk = Talk(0.2)
    talk.last(10)
    assert talk.inference.stepped() is None
    talk.inference.handle(Open(7, "dot", PipelineOptions()))
    told = talk.inference.stepped()
    assert told is not None
    assert told.extra_ms > 0
