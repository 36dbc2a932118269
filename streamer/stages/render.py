"""Driving keypoints to pictures, for one avatar."""

from __future__ import annotations

import copy

from engines.errors import ManifestError
from engines.runtime import Engines
from streamer.avatar.bundle import Avatar, open_rasterizer
from streamer.core.frames import AvatarFrame, FloatArray, Keypoints, Paint
from streamer.core.pictures import to_bytes
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.stages.eyelids import Eyelids
from streamer.stages.painted_windows import PaintedWindows, WindowPainter
from streamer.stages.photo_canvas import PhotoCanvas

FLOW = ("flow", "context", "refined")  # what the render stage gives the paint stage


class RenderStage:
    """The networks that draw an avatar, with its appearance held in them; frames are of the network's size, see `at`.

    Either the render stage gives the frame itself, or a flow along which the photo is warped, and the paint stage what
    is laid over it.
    """

    def __init__(self, engines: Engines, avatar: Avatar) -> None:
        """Raises ManifestError for a family of another form, BundleError for a bundle that does not fit."""
        engine = engines["render"]
        self._rasterizer = open_rasterizer(engine.spec)
        self._avatar = avatar
        self._network = avatar.constants["portrait"].shape[-1]
        self._painter: WindowPainter | None = None
        outputs: tuple[str, ...] = ("frame",)
        if "frame" not in engine.spec.outputs:
            if "paint" not in engines.manifest.stages or self._rasterizer is None:
                given = ", ".join(engine.spec.outputs)
                raise ManifestError(
                    f"{engines.manifest.folder}: stage render gives {given}, expected a frame, or a flow and a stage "
                    "paint beside it; export or install this family again"
                )
            outputs = FLOW
            self._painter = WindowPainter(engines["paint"], avatar, self._rasterizer.topology)
        self._binding = engine.bind(avatar.constants_of(engine.spec), outputs)
        self._canvases: dict[int, tuple[PhotoCanvas, Eyelids | None]] = {}  # by size, shared with what `at` makes
        self._canvas: PhotoCanvas | None = None
        self._lids: Eyelids | None = None
        self._windows: PaintedWindows | None = None
        self._draw_at(self._network)

    def at(self, size: int) -> RenderStage:
        """The same for another sequence of frames, `size` pixels a side.

        Raises ValueError where the network alone gives the size.
        """
        if size != self._network and self._painter is None:
            raise ValueError(f"frames of {size} pixels, this family has {self._network}")
        other = copy.copy(self)
        other._draw_at(size)
        return other

    def infer(self, keypoints: Keypoints, paint: Paint = Paint.ANEW) -> AvatarFrame:
        """The picture of one frame; windows of mouth and eyes are kept only where the family can."""
        inputs = {"driving_keypoints": keypoints.points[None]}
        conditions = None
        if self._rasterizer:
            conditions = self._rasterizer.draw(keypoints.points)
            inputs["driving_conditions"] = conditions[None]
        made = self._binding.infer(inputs)
        position = keypoints.index * SAMPLES_PER_FRAME
        if self._canvas is None or conditions is None:
            return AvatarFrame(keypoints.index, to_bytes(made["frame"][0]), position)
        painted = self._paint(keypoints.points, conditions, made, paint)
        assert self._windows is not None
        picture = self._canvas.draw(made["flow"][0], self._windows.layers(keypoints.points))
        if self._lids is not None:
            self._lids.lay(picture, keypoints.points)
        return AvatarFrame(keypoints.index, picture, position, painted)

    def _paint(self, points: FloatArray, conditions: FloatArray, flow: dict[str, FloatArray], paint: Paint) -> bool:
        """Paint the windows that are due; return whether there was any."""
        assert self._painter is not None
        assert self._windows is not None
        due = self._windows.changed(points, paint)
        for window in due:
            self._windows.take(window, self._painter.paint(window, conditions, flow), points)
        return bool(due)

    def _draw_at(self, size: int) -> None:
        if self._painter is not None:
            self._windows = PaintedWindows(self._painter.points, self._network)
            if size not in self._canvases:
                self._canvases[size] = self._canvas_of(size, self._painter)
            self._canvas, self._lids = self._canvases[size]

    def _canvas_of(self, size: int, painter: WindowPainter) -> tuple[PhotoCanvas, Eyelids | None]:
        known, scale = self._avatar.constants, painter.scale
        corners = [(int(top) * scale, int(left) * scale) for top, left in painter.corners]
        canvas = PhotoCanvas(self._avatar.photo, corners, self._network * scale, size)
        landmarks = known.get("landmarks")
        if landmarks is None:
            return canvas, None
        return canvas, Eyelids(canvas.source, landmarks, known["source_keypoints"][0])
