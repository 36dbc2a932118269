"""A Pipecat service that gives a bot a face: TTS sound in, pictures and the matching sound out."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings

from clients.agent_voice import AgentVoice, FaceSource, Showing
from clients.face_media import Block, FaceMedia, Picture
from clients.pipecat.frames import SpokenSound, image
from clients.speech import Event, SpeechClientError

READY_S = 60.0  # for engines to load, or a server to answer
FAREWELL_S = 70.0  # at the end of a pipeline, to play the rest: what a server buffers at most, plus a margin
SLACK_S = 0.03  # for a packet of sound in flight
CLOSE_S = 10.0
NS = 1_000_000_000

STARTED, STOPPED = "on_avatar_started_speaking", "on_avatar_stopped_speaking"


class AvatarVideoService(AIService):
    """Service to put between the TTS service and the transport's output.

    It replaces TTSAudioRawFrame by OutputImageRawFrame (25 a second, from the start to the end of the pipeline) and
    SpeechOutputAudioRawFrame, in sync. An InterruptionFrame silences it at once.

    Event handlers:
        on_avatar_started_speaking(service): the first sound of an utterance has left.
        on_avatar_stopped_speaking(service, heard_ms, interrupted): the last sound has left; `heard_ms` were heard.
    """

    def __init__(self, face: FaceSource, **kwargs: Any) -> None:
        """`face`: see `streamer.desktop.program_face`."""
        super().__init__(settings=ServiceSettings(model=None), **kwargs)
        self._source = face
        self._media = FaceMedia()
        self._tasks: list[asyncio.Task[None]] = []
        self._ready: asyncio.Future[tuple[AgentVoice, Showing]] | None = None
        self._stopped: dict[int, TTSStoppedFrame] = {}  # by utterance, held until it was heard
        self._register_event_handler(STARTED)
        self._register_event_handler(STOPPED)

    @property
    def dropped(self) -> int:
        """Frames that the pipeline did not take in time."""
        return self._media.dropped

    def can_generate_metrics(self) -> bool:
        """Return True. Time to first byte: from the first sound of an utterance to its leaving with its picture."""
        return True

    async def stop(self, frame: EndFrame) -> None:
        """Wait until all pushed speech was heard, then close the face."""
        await super().stop(frame)
        if (showing := self._showing) is not None:
            with contextlib.suppress(TimeoutError, SpeechClientError):
                async with asyncio.timeout(FAREWELL_S):
                    voice, _ = await self._voice()
                    await voice.end()
                    await voice.idle()
                    await asyncio.sleep(showing.lag_s + SLACK_S)
        await self._close()

    async def cancel(self, frame: CancelFrame) -> None:
        """Close the face."""
        await super().cancel(frame)
        await self._close()

    async def cleanup(self) -> None:
        """Close the face if the pipeline ended without an EndFrame or CancelFrame."""
        await super().cleanup()  # type: ignore[no-untyped-call]
        await self._close()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Take speech; pass on everything else, the end of an utterance only once it was heard."""
        await super().process_frame(frame, direction)
        match frame:
            case StartFrame():
                await self.push_frame(frame, direction)
                self._begin()
            case TTSAudioRawFrame():
                await self._say(frame)
            case TTSStoppedFrame():
                await self._end(frame)
            case InterruptionFrame():
                await self._interrupt(frame, direction)
            case TTSTextFrame() if frame.pts and self._showing is not None:
                frame.pts += round(self._showing.delay_s * NS)  # a word's time is when it is heard
                await self.push_frame(frame, direction)
            case _:
                await self.push_frame(frame, direction)

    def _begin(self) -> None:
        """Start opening the face; the pipeline does not wait for it."""
        self._ready = asyncio.get_running_loop().create_future()
        self._tasks = [self.create_task(self._keep_face(self._ready)), self.create_task(self._forward())]

    @property
    def _showing(self) -> Showing | None:
        done = self._ready is not None and self._ready.done() and self._ready.exception() is None
        return self._ready.result()[1] if done and self._ready is not None else None

    async def _voice(self) -> tuple[AgentVoice, Showing]:
        """Wait for the face. Raises SpeechClientError if it does not come."""
        if self._ready is None:
            raise SpeechClientError("the pipeline has not started, or has ended")
        try:
            async with asyncio.timeout(READY_S):
                return await asyncio.shield(self._ready)
        except TimeoutError:
            raise SpeechClientError(f"the face is not there after {READY_S:.0f} s") from None

    async def _say(self, frame: TTSAudioRawFrame) -> None:
        try:
            voice, _ = await self._voice()
            await self.start_ttfb_metrics()
            await voice.push(frame.audio, frame.sample_rate, frame.num_channels)
        except SpeechClientError as error:
            await self.push_error(f"the face did not take speech: {error}", error)

    async def _end(self, frame: TTSStoppedFrame) -> None:
        try:
            voice, _ = await self._voice()
            number = await voice.end()
        except SpeechClientError:
            number = None
        if number is None:
            await self.push_frame(frame)
        else:
            self._stopped[number] = frame

    async def _interrupt(self, frame: InterruptionFrame, direction: FrameDirection) -> None:
        self._media.mute()
        self._stopped.clear()
        await self.push_frame(frame, direction)
        lag_s = 0.0
        try:
            if (showing := self._showing) is not None:
                lag_s = showing.lag_s
                voice, _ = await self._voice()
                await voice.clear()
        except SpeechClientError as error:
            await self.push_error(f"the face could not be interrupted: {error}", error)
        finally:
            self._media.unmute(lag_s + SLACK_S)

    async def _keep_face(self, ready: asyncio.Future[tuple[AgentVoice, Showing]]) -> None:
        """Show the face until the task is cancelled."""
        try:
            async with self._source.open(self._media, self._media) as showing:
                on_event = partial(self._media.put_event, seconds=showing.lag_s)
                async with AgentVoice(showing.address, on_event) as voice:
                    ready.set_result((voice, showing))
                    await asyncio.Event().wait()
        except Exception as error:  # a source may raise anything
            if not ready.done():
                ready.set_exception(SpeechClientError(f"the face is not there: {error}"))
                ready.exception()  # mark as retrieved: perhaps no task awaits it
            await self.push_error(f"the face is not there: {error}", error, force_treat_as_permanent=True)

    async def _forward(self) -> None:
        sound = SpokenSound()
        while True:
            item = await self._media.next()
            if isinstance(item, Picture):
                await self.push_frame(image(item))
            elif not isinstance(item, Block):
                await self._tell(item)
            elif (frame := sound.frame(item)) is not None:
                await self.push_frame(frame)

    async def _tell(self, event: Event) -> None:
        if event["type"] == "started":
            await self.stop_ttfb_metrics()
            await self._call_event_handler(STARTED)
        elif event["type"] == "played" and event["final"]:
            if (stopped := self._stopped.pop(event["speech"], None)) is not None:
                await self.push_frame(stopped)
            await self._call_event_handler(STOPPED, event["position_ms"], event["interrupted"])

    async def _close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            await self.cancel_task(task, CLOSE_S)
        self._ready = None
