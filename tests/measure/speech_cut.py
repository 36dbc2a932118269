"""What a sound device gets of speech that is pushed at ten times its pace and cut off in the middle.

    python -m tests.measure.speech_cut [--times N] [--server] [--json FILE]

Speaks through `avatar camera --speech`'s machinery into a sound sink, or with --server through a server on this machine
and back over WebRTC. The speech has a quiet tone under it, so that what was heard can be told to the millisecond. How
far the mouth is open is read off the pictures, by face landmarks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from clients.speech import SpeechClient
from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.audio.format import AUDIO_BLOCK, MS, RATE, Samples
from streamer.audio.sound_file import read_stereo
from streamer.core.aio import MonotonicClock
from streamer.core.errors import AvatarError
from streamer.core.files import write_json
from streamer.core.frames import ByteArray
from streamer.core.rates import FPS
from streamer.desktop.local_face import FaceChoice, converse
from streamer.desktop.remote_face import ServerChoice, portrait
from streamer.desktop.remote_session import RemoteOptions, RemoteSession
from streamer.desktop.sources import NoMicrophone
from streamer.desktop.speech_server import LocalSpeech
from streamer.measure.launched_server import launch
from streamer.vision.landmarks import shared_landmarker
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.measure.camera_sync import SPEECH

SECONDS = 20  # of speech for each cut
PACE = 10
PIECE = RATE // 10
TONE, AUDIBLE = 900, 60  # of 32767; Opus leaves less than the second of silence
SETTLE_S = 1.0
LOOK_S = 0.6  # from a cut to when the mouth is at rest for certain
UPPER_LIP, LOWER_LIP = 13, 14  # landmarks of the lips' inner rims
OPEN = 0.025  # lip gap over eye distance, above that of rest, from which a mouth counts as open
CLOSED = 0.2  # of the way from rest to where it was: as good as shut
LANDMARK_NOISE = 0.012  # the same, of a mouth at rest under a head that moves


@dataclass(frozen=True)
class Found:
    """Milliseconds unless the name says otherwise. position_error: what was heard less what the client was told.

    open: cuts in which the mouth was open, which the figures of `shut` are of.
    """

    cuts: int
    to_silence_median: float
    to_silence_worst: float
    answered_median: float
    position_error_median: float
    position_error_worst: float
    open: int
    to_shut_median: float
    to_shut_worst: float


@dataclass(frozen=True)
class Cut:
    """One cut, in milliseconds. to_shut: None when the mouth was shut as it was."""

    to_silence: float
    answered: float
    position_error: float
    to_shut: float | None


class Devices:
    """A camera that keeps its last pictures, and a sound device that plays at once."""

    lead_s = 0.0

    def __init__(self) -> None:
        self.sound: list[tuple[float, Samples]] = []
        self.pictures: deque[tuple[float, ByteArray]] = deque(maxlen=round(FPS * (LOOK_S + SETTLE_S + 0.2)))

    def show(self, frame: int, rgb: ByteArray) -> None:
        self.pictures.append((time.monotonic(), rgb.copy()))

    def play(self, block: int, samples: Samples) -> None:
        self.sound.append((time.monotonic(), samples.copy()))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.measure.speech_cut", description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=10, metavar="N", help="cuts (default: 10)")
    parser.add_argument("--server", action="store_true", help="over WebRTC, through a server on this machine")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(argv)
    try:
        found = asyncio.run(measure(options.times, options.server))
        if options.json is not None:
            write_json(options.json, asdict(found))
    except AvatarError as error:
        print(f"speech: {error}", file=sys.stderr)
        return 2
    print("\n".join(f"{name:24s}{value:10g}" for name, value in asdict(found).items()))
    return 0


async def measure(times: int, over_webrtc: bool) -> Found:
    """Push and cut so many times."""
    devices, pcm = Devices(), _speech()
    cuts: list[Cut] = []
    async with (
        (_served if over_webrtc else _local)(devices) as address,
        SpeechClient(address) as client,
    ):
        for number in range(times):
            await asyncio.sleep(SETTLE_S)
            cuts.append(await _cut(client, devices, pcm, 1.0 + 0.13 * number))
    errors = [cut.position_error for cut in cuts]
    worst_error: float = max(errors, key=abs)
    shut = [cut.to_shut for cut in cuts if cut.to_shut is not None]
    return Found(
        cuts=times,
        to_silence_median=_median([cut.to_silence for cut in cuts]),
        to_silence_worst=round(max(cut.to_silence for cut in cuts), 1),
        answered_median=_median([cut.answered for cut in cuts]),
        position_error_median=_median(errors),
        position_error_worst=round(worst_error, 1),
        open=len(shut),
        to_shut_median=_median(shut),
        to_shut_worst=round(max(shut, default=0.0), 1),
    )


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 1) if values else 0.0


async def _cut(client: SpeechClient, devices: Devices, pcm: Samples, after_s: float) -> Cut:
    before = len(devices.sound)
    await client.begin(RATE, 2)
    for start in range(0, len(pcm), PIECE):
        await client.push(pcm[start : start + PIECE].tobytes())
        await asyncio.sleep(PIECE / RATE / PACE)
    await client.end()
    await asyncio.sleep(after_s)
    cut = time.monotonic()
    position = await client.clear()
    answered = time.monotonic()
    await asyncio.sleep(SETTLE_S)
    sound = devices.sound[before:]
    loud = np.flatnonzero(np.abs(np.concatenate([samples[:, 0] for _, samples in sound]).astype(int)) > AUDIBLE)
    block, within = divmod(int(loud[-1]), AUDIO_BLOCK)
    silent = sound[block][0] + within / RATE
    heard = (loud[-1] - loud[0] + 1) / MS
    to_shut = await asyncio.to_thread(_to_shut, list(devices.pictures), cut)
    return Cut(1000 * (silent - cut), 1000 * (answered - cut), heard - position, to_shut)


def _to_shut(pictures: list[tuple[float, ByteArray]], cut: float) -> float | None:
    """Milliseconds from the cut to the picture from which on the mouth is as good as shut; None: it was shut before."""
    times = np.array([when for when, _ in pictures]) - cut
    gaps = np.array([_lip_gap(rgb) for _, rgb in pictures])
    rest = float(np.median(gaps[times > LOOK_S]))
    before = float(gaps[times < 0][-1])
    if before < rest + OPEN:
        return None
    still_open = (gaps > rest + max(LANDMARK_NOISE, CLOSED * (before - rest))) & (times < LOOK_S)
    return float(1000 * times[np.flatnonzero(still_open)[-1] + 1])


def _lip_gap(rgb: ByteArray) -> float:
    """Between the lips, in eye distances."""
    face = shared_landmarker().find(rgb)[0]
    return float(np.linalg.norm(face.points[UPPER_LIP, :2] - face.points[LOWER_LIP, :2])) / face.eye_distance


def _speech() -> Samples:
    line = np.concatenate(list(read_stereo(SPEECH)))
    speech = np.resize(line, (SECONDS * RATE, 2)).astype(int) // 2
    tone = TONE * np.sin(2 * np.pi * 300 * np.arange(len(speech)) / RATE)
    return np.asarray(np.clip(speech + tone[:, None], -32768, 32767), np.int16)


@contextlib.asynccontextmanager
async def _local(devices: Devices) -> AsyncIterator[str]:
    stop = asyncio.Event()
    manifest, choice = Manifest.load(SHIPPED_FAMILY), FaceChoice(SHIPPED_FAMILY)
    with LocalSpeech(0) as speech:
        talk = converse(manifest, choice, NoMicrophone(), devices, devices, lambda session: None, stop, speech)
        task = asyncio.create_task(talk)
        try:
            yield speech.address
        finally:
            stop.set()
            await task


@contextlib.asynccontextmanager
async def _served(devices: Devices) -> AsyncIterator[str]:
    offer_only(LOOPBACK)
    with launch([]) as server:
        choice = ServerChoice(server.url)
        face = await portrait(choice, print)
        called: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        options = RemoteOptions(server.url, choice.query(face.name, False), face.still, microphone=False)
        session = RemoteSession(
            options, MonotonicClock(), devices, devices, print, lambda call: called.set_result(call.location)
        )
        task = asyncio.create_task(session.run(NoMicrophone()))
        try:
            yield await called
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main())
