"""What a face does as numbers: clipped, interpolated, and told as long as somebody listens."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.core.units.numbers import packed
from streamer.inference.bare_face import BareFace
from streamer.inference.messages import Begin, Open
from streamer.inference.scheduler import Inference
from streamer.session.numbers import NumberNames, Numbers, NumbersFrame
from streamer.web.numbers_socket import LISTS, NAMES, NumbersQuery, between, greeting, rendered, steps
from tests.fakes.slow_device import EchoStream, SlowRenderer, speak

LABELS = NumberNames(("jawOpen", "eyeBlinkLeft"), ("pitch",))


def test_units_are_clipped_and_angles_are_not() -> None:
    told: list[NumbersFrame] = []
    numbers = Numbers(LABELS)
    numbers.show(0, LABELS.nothing, None)  # nobody listens
    numbers.watch(told.append)
    numbers.show(1, packed(np.array([1.5, -0.2, -7.5], np.float32)), LABELS.nothing)
    numbers.unwatch(told.append)
    numbers.show(2, LABELS.nothing, None)
    (frame,) = told
    assert (frame.frame, frame.values.tolist()) == (1, [1.0, 0.0, -7.5])
    assert frame.following is not None


@pytest.mark.parametrize(("rate", "per_second"), [(25, 25), (30, 30), (50, 50), (60, 60)])
def test_every_rate_is_even_and_has_no_gaps(rate: int, per_second: int) -> None:
    times = [time for frame in range(25) for time, _ in steps(frame, rate)]
    assert len(times) == per_second
    assert np.allclose(np.diff(times), 1000 / rate)
    assert all(0 <= part < 1 for frame in range(25) for _, part in steps(frame, rate))
    assert steps(100, rate)[0][0] == pytest.approx(4_000, abs=1000 / rate)


def test_values_are_interpolated_where_the_next_frame_is_there() -> None:
    here, there = np.array([0.0, 1.0, 4.0], np.float32), np.array([1.0, 0.0, 8.0], np.float32)
    assert between(NumbersFrame(0, here, there), 0.25).tolist() == [0.25, 0.75, 5.0]
    assert between(NumbersFrame(0, here, None), 0.25).tolist() == here.tolist()


def test_messages_carry_lists_or_names() -> None:
    values = np.array([0.123456, 1.0, -3.0], np.float32)
    assert rendered(LABELS, NumbersQuery(), 40.0, values) == {
        "type": "frame", "time_ms": 40.0, "expression": [0.1235, 1.0], "head": [-3.0],
    }  # fmt: skip
    named = rendered(LABELS, NumbersQuery(60, NAMES), 16.666666, values)
    assert named["blendshapes"] == {"jawOpen": 0.1235, "eyeBlinkLeft": 1.0}
    assert (named["head"], named["time_ms"]) == ({"pitch": -3.0}, 16.67)
    assert greeting(LABELS, NumbersQuery(60, LISTS), 300)["expression"] == ("jawOpen", "eyeBlinkLeft")


def test_a_session_without_pictures_is_not_drawn_and_takes_no_time_from_others() -> None:
    drawn = SlowRenderer(0.03)
    inference = Inference(lambda *_: EchoStream(), {"dot": drawn}, clock=lambda: drawn.now, bare=BareFace(0))
    for session, pictures in ((1, False), (2, True)):
        inference.handle(Open(session, "dot", PipelineOptions(None, 0, FaceOptions(), pictures)))
        inference.handle(Begin(session, 0, 0, 1.0))
        speak(inference, session, 0, 4)
    found = []
    while inference.busy:
        if (rendered_frame := inference.step()) is not None:
            found.append(rendered_frame)
    bare = [frame for frame in found if frame.session == 1]
    assert [frame.frame.index for frame in bare] == [0, 1, 2, 3]
    assert all(frame.bare and frame.frame.rgb.view(np.float32).tolist() == [1.0] for frame in bare)
    assert [frame.frame.position for frame in bare] == [index * SAMPLES_PER_FRAME for index in range(4)]
    assert len(drawn.opened) == 4  # those of the other
