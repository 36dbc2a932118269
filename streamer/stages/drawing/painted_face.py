"""Drawing of a family that warps the photo and paints mouth and eyes over it."""

from __future__ import annotations

import copy

from engines.errors import ManifestError
from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar.bundle import Avatar
from streamer.avatar.condition_maps import ConditionRasterizer
from streamer.core.frames import ByteArray, FloatArray, Paint
from streamer.stages.drawing.eye_opening import Opening, as_complex, openings
from streamer.stages.drawing.eyelids import Eyelids
from streamer.stages.drawing.face_flow import FaceFlow
from streamer.stages.drawing.head_outline import HeadOutline
from streamer.stages.drawing.painted_windows import PaintedWindows, WindowPainter
from streamer.stages.drawing.photo_canvas import PhotoCanvas

BLINK = ("eyeBlinkLeft", "eyeBlinkRight")


class PaintedFace:
    """Renderer of one avatar, with state kept along a sequence. Frames have the network's size; see `at` for others."""

    def __init__(self, engines: Engines, avatar: Avatar, rasterizer: ConditionRasterizer) -> None:
        """Raises ManifestError for an unsupported form of family, BundleError for a bundle that does not fit."""
        spec = engines["render"].spec
        if "paint" not in engines.manifest.stages:
            raise ManifestError(
                f"{engines.manifest.folder}: stage render gives {', '.join(spec.outputs)}, expected a frame, or a flow "
                "and a stage paint beside it; export or install this family again"
            )
        self._avatar = avatar
        self._rasterizer = rasterizer
        self._network = avatar.constants["portrait"].shape[-1]
        self._flow = FaceFlow(engines["render"], avatar, self._network)
        known, cells = avatar.constants, int(spec.outputs["flow"].shape[-1])
        self._outline = HeadOutline(known["source_keypoints"][0], known["basis"], cells)
        self._painter = WindowPainter(engines["paint"], avatar, rasterizer.topology)
        self._windows = PaintedWindows(self._painter.points, self._network)
        self._eyes = _eyes(engines.manifest, avatar)
        self._canvases: dict[int, tuple[PhotoCanvas, Eyelids | None]] = {}  # by size, shared with copies from `at`
        self._size = self._network

    def at(self, size: int) -> PaintedFace:
        """Return a copy for another sequence of frames, `size` pixels per side."""
        other = copy.copy(self)
        other._flow = copy.copy(self._flow)
        other._flow.restart()
        other._windows = PaintedWindows(self._painter.points, self._network)
        other._size = size
        other._canvas_of(size)  # built now, while there is time
        return other

    def draw(self, points: FloatArray, paint: Paint) -> tuple[ByteArray, bool]:
        """Return one frame's picture, uint8 [S, S, 3], and whether any window was painted. points: [K, 3]."""
        conditions = self._rasterizer.draw(points)
        inputs = {"driving_keypoints": points[None], "driving_conditions": conditions[None]}
        due = self._windows.due(points, paint)
        if due:
            made = self._flow.refined(inputs, points)
            flow = made["flow"]
            for window in due:
                self._windows.take(window, self._painter.paint(window, conditions, made), points)
        else:
            flow = self._flow.kept(inputs, points, come_what_may=paint is Paint.KEPT)
        canvas, lids = self._canvas_of(self._size)
        picture = canvas.draw(self._outline.calmed(flow[0]), self._windows.layers(points))
        if lids is not None:
            lids.lay(picture, points)
        return picture, bool(due)

    def _canvas_of(self, size: int) -> tuple[PhotoCanvas, Eyelids | None]:
        if size not in self._canvases:
            self._canvases[size] = self._made_canvas(size)
        return self._canvases[size]

    def _made_canvas(self, size: int) -> tuple[PhotoCanvas, Eyelids | None]:
        scale = self._painter.scale
        corners = [(int(top) * scale, int(left) * scale) for top, left in self._painter.corners]
        canvas = PhotoCanvas(self._avatar.photo, corners, self._network * scale, size)
        return canvas, Eyelids(canvas.source, self._eyes) if self._eyes else None


def _eyes(manifest: Manifest, avatar: Avatar) -> list[Opening]:
    """Return the photo's open eyes; an empty list for an older bundle without landmarks."""
    known, names = avatar.constants, manifest.coefficients.expression
    if (landmarks := known.get("landmarks")) is None:
        return []
    points = known["source_keypoints"][0]
    eyes = openings(avatar.photo, landmarks, points)
    if (basis := known.get("basis")) is not None:
        blink = points + sum(basis[names.index(unit)] for unit in BLINK if unit in names)
        for eye in eyes:
            eye.shut_at(as_complex(blink))
    return eyes
