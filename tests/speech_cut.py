"""What a sound device gets of speech that is pushed at ten times its pace and cut off in the middle.

    python -m tests.speech_cut [--times N] [--server] [--json FILE]

Speaks through `avatar camera --speech`'s machinery into a sound sink, or with --server through a server on this machine
and back over WebRTC. The speech has a quiet tone under it, so that what was heard can be told to the millisecond.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from clients.speech import SpeechClient
from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.clock import MonotonicClock
from streamer.errors import AvatarError
from streamer.frames import ByteArray
from streamer.ice import LOOPBACK, offer_only
from streamer.json_file import write_json
from streamer.launched import launch
from streamer.local import FaceChoice, converse
from streamer.local_speech import LocalSpeech, NoMicrophone
from streamer.media import read_stereo
from streamer.playout import AUDIO_BLOCK
from streamer.remote import ServerChoice, portrait
from streamer.remote_session import RemoteOptions, RemoteSession
from streamer.timeline import MS, RATE, Samples
from tests.camera_sync import SPEECH

SECONDS = 20  # of speech for each cut
PACE = 10
PIECE = RATE // 10
TONE, AUDIBLE = 900, 60  # of 32767; Opus leaves less than the second of silence
SETTLE_S = 1.0


@dataclass(frozen=True)
class Found:
    """Milliseconds unless the name says otherwise. position_error: what was heard less what the client was told."""

    cuts: int
    to_silence_median: float
    to_silence_worst: float
    answered_median: float
    position_error_median: float
    position_error_worst: float


class Devices:
    """A camera that nobody looks at, and a sound device that plays at once."""

    lead_s = 0.0

    def __init__(self) -> None:
        self.sound: list[tuple[float, Samples]] = []

    def show(self, frame: int, rgb: ByteArray) -> None:
        pass

    def play(self, block: int, samples: Samples) -> None:
        self.sound.append((time.monotonic(), samples.copy()))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.speech_cut", description=__doc__.split("\n")[0])
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
    cuts: list[tuple[float, float, float]] = []
    async with (
        (_served if over_webrtc else _local)(devices) as address,
        SpeechClient(address) as client,
    ):
        for number in range(times):
            await asyncio.sleep(SETTLE_S)
            cuts.append(await _cut(client, devices, pcm, 1.0 + 0.13 * number))
    silence, answered, error = np.array(cuts).T
    return Found(
        cuts=times,
        to_silence_median=round(float(np.median(silence)), 1),
        to_silence_worst=round(float(silence.max()), 1),
        answered_median=round(float(np.median(answered)), 1),
        position_error_median=round(float(np.median(error)), 1),
        position_error_worst=round(float(error[np.argmax(np.abs(error))]), 1),
    )


async def _cut(client: SpeechClient, devices: Devices, pcm: Samples, after_s: float) -> tuple[float, float, float]:
    """Milliseconds from a cut to silence and to the answer, and how wrong the answer was."""
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
    return 1000 * (silent - cut), 1000 * (answered - cut), heard - position


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
