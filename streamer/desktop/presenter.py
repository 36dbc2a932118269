"""How a session on this machine meets its devices: pictures and sound leave steadily, whatever happens to their makers.

A late picture is replaced by the last, a face that stands still for long by the portrait, a device that fails is tried
again. What goes wrong is told once, and its being mended, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from fractions import Fraction
from functools import partial

from streamer.audio.format import AUDIO_PTIME_MS, Samples
from streamer.core.aio import Clock
from streamer.core.errors import DeviceError
from streamer.core.frames import ByteArray
from streamer.core.rates import FPS
from streamer.session.ends import PictureSink, SoundSink, SoundSource
from streamer.session.playout import Playout
from streamer.session.schedule import FrameSchedule, Schedule
from streamer.session.timeline import MARGIN_MS

STUCK_FRAMES = FPS  # pictures without a new one; then the portrait is better than a frozen face
SOUND_BURST = 10  # packets that are caught up with after a stall, as over WebRTC
SOUND_SLACK_MS = 2 * AUDIO_PTIME_MS  # from sound's being settled to its being asked for at the earliest
LATE_S = AUDIO_PTIME_MS / 1000  # a tick this late: the program was held up
RETRY_S = 1.0  # between two attempts to open a microphone that is gone
STRETCH = 1 << 40  # samples between the counts of two openings of a source, more than one ever gives
TURNS = 3  # of the event loop, in which a source that has something to say says it

Note = Callable[[str], None]


class Presenter:
    """Hands a playout to a picture and a sound device, on one clock. `note` is told of troubles, in one line each.

    still: uint8 [H, W, 3], shown where there has been no picture for long.
    taken: packets of sound that came in; whoever takes them counts them here.
    """

    def __init__(
        self,
        playout: Playout,
        still: ByteArray,
        clock: Clock,
        pictures: PictureSink,
        sound: SoundSink | None = None,
        note: Note = print,
    ) -> None:
        self.playout = playout
        self.schedule = FrameSchedule(playout.delay_ms)  # of the pictures
        self.taken = 0
        self.still = still
        self._clock = clock
        self._pictures = pictures
        self._sound = sound
        self._note = note
        self._start = clock.now()
        self._troubles: dict[str, str] = {}  # of each part that fails: what was told last

    def begin(self) -> float:
        """The session starts now: the moment on the machine's monotonic clock."""
        self._start = self._clock.now()
        return self._start

    def now(self) -> float:
        """Seconds since the session's start."""
        return self._clock.now() - self._start

    def sleep(self, moment: float) -> Coroutine[None, None, None]:
        """Until so many seconds after the session's start."""
        return self._clock.sleep_until(self._start + moment)

    async def listen(self, source: SoundSource, take: Callable[[int, Samples], None]) -> None:
        """Hear a source until it ends; open it again when its device is gone.

        take: gets each block; the count of a source that was opened anew is far from what it was.

        Raises:
            MediaError: the source is a file that cannot be decoded.
        """
        opened = 0
        while True:
            try:
                async for block in source.blocks():
                    self.mended("source", f"{source.name} is back")
                    self.taken += 1
                    take(opened * STRETCH + block.pts, block.samples)
                return
            except DeviceError as error:
                self.trouble("source", f"{error}; the face goes on without sound until it is back")
                await self.sleep(self.now() + RETRY_S)
                opened += 1

    async def play(self, tick: Callable[[float], None], played: Callable[[int], None] = lambda position: None) -> None:
        """Sound, for ever. Its tick is the session's heartbeat: time passes here even if the source is silent.

        tick: called before each packet with the time. played: called after it; all before the position was handed over.
        """
        lead_ms = 0
        if self._sound is not None:
            longest = self.playout.delay_ms - MARGIN_MS - SOUND_SLACK_MS
            lead_ms = max(0, min(round(1000 * self._sound.lead_s), longest))
        schedule = Schedule(Fraction(AUDIO_PTIME_MS, 1000), Fraction(-lead_ms, 1000), SOUND_BURST)
        while True:
            block = schedule.next_tick(self.now())
            await self.sleep(schedule.due(block))
            if self.now() - schedule.due(block) > LATE_S:
                await self._take_what_came()
            tick(self.now())
            samples = self.playout.pull_audio(block)
            if self._sound is not None:
                self._guarded("sound", partial(self._sound.play, block, samples))
            played(self.playout.position)

    async def show(self) -> None:
        """Pictures, for ever."""
        stuck = 0
        while True:
            tick = self.schedule.next_tick(self.now())
            await self.sleep(self.schedule.due(tick))
            frame, repeated = self.schedule.frame_of(tick), self.playout.stats.repeated
            rgb = self.playout.pull_frame(frame)
            stuck = stuck + 1 if self.playout.stats.repeated > repeated else 0
            if stuck >= STUCK_FRAMES:
                rgb = self.still
            # By the moment, for those who go by numbers: the schedule may have been moved against the sound's.
            number = round((self.schedule.due(tick) - self.playout.delay_ms / 1000) * FPS)
            self._guarded("pictures", partial(self._pictures.show, number, rgb))

    def trouble(self, part: str, text: str) -> None:
        """Something is wrong with a part of the session."""
        if self._troubles.get(part) != text:
            self._troubles[part] = text
            self._note(text)

    def mended(self, part: str, text: str) -> None:
        """The part is well; that is told where it was not."""
        if self._troubles.pop(part, None) is not None:
            self._note(text)

    async def _take_what_came(self) -> None:
        """The program was held up, and so was the hearing: what came meanwhile is not late, as tick would have it."""
        taken = -1
        while taken != self.taken:
            taken = self.taken
            for _ in range(TURNS):
                await asyncio.sleep(0)

    def _guarded(self, part: str, use: Callable[[], None]) -> None:
        """Use a device; that it fails is told once, and that it works again."""
        try:
            use()
        except DeviceError as error:
            self.trouble(part, f"{error}; trying it again")
        else:
            self.mended(part, f"{part}: the device is back")
