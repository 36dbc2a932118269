"""Driving keypoints to pictures, for one avatar."""

from __future__ import annotations

import copy

from engines.runtime import Engine
from streamer.avatar.bundle import Avatar, open_rasterizer
from streamer.core.frames import AvatarFrame, Keypoints
from streamer.core.pictures import to_bytes
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.stages.photo_canvas import PhotoCanvas


class RenderStage:
    """The render network with an avatar's appearance held in it; frames are of the network's size, see `at`."""

    def __init__(self, engine: Engine, avatar: Avatar) -> None:
        self._rasterizer = open_rasterizer(engine.spec)
        self._avatar = avatar
        self._network = avatar.constants["portrait"].shape[-1]
        self._painted = "layers" in engine.spec.outputs
        outputs = ["flow", "layers"] if self._painted else ["frame"]
        self._binding = engine.bind(avatar.constants_of(engine.spec), outputs)
        self._canvas = self._canvas_of(self._network) if self._painted else None

    def at(self, size: int) -> RenderStage:
        """The same, its frames of `size` pixels a side. Raises ValueError where the network alone gives the size."""
        if size == self._network:
            return self
        if not self._painted:
            raise ValueError(f"frames of {size} pixels, this family has {self._network}")
        other = copy.copy(self)
        other._canvas = self._canvas_of(size)
        return other

    def infer(self, keypoints: Keypoints) -> AvatarFrame:
        """The picture of one frame."""
        inputs = {"driving_keypoints": keypoints.points[None]}
        if self._rasterizer:
            inputs["driving_conditions"] = self._rasterizer.draw(keypoints.points)[None]
        made = self._binding.infer(inputs)
        picture = self._canvas.draw(made["flow"][0], made["layers"]) if self._canvas else to_bytes(made["frame"][0])
        return AvatarFrame(keypoints.index, picture, keypoints.index * SAMPLES_PER_FRAME)

    def _canvas_of(self, size: int) -> PhotoCanvas:
        return PhotoCanvas(self._avatar.photo, self._avatar.constants["windows"], self._network, size)
