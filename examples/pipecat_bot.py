"""A Pipecat bot with a face, without any account: it says its lines and is filmed.

    python examples/pipecat_bot.py "Hello there." "How are you?" --out bot.mp4 [--server URL] [--avatar NAME]

The pipeline is espeak-ng, the face and a camera; a bot of yours has other parts around the face, and a transport in
place of the camera. Without --server the program makes the face itself. Needs avatar-streamer[pipecat], and espeak-ng.
"""

import argparse
import asyncio
import io
import wave
from collections.abc import AsyncGenerator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    OutputAudioRawFrame,
    OutputImageRawFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.workers.runner import WorkerRunner

from clients.pipecat import AvatarVideoService
from engines import default_family
from streamer.desktop.local_face import FaceChoice
from streamer.desktop.program_face import FaceHere, FaceOnServer
from streamer.desktop.remote_face import ServerChoice

FPS, RATE = 25, 48_000


class Espeak(TTSService):
    """Speech by espeak-ng."""

    def __init__(self) -> None:
        settings = TTSSettings(model=None, voice="en", language=None)
        super().__init__(settings=settings, push_start_frame=True, push_stop_frames=True)

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speak a text."""
        espeak = await asyncio.create_subprocess_exec(
            *("espeak-ng", "--stdin", "--stdout"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        sound, _ = await espeak.communicate(text.encode())
        with wave.open(io.BytesIO(sound)) as file:  # its header promises more than there is
            yield TTSAudioRawFrame(file.readframes(len(sound) // 2), file.getframerate(), 1, context_id=context_id)


class Camera(FrameProcessor):
    """Films the bot: in place of a transport's output."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = av.open(str(path), "w")
        self._video = self._file.add_stream("libx264", FPS, options={"preset": "veryfast"})
        self._audio = self._file.add_stream("aac", RATE, layout="mono")
        self._pictures = self._samples = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Film pictures and sound; silence fills what is not sent."""
        await super().process_frame(frame, direction)
        if isinstance(frame, OutputImageRawFrame):
            self._show(frame)
        elif isinstance(frame, OutputAudioRawFrame):
            self._play(np.frombuffer(frame.audio, np.int16))
        if isinstance(frame, EndFrame):
            self._finish()
        await self.push_frame(frame, direction)

    def _show(self, frame: OutputImageRawFrame) -> None:
        width, height = frame.size
        if not self._pictures:
            self._video.width, self._video.height, self._video.pix_fmt = width, height, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.frombuffer(frame.image, np.uint8).reshape(height, width, 3))
        picture.pts, picture.time_base = self._pictures, Fraction(1, FPS)
        self._pictures += 1
        self._file.mux(self._video.encode(picture))

    def _play(self, samples: np.ndarray) -> None:
        silence = max(0, self._pictures * RATE // FPS - self._samples - RATE // FPS)
        if silence > RATE // 5:  # a pause, and not a packet that was late
            self._write(np.zeros(silence, np.int16))
        self._write(samples)

    def _write(self, samples: np.ndarray) -> None:
        sound = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = RATE, self._samples, Fraction(1, RATE)
        self._samples += len(samples)
        self._file.mux(self._audio.encode(sound))

    def _finish(self) -> None:
        for stream in self._file.streams:
            self._file.mux(stream.encode(None))
        self._file.close()


async def main(options: argparse.Namespace) -> None:
    """Say all lines, then end."""
    if options.server:
        source = FaceOnServer(ServerChoice(options.server.rstrip("/") + "/", options.avatar))
    else:
        source = FaceHere(FaceChoice(default_family(), options.avatar))
    face = AvatarVideoService(source)

    @face.event_handler("on_avatar_stopped_speaking")
    async def stopped(service: AvatarVideoService, heard_ms: int, interrupted: bool) -> None:
        print(f"{heard_ms / 1000:.1f} s were heard")

    worker = PipelineWorker(Pipeline([Espeak(), face, Camera(options.out)]), cancel_on_idle_timeout=False)
    await worker.queue_frames([*(TTSSpeakFrame(line) for line in options.lines), EndFrame()])
    runner = WorkerRunner()
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Film a Pipecat bot that says its lines.")
    parser.add_argument("lines", nargs="+", help="what it says")
    parser.add_argument("--out", type=Path, default=Path("bot.mp4"), help="the film (default: bot.mp4)")
    parser.add_argument("--server", help="address of a running `avatar serve` that makes the face")
    parser.add_argument("--avatar", help="whose face; one of `avatar avatars`")
    asyncio.run(main(parser.parse_args()))
