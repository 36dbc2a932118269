"""A bot's face in a real Pipecat pipeline, with a real output transport at its end."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("pipecat", reason="the extra `pipecat` is not installed")

from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    SpeechOutputAudioRawFrame,
    StartFrame,
    TextFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from clients.agent_voice import FaceSource
from clients.pipecat import AvatarVideoService
from streamer.desktop.local_face import FaceChoice
from streamer.desktop.program_face import FaceHere, FaceOnServer
from streamer.desktop.remote_face import ServerChoice
from streamer.measure.launched_server import launch
from tests import ROOT
from tests.fakes.shown import GREY, RATE, LevelFace, tone
from tests.fakes.spoken import steps
from tests.waiting import eventually

pytestmark = pytest.mark.slow

PARAMS = TransportParams(
    audio_out_enabled=True,
    audio_out_sample_rate=RATE,
    video_out_enabled=True,
    video_out_is_live=True,
    video_out_framerate=25,
    video_out_width=4,
    video_out_height=4,
)
LOUD = 4000  # of 32767; the speech has twice as much
ATTEMPTS = 4  # a machine that is held up for more than 200 ms leaves sound out


class Screen(BaseOutputTransport):
    """An output that notes what it is given to play and to show, in order."""

    def __init__(self) -> None:
        super().__init__(PARAMS)
        self.loud_ms = 0
        self.greys: list[int] = []

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        self.loud_ms += loud_ms(frame)
        return True

    async def write_video_frame(self, frame: OutputImageRawFrame) -> bool:
        self.greys.append(frame.image[0])
        return True


def loud_ms(frame: OutputAudioRawFrame) -> int:
    """Milliseconds of it that are speech."""
    loud = np.count_nonzero(np.abs(np.frombuffer(frame.audio, np.int16)) > LOUD)
    return 1000 * int(loud) // frame.sample_rate


class Note(FrameProcessor):
    """Notes what passes, in either direction."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Frame] = []
        self.spoken: list[float] = []  # moments at which speech came

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.seen.append(frame)
        if isinstance(frame, SpeechOutputAudioRawFrame) and loud_ms(frame):
            self.spoken.append(time.monotonic())
        await self.push_frame(frame, direction)

    def kinds(self, *kinds: type[Frame]) -> list[type[Frame]]:
        return [type(frame) for frame in self.seen if isinstance(frame, kinds)]

    def loud_ms(self, after: int = 0) -> int:
        """How much speech came, after so many frames."""
        return sum(loud_ms(frame) for frame in self.seen[after:] if isinstance(frame, SpeechOutputAudioRawFrame))


