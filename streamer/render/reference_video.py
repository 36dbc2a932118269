"""Extracts a face's motion from a video for `avatar render` to copy: head pose, or eyelids and brows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from engines.manifest import Manifest
from engines.runtime import open_stage
from streamer.core.console import show
from streamer.core.errors import ConfigError, MediaError
from streamer.core.frames import ByteArray, FloatArray, Script
from streamer.core.options import DEFAULT_THREADS
from streamer.core.rates import FPS
from streamer.core.system.signals import interruptible
from streamer.photo.make_avatar import read_coefficients
from streamer.photo.sadtalker_crop import Box, crop_box
from streamer.stages.smoothing import SavitzkyGolay
from streamer.vision.landmarks import Landmarker, shared_landmarker
from streamer.vision.video_pictures import pictures

LONGEST_GAP = FPS  # frames without a face, for which the last face seen is repeated

Show = Callable[[int], None]


def read_script(manifest: Manifest, pose: Path | None, blink: Path | None, threads: int = DEFAULT_THREADS) -> Script:
    """Return the motion for `--reference-pose` and `--reference-blink`; a video given for both is read once.

    Each track is followed by its reverse, so that it repeats without a jump.

    Raises:
        ConfigError: the family cannot extract coefficients from pictures.
        MediaError: not a video, or a part of it shows no face.
    """
    tracks = {path: _read(manifest, path, threads) for path in {pose, blink} if path is not None}
    split = len(manifest.coefficients.expression)
    head = tracks[pose][:, split:] if pose else None
    return Script(
        pose=None if head is None else _there_and_back(smoothed(head)),
        reference=_there_and_back(tracks[blink][:, :split]) if blink else None,
    )


def _read(manifest: Manifest, path: Path, threads: int) -> FloatArray:
    """Extract the coefficients of every frame, float32 [n, E + P], in the manifest's order."""
    spec = manifest.stages.get("coefficients")
    if spec is None or not spec.graphs:
        raise ConfigError(f"{path}: family {manifest.family} cannot read a face's motion off a video")
    stage = open_stage(manifest, "coefficients", threads=threads)
    stage.activate()
    try:
        box: Box | None = None
        rows: list[FloatArray] = []
        with interruptible() as check_interrupt:
            for picture, points in faces(path, shared_landmarker()):
                check_interrupt()
                height, width = picture.shape[:2]
                box = box or crop_box("crop", points, width, height)  # one for all frames, to keep the head's movement
                cut = box.cut(picture, manifest.size)
                values, _ = read_coefficients(stage, cut, box.to_picture(points, manifest.size))
                rows.append(values)
                _show(path, len(rows))
    finally:
        stage.deactivate()
        _show(path, None)
    return np.stack(rows)


def faces(path: Path, landmarker: Landmarker) -> Iterator[tuple[ByteArray, FloatArray]]:
    """Yield picture [H, W, 3] and landmarks [478, 3] of the largest face, FPS a second. A short gap repeats the last.

    Raises:
        MediaError: no face for more than a second, or not a video.
    """
    last: tuple[ByteArray, FloatArray] | None = None
    missing = 0
    for index, picture in enumerate(pictures(path)):
        if found := landmarker.find(picture):
            last, missing = (picture, found[0].points), 0
        else:
            missing += 1
        if last is None or missing > LONGEST_GAP:
            if missing > LONGEST_GAP:
                raise MediaError(f"{path}: no face from {max(0, index - missing + 1) / FPS:.1f} s on")
            continue
        yield last
    if last is None:
        raise MediaError(f"{path}: no face found in it")


def smoothed(track: FloatArray) -> FloatArray:
    """Smooth poses [n, P] as the reference does: poses extracted from single pictures jitter."""
    smooth = SavitzkyGolay()
    known = [value for row in track for value in smooth.push(row)]
    return np.stack(known + smooth.flush())


def _there_and_back(track: FloatArray) -> FloatArray:
    return np.concatenate([track, track[-2:0:-1]])


def _show(path: Path, frames: int | None) -> None:
    """Show the progress in a terminal; None clears it."""
    show("" if frames is None else f"reading the face off {path.name}: {frames / FPS:.1f} s")
