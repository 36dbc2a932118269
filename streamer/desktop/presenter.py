"""Feeds a local session's devices at a steady rate, whatever happens to the sources of pictures and sound.

The last picture replaces a late one, and the portrait replaces a face that has stood still for long. A device that
fails is retried. Each fault and each recovery is reported once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from streamer.audio.format import Samples
from streamer.core.aio import Clock
from streamer.core.errors import DeviceError
from streamer.core.frames import ByteArray
from streamer.core.rates import FPS
from streamer.session.ends import PictureSink, SoundSink, SoundSource
from streamer.session.pacer import Pacer
from streamer.session.playout import Playout

STUCK_FRAMES = FPS  # after this many repeats in a row, the portrait replaces the frozen face
RETRY_S = 1.0  # between attempts to reopen a missing microphone
STRETCH = 1 << 40  # offset in samples between two openings of a source; more than one opening ever delivers

Note = Callable[[str], None]


class Presenter:
    """Feed a picture and a sound device from one playout, on one clock. `note` gets one line per fault.

    still: uint8 [H, W, 3], or [H, W, 4] with transparency; shown if no new picture has come for long.
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
        self.pacer = Pacer(playout, clock)
        self.still = still
        self._pictures = pictures
        self._sound = sound
        self._note = note
        self._troubles: dict[str, str] = {}  # last report of each failing part

    async def listen(self, source: SoundSource, take: Callable[[int, Samples], None]) -> None:
        """Read a source until it ends; reopen it when its device is gone.

        take: called with each block's sample count and samples; each reopening moves the count ahead by STRETCH.

        Raises:
            MediaError: the source is a file that cannot be decoded.
        """
        opened = 0
        while True:
            try:
                async for block in source.blocks():
                    self.mended("source", f"{source.name} is back")
                    self.pacer.taken += 1
                    take(opened * STRETCH + block.pts, block.samples)
                return
            except DeviceError as error:
                self.trouble("source", f"{error}; the face goes on without sound until it is back")
                await self.pacer.sleep_until(self.pacer.now() + RETRY_S)
                opened += 1

    async def play(self, tick: Callable[[float], None], played: Callable[[int], None] = lambda position: None) -> None:
        """Play sound forever; see `Pacer.play`."""
        lead_s = 0.0 if self._sound is None else self._sound.lead_s
        await self.pacer.play(tick, self._play, played, lead_s)

    async def show(self) -> None:
        """Show pictures forever."""
        stuck = 0
        repeated = self.playout.stats.repeated

        def show(frame: int, rgb: ByteArray) -> None:
            nonlocal stuck, repeated
            stuck = stuck + 1 if self.playout.stats.repeated > repeated else 0
            repeated = self.playout.stats.repeated
            shown = self.still if stuck >= STUCK_FRAMES else rgb
            self._guarded("pictures", partial(self._pictures.show, frame, shown))

        await self.pacer.show(show)

    def trouble(self, part: str, text: str) -> None:
        """Report a fault in a part of the session, unless it is already reported."""
        if self._troubles.get(part) != text:
            self._troubles[part] = text
            self._note(text)

    def mended(self, part: str, text: str) -> None:
        """Report the recovery of a part that had failed."""
        if self._troubles.pop(part, None) is not None:
            self._note(text)

    def _play(self, block: int, samples: Samples) -> None:
        if self._sound is not None:
            self._guarded("sound", partial(self._sound.play, block, samples))

    def _guarded(self, part: str, use: Callable[[], None]) -> None:
        """Call a device; report its failure and its recovery once each."""
        try:
            use()
        except DeviceError as error:
            self.trouble(part, f"{error}; trying it again")
        else:
            self.mended(part, f"{part}: the device is back")
