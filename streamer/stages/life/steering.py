"""What somebody wants a face to do beside speaking: look somewhere, nod, smile; added to its coefficients.

Everything is a function of the frame, so that the windows of neighbouring frames agree. Gestures are small movements of
people in conversation; units and angles that a family lacks are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec
import numpy as np

from streamer.core.frames import CoefficientWindow, FloatArray
from streamer.core.options import MAX_ENERGY, MAX_INTENSITY
from streamer.core.rates import FPS

EYES = "eyeLook"  # prefix of the units that turn the eyes
FAR = 0.7  # of such a unit, for a look as far to the side as one goes
SACCADE = (0.45, 0.85, 1.0)  # of the way, frame by frame; people's take 50 to 100 ms
GAZE_EASE = 5  # frames in which a look is given up
LONG_AGO = -1_000_000  # frames
MOST_GESTURES = 4  # under way at a time; the oldest is given up

Unit = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]


class Energy(msgspec.Struct, tag="energy", frozen=True, forbid_unknown_fields=True):
    """How lively the face is from now on, as `FaceOptions.energy`."""

    value: Annotated[float, msgspec.Meta(ge=0.0, le=MAX_ENERGY)]


class Emotion(msgspec.Struct, tag="emotion", frozen=True, forbid_unknown_fields=True):
    """What the face feels from now on, as `FaceOptions.emotion`."""

    value: Literal["auto", "neutral", "happy", "sad", "angry", "surprised", "calm"]
    intensity: Annotated[float, msgspec.Meta(ge=0.0, le=MAX_INTENSITY)] = 1.0


class Gaze(msgspec.Struct, tag="gaze", frozen=True, forbid_unknown_fields=True):
    """Where the eyes look: x to the viewer's right and y up, in -1..1; at the camera, or as they like."""

    at: tuple[Unit, Unit] | Literal["camera", "free"]


class Gesture(msgspec.Struct, tag="gesture", frozen=True, forbid_unknown_fields=True):
    """A movement that passes."""

    name: Literal["nod", "shake", "smile", "brows", "ponder"]
    strength: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0


class Background(msgspec.Struct, tag="background", frozen=True, forbid_unknown_fields=True):
    """What is behind the face from now on, as `FaceOptions.background`."""

    value: str | None


class Size(msgspec.Struct, tag="size", frozen=True, forbid_unknown_fields=True):
    """Pixels a side of the pictures from now on, as `FaceOptions.size`."""

    value: int | None


class Wear(msgspec.Struct, tag="avatar", frozen=True, forbid_unknown_fields=True):
    """Whose face it is from now on; the pictures fade from one to the other."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


Steered = Emotion | Energy | Gaze | Gesture
Shown = Background | Size | Wear


@dataclass(frozen=True)
class _Movement:
    """`value` at a time from 0 to `seconds`, times `amounts` of units and angles (degrees)."""

    seconds: float
    value: Callable[[float], float]
    amounts: dict[str, float]


def _swell(share: float) -> float:
    """0 at both ends, 1 in the middle."""
    return float(np.sin(np.pi * share) ** 2)


def _held(share: float) -> float:
    """Up in a fifth, held, and down in the last third."""
    way = min(1.0, share / 0.2, (1 - share) / 0.33)
    return way * way * (3 - 2 * way)


MOVEMENTS = {
    "nod": _Movement(1.1, lambda share: _swell(share) * float(np.sin(4 * np.pi * share)), {"pitch": 7.0}),
    "shake": _Movement(1.3, lambda share: _swell(share) * float(np.sin(5 * np.pi * share)), {"yaw": 8.0}),
    "smile": _Movement(
        2.2,
        _held,
        dict.fromkeys(("mouthSmileLeft", "mouthSmileRight"), 0.55)
        | dict.fromkeys(("cheekSquintLeft", "cheekSquintRight"), 0.35),
    ),
    "brows": _Movement(1.0, _held, {"browInnerUp": 0.6, "browOuterUpLeft": 0.6, "browOuterUpRight": 0.6}),
    "ponder": _Movement(
        2.6,
        _held,
        {"pitch": -3.5, "roll": 3.5, "browInnerUp": 0.4, "browOuterUpLeft": 0.5}
        | dict.fromkeys(("mouthPressLeft", "mouthPressRight"), 0.3),
    ),
}


def eyes_at(x: float, y: float) -> dict[str, float]:
    """The units of a look. Left and right are the person's own: the viewer's right is the person's left."""
    out, inward = ("Left", "Right") if x > 0 else ("Right", "Left")
    across = {f"eyeLookOut{out}": abs(x), f"eyeLookIn{inward}": abs(x)}
    side = "Up" if y > 0 else "Down"
    along = {f"eyeLook{side}Left": abs(y), f"eyeLook{side}Right": abs(y)}
    return {name: FAR * value for name, value in (across | along).items()}


