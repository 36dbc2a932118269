"""How a session on this machine meets its devices: pictures and sound leave steadily, whatever happens to their makers.

A late picture is replaced by the last, a face that stands still for long by the portrait, a device that fails is tried
again. Each fault is reported once, and each recovery.
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

STUCK_FRAMES = FPS  # pictures without a new one; then the portrait is better than a frozen face
RETRY_S = 1.0  # between two attempts to open a microphone that is gone
STRETCH = 1 << 40  # samples between the counts of two openings of a source, more than one ever gives

Note = Callable[[str], None]


class Presenter:
    """Feed a picture and a sound device from one playout, on one clock. `note` gets one line per fault.

    still: uint8 [H, W, 3], shown where there has been no picture for long.
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
        """Hear a source until it ends; open it again when its device is gone.

        take: gets each block; after a source is reopened, counts continue from a distant value.

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
        """Play sound, for ever; see `Pacer.play`."""
        lead_s = 0.0 if self._sound is None else self._sound.lead_s
        await self.pacer.play(tick, self._play, played, lead_s)

    async def show(self) -> None:
        """Show pictures, for ever."""
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
        """Something is wrong with a part of the session."""
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
        """Use a device; report its failure once, and its recovery."""
        try:
            use()
        except DeviceError as error:
            self.trouble(part, f"{error}; trying it again")
        else:
            self.mended(part, f"{part}: the device is back")
