"""Driving keypoints to pictures, for one avatar."""

from __future__ import annotations

import copy

import numpy as np

from engines.runtime import Engine
from streamer.avatar.bundle import Avatar, open_rasterizer
from streamer.avatar.condition_maps import CHANNELS
from streamer.core.frames import AvatarFrame, ByteArray, FloatArray, Keypoints
from streamer.core.pictures import to_bytes
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.stages.lid_colour import LidColour
from streamer.stages.photo_canvas import PhotoCanvas

EYES = CHANNELS.index("eyes")


class RenderStage:
    """The render network with an avatar's appearance held in it; frames are of the network's size, see `at`."""

    def __init__(self, engine: Engine, avatar: Avatar) -> None:
        self._rasterizer = open_rasterizer(engine.spec)
        self._avatar = avatar
        self._network = avatar.constants["portrait"].shape[-1]
        self._painted = "layers" in engine.spec.outputs
        outputs = ["flow", "layers"] if self._painted else ["frame"]
        constants = avatar.constants_of(engine.spec)
        self._binding = engine.bind(constants, outputs)
        self._warp = engine.bind(constants, ["flow"]) if self._painted else None
        self._layers: FloatArray | None = None  # of the last frame
        self._canvases: dict[int, PhotoCanvas] = {}  # by size, shared with the stages that `at` makes
        self._canvas = self._canvas_of(self._network) if self._painted else None
        self._lids: LidColour | None = None

    def at(self, size: int) -> RenderStage:
        """The same for another sequence of frames, `size` pixels a side.

        Raises ValueError where the network alone gives the size.
        """
        if size != self._network and not self._painted:
            raise ValueError(f"frames of {size} pixels, this family has {self._network}")
        other = copy.copy(self)
        other._layers = None
        other._canvas = self._canvas_of(size) if self._painted else None
        return other

    def with_lids(self, shut: Keypoints) -> RenderStage:
        """The same, its lids in the colour of the skin about them; `shut` are keypoints with the eyes shut."""
        if self._rasterizer is None or not self._painted:
            return self
        constants = self._avatar.constants
        portrait = np.ascontiguousarray(constants["portrait"][0].transpose(1, 2, 0))
        layer = self._infer(shut)[0]["layers"][0]
        other = copy.copy(self)
        other._lids = LidColour.measure(portrait, constants["source_keypoints"][0], layer, constants["windows"][0])
        return other

    def infer(self, keypoints: Keypoints, paint: bool = True) -> AvatarFrame:
        """The picture of one frame; without `paint`, with the mouth and eyes of the last one, where the family can."""
        if not paint and self._layers is not None and self._canvas and self._warp:
            flow = self._warp.infer(self._inputs(keypoints)[0])["flow"][0]
            picture = self._canvas.draw(flow, self._layers)
            return AvatarFrame(keypoints.index, picture, keypoints.index * SAMPLES_PER_FRAME)
        made, conditions = self._infer(keypoints)
        picture = self._drawn(made, conditions) if self._canvas else to_bytes(made["frame"][0])
        return AvatarFrame(keypoints.index, picture, keypoints.index * SAMPLES_PER_FRAME)

    def _infer(self, keypoints: Keypoints) -> tuple[dict[str, FloatArray], FloatArray | None]:
        inputs, conditions = self._inputs(keypoints)
        return self._binding.infer(inputs), conditions

    def _inputs(self, keypoints: Keypoints) -> tuple[dict[str, FloatArray], FloatArray | None]:
        inputs, conditions = {"driving_keypoints": keypoints.points[None]}, None
        if self._rasterizer:
            conditions = self._rasterizer.draw(keypoints.points)
            inputs["driving_conditions"] = conditions[None]
        return inputs, conditions

    def _drawn(self, made: dict[str, FloatArray], conditions: FloatArray | None) -> ByteArray:
        assert self._canvas is not None
        layers = made["layers"]
        if self._lids is not None and conditions is not None:
            top, left = (int(place) for place in self._avatar.constants["windows"][0])
            opening = conditions[EYES, top : top + layers.shape[1], left : left + layers.shape[2]]
            layers[0] = self._lids.correct(layers[0], opening)
        self._layers = layers
        return self._canvas.draw(made["flow"][0], layers)

    def _canvas_of(self, size: int) -> PhotoCanvas:
        if size not in self._canvases:
            windows = self._avatar.constants["windows"]
            self._canvases[size] = PhotoCanvas(self._avatar.photo, windows, self._network, size)
        return self._canvases[size]
