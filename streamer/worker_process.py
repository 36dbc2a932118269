"""The inference process: loads a family once, then turns sound into pictures until it is told to stop.

It is a process of its own because one busy Python thread in the server's process starves the sound (measured: 84 of
500 packets arrived).
"""

from __future__ import annotations

import logging
import signal
import time
from multiprocessing.connection import Connection

import numpy as np

from engines.manifest import Manifest
from streamer.avatar import PREPARING, Avatar, list_avatars
from streamer.config import FPS, SAMPLES_PER_FRAME, PipelineOptions
from streamer.errors import AvatarError, BundleError
from streamer.inference import Inference
from streamer.matte import matte_of
from streamer.messages import Failed, FrameReady, Ready, Stop, ToWorker, WorkerSettings
from streamer.pipeline import CoefficientStream, Engines, FaceRenderer
from streamer.ring import FrameRing

PULSE_S = 1.0  # between signs of life
MESSAGES_AT_ONCE = 64  # taken between two pictures, so that a flood of sound does not hold up the pictures

logger = logging.getLogger(__name__)


def run(pipe: Connection, ring: FrameRing, settings: WorkerSettings) -> None:
    """Entry of the process; returns when told to stop or when the server is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server says when to end
    try:
        inference, ready = load(settings)
        pipe.send(ready)
        _serve(pipe, ring, inference)
    except AvatarError as error:
        pipe.send(Failed(str(error)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the server is gone; there is nobody left to tell


def load(settings: WorkerSettings) -> tuple[Inference, Ready]:
    """Load and warm up the family and all its avatars. An avatar that is damaged is left out, unless it is the default.

    Raises:
        AvatarError: the family or the default avatar cannot be used.
    """
    manifest = Manifest.load(settings.family)
    engines = Engines.open(manifest, threads=settings.threads, without=PREPARING)
    default = _load_avatar(engines, settings.avatar)
    avatars = {default.name: default}
    for name in list_avatars(manifest):
        if name not in avatars:
            try:
                avatars[name] = _load_avatar(engines, name)
            except BundleError as error:
                logger.warning("avatar %s is left out: %s", name, error)
    renderers = {name: FaceRenderer(engines, avatar) for name, avatar in avatars.items()}
    _warm_up(engines, default, renderers[default.name])

    def open_stream(avatar: str, options: PipelineOptions) -> CoefficientStream:
        return CoefficientStream(engines, avatars[avatar], options)

    return Inference(open_stream, renderers), Ready(default.name, tuple(avatars))


def _load_avatar(engines: Engines, name: str | None) -> Avatar:
    avatar = Avatar.load(engines, name)
    matte_of(avatar)  # checked, and made where there is none, now: when a session asks for it there is no time
    return avatar


def _warm_up(engines: Engines, avatar: Avatar, renderer: FaceRenderer) -> None:
    """Run everything once: the first run of a graph allocates and may be many times slower than the next."""
    stream = CoefficientStream(engines, avatar, PipelineOptions())
    windows = stream.push(np.zeros(SAMPLES_PER_FRAME * FPS, np.float32))
    renderer.render(windows[:1])
    start = time.perf_counter()
    renderer.render(windows[1:2])
    if (seconds := time.perf_counter() - start) > 1 / FPS:
        logger.warning(
            "a picture of family %s takes %.0f ms on this machine, a conversation needs one every %.0f ms: the face "
            "will lag or stand still (`avatar render` takes the time it needs)",
            engines.manifest.family,
            1000 * seconds,
            1000 / FPS,
        )


def _serve(pipe: Connection, ring: FrameRing, inference: Inference) -> None:
    serial = 0
    next_pulse = 0.0
    while True:
        if time.monotonic() >= next_pulse:
            pipe.send(inference.pulse())
            next_pulse = time.monotonic() + PULSE_S
        for _ in range(MESSAGES_AT_ONCE):
            if not pipe.poll(0 if inference.busy else max(0.0, next_pulse - time.monotonic())):
                break
            message: ToWorker = pipe.recv()
            if isinstance(message, Stop):
                return
            if (failure := inference.handle(message)) is not None:
                pipe.send(failure)
            for performance in inference.performances():
                pipe.send(performance)
        rendered = inference.step()
        if rendered is not None:
            ring.write(serial, rendered.frame.rgb)
            pipe.send(FrameReady(rendered.session, rendered.generation, rendered.frame.index, serial))
            serial += 1
