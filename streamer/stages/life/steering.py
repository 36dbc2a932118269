"""Requested gaze and gestures (look somewhere, nod, smile), added to the coefficients.

All values are functions of the frame number, so that the windows of neighbouring frames agree. Gestures are small
movements of people in conversation; units and angles that a family lacks are omitted.
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
FAR = 0.7  # weight of such a unit for the furthest look to a side
SACCADE = (0.45, 0.85, 1.0)  # share of the way, frame by frame; human saccades take 50 to 100 ms
GAZE_EASE = 5  # frames in which a requested gaze is released
LONG_AGO = -1_000_000  # frames
MOST_GESTURES = 4  # gestures in progress at a time; the oldest is dropped

Unit = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]


class Energy(msgspec.Struct, tag="energy", frozen=True, forbid_unknown_fields=True):
    """Request to set the face's liveliness, as `FaceOptions.energy`."""

    value: Annotated[float, msgspec.Meta(ge=0.0, le=MAX_ENERGY)]


class Emotion(msgspec.Struct, tag="emotion", frozen=True, forbid_unknown_fields=True):
    """Request to set the emotion, as `FaceOptions.emotion`."""

    value: Literal["auto", "neutral", "happy", "sad", "angry", "surprised", "calm"]
    intensity: Annotated[float, msgspec.Meta(ge=0.0, le=MAX_INTENSITY)] = 1.0


class Gaze(msgspec.Struct, tag="gaze", frozen=True, forbid_unknown_fields=True):
    """Request to set the gaze: a point (x to the viewer's right, y up, in -1..1), the camera, or free."""

    at: tuple[Unit, Unit] | Literal["camera", "free"]


class Gesture(msgspec.Struct, tag="gesture", frozen=True, forbid_unknown_fields=True):
    """Request for a single gesture."""

    name: Literal["nod", "shake", "smile", "brows", "ponder"]
    strength: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 1.0


class Background(msgspec.Struct, tag="background", frozen=True, forbid_unknown_fields=True):
    """Request to change the background, as `FaceOptions.background`."""

    value: str | None


class Size(msgspec.Struct, tag="size", frozen=True, forbid_unknown_fields=True):
    """Request to change the pictures' size, in pixels per side, as `FaceOptions.size`."""

    value: int | None


class Wear(msgspec.Struct, tag="avatar", frozen=True, forbid_unknown_fields=True):
    """Request to switch to another avatar; the pictures cross-fade."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


Steered = Emotion | Energy | Gaze | Gesture
Shown = Background | Size | Wear


@dataclass(frozen=True)
class _Movement:
    """Course of a gesture: `value` of the elapsed share of `seconds`, times `amounts` of units and angles (degrees)."""

    seconds: float
    value: Callable[[float], float]
    amounts: dict[str, float]


def _swell(share: float) -> float:
    """Return a smooth bump: 0 at both ends, 1 in the middle."""
    return float(np.sin(np.pi * share) ** 2)


def _held(share: float) -> float:
    """Return a plateau: up in the first fifth, held, and down in the last third."""
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
    """Return the units of a gaze. Left and right are the person's own: the viewer's right is the person's left."""
    out, inward = ("Left", "Right") if x > 0 else ("Right", "Left")
    across = {f"eyeLookOut{out}": abs(x), f"eyeLookIn{inward}": abs(x)}
    side = "Up" if y > 0 else "Down"
    along = {f"eyeLook{side}Left": abs(y), f"eyeLook{side}Right": abs(y)}
    return {name: FAR * value for name, value in (across | along).items()}


class Steering:
    """Requested gaze and gestures of one session."""

    def __init__(self, expression: Sequence[str], pose: Sequence[str]) -> None:
        self._rows = {name: row for row, name in enumerate([*expression, *pose])}
        moved = {name for movement in MOVEMENTS.values() for name in movement.amounts}
        self._units = [row for row, name in enumerate(expression) if name in moved or name.startswith(EYES)]
        self._eyes = [row for name, row in self._rows.items() if name.startswith(EYES)]
        self._next = 0  # first frame of the next request
        self._gestures: list[tuple[int, Gesture]] = []  # each with its first frame
        self._look: tuple[int, FloatArray | None] = (LONG_AGO, None)  # first frame, and the eyes' units; None: free
        self._looked: FloatArray | None = None  # the gaze before that

    def able(self) -> list[str]:
        """Return the requests that this family supports."""
        gestures = [name for name, movement in MOVEMENTS.items() if movement.amounts.keys() & self._rows.keys()]
        return [*gestures, *(["gaze"] if self._eyes else [])]

    def ask(self, wanted: Gaze | Gesture) -> None:
        """Start a gaze or gesture with the next frame."""
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
        """Set the frame that the next request begins with."""
        self._next = frame

    def steer(self, window: CoefficientWindow, past: int) -> CoefficientWindow:
        """Return the window with the requests added; its first `past` columns are before its frame."""
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
