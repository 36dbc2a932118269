"""Driving keypoints to pictures, for one avatar."""

from __future__ import annotations

import copy

from engines.runtime import Engine
from streamer.avatar.bundle import Avatar, open_rasterizer
from streamer.core.frames import AvatarFrame, FloatArray, Keypoints
from streamer.core.pictures import to_bytes
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.stages.eyelids import Eyelids
from streamer.stages.photo_canvas import PhotoCanvas


class RenderStage:
    """The render network with an avatar's appearance held in it; frames are of the network's size, see `at`."""

    def __init__(self, engine: Engine, avatar: Avatar) -> None:
        self._rasterizer = open_rasterizer(engine.spec)
        self._avatar = avatar
        self._network = avatar.constants["portrait"].shape[-1]
        self._layer_scale = engine.spec.layer_scale
        self._painted = "layers" in engine.spec.outputs
        outputs = ["flow", "layers"] if self._painted else ["frame"]
        constants = avatar.constants_of(engine.spec)
        self._binding = engine.bind(constants, outputs)
        self._warp = engine.bind(constants, ["flow"]) if self._painted else None
        self._canvases: dict[int, tuple[PhotoCanvas, Eyelids | None]] = {}  # by size, shared with what `at` makes
        self._canvas: PhotoCanvas | None = None
        self._lids: Eyelids | None = None
        self._layers: FloatArray | None = None  # of the last frame
        self._draw_at(self._network)

    def at(self, size: int) -> RenderStage:
        """The same for another sequence of frames, `size` pixels a side.

        Raises ValueError where the network alone gives the size.
        """
        if size != self._network and not self._painted:
            raise ValueError(f"frames of {size} pixels, this family has {self._network}")
        other = copy.copy(self)
        other._draw_at(size)
        return other

    def infer(self, keypoints: Keypoints, paint: bool = True) -> AvatarFrame:
        """The picture of one frame; without `paint`, with the mouth and eyes of the last one, where the family can."""
        inputs = {"driving_keypoints": keypoints.points[None]}
        if self._rasterizer:
            inputs["driving_conditions"] = self._rasterizer.draw(keypoints.points)[None]
        if self._canvas is None:
            picture = to_bytes(self._binding.infer(inputs)["frame"][0])
        else:
            picture = self._canvas.draw(*self._painting(inputs, paint))
            if self._lids is not None:
                self._lids.lay(picture, keypoints.points)
        return AvatarFrame(keypoints.index, picture, keypoints.index * SAMPLES_PER_FRAME)

    def _painting(self, inputs: dict[str, FloatArray], paint: bool) -> tuple[FloatArray, FloatArray]:
        """The frame's flow, and its layers or still the last frame's."""
        if self._warp is not None and self._layers is not None and not paint:
            return self._warp.infer(inputs)["flow"][0], self._layers
        made = self._binding.infer(inputs)
        self._layers = made["layers"]
        return made["flow"][0], self._layers

    def _draw_at(self, size: int) -> None:
        self._layers = None
        if self._painted:
            if size not in self._canvases:
                self._canvases[size] = self._canvas_of(size)
            self._canvas, self._lids = self._canvases[size]

    def _canvas_of(self, size: int) -> tuple[PhotoCanvas, Eyelids | None]:
        known, scale = self._avatar.constants, self._layer_scale
        canvas = PhotoCanvas(self._avatar.photo, known["windows"] * scale, self._network * scale, size)
        landmarks = known.get("landmarks")
        if landmarks is None:
            return canvas, None
        return canvas, Eyelids(canvas.source, landmarks, known["source_keypoints"][0])