class Steering:
    """One session's. names: the family's coefficients, expression first."""

    def __init__(self, expression: Sequence[str], pose: Sequence[str]) -> None:
        self._rows = {name: row for row, name in enumerate([*expression, *pose])}
        moved = {name for movement in MOVEMENTS.values() for name in movement.amounts}
        self._units = [row for row, name in enumerate(expression) if name in moved or name.startswith(EYES)]
        self._eyes = [row for name, row in self._rows.items() if name.startswith(EYES)]
        self._next = 0  # the frame that what is asked for begins with
        self._gestures: list[tuple[int, Gesture]] = []  # with their first frames
        self._look: tuple[int, FloatArray | None] = (LONG_AGO, None)  # since when, and the eyes' units; None: free
        self._looked: FloatArray | None = None  # before that

    def able(self) -> list[str]:
        """What this family's faces can be asked for."""
        gestures = [name for name, movement in MOVEMENTS.items() if movement.amounts.keys() & self._rows.keys()]
        return [*gestures, *(["gaze"] if self._eyes else [])]

    def ask(self, wanted: Gaze | Gesture) -> None:
        """Begin with the next frame."""
        if isinstance(wanted, Gesture):
            self._gestures = [*self._gestures, (self._next, wanted)][-MOST_GESTURES:]
            return
        target = None
        if wanted.at != "free":
            x, y = (0.0, 0.0) if isinstance(wanted.at, str) else wanted.at
            units = eyes_at(x, y)
            target = np.array([units.get(name, 0.0) for name in self._rows if name.startswith(EYES)], np.float32)
        self._looked, self._look = self._look[1], (self._next, target)

    def begin(self, frame: int) -> None:
        """Frames go on from this one."""
        self._next = frame

    def steer(self, window: CoefficientWindow, past: int) -> CoefficientWindow:
        """The window, of which `past` columns are before its frame, with what is asked for in it."""
        self._next = max(self._next, window.index + 1)
        self._gestures = [
            (first, gesture)
            for first, gesture in self._gestures
            if window.index - past <= first + MOVEMENTS[gesture.name].seconds * FPS
        ]
        if not self._gestures and self._look[1] is None and self._look[0] + GAZE_EASE < window.index - past:
            return window
        values = window.values.copy()
        for column in range(values.shape[1]):
            self._steer(values[:, column], window.index - past + column)
        values[self._units] = np.clip(values[self._units], 0.0, 1.0)
        return replace(window, values=values)

    def _steer(self, values: FloatArray, frame: int) -> None:
        self._turn_eyes(values, frame)
        for first, gesture in self._gestures:
            movement = MOVEMENTS[gesture.name]
            share = (frame - first) / FPS / movement.seconds
            if 0 <= share <= 1:
                value = gesture.strength * movement.value(share)
                for name, amount in movement.amounts.items():
                    if (row := self._rows.get(name)) is not None:
                        values[row] += value * amount

    def _turn_eyes(self, values: FloatArray, frame: int) -> None:
        since, target = self._look
        age = frame - since
        free = values[self._eyes]
        before = free if self._looked is None else self._looked
        if age < 0:
            values[self._eyes] = before
        elif target is None:
            values[self._eyes] = before + min(1.0, (age + 1) / GAZE_EASE) * (free - before)
        else:
            values[self._eyes] = before + SACCADE[min(age, len(SACCADE) - 1)] * (target - before)
