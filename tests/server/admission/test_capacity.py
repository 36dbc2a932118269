"""How many sessions a machine is given, by what pictures take on it."""

from __future__ import annotations

import pytest

from streamer.core.rungs import RUNGS
from streamer.inference.messages import Pulse
from streamer.server.admission.capacity import MOST_SESSIONS, most_sessions, sessions_in_time


@pytest.mark.parametrize(
    ("frame_ms", "sessions"), [(100, 1), (35, 1), (18, 2), (12, 3), (11, 3), (9, 4), (0.5, MOST_SESSIONS)]
)
def test_there_are_as_many_as_have_all_their_pictures_and_never_none(frame_ms: float, sessions: int) -> None:
    assert sessions_in_time(Pulse(frame_s=frame_ms / 1000), 0) == sessions


def test_no_caller_is_admitted_while_work_is_shed() -> None:
    pulse = Pulse(frame_s=0.005, rung=RUNGS.index(RUNGS[1]))
    assert sessions_in_time(pulse, 3) == 3
    assert sessions_in_time(pulse, 0) == 1


def test_a_number_that_was_asked_for_holds_whatever_the_machine() -> None:
    assert most_sessions(5, lambda: Pulse(frame_s=1.0, rung=3), lambda: 0)() == 5
    pulses = [Pulse(frame_s=0.018), Pulse(frame_s=0.009)]
    most = most_sessions(None, lambda: pulses.pop(0), lambda: 0)
    assert (most(), most()) == (2, 4)
