"""What a face is asked for beside speaking: in the right frames, the same in every window, and gone afterwards."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest

from streamer.core.frames import CoefficientWindow, FloatArray
from streamer.core.rates import FPS
from streamer.stages.life.steering import MOVEMENTS, Gaze, Gesture, Steering

EXPRESSION = ("eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
              "eyeLookDownLeft", "eyeLookDownRight", "mouthSmileLeft", "mouthSmileRight", "browInnerUp")  # fmt: skip
POSE = ("pitch", "yaw", "roll")
NAMES = (*EXPRESSION, *POSE)
GLANCE = 0.3  # of an idle face to its left


def window(index: int, past: int = 1, future: int = 1) -> CoefficientWindow:
    values = np.zeros((len(NAMES), past + 1 + future), np.float32)
    values[NAMES.index("eyeLookOutLeft")] = values[NAMES.index("eyeLookInRight")] = GLANCE
    return CoefficientWindow(index, values)


def track(steering: Steering, frames: range) -> dict[str, FloatArray]:
    """Each coefficient over these frames, as the windows' own columns have it; neighbours must agree."""
    windows = [steering.steer(window(index), 1).values for index in frames]
    for before, after in itertools.pairwise(windows):
        np.testing.assert_allclose(before[:, 1:], after[:, :-1], atol=1e-6)
    return {name: np.stack(windows)[:, row, 1] for row, name in enumerate(NAMES)}


@pytest.mark.parametrize(("name", "moved"), [("nod", "pitch"), ("shake", "yaw"), ("smile", "mouthSmileLeft")])
def test_a_gesture_begins_with_the_next_frame_and_passes(name: str, moved: str) -> None:
    steering = Steering(EXPRESSION, POSE)
    track(steering, range(10))
    steering.ask(msgspec.json.decode(f'{{"type": "gesture", "name": "{name}"}}', type=Gesture))
    seen = track(steering, range(10, 10 + 3 * FPS))
    most = MOVEMENTS[name].amounts[moved]
    assert 0.5 * most < np.abs(seen[moved]).max() <= most
    assert seen[moved][0] == pytest.approx(0, abs=1e-3)
    assert np.all(seen[moved][round(MOVEMENTS[name].seconds * FPS) + 1 :] == 0)
    assert all(np.ptp(seen[other]) == 0 for other in NAMES if other not in MOVEMENTS[name].amounts)
    if name in ("nod", "shake"):
        assert seen[moved].min() < 0 < seen[moved].max()


def test_half_a_gesture_is_half_as_far() -> None:
    far = []
    for strength in (1.0, 0.5):
        steering = Steering(EXPRESSION, POSE)
        steering.ask(Gesture("smile", strength))
        far.append(track(steering, range(2 * FPS))["mouthSmileRight"].max())
    assert far[1] == pytest.approx(far[0] / 2)


def test_eyes_go_where_they_are_asked_to_and_are_free_again() -> None:
    steering = Steering(EXPRESSION, POSE)
    assert track(steering, range(5))["eyeLookOutLeft"][-1] == np.float32(GLANCE)
    steering.ask(Gaze((-1.0, 0.5)))  # the viewer's left: the right eye turns out
    seen = track(steering, range(5, 30))
    assert seen["eyeLookOutRight"][-1] == seen["eyeLookInLeft"][-1] > 0.5
    assert seen["eyeLookUpLeft"][-1] > 0.2
    assert seen["eyeLookOutLeft"][-1] == 0
    steering.ask(Gaze("camera"))
    assert all(values[-1] == 0 for name, values in track(steering, range(30, 40)).items() if name.startswith("eyeLook"))
    steering.ask(Gaze("free"))
    assert track(steering, range(40, 60))["eyeLookOutLeft"][-1] == np.float32(GLANCE)


def test_unused_options_cost_nothing() -> None:
    steering, given = Steering(EXPRESSION, POSE), window(100)
    assert steering.steer(given, 1) is given


def test_a_family_does_what_its_coefficients_can() -> None:
    assert Steering(EXPRESSION, POSE).able() == ["nod", "shake", "smile", "brows", "ponder", "gaze"]
    assert Steering(("open",), ("pitch",)).able() == ["nod", "ponder"]
    lacking = Steering(("open",), ("yaw",))
    lacking.ask(Gesture("smile"))
    lacking.ask(Gaze((1.0, 0.0)))
    given = CoefficientWindow(3, np.full((2, 3), -2, np.float32))  # a face model's are not 0 to 1
    np.testing.assert_array_equal(lacking.steer(given, 1).values, given.values)
