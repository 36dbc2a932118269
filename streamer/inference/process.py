"""The inference process: load a family once, then turn sound into pictures until a Stop message.

It is a separate process because one busy Python thread in the server process starves the audio (measured: 84 of 500
packets arrived).
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection

import numpy as np

from engines.manifest import Manifest
from streamer.avatar.bundle import Avatar
from streamer.avatar.tuned_engines import open_engines
from streamer.core import log
from streamer.core.console import note
from streamer.core.errors import AvatarError
from streamer.core.frames import CoefficientWindow
from streamer.core.options import PipelineOptions
from streamer.core.rates import FPS, SAMPLES_PER_FRAME
from streamer.core.system.signals import leave_to_the_program
from streamer.inference.bare_face import BareFace
from streamer.inference.faces import Faces
from streamer.inference.frame_ring import FrameRing
from streamer.inference.messages import (
    Failed,
    FrameReady,
    FromWorker,
    Ready,
    Stepped,
    Stop,
    ToWorker,
    WorkerSettings,
)
from streamer.inference.reception import Reception
from streamer.inference.scheduler import Inference
from streamer.pipeline import CoefficientStream, Engines, FaceRenderer

PULSE_S = 1.0  # between signs of life
TIMED = 3  # pictures; other load on the machine rarely slows down all of them
FACE_POLL_S = 0.005  # between two checks whether a face is ready
MESSAGES_AT_ONCE = 64  # handled between two pictures, so that a burst of sound does not delay the pictures

logger = logging.getLogger(__name__)


def run(pipe: Connection, ring: FrameRing, settings: WorkerSettings) -> None:
    """Run the process until a Stop message comes or the server is gone."""
    leave_to_the_program()
    log.set_up(logging.WARNING, text="avatar: %(message)s")
    try:
        inference, ready, faces = load(settings)
        pipe.send(ready)
        with contextlib.closing(Reception(inference, faces)) as reception:
            _serve(pipe, ring, inference, reception)
    except AvatarError as error:
        pipe.send(Failed(str(error)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the server is gone: nobody is left to report to


def load(settings: WorkerSettings) -> tuple[Inference, Ready, Faces]:
    """Load and warm up the family, and build its default face.

    Raises:
        AvatarError: the family or the default avatar cannot be used.
    """
    manifest = Manifest.load(settings.family)
    faces = Faces(open_engines(manifest, settings.threads, tell=note), settings.avatar)
    default = faces.default
    picture_s = _warm_up(faces.engines, default, faces.renderers[default.name])
    bare = BareFace(manifest.stage(default.motion_stage).context[0])
    inference = Inference(faces.open_stream, faces.renderers, picture_s=picture_s, bare=bare)
    return inference, Ready(default.name, tuple(faces.names)), faces


def _warm_up(engines: Engines, avatar: Avatar, renderer: FaceRenderer) -> float:
    """Run every graph once, as a first run allocates and may be many times slower than the next.

    Return the seconds that a picture takes.
    """
    stream = CoefficientStream(engines, avatar, PipelineOptions())
    windows = stream.push(np.zeros(SAMPLES_PER_FRAME * FPS, np.float32))
    renderer.render(windows[:1])
    seconds = min(_timed(renderer, windows[index : index + 1]) for index in range(1, 1 + TIMED))
    if seconds > 1 / FPS:
        logger.warning(
            "a picture of family %s takes %.0f ms on this machine, a conversation needs one every %.0f ms: the face "
            "will move less than it could (docs/speed.md; `avatar render` takes the time it needs)",
            engines.manifest.family,
            1000 * seconds,
            1000 / FPS,
        )
    return seconds


def _timed(renderer: FaceRenderer, windows: Sequence[CoefficientWindow]) -> float:
    start = time.perf_counter()
    renderer.render(windows)
    return time.perf_counter() - start


def _serve(pipe: Connection, ring: FrameRing, inference: Inference, reception: Reception) -> None:
    serial = 0
    next_pulse = 0.0
    while True:
        if time.monotonic() >= next_pulse:
            pipe.send(inference.pulse())
            next_pulse = time.monotonic() + PULSE_S
        patience = FACE_POLL_S if reception.busy else max(0.0, next_pulse - time.monotonic())
        for _ in range(MESSAGES_AT_ONCE):
            if not pipe.poll(0 if inference.busy else patience):
                break
            message: ToWorker = pipe.recv()
            if isinstance(message, Stop):
                return
            _tell(pipe, [*reception.take(message), *inference.performances()])
        _tell(pipe, reception.arrivals())
        rendered = inference.step()
        if (rung := inference.stepped()) is not None:
            pipe.send(Stepped(rung))
        if rendered is not None:
            frame, numbers = rendered.frame, None
            if rendered.bare:
                numbers = frame.rgb
            else:
                serial += 1
                ring.write(serial, frame.rgb)
            pipe.send(FrameReady(rendered.session, rendered.generation, frame.index, serial, numbers))


def _tell(pipe: Connection, messages: Iterable[FromWorker]) -> None:
    for message in messages:
        pipe.send(message)
