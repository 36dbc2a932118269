"""A face driven by another program (an agent framework or a test), which pushes speech and gets pictures and sound.

It accepts pushed speech only. `FaceHere` starts its own inference process; `FaceOnServer` uses a running server. Both
accept speech at an address, by the protocol of docs/speech.md, and deliver matching pictures and sound at the same
moment (`session.ends`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin, urlsplit

from engines import SHIPPED_FAMILY
from streamer.avatar.frame_size import most_pixels
from streamer.core.aio import SWITCH_INTERVAL_S, MonotonicClock, until_first
from streamer.desktop.local_face import FaceChoice, check, chosen
from streamer.desktop.local_session import LocalSession
from streamer.desktop.remote_face import ServerChoice, ground, portrait
from streamer.desktop.remote_session import RemoteOptions, RemoteSession
from streamer.desktop.sources import NoMicrophone
from streamer.desktop.speech_server import LocalSpeech
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.session.ends import PictureSink, SoundSink
from streamer.web.listen import is_loopback
from streamer.webrtc.ice import LOOPBACK, offer_only

logger = logging.getLogger(__name__)

NETWORK_S = 0.1  # upper bound of the network delay of a server's events


@dataclass(frozen=True)
class Showing:
    """An open face. address: accepts its speech.

    delay_s: from pushing a sample until it is played with its picture.
    lag_s: upper bound of the time from the event that reports sound as sent until that sound is played.
    """

    address: str
    delay_s: float
    lag_s: float


@dataclass(frozen=True)
class FaceHere:
    """A face computed by this program's own inference process."""

    choice: FaceChoice = field(default_factory=lambda: FaceChoice(SHIPPED_FAMILY))

    @asynccontextmanager
    async def open(self, pictures: PictureSink, sound: SoundSink) -> AsyncIterator[Showing]:
        """Load the engines and show the face as long as the context is open.

        Raises:
            AvatarError: the family, the avatar or the engines cannot be used.
        """
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        manifest = check(self.choice)
        _, options = chosen(manifest, self.choice)
        settings = WorkerSettings(self.choice.family, options.avatar, self.choice.threads)
        worker = InferenceWorker(settings, most_pixels(manifest))
        try:
            await worker.start()
            session = LocalSession(options, worker, MonotonicClock(), pictures, sound, logger.warning)
            with LocalSpeech(0) as speech:
                async with speech.served(session), _running(session.run(NoMicrophone())):
                    yield Showing(speech.address, session.delay_ms / 1000, 0.0)
        finally:
            await worker.stop()


@dataclass(frozen=True)
class FaceOnServer:
    """A face computed by the server at `choice.url`. If the call is lost, the portrait shows until it is back."""

    choice: ServerChoice

    @asynccontextmanager
    async def open(self, pictures: PictureSink, sound: SoundSink) -> AsyncIterator[Showing]:
        """Call the server and show the face as long as the context is open.

        Raises:
            AvatarError: the server cannot be reached, refuses or has no such avatar.
        """
        choice = self.choice
        offer_only(LOOPBACK if is_loopback(urlsplit(choice.url).hostname or "") else None)
        face = await portrait(choice, logger.warning)
        key = secrets.token_urlsafe(24)  # keeps the address the same after a reconnect
        query = f"{choice.query(face.name, microphone=False)}&{urlencode({'key': key})}"
        options = RemoteOptions(choice.url, query, ground(face.still, choice.face.background), False, choice.token)
        called = asyncio.Event()
        clock = MonotonicClock()
        session = RemoteSession(options, clock, pictures, sound, logger.warning, lambda call: called.set())
        async with _running(session.run(NoMicrophone())) as running:
            await until_first(_end(running), called.wait())
            lag_s = session.playout_ms / 1000 + NETWORK_S
            yield Showing(urljoin(choice.url, f"session/{key}/speech"), session.delay_ms / 1000, lag_s)


async def _end(task: asyncio.Task[None]) -> None:
    """Wait until the task ends, and raise its exception; cancelling the wait does not cancel the task."""
    await asyncio.shield(task)


@asynccontextmanager
async def _running(session: Coroutine[None, None, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(session)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
