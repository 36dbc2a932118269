"""Whose picture is made next, and which are not made at all."""

from dataclasses import replace
from typing import Self

import numpy as np
import pytest

from streamer.core.frames import AudioChunk, AvatarFrame, CoefficientWindow, FloatArray, Paint
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import FPS, LATE_MS, SAMPLES_PER_FRAME
from streamer.core.rungs import RUNGS
from streamer.inference.messages import Begin, Close, Cut, Open, Postpone, Sound, Steer
from streamer.inference.scheduler import Inference
from streamer.stages.life.steering import Background, Gesture, Steered
from streamer.stages.mouth_easing import Shut


class EchoStream:
    """A window for every whole frame of sound, without look-ahead."""

    def __init__(self) -> None:
        self.rest = np.zeros(1, np.float32)
        self.asked: list[Steered] = []
        self._made = np.zeros((0, 1), np.float32)
        self._samples = 0
        self._next = 0

    def made(self) -> FloatArray:
        return self._made

    def push(self, samples: FloatArray) -> list[CoefficientWindow]:
        self._samples += samples.size
        ready = range(self._next, self._samples // SAMPLES_PER_FRAME)
        self._next = max(self._next, ready.stop)
        self._made = np.array([[index] for index in ready], np.float32).reshape(-1, 1)
        return [CoefficientWindow(index, np.ones((1, 1), np.float32)) for index in ready]

    def ease(self, window: CoefficientWindow, shut: Shut) -> CoefficientWindow:
        return replace(window, values=np.float32(shut.freedom(window.index)) * window.values)

    def ask(self, wanted: Steered) -> None:
        self.asked.append(wanted)

    def steer(self, window: CoefficientWindow) -> CoefficientWindow:
        return window

    def reset(self) -> None:
        self._samples = 0
        self._next = 0


class SlowRenderer:
    """Takes `seconds` of the simulated clock for a picture; as the starter family, less for one that is not painted, or
    small."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.opened: list[float] = []
        self.smallest = False
        self.painted: list[Paint] = []

    def render(self, windows: list[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        self.now += self.seconds * (0.4 if paint is Paint.KEPT else 1.0) * (0.8 if self.smallest else 1.0)
        painted = paint is not Paint.KEPT
        self.painted.append(paint)
        self.opened += [float(window.values[0, 0]) for window in windows]
        return [AvatarFrame(window.index, np.zeros((1, 1, 3), np.uint8), 0, painted) for window in windows]

    def showing(self, face: FaceOptions, smallest: bool = False) -> Self:
        self.smallest, self.face = smallest, face
        return self


def device(seconds: float) -> tuple[Inference, SlowRenderer]:
    renderer = SlowRenderer(seconds)
    return Inference(lambda *_: EchoStream(), {"dot": renderer}, clock=lambda: renderer.now), renderer


def begin(inference: Inference, session: int, origin: float, generation: int = 0) -> None:
    inference.handle(Open(session, "dot", PipelineOptions()))
    inference.handle(Begin(session, generation, 0, origin))


def speak(inference: Inference, session: int, frame: int, count: int = 1, generation: int = 0) -> None:
    samples = np.zeros(count * SAMPLES_PER_FRAME, np.float32)
    inference.handle(Sound(session, generation, AudioChunk(frame * SAMPLES_PER_FRAME, samples)))


def made(inference: Inference) -> list[tuple[int, int]]:
    """(session, frame) of all pictures that can be made now."""
    result = []
    while inference.busy:
        if (rendered := inference.step()) is not None:
            result.append((rendered.session, rendered.frame.index))
    return result


def test_the_most_urgent_picture_comes_first() -> None:
    inference, _ = device(0.001)
    begin(inference, 1, origin=0.30)
    begin(inference, 2, origin=0.31)
    speak(inference, 1, 0, 3)
    speak(inference, 2, 0, 3)
    assert made(inference) == [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (2, 2)]


def test_sessions_share_a_device_that_is_too_slow() -> None:
    inference, renderer = device(0.035)
    for session in (1, 2):
        begin(inference, session, origin=0.2)
    shown = {1: 0, 2: 0}
    for frame in range(100):
        renderer.now = max(renderer.now, frame / FPS)
        for session in (1, 2):
            speak(inference, session, frame)
        while inference.busy and renderer.now < (frame + 1) / FPS:
            if (rendered := inference.step()) is not None:
                on_time = renderer.now <= 0.2 + rendered.frame.index / FPS
                shown[rendered.session] += on_time
    assert abs(shown[1] - shown[2]) <= 2
    assert sum(shown.values()) > 90  # of the 114 that it could make at all


def test_an_overloaded_device_shows_what_it_can() -> None:
    """Pictures take 66 ms: 15 a second are possible. Making each though it will be late would show none."""
    inference, renderer = device(0.066)
    begin(inference, 1, origin=0.1)
    on_time = 0
    for frame in range(250):
        renderer.now = max(renderer.now, frame / FPS)
        speak(inference, 1, frame)
        while inference.busy and renderer.now < (frame + 1) / FPS:
            if (rendered := inference.step()) is not None:
                on_time += renderer.now <= 0.1 + rendered.frame.index / FPS
    assert on_time >= 120


def test_a_single_slow_picture_does_not_stop_the_others() -> None:
    inference, renderer = device(1.0)
    begin(inference, 1, origin=2.0)
    speak(inference, 1, 0)
    assert made(inference) == [(1, 0)]
    renderer.seconds = 0.01
    count = 0
    for frame in range(1, 200):
        renderer.now = max(renderer.now, 1.9 + frame / FPS)
        speak(inference, 1, frame)
        count += len(made(inference))
    assert count > 150


def test_work_of_an_earlier_generation_is_void() -> None:
    inference, _ = device(0.001)
    begin(inference, 1, origin=1.0)
    speak(inference, 1, 0, 3)
    inference.handle(Begin(1, 1, 50, 1.0))
    speak(inference, 1, 3, 3)
    assert made(inference) == []
    speak(inference, 1, 50, 2, generation=1)
    assert made(inference) == [(1, 50), (1, 51)]


def test_after_a_cut_the_pictures_from_there_on_are_made_anew_with_the_mouth_easing_shut() -> None:
    inference, renderer = device(0.001)
    begin(inference, 1, origin=1.0)
    speak(inference, 1, 0, 6)
    assert made(inference) == [(1, frame) for frame in range(6)]
    speak(inference, 1, 6, 2)
    inference.handle(Cut(1, 1, 3, 8))
    speak(inference, 1, 8, 1)  # of the old generation: void
    speak(inference, 1, 8, 4, generation=1)
    renderer.opened.clear()
    assert made(inference) == [(1, frame) for frame in range(3, 12)]
    assert np.allclose(renderer.opened, [4 / 9, 1 / 9, 0, 0, 0, 0, 1 / 9, 4 / 9, 1])


def test_a_cut_costs_nothing_that_cannot_be_in_time() -> None:
    inference, renderer = device(0.001)
    begin(inference, 1, origin=1.0)
    speak(inference, 1, 0, 6)
    made(inference)
    renderer.now = 1.0 + 4 / FPS
    inference.handle(Cut(1, 1, 3, 8))
    assert made(inference) == [(1, 5)]
    inference.handle(Cut(1, 1, 0, 8))  # the same generation again
    assert made(inference) == []


def test_a_session_that_is_cut_all_the_time_takes_no_more_than_its_share() -> None:
    inference, renderer = device(0.001)
    begin(inference, 1, origin=10.0)
    pictures = 0
    for frame in range(100):
        speak(inference, 1, frame, generation=4 * frame)
        for cut in range(4):
            inference.handle(Cut(1, 4 * frame + cut + 1, max(0, frame - 3), frame + 1))
            pictures += len(made(inference))
    assert 100 <= pictures <= 150
    assert not any(renderer.opened[10:])


def test_a_hole_in_the_sound_is_silence_and_repeats_are_not_heard_twice() -> None:
    inference, _ = device(0.001)
    begin(inference, 1, origin=1.0)
    speak(inference, 1, 0)
    speak(inference, 1, 3)
    speak(inference, 1, 2, 3)
    assert made(inference) == [(1, frame) for frame in range(5)]


@pytest.mark.parametrize("frame", [10_000])
def test_a_session_that_cannot_go_on_is_reported_and_dropped(frame: int) -> None:
    inference, _ = device(0.001)
    begin(inference, 1, origin=1.0)
    failure = inference.handle(Sound(1, 0, AudioChunk(frame * SAMPLES_PER_FRAME, np.zeros(640, np.float32))))
    assert failure is not None
    assert failure.session == 1
    assert "expected 0" in failure.reason
    speak(inference, 1, 0)
    assert made(inference) == []


def test_an_unknown_avatar_is_refused_by_name() -> None:
    inference, _ = device(0.001)
    failure = inference.handle(Open(1, "nobody", PipelineOptions()))
    assert failure is not None
    assert "nobody" in failure.reason
    assert "dot" in failure.reason


def test_a_face_does_what_it_is_asked_for_and_another_does_not() -> None:
    streams: list[EchoStream] = []
    renderer = SlowRenderer(0.01)

    def open_stream(avatar: str, options: PipelineOptions) -> EchoStream:
        streams.append(EchoStream())
        return streams[-1]

    inference = Inference(open_stream, {"dot": renderer}, clock=lambda: renderer.now)
    for session in (1, 2):
        inference.handle(Open(session, "dot", PipelineOptions()))
    inference.handle(Steer(2, Gesture("nod")))
    assert [stream.asked for stream in streams] == [[], [Gesture("nod")]]
    inference.handle(Steer(1, Background("#00ff00")))
    assert renderer.face.background == "#00ff00"


def test_a_closed_session_costs_nothing_more() -> None:
    inference, _ = device(0.001)
    begin(inference, 1, origin=1.0)
    speak(inference, 1, 0, 3)
    inference.handle(Close(1))
    assert not inference.busy


def test_a_session_that_fails_is_gone_and_the_others_go_on() -> None:
    inference, _ = device(0.01)
    begin(inference, 1, origin=10.0)
    begin(inference, 2, origin=10.0)
    late = AudioChunk(10 * FPS * SAMPLES_PER_FRAME, np.zeros(SAMPLES_PER_FRAME, np.float32))
    assert inference.handle(Sound(2, 0, late)) is not None  # after a hole of ten seconds
    speak(inference, 1, 0, 2)
    assert made(inference) == [(1, 0), (1, 1)]


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
    assert set(talk.renderer.painted) == {Paint.ANEW}
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


def test_what_has_not_moved_is_painted_anew_only_for_a_session_that_is_alone() -> None:
    talk = Talk(0.01, sessions=2)
    talk.last(2)
    assert set(talk.renderer.painted) == {Paint.WHERE_MOVED}
    talk.inference.handle(Close(1))
    talk.sessions = range(1)
    talk.renderer.painted.clear()
    talk.last(2)
    assert set(talk.renderer.painted) == {Paint.ANEW}
