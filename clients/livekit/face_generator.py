"""A face as LiveKit's `VideoGenerator`: the agent's speech in, pictures and sound out in real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType

from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator

from clients.agent_voice import AgentVoice, FaceSource
from clients.face_media import FPS, RATE, Block, FaceMedia, Picture
from clients.speech import Event

CHANNELS = 2
MOST_WAITING = 12  # pictures and blocks of sound, 160 ms: as long as publishing takes; more would be permanent lag
FIRST_PICTURE_S = 60.0  # for a session to start
SLACK_S = 0.03  # for a packet of sound in flight


class FaceGenerator(VideoGenerator):
    """Pictures and sound for an `AvatarRunner`, also during silence; open inside `async with`.

    on_event: called with each event of the face (docs/speech.md) when the sound it reports leaves.
    """

    def __init__(self, face: FaceSource, on_event: Callable[[Event], None] = lambda event: None) -> None:
        self._source = face
        self._on_event = on_event
        self._media = FaceMedia(MOST_WAITING)
        self._stack = AsyncExitStack()
        self._first: Picture | None = None

    async def __aenter__(self) -> FaceGenerator:
        """Open the face and wait for its first picture.

        Raises:
            TimeoutError: no picture came in time.
            Exception: any error of the face's source, or SpeechClientError.
        """
        async with self._stack:
            self._showing = await self._stack.enter_async_context(self._source.open(self._media, self._media))
            on_event = partial(self._media.put_event, seconds=self._showing.lag_s)
            self._voice = await self._stack.enter_async_context(AgentVoice(self._showing.address, on_event))
            async with asyncio.timeout(FIRST_PICTURE_S):
                while not isinstance(item := await self._media.next(), Picture):
                    pass
            self._first = item
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def options(self) -> AvatarOptions:
        """Format of pictures and sound, for the runner; known inside `async with`."""
        assert self._first is not None
        height, width = self._first.rgb.shape[:2]
        return AvatarOptions(width, height, FPS, RATE, CHANNELS)

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        """Push speech of the agent. Raises SpeechClientError if it cannot be said."""
        if isinstance(frame, AudioSegmentEnd):
            await self._voice.end()
        else:
            await self._voice.push(bytes(frame.data), frame.sample_rate, frame.num_channels)

    async def clear_buffer(self) -> None:
        """Silence the face at once; return when the server has reported how much was heard."""
        self._media.mute()
        try:
            await self._voice.clear()
        finally:
            self._media.unmute(self._showing.lag_s + SLACK_S)

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        """Yield pictures and sound without end, and the end of each segment once it was heard."""
        while True:
            item = await self._media.next()
            if isinstance(item, Picture):
                height, width = item.rgb.shape[:2]
                yield rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, item.rgb.tobytes())
            elif isinstance(item, Block):
                yield rtc.AudioFrame(item.samples.tobytes(), RATE, CHANNELS, len(item.samples))
            else:
                self._on_event(item)
                if item["type"] == "played" and item["final"]:
                    yield AudioSegmentEnd()