class Bot:
    """A pipeline without ears: what a TTS service would say is put into it."""

    def __init__(self, source: FaceSource) -> None:
        self.face, self.screen = AvatarVideoService(source), Screen()
        self.before, self.between = Note(), Note()
        self.events: list[tuple[int, bool] | None] = []
        self.worker = PipelineWorker(
            Pipeline([self.before, self.face, self.between, self.screen]),
            cancel_on_idle_timeout=False,
            enable_rtvi=False,
        )
        self.face.add_event_handler("on_avatar_started_speaking", self._started)
        self.face.add_event_handler("on_avatar_stopped_speaking", self._stopped)

    async def _started(self, service: AvatarVideoService) -> None:
        self.events.append(None)

    async def _stopped(self, service: AvatarVideoService, heard_ms: int, interrupted: bool) -> None:
        self.events.append((heard_ms, interrupted))

    async def say(self, seconds: float, speech: bytes = b"") -> None:
        speech = speech or tone(seconds)
        pieces = [speech[start : start + 9_600] for start in range(0, len(speech), 9_600)]
        await self.worker.queue_frames(
            [TTSStartedFrame(), *(TTSAudioRawFrame(piece, RATE, 1) for piece in pieces), TTSStoppedFrame()]
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        running = asyncio.create_task(runner.run())
        try:
            async with asyncio.timeout(120):
                yield
        finally:
            if not running.done():
                await self.worker.cancel()
            async with asyncio.timeout(60):
                await running


async def said_whole(bot: Bot, seconds: float, speech: bytes = b"") -> None:
    """Speak until most of it has come out, each time being told that all of it was heard."""
    for _ in range(ATTEMPTS):
        told, before = len(bot.events), bot.between.loud_ms()
        await bot.say(seconds, speech)
        await until(lambda told=told: len(bot.events) == told + 2)  # type: ignore[misc]
        assert bot.events[told:] == [None, (round(1000 * seconds), False)]
        out_ms = bot.between.loud_ms() - before
        assert out_ms <= 1000 * seconds + 40
        if out_ms >= 500 * seconds:
            return
    pytest.fail(f"{out_ms} ms came out")


async def until(happened: Callable[[], object]) -> None:
    await eventually(lambda: bool(happened()), 30)


async def test_speech_comes_out_with_the_pictures_that_belong_to_it() -> None:
    bot = Bot(LevelFace())
    async with bot.running():
        await until(lambda: bot.screen.greys)  # it is there before anything was said
        await said_whole(bot, 1.0)
        await until(lambda: bot.screen.loud_ms > 400)
        await until(lambda: GREY in bot.screen.greys)
    media = [frame for frame in bot.between.seen if isinstance(frame, OutputImageRawFrame | OutputAudioRawFrame)]
    for place, frame in enumerate(media):
        if isinstance(frame, OutputImageRawFrame) and frame.image[0] == GREY:
            around = media[max(0, place - 10) : place + 10]
            assert any(loud_ms(sound) for sound in around if isinstance(sound, OutputAudioRawFrame))


async def test_the_bot_speaks_while_it_is_heard_and_not_while_it_is_pushed() -> None:
    bot = Bot(LevelFace())
    async with bot.running():
        await until(lambda: bot.screen.greys)
        await bot.say(1.0)
        await until(lambda: BotStoppedSpeakingFrame in bot.before.kinds(Frame))
    speaking = BotStartedSpeakingFrame, BotStoppedSpeakingFrame
    assert bot.before.kinds(*speaking) == list(speaking)
    kinds = bot.between.kinds(TTSStartedFrame, SpeechOutputAudioRawFrame, TTSStoppedFrame)
    assert kinds[0] is TTSStartedFrame
    stopped = bot.between.seen.index(next(f for f in bot.between.seen if isinstance(f, TTSStoppedFrame)))
    assert bot.between.loud_ms(after=stopped) == 0  # all of it was heard before
    assert TTSAudioRawFrame not in kinds


async def test_an_interruption_silences_the_bot_and_reports_the_position_heard() -> None:
    for _ in range(ATTEMPTS):
        bot = Bot(LevelFace())
        async with bot.running():
            await bot.say(10.0)
            await until(lambda bot=bot: bot.screen.loud_ms > 300)  # type: ignore[misc]
            await bot.worker.queue_frame(InterruptionFrame())
            await until(lambda bot=bot: bot.events[1:])  # type: ignore[misc]
            (heard_ms, interrupted) = bot.events[1] or (0, False)
            cut = bot.between.seen.index(next(f for f in bot.between.seen if isinstance(f, InterruptionFrame)))
            before = bot.between.loud_ms()
            assert interrupted
            assert bot.between.loud_ms(after=cut) == 0
            await said_whole(bot, 0.4)
        assert TTSStoppedFrame not in [type(frame) for frame in bot.between.seen[cut : cut + 3]]
        if abs(heard_ms - before) <= 60:  # what was on its way is not counted
            return
    pytest.fail(f"{heard_ms} ms told, {before} ms heard")


async def test_the_pipeline_ends_when_the_last_word_was_heard() -> None:
    for _ in range(ATTEMPTS):
        bot = Bot(LevelFace())
        async with bot.running():
            await bot.say(0.6)
            await bot.worker.queue_frame(EndFrame())
            await until(lambda bot=bot: EndFrame in bot.between.kinds(EndFrame))  # type: ignore[misc]
        assert bot.events == [None, (600, False)]
        if 300 <= bot.between.loud_ms() <= 640:
            return
    pytest.fail(f"{bot.between.loud_ms()} ms came out")


async def test_frames_that_are_not_speech_pass() -> None:
    bot = Bot(LevelFace())
    async with bot.running():
        await bot.worker.queue_frame(TextFrame("hello"))
        await until(lambda: TextFrame in bot.between.kinds(TextFrame))


async def test_a_face_that_is_not_there_is_one_error_and_the_pipeline_goes_on() -> None:
    bot = Bot(FaceOnServer(ServerChoice("http://localhost:9/")))
    async with bot.running():
        await until(lambda: ErrorFrame in bot.before.kinds(ErrorFrame))
        await bot.worker.queue_frame(TextFrame("hello"))
        await until(lambda: TextFrame in bot.between.kinds(TextFrame))
        await bot.say(0.2)
        await until(lambda: len(bot.before.kinds(ErrorFrame)) > 1)
        await until(lambda: TTSStoppedFrame in bot.between.kinds(TTSStoppedFrame))
    errors = [frame.error for frame in bot.before.seen if isinstance(frame, ErrorFrame)]
    assert "http://localhost:9/: cannot be reached" in errors[0]


@pytest.fixture(scope="module")
def on_server(tiny_folder: Path, loopback: None) -> Iterator[FaceOnServer]:
    with launch(["--engines", str(tiny_folder), "--sessions", "1", "--threads", "1"]) as launched:
        yield FaceOnServer(ServerChoice(launched.url))


@pytest.mark.process
async def test_a_server_makes_the_face(on_server: FaceOnServer) -> None:
    bot = Bot(on_server)
    async with bot.running():
        await until(lambda: bot.screen.greys)
        await bot.say(5.0, steps([0.5] * 25))  # Opus keeps no constant
        await until(lambda: bot.between.loud_ms() > 300)
        await bot.worker.queue_frame(InterruptionFrame())
        await until(lambda: bot.events[1:])
        (heard_ms, interrupted) = bot.events[1] or (0, False)
        assert interrupted
        cut = bot.between.seen.index(next(f for f in bot.between.seen if isinstance(f, InterruptionFrame)))
        assert bot.between.loud_ms(after=cut) == 0
        assert 0 < heard_ms < 5000
        await said_whole(bot, 0.6, steps([0.5] * 3))


@pytest.mark.process
async def test_the_pipeline_makes_the_face_itself(tiny_folder: Path) -> None:
    bot = Bot(FaceHere(FaceChoice(tiny_folder, threads=1)))
    async with bot.running():
        await until(lambda: bot.screen.greys)
        await bot.say(0.6)
        await bot.worker.queue_frame(EndFrame())
        await until(lambda: EndFrame in bot.between.kinds(EndFrame))
    assert bot.events == [None, (600, False)]


@pytest.mark.process
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_example_films_its_lines(tiny_folder: Path, tmp_path: Path) -> None:
    film = tmp_path / "bot.mp4"
    done = subprocess.run(
        [sys.executable, "examples/pipecat_bot.py", "Hello.", "--out", str(film)],
        cwd=ROOT,
        env={**os.environ, "AVATAR_FAMILY": str(tiny_folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "s were heard" in done.stdout
    with av.open(str(film)) as found:
        loudest = max(int(np.abs(frame.to_ndarray()).max() > 0.1) for frame in found.decode(audio=0))
    with av.open(str(film)) as found:
        assert sum(1 for _ in found.decode(video=0)) > 10
    assert loudest
