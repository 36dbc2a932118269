"""Another face's motion, read off a video: head pose, or lids and brows, for `avatar render` to repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np

from engines.manifest import Manifest
from engines.runtime import open_stage
from streamer.core.console import show
from streamer.core.errors import ConfigError, MediaError
from streamer.core.frames import ByteArray, FloatArray, Script
from streamer.core.options import DEFAULT_THREADS
from streamer.core.rates import FPS
from streamer.core.signals import interruptible
from streamer.photo.make_avatar import read_coefficients
from streamer.photo.sadtalker_crop import Box, crop_box
from streamer.stages.smoothing import SavitzkyGolay
from streamer.vision.landmarks import Landmarker, shared_landmarker

MOST_S = 60  # of a video that are read; the rest is ignored
MOST_PIXELS = 4096 * 2304
LONGEST_GAP = FPS  # frames without a face in which the last one seen stands in

Show = Callable[[int], None]


def read_script(manifest: Manifest, pose: Path | None, blink: Path | None, threads: int = DEFAULT_THREADS) -> Script:
    """What `--reference-pose` and `--reference-blink` ask for; the same video is read once.

    A track that ends is played backwards and forwards again, so that nothing jumps.

    Raises:
        ConfigError: the family reads no coefficients off pictures.
        MediaError: no video, or none with one face all along.
    """
    tracks = {path: _read(manifest, path, threads) for path in {pose, blink} if path is not None}
    split = len(manifest.coefficients.expression)
    head = tracks[pose][:, split:] if pose else None
    return Script(
        pose=None if head is None else _there_and_back(smoothed(head)),
        reference=_there_and_back(tracks[blink][:, :split]) if blink else None,
    )


def _read(manifest: Manifest, path: Path, threads: int) -> FloatArray:
    """Coefficients of every frame, float32 [n, E + P], in the manifest's order."""
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
                box = box or crop_box("crop", points, width, height)  # one for all, so that the head's way is kept
                cut = box.cut(picture, manifest.size)
                values, _ = read_coefficients(stage, cut, box.to_picture(points, manifest.size))
                rows.append(values)
                _show(path, len(rows))
    finally:
        stage.deactivate()
        _show(path, None)
    return np.stack(rows)


def faces(path: Path, landmarker: Landmarker) -> Iterator[tuple[ByteArray, FloatArray]]:
    """Picture [H, W, 3] and landmarks [478, 3] of the largest face, FPS a second. A short gap repeats the last.

    Raises:
        MediaError: no face in a second or more, or no video.
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


def pictures(path: Path) -> Iterator[ByteArray]:
    """RGB pictures [H, W, 3] of a video at FPS, at most MOST_S seconds of them.

    Raises:
        MediaError: no such file, no video in it, too large a picture, or nothing that can be decoded.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    count = 0
    try:
        # Opened here, so that a playlist cannot send the decoder to other files or to the network.
        with path.open("rb") as file, av.open(file, "r") as container:
            if not container.streams.video:
                raise MediaError(f"{path}: holds no pictures; expected a video")
            for picture in _at_our_rate(path, container):
                yield picture
                count += 1
                if count >= MOST_S * FPS:
                    return
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (av.error.FFmpegError, ValueError) as error:
        if not count:
            raise MediaError(f"{path}: not a video that can be read ({error})") from None
    if not count:
        raise MediaError(f"{path}: holds no pictures")


def _at_our_rate(path: Path, container: av.container.InputContainer) -> Iterator[ByteArray]:
    """For each frame of ours, the picture that the video shows at its moment."""
    shown: ByteArray | None = None
    start = moment = 0.0
    count = 0
    for frame in container.decode(video=0):
        if frame.width * frame.height > MOST_PIXELS:
            raise MediaError(f"{path}: pictures of {frame.width}x{frame.height}; expected at most {MOST_PIXELS} pixels")
        moment = float(frame.time or 0.0)
        if shown is None:
            start = moment
        while shown is not None and start + count / FPS < moment - 1e-4:
            yield shown
            count += 1
        shown = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    if shown is not None and start + count / FPS < moment + 1e-4:
        yield shown


def smoothed(track: FloatArray) -> FloatArray:
    """Poses [n, P] as the reference smooths its own: what was read off single pictures trembles."""
    smooth = SavitzkyGolay()
    known = [value for row in track for value in smooth.push(row)]
    return np.stack(known + smooth.flush())


def _there_and_back(track: FloatArray) -> FloatArray:
    return np.concatenate([track, track[-2:0:-1]])


def _show(path: Path, frames: int | None) -> None:
    """Progress, where someone watches."""
    show("" if frames is None else f"reading the face off {path.name}: {frames / FPS:.1f} s")
