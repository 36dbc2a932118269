"""Whose picture is made next, and which are not made at all."""

import numpy as np
import pytest

from streamer.core.frames import AudioChunk
from streamer.core.options import PipelineOptions
from streamer.core.rates import FPS, SAMPLES_PER_FRAME
from streamer.inference.messages import Begin, Close, Cut, Open, Sound, Steer
from streamer.inference.scheduler import Inference
from streamer.stages.life.steering import Background, Gesture
from tests.fakes.slow_device import EchoStream, SlowRenderer, begin, device, made, speak


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
