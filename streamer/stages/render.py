"""Driving keypoints to pictures, for one avatar."""

from __future__ import annotations

import copy

from engines.runtime import Binding, Engines
from streamer.avatar.bundle import Avatar, open_rasterizer
from streamer.core.frames import AvatarFrame, Keypoints, Paint
from streamer.core.pictures import to_bytes
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.stages.drawing.painted_face import PaintedFace


class RenderStage:
    """Networks that draw one avatar, bound to its appearance. Frames have the network's size; see `at` for others.

    The render stage gives either the frame itself, or a flow along which the photo is warped (see `painted_face`).
    """

    def __init__(self, engines: Engines, avatar: Avatar) -> None:
        """Raises ManifestError for an unsupported form of family, BundleError for a bundle that does not fit."""
        engine = engines["render"]
        self._network = avatar.constants["portrait"].shape[-1]
        self._rasterizer = open_rasterizer(engine.spec)
        self._face: PaintedFace | None = None
        self._binding: Binding | None = None
        if self._rasterizer is not None and "frame" not in engine.spec.outputs:
            self._face = PaintedFace(engines, avatar, self._rasterizer)
        else:
            self._binding = engine.bind(avatar.constants_of(engine.spec), ["frame"])

    def at(self, size: int) -> RenderStage:
        """Return a copy for another sequence of frames, `size` pixels per side.

        Raises ValueError if the network fixes the size and `size` differs.
        """
        if size != self._network and self._face is None:
            raise ValueError(f"frames of {size} pixels, this family has {self._network}")
        other = copy.copy(self)
        other._face = None if self._face is None else self._face.at(size)
        return other

    def infer(self, keypoints: Keypoints, paint: Paint = Paint.ANEW) -> AvatarFrame:
        """Return the picture of one frame.

        `paint` has an effect only in families that paint mouth and eyes separately.
        """
        position = keypoints.index * SAMPLES_PER_FRAME
        if self._face is not None:
            picture, painted = self._face.draw(keypoints.points, paint)
            return AvatarFrame(keypoints.index, picture, position, painted)
        assert self._binding is not None
        inputs = {"driving_keypoints": keypoints.points[None]}
        if self._rasterizer is not None:
            inputs["driving_conditions"] = self._rasterizer.draw(keypoints.points)[None]
        return AvatarFrame(keypoints.index, to_bytes(self._binding.infer(inputs)["frame"][0]), position)
