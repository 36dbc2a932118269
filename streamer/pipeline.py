"""Synchronous pipeline without I/O: push audio, get frames.

`CoefficientStream` (audio to coefficient windows, one per session) and `FaceRenderer` (windows to pictures, one per
avatar) can be used separately: a server runs one stream per session and batches the windows that are due for the
renderer.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines.runtime import Engines
from streamer.avatar import frame_size
from streamer.avatar.backdrop import Backdrop
from streamer.avatar.badge import Badge
from streamer.avatar.bundle import Avatar
from streamer.avatar.catalogue import shows_whole
from streamer.avatar.paste import PasteBack, no_background
from streamer.core.errors import ConfigError
from streamer.core.frames import AvatarFrame, Coefficients, CoefficientWindow, FloatArray, Keypoints, Paint, Script
from streamer.core.options import PLAIN_FACE, FaceOptions, PipelineOptions
from streamer.stages import face_options
from streamer.stages.coefficients import CoefficientSource
from streamer.stages.held_view import HeldView
from streamer.stages.life.steering import Emotion, Energy, Steered, Steering
from streamer.stages.lookahead import Lookahead
from streamer.stages.motion import MotionStage, MotionWindows
from streamer.stages.mouth_easing import MouthEasing, Shut, mouth_rows
from streamer.stages.render import RenderStage

MOST_BACKDROPS = 4  # cached per avatar; one of 768 pixels takes 20 MB
BLINK = frozenset(("eyeBlinkLeft", "eyeBlinkRight"))

__all__ = ["Avatar", "CoefficientStream", "Engines", "FaceRenderer", "Pipeline", "PipelineOptions", "Script"]


class CoefficientStream:
    """Converter from audio to coefficient windows: mel, expression, head pose, idle motion, and motion context.

    rest: the expression for silence, float32 [E], to which the mouth eases when it closes.
    """

    def __init__(
        self,
        engines: Engines,
        avatar: Avatar,
        options: PipelineOptions | None = None,
        script: Script | None = None,
    ) -> None:
        """`script` replaces values that would otherwise be drawn from the seed.

        Raises:
            ConfigError: the family does not support these options.
            ManifestError: a stage needs a process that this version does not have.
        """
        options = options or PipelineOptions()
        manifest = engines.manifest
        face_options.check(manifest, options.face)
        self.lookahead = Lookahead.of(manifest, options.lookahead_ms)
        self._source = CoefficientSource(engines, avatar, self.lookahead, options, script or Script())
        names, context = manifest.coefficients.expression, manifest.stage(avatar.motion_stage).context
        self._windows = MotionWindows(context, self.lookahead.future, names)
        self._view = HeldView.of(manifest, options.face)
        # Computed now: there is no time for it at the moment of a barge-in.
        self.rest = self._source.silent_expression()
        self._easing = MouthEasing(self.rest, mouth_rows(names))
        self._past = context[0]
        self._steering = Steering(names, manifest.coefficients.pose)
        self._made: list[Coefficients] = []

    def push(self, samples: FloatArray) -> list[CoefficientWindow]:
        """Take float32 [n] at SAMPLE_RATE, any n; return the windows that became ready, in order."""
        self._made = self._source.push(samples)
        return self._view.hold(self._windows.push(self._made))

    def made(self) -> FloatArray:
        """Return the coefficients that the last push computed: float32 [n, E + P].

        They belong to later frames than its windows. A held view that replaces the pose is already included.
        """
        if not self._made:
            return np.zeros((0, 0), np.float32)
        values = np.stack([coefficients.vector() for coefficients in self._made], axis=1)
        (held,) = self._view.hold([CoefficientWindow(self._made[0].index, values)])
        return np.ascontiguousarray(held.values.T)

    def flush(self) -> list[CoefficientWindow]:
        """Return the windows of all remaining frames at the end of the audio; a partial last frame counts as one."""
        return self._view.hold(self._windows.push(self._source.flush()) + self._windows.flush())

    def ease(self, window: CoefficientWindow, shut: Shut) -> CoefficientWindow:
        """Return a window of this stream with the mouth closed as far as `shut` requires."""
        return self._easing.ease(window, shut)

    def ask(self, wanted: Steered) -> None:
        """Apply an energy, emotion, gaze or gesture request from the next frame on."""
        if isinstance(wanted, Energy):
            self._source.set_energy(wanted.value)
        elif isinstance(wanted, Emotion):
            self._source.set_emotion(wanted.value, wanted.intensity)
        else:
            self._steering.ask(wanted)

    def steer(self, window: CoefficientWindow) -> CoefficientWindow:
        """Return a window of this stream with the requested gaze and gestures added."""
        return self._steering.steer(window, self._past)

    def reset(self) -> None:
        """Clear all state except what `ask` requested: the next sample is sample 0."""
        self._source.reset()
        self._windows.reset()


class FaceRenderer:
    """Renderer of one avatar's coefficient windows: face frames, or the whole photo with the frame pasted in.

    size: pixels per side of the face frames; shape: height and width of the pictures.
    """

    def __init__(
        self, engines: Engines, avatar: Avatar, face: FaceOptions = PLAIN_FACE, pixels: int | None = None
    ) -> None:
        """pixels: the size limit of a whole photo.

        Raises:
            BundleError: the avatar's matte or whole photo is damaged.
            ConfigError: the family lacks this size, or the avatar lacks this mode or background.
        """
        self._manifest = engines.manifest
        self._avatar = avatar
        self._motion = MotionStage(engines[avatar.motion_stage], avatar)
        self._network = RenderStage(engines, avatar)
        # Shared with the renderers that `showing` makes.
        self._backdrops: dict[tuple[str, int], Backdrop] = {}
        self._pastes: dict[bool, PasteBack | None] = {}
        self._pixels = pixels
        self._show(face)

    def showing(self, face: FaceOptions, smallest: bool = False) -> FaceRenderer:
        """Return a renderer of the same avatar with another size or background. Raises as the constructor does.

        smallest: use the smallest size unless `face` names one; for overload.
        """
        other = copy.copy(self)
        if smallest and face.size is None:
            face = replace(face, size=frame_size.offered_sizes(self._manifest)[0])
        other._show(face)
        return other

    def _show(self, face: FaceOptions) -> None:
        frame_size.check(self._manifest, face.size)
        self.size = frame_size.frame_size(self._manifest, self._avatar.photo.shape[0], face)
        self._render = self._network.at(self.size)
        self._paste = self._paste_of(face.mode)
        if self._paste and face.background is not None:
            raise ConfigError(no_background(self._avatar.name))
        self.shape = self._paste.size[::-1] if self._paste else (self.size, self.size)
        self._backdrop = None if face.background is None else self._backdrop_of(face.background)
        self._badge = Badge(self.shape[::-1]) if face.badge else None

    def _paste_of(self, mode: str | None) -> PasteBack | None:
        whole = shows_whole(self._avatar.info.mode, mode)
        if whole not in self._pastes:
            self._pastes[whole] = PasteBack.of(self._avatar, mode, self._pixels)
        return self._pastes[whole]

    def _backdrop_of(self, background: str) -> Backdrop:
        """Return `Backdrop.of` through an LRU cache: building one takes as long as rendering several pictures."""
        key = background, self.size
        found = self._backdrops.pop(key, None) or Backdrop.of(self._avatar, background, self.size)
        self._backdrops[key] = found
        while len(self._backdrops) > MOST_BACKDROPS:
            del self._backdrops[next(iter(self._backdrops))]
        return found

    def render(self, windows: Sequence[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        """Return one frame per window, in order.

        `paint` has an effect only in families that paint mouth and eyes separately.
        """
        return [self._picture(keypoints, paint) for keypoints in self._motion.infer(windows)]

    def _picture(self, keypoints: Keypoints, paint: Paint) -> AvatarFrame:
        frame = self._render.infer(keypoints, paint)
        picture = frame.rgb
        if self._paste is not None:
            picture = self._paste.paste(picture)
        elif self._backdrop is not None:
            picture = self._backdrop.put(picture, keypoints.points)
        return replace(frame, rgb=picture if self._badge is None else self._badge.put(picture))


class Pipeline:
    """Converter from audio to frames for one session."""

    def __init__(
        self,
        engines: Engines,
        avatar: Avatar,
        options: PipelineOptions | None = None,
        script: Script | None = None,
    ) -> None:
        self._stream = CoefficientStream(engines, avatar, options, script)
        self._renderer = FaceRenderer(engines, avatar, options.face if options else PLAIN_FACE)

    def push(self, samples: FloatArray) -> list[AvatarFrame]:
        """Take 16 kHz mono float32 [n] in [-1, 1], any n; return the frames that became ready.

        Raises:
            EngineError: an engine rejects its input; not expected once the family has opened.
        """
        return self._renderer.render(self._stream.push(samples))

    def flush(self) -> list[AvatarFrame]:
        """Return all remaining frames at the end of the audio. Call `reset` before pushing again."""
        return self._renderer.render(self._stream.flush())

    def reset(self) -> None:
        """Clear all state: the next sample is sample 0."""
        self._stream.reset()
