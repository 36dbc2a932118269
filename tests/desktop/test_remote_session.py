"""A face that a running server makes, over real peer connections: in step with its sound, back after every fault."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from numpy.typing import NDArray

from clients.speech import SpeechClient
from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.audio.decimator import Decimator
from streamer.audio.format import AUDIO_BLOCK, RATE, Samples
from streamer.avatar.background import TRANSPARENT
from streamer.avatar.bundle import Avatar
from streamer.avatar.gallery import Gallery
from streamer.core.aio import MonotonicClock
from streamer.core.errors import SessionError
from streamer.core.frames import ByteArray
from streamer.desktop.presenter import RETRY_S
from streamer.desktop.remote_face import ground
from streamer.desktop.remote_session import RemoteOptions, RemoteSession
from streamer.desktop.sources import FileSource, NoMicrophone
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.pipeline import Pipeline, PipelineOptions
from streamer.session.ends import SoundSource
from tests.fakes.local import Script
from tests.fakes.ports import free_port
from tests.fakes.sound import speech_like, write_wav

pytestmark = pytest.mark.usefixtures("loopback")

Floats = NDArray[np.floating]

SECONDS = 5.0
ATTEMPTS = 4  # at a performance that a busy machine does not disturb
HEARD, LOUD = 300, 3000  # of 32767


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "1", "--threads", "1"]) as launched:
        yield launched


@pytest.fixture(scope="module")
def still(tiny_folder: Path) -> ByteArray:
    return Gallery.load(Manifest.load(tiny_folder), ["dot"], "dot").find(None).photo


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speech_like(SECONDS))


class Devices:
    """A screen and a loudspeaker that note what they get."""

    lead_s = 0.0

    def __init__(self) -> None:
        self.pictures: list[tuple[int, ByteArray]] = []
        self.sound: list[tuple[int, Samples]] = []

    def show(self, frame: int, rgb: ByteArray) -> None:
        self.pictures.append((frame, rgb))

    def play(self, block: int, samples: Samples) -> None:
        self.sound.append((block, samples))

    def heard(self) -> Samples:
        """All samples, from the session's beginning on."""
        whole = np.zeros((self.sound[-1][0] + 1, AUDIO_BLOCK, 2), np.int16)
        for block, samples in self.sound:
            whole[block] = samples
        return whole.reshape(-1, 2)

    def voiced_ms(self) -> float:
        """From the first loud sample to the last."""
        loud = np.flatnonzero(np.abs(self.heard()[:, 0]) > LOUD) if self.sound else np.zeros(0)
        return 1000 * float(loud[-1] - loud[0]) / RATE if len(loud) else 0.0


