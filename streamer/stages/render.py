"""Driving keypoints to pictures, for one avatar."""

from __future__ import annotations

from engines.runtime import Engine
from streamer.avatar.bundle import Avatar, open_rasterizer
from streamer.core.frames import AvatarFrame, Keypoints
from streamer.core.pictures import to_bytes
from streamer.core.rates import SAMPLES_PER_FRAME


class RenderStage:
    """The render network with an avatar's appearance held in it."""

    def __init__(self, engine: Engine, avatar: Avatar) -> None:
        self._rasterizer = open_rasterizer(engine.spec)
        self._binding = engine.bind(avatar.constants_of(engine.spec), ["frame"])

    def infer(self, keypoints: Keypoints) -> AvatarFrame:
        """The picture of one frame."""
        inputs = {"driving_keypoints": keypoints.points[None]}
        if self._rasterizer:
            inputs["driving_conditions"] = self._rasterizer.draw(keypoints.points)[None]
        picture = self._binding.infer(inputs)["frame"][0]
        return AvatarFrame(keypoints.index, to_bytes(picture), keypoints.index * SAMPLES_PER_FRAME)
