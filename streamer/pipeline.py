"""The pipeline, synchronous and without I/O: push sound, get frames.

`CoefficientStream` (sound to coefficient windows, one per session) and `FaceRenderer` (windows to pictures, one per
avatar) can be used apart: a server runs the first for every session and gathers what is due for the second.
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

MOST_BACKDROPS = 4  # kept for an avatar; one of 768 pixels has 20 MB
BLINK = frozenset(("eyeBlinkLeft", "eyeBlinkRight"))

__all__ = ["Avatar", "CoefficientStream", "Engines", "FaceRenderer", "Pipeline", "PipelineOptions", "Script"]


class CoefficientStream:
    """Sound to coefficient windows: mel, expression, head pose, idle life, and the motion stage's context.

    rest: the expression of silence, float32 [E], to which a mouth eases shut.
    """

    def __init__(
        self,
        engines: Engines,
        avatar: Avatar,
        options: PipelineOptions | None = None,
        script: Script | None = None,
    ) -> None:
        """`script` gives what would otherwise be drawn from the seed.

        Raises:
            ConfigError: options that the family cannot follow.
            ManifestError: a stage that is to be run in a way this version does not have.
        """
        options = options or PipelineOptions()
        manifest = engines.manifest
        face_options.check(manifest, options.face)
        self.lookahead = Lookahead.of(manifest, options.lookahead_ms)
        self._source = CoefficientSource(engines, avatar, self.lookahead, options, script or Script())
        names, context = manifest.coefficients.expression, manifest.stage(avatar.motion_stage).context
        self._windows = MotionWindows(context, self.lookahead.future, names)
        self._view = HeldView.of(manifest, options.face)
        # Made now: when a mouth is to be shut there is no time for it.
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
        """The coefficients that the last push made, of later frames than its windows: float32 [n, E + P], with the
        view in them where it takes the place of the pose."""
        if not self._made:
            return np.zeros((0, 0), np.float32)
        values = np.stack([coefficients.vector() for coefficients in self._made], axis=1)
        (held,) = self._view.hold([CoefficientWindow(self._made[0].index, values)])
        return np.ascontiguousarray(held.values.T)

    def flush(self) -> list[CoefficientWindow]:
        """The sound has ended: windows of all remaining frames; a last, partial frame counts as one."""
        return self._view.hold(self._windows.push(self._source.flush()) + self._windows.flush())

    def ease(self, window: CoefficientWindow, shut: Shut) -> CoefficientWindow:
        """A window of this stream with its mouth as far shut as `shut` asks."""
        return self._easing.ease(window, shut)

    def ask(self, wanted: Steered) -> None:
        """Do what somebody asks for, beside speaking, from the next frame on."""
        if isinstance(wanted, Energy):
            self._source.set_energy(wanted.value)
        elif isinstance(wanted, Emotion):
            self._source.set_emotion(wanted.value, wanted.intensity)
        else:
            self._steering.ask(wanted)

    def steer(self, window: CoefficientWindow) -> CoefficientWindow:
        """A window of this stream with what was asked for in it."""
        return self._steering.steer(window, self._past)

    def reset(self) -> None:
        """Forget everything but what was asked for: the next sample is sample 0."""
        self._source.reset()
        self._windows.reset()


class FaceRenderer:
    """Coefficient windows to pictures, for one avatar: its frames, or the whole photo with the frame in its place.

    size: pixels a side of its frames; shape: height and width of its pictures.
    """

    def __init__(
        self, engines: Engines, avatar: Avatar, face: FaceOptions = PLAIN_FACE, pixels: int | None = None
    ) -> None:
        """pixels: that a whole photo has at most.

        Raises:
            BundleError: the avatar's matte or whole photo is damaged.
            ConfigError: a size that the family lacks, or a mode or background that the avatar lacks.
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
        """The same avatar with pictures of another size, or on another background. Raises as the constructor.

        smallest: there is little time: a size that nobody asked for is the smallest.
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
        """As `Backdrop.of`; those used last are kept, as making one takes as long as several pictures."""
        key = background, self.size
        found = self._backdrops.pop(key, None) or Backdrop.of(self._avatar, background, self.size)
        self._backdrops[key] = found
        while len(self._backdrops) > MOST_BACKDROPS:
            del self._backdrops[next(iter(self._backdrops))]
        return found

    def render(self, windows: Sequence[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        """One frame for each window, in order; mouth and eyes are kept only where the family can."""
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
    """Sound to frames for one session."""

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
            EngineError: an engine refuses its input; not to be expected with a family that opened.
        """
        return self._renderer.render(self._stream.push(samples))

    def flush(self) -> list[AvatarFrame]:
        """The sound has ended: all remaining frames. `reset` before pushing again."""
        return self._renderer.render(self._stream.flush())

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""
        self._stream.reset()