class Stage:
    """A session with a server and all its ends."""

    def __init__(self, url: str, still: ByteArray, source: SoundSource, query: str = "still=1") -> None:
        self.devices = Devices()
        self.notes: list[str] = []
        self.locations: list[str] = []
        self.session = RemoteSession(
            RemoteOptions(url, query, still, not isinstance(source, NoMicrophone)),
            MonotonicClock(),
            self.devices,
            self.devices,
            self.notes.append,
            lambda call: self.locations.append(call.location),
        )
        self._source = source

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.session.run(self._source))
        try:
            async with asyncio.timeout(120):
                yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until it is so; the devices tell nobody."""
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def moves(self) -> bool:
        """Whether the last pictures are not all the same."""
        return len({rgb.tobytes() for _, rgb in self.devices.pictures[-10:]}) > 1

    def frozen(self) -> list[ByteArray]:
        """What was shown for more than half a second, but for the beginning."""
        shown = [rgb for _, rgb in self.devices.pictures]
        return [rgb for at, rgb in enumerate(shown[15:]) if all(rgb is before for before in shown[at : at + 15])]


@asynccontextmanager
async def serving(arguments: list[str]) -> AsyncIterator[LaunchedServer]:
    """A server whose start and end hold up nobody."""
    context = launch(arguments)
    server = await asyncio.to_thread(context.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


@pytest.mark.process
async def test_pictures_and_sound_come_steadily_and_belong_together(
    server: LaunchedServer, still: ByteArray, speech: Path, tiny: Engines, dot: Avatar, tiny_folder: Path
) -> None:
    lookahead, found = Manifest.load(tiny_folder).lookahead_ms, []
    for _ in range(ATTEMPTS):
        stage = Stage(server.url, still, FileSource(speech, MonotonicClock()))
        async with stage.running() as task:
            await task  # ends with the file
        sound = stage.devices.heard()
        loud_s = np.count_nonzero(np.abs(sound[:, 0]) > HEARD) / RATE
        frames = Pipeline(tiny, dot, PipelineOptions(lookahead_ms=lookahead)).push(Decimator().push(sound))
        fit, lag_s = lag(stage, np.array([frame.rgb.mean() for frame in frames]))
        found.append((loud_s, fit, lag_s, stage.notes, stage.session.stats))
        if loud_s > SECONDS / 3 and fit > 0.6 and abs(lag_s) <= 0.040 and not stage.notes:  # it pauses now and then
            return
    pytest.fail(str(found))


def lag(stage: Stage, expected: Floats) -> tuple[float, float]:
    """By how many seconds pictures are later than those that the sound makes, by their brightness; how well they fit.

    As both have their places in the session: when a busy machine shows and plays them is another matter.
    """
    moments = np.array([frame for frame, _ in stage.devices.pictures]) / 25 + stage.session.playout_ms / 1000
    found = np.array([rgb.mean() for _, rgb in stage.devices.pictures])
    lags = np.arange(-0.4, 0.401, 0.005)
    inside = (moments > 1.0) & (moments < len(expected) / 25 - 1.0)
    moments, found = moments[inside], found[inside]
    if len(found) < 2 or found.std() == 0.0:
        return 0.0, 0.0
    fits = [
        np.corrcoef(found, np.interp(moments - each, np.arange(len(expected)) / 25, expected))[0, 1] for each in lags
    ]
    return float(max(fits)), float(lags[int(np.argmax(fits))])


@pytest.mark.process
async def test_a_server_that_dies_and_comes_again(tiny_folder: Path, still: ByteArray) -> None:
    """The portrait shows meanwhile, pictures never stop, and what was wrong is told once."""
    port = free_port()
    arguments = ["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4", "--port", str(port)]
    stage = Stage(f"http://localhost:{port}/", still, NoMicrophone(), "speech=1")
    async with serving(arguments) as first, stage.running():
        await stage.until(stage.moves)
        assert stage.notes == []
        first.process.kill()
        await asyncio.to_thread(first.process.wait)
        await stage.until(lambda: bool(stage.notes))
        seen = len(stage.devices.pictures)
        await stage.until(lambda: len(stage.devices.pictures) > seen + 25)
        async with serving(arguments):
            await stage.until(lambda: stage.notes[-1:] == ["the face is back"])
            await stage.until(stage.moves)
            assert len(stage.locations) == 2
    assert re.fullmatch(r"http://localhost:\d+/: .*; the portrait shows while it is called again", stage.notes[0])
    assert np.abs(stage.frozen()[-1].astype(int) - still).mean() < 8  # the portrait, as it came over the network


@pytest.mark.process
async def test_a_session_that_the_server_ends_is_begun_anew(server: LaunchedServer, still: ByteArray) -> None:
    stage = Stage(server.url, still, NoMicrophone(), "speech=1")
    async with stage.running(), aiohttp.ClientSession() as http:
        await stage.until(stage.moves)
        async with http.delete(stage.locations[0]) as response:
            assert response.status == 200
        await stage.until(lambda: len(stage.locations) == 2 and stage.notes[-1:] == ["the face is back"])
    assert stage.notes[0] == f"{server.url}: the call has ended; the portrait shows while it is called again"


@pytest.mark.process
async def test_a_caller_without_room_waits_for_it(server: LaunchedServer, still: ByteArray) -> None:
    stage = Stage(server.url, still, NoMicrophone(), "speech=1")
    async with AsyncExitStack() as occupied:
        await occupied.enter_async_context(Caller(server.url, None, "speech=1"))
        async with stage.running():
            await stage.until(lambda: len(stage.devices.pictures) > 25 and bool(stage.notes))
            assert "refused, 503: all 1 places are taken" in stage.notes[0]
            assert not stage.moves()
            await occupied.aclose()
            await stage.until(stage.moves)
    assert stage.notes[1:] == ["the face is back"]


@pytest.mark.process
async def test_transparent_pictures_come_as_they_are(server: LaunchedServer, still: ByteArray) -> None:
    before = ground(still, TRANSPARENT)
    stage = Stage(server.url, before, NoMicrophone(), "speech=1&still=1&background=transparent")
    async with stage.running():
        await stage.until(stage.moves)
    shapes = {rgba.shape for _, rgba in stage.devices.pictures}
    assert shapes == {(*still.shape[:2], 4)}
    assert not stage.devices.pictures[0][1].any()
    assert stage.devices.pictures[-1][1][..., 3].max() == 255


@pytest.mark.parametrize(
    ("background", "corner"),
    [(None, [1, 2, 3]), ("#0a0b0c", [10, 11, 12]), ("blur", [1, 2, 3]), ("transparent", [0] * 4)],
)
def test_until_the_portrait_comes_only_what_is_behind_it_shows(background: str | None, corner: list[int]) -> None:
    face = np.full((32, 32, 3), (1, 2, 3), np.uint8)
    face[12:20, 12:20] = 255
    shown = ground(face, background)
    assert shown[0, 0].tolist() == corner
    assert (shown[16, 16].max() > 200) == (background is None)


@pytest.mark.process
async def test_what_a_server_will_never_do_ends_it(server: LaunchedServer, still: ByteArray) -> None:
    stage = Stage(server.url, still, NoMicrophone(), "speech=1&yaw=40")
    async with stage.running() as task:
        with pytest.raises(SessionError, match=r"refused, 400: yaw of 40 degrees; tiny takes -10 to 10"):
            await task


@pytest.mark.process
async def test_a_source_that_is_silent_keeps_the_call_and_is_heard_again(
    server: LaunchedServer, still: ByteArray
) -> None:
    """A microphone that is unplugged: the server hears silence, not a peer that has gone."""
    clock = MonotonicClock()
    tone = (10_000 * np.sin(np.arange(30 * AUDIO_BLOCK) * 2 * np.pi * 400 / RATE)).astype(np.int16)
    said = np.stack([tone, tone], axis=1)
    stage = Stage(server.url, still, Script(clock, [said, None, None, said]))
    async with stage.running() as task:
        await task
    assert stage.notes == ["script is gone; the face goes on without sound until it is back", "script is back"]
    assert len(stage.locations) == 1
    sound = stage.devices.heard()
    loud = np.flatnonzero(np.abs(sound[:, 0]) > LOUD)
    pauses = np.diff(loud)
    assert pauses.max() / RATE > 2 * RETRY_S - 0.6
    assert 0.6 < len(loud) / RATE < 1.3  # of 1.2 s, in part above the threshold; nothing is heard twice


@pytest.mark.process
async def test_speech_is_pushed_to_the_server(server: LaunchedServer, still: ByteArray) -> None:
    stage = Stage(server.url, still, NoMicrophone(), "speech=1")
    tone = 16_000 * np.sin(np.arange(12_000) * 2 * np.pi * 400 / 24_000)
    async with stage.running():
        await stage.until(stage.moves)
        async with SpeechClient(stage.locations[-1]) as speech:
            await speech.say(tone.astype("<i2").tobytes(), 24_000)
            await speech.idle()
        await stage.until(lambda: stage.devices.voiced_ms() > 350)
        blocks = len(stage.devices.sound)
        await stage.until(lambda: len(stage.devices.sound) > blocks + 25)
    assert stage.devices.voiced_ms() < 530
