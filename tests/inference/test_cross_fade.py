"""Another face in the middle of speech: no picture is missing, and none jumps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from streamer.core.frames import AvatarFrame, CoefficientWindow, Paint
from streamer.core.options import FaceOptions
from streamer.inference.cross_fade import FADE_FRAMES
from streamer.inference.messages import Steer
from streamer.inference.scheduler import Inference
from streamer.stages.life.steering import Background, Shown, Size, Wear
from tests.fakes.slow_device import EchoStream, begin, speak

BEFORE, AFTER = 50, 200


@dataclass
class Plain:
    """An avatar of one shade of grey; notes the options that it was shown with."""

    shade: int
    side: int = 4
    shown: list[FaceOptions] = field(default_factory=list)

    def render(self, windows: list[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        picture = np.full((self.side, self.side, 3), self.shade, np.uint8)
        return [AvatarFrame(window.index, picture, 0) for window in windows]

    def showing(self, face: FaceOptions, smallest: bool = False) -> Plain:
        self.shown.append(face)
        return self


class Stage:
    def __init__(self, **avatars: Plain) -> None:
        self.inference = Inference(lambda *_: EchoStream(), avatars, clock=lambda: 0.0)
        begin(self.inference, 1, origin=1.0)
        self.frame = 0

    def ask(self, wanted: Shown) -> None:
        assert self.inference.handle(Steer(1, wanted)) is None

    def pictures(self, count: int) -> list[tuple[int, int, int]]:
        """Frame, shade and side of the next."""
        speak(self.inference, 1, self.frame, count)
        self.frame += count
        found = []
        while self.inference.busy:
            rendered = self.inference.step()
            assert rendered is not None
            picture = rendered.frame.rgb
            found.append((rendered.frame.index, int(picture[0, 0, 0]), len(picture)))
        return found


def test_pictures_fade_to_the_other_face_and_none_is_missing() -> None:
    stage = Stage(dot=Plain(BEFORE), other=Plain(AFTER, side=8))
    before = stage.pictures(5)
    stage.ask(Wear("other"))
    after = stage.pictures(15)
    assert [index for index, _, _ in before + after] == list(range(20))
    assert {shade for _, shade, _ in before} == {BEFORE}
    shades = [shade for _, shade, _ in after]
    steps = np.diff([BEFORE, *shades[:FADE_FRAMES], AFTER])
    assert steps.min() > 0
    assert steps.max() < 1.5 * (AFTER - BEFORE) / (FADE_FRAMES + 1)
    assert set(shades[FADE_FRAMES:]) == {AFTER}
    assert {side for _, _, side in after} == {8}


def test_a_face_may_be_changed_while_it_fades() -> None:
    stage = Stage(dot=Plain(0), other=Plain(100), third=Plain(200))
    stage.ask(Wear("other"))
    stage.pictures(3)
    stage.ask(Wear("third"))
    shades = [shade for _, shade, _ in stage.pictures(FADE_FRAMES + 2)]
    assert shades == sorted(shades)
    assert shades[0] > 100
    assert shades[-1] == 200


def test_a_face_that_was_removed_meanwhile_changes_nothing() -> None:
    stage = Stage(dot=Plain(BEFORE))
    stage.ask(Wear("gone"))
    assert {shade for _, shade, _ in stage.pictures(3)} == {BEFORE}


def test_size_and_background_hold_for_the_face_that_comes() -> None:
    other = Plain(AFTER)
    stage = Stage(dot=Plain(BEFORE), other=other)
    stage.ask(Size(384))
    stage.ask(Wear("other"))
    assert other.shown[-1].size == 384
    stage.ask(Background("#00ff00"))
    assert other.shown[-1] == FaceOptions(size=384, background="#00ff00")
    stage.pictures(FADE_FRAMES + 1)
    stage.ask(Size(None))
    assert other.shown[-1].size is None
