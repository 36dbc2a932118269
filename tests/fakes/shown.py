"""A face for agent frameworks in tests: a real local session with real speech, pictured by a `LevelWorker`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from streamer.core.aio import MonotonicClock
from streamer.desktop.local_session import LocalSession
from streamer.desktop.program_face import Showing
from streamer.desktop.sources import NoMicrophone
from streamer.desktop.speech_server import LocalSpeech
from streamer.session.ends import PictureSink, SoundSink
from streamer.session.options import SessionOptions
from tests.fakes.local import STILL, LevelWorker

RATE = 24_000
LEVEL = 0.25
GREY = 100  # of the picture while a sound of LEVEL is heard


def tone(seconds: float) -> bytes:
    """Speech in the eyes of a `LevelWorker`: s16le at RATE, of constant level."""
    return np.full(round(RATE * seconds), LEVEL * 32768, "<i2").tobytes()


class LevelFace:
    """A `FaceSource`."""

    @asynccontextmanager
    async def open(self, pictures: PictureSink, sound: SoundSink) -> AsyncIterator[Showing]:
        options = SessionOptions("dot", STILL, 225)
        session = LocalSession(options, LevelWorker(), MonotonicClock(), pictures, sound, lambda note: None)
        with LocalSpeech(0) as speech:
            async with speech.served(session):
                running = asyncio.create_task(session.run(NoMicrophone()))
                try:
                    yield Showing(speech.address, session.delay_ms / 1000, 0.0)
                finally:
                    running.cancel()
                    await asyncio.gather(running, return_exceptions=True)
