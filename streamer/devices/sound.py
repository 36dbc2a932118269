"""Microphones and loudspeakers of this machine, as source and sink of a local session.

PortAudio calls back on its own thread. Blocks wait in bounded queues; on overflow they are dropped and counted.
Streams run at `audio.format.RATE`; on nearly every system the mixer converts to the device's rate.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial

import numpy as np

from engines.errors import first_line
from streamer.audio.format import AUDIO_PTIME_MS, CHANNELS, Samples
from streamer.core.errors import DeviceError
from streamer.devices.port_audio import INPUT, OUTPUT, OpenStream, PortAudio
from streamer.session.ends import Block

WAITING = 25  # queued blocks of a microphone: half a second; on overflow the newest is dropped
SILENT_S = 2.0  # a device counts as gone after this long without a callback; some systems give no other sign
RESERVE = 2  # blocks buffered for a loudspeaker
MOST_RESERVE = 6  # above this, the buffer is cut back to RESERVE
WATCHED = 50  # blocks between checks: if the buffer never fell below RESERVE, the device's clock is slow: drop a block
RETRY_S = 1.0


class Microphone:
    """A `SoundSource`. Each call of `blocks` searches for the device again, so a replugged device is found."""

    def __init__(self, audio: PortAudio, wanted: str | None = None) -> None:
        """Raises DeviceError if no such microphone exists, or it cannot be opened."""
        self._audio = audio
        self._wanted = wanted
        self.dropped = 0  # blocks not consumed in time
        self._opened = False
        device = audio.find(INPUT, wanted)
        audio.check_input(device)
        self.name = device.name

    async def blocks(self) -> AsyncIterator[Block]:
        """Yield blocks; raise DeviceError once the device is gone."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[Samples | None] = asyncio.Queue()

        def take(samples: Samples | None) -> None:
            if samples is not None and waiting.qsize() >= WAITING:
                self.dropped += 1
            else:
                waiting.put_nowait(samples)

        def heard(data: Samples, *_: object) -> None:
            _on(loop, take, np.repeat(data, CHANNELS, axis=1) if data.shape[1] == 1 else data.copy())

        stream = await _in_thread(partial(self._open, heard, lambda: _on(loop, take, None)))
        count = 0
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENT_S):
                        samples = await waiting.get()
                except TimeoutError:
                    samples = None
                if samples is None:
                    raise DeviceError(f"microphone {self.name} is gone")
                yield Block(count, samples)
                count += len(samples)
        finally:
            self._audio.close(stream)

    def _open(self, heard: Callable[..., None], ended: Callable[[], None]) -> OpenStream:
        if self._opened:
            self._audio.look_again()
        # Reopen by name: the device's number may have changed.
        device = self._audio.find(INPUT, self.name if self._opened else self._wanted)
        self._opened = True
        return self._audio.open(INPUT, device, heard, ended)


class Loudspeaker:
    """A `SoundSink` and a context manager: a loudspeaker, or a virtual device that other programs record."""

    def __init__(
        self, audio: PortAudio, wanted: str | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`monotonic`: time in seconds. Raises DeviceError if no such device exists or it cannot be opened."""
        self._audio = audio
        self._monotonic = monotonic
        self._waiting: deque[Samples] = deque()
        self._flowing = False
        self._least = MOST_RESERVE  # shortest queue since the last check
        self._opening: threading.Thread | None = None
        self.dropped = 0  # blocks dropped because the device's clock is slower than ours
        self.missed = 0  # blocks of silence played on underrun
        self.name = audio.find(OUTPUT, wanted).name
        self._filled = self._tried = monotonic()  # when the device last asked for sound; when it was last opened
        self._stream: OpenStream | None = self._open(wanted)
        self.lead_s = self._stream.latency_s + RESERVE * AUDIO_PTIME_MS / 1000

    def play(self, block: int, samples: Samples) -> None:
        """Queue a packet. Raises DeviceError while the device is gone; a thread tries to reopen it."""
        now = self._monotonic()
        if self._stream is None or not self._stream.alive or now - self._filled > SILENT_S:
            if now - self._tried >= RETRY_S and (self._opening is None or not self._opening.is_alive()):
                self._tried = now
                self._opening = threading.Thread(target=self._open_again, name="loudspeaker", daemon=True)
                self._opening.start()
            raise DeviceError(f"sound device {self.name} is gone")
        self._least = min(self._least, len(self._waiting))
        self._waiting.append(samples)
        if len(self._waiting) > MOST_RESERVE:
            self._leave_out(len(self._waiting) - RESERVE)
        elif block % WATCHED == 0:
            self._leave_out(int(self._least >= RESERVE))
            self._least = MOST_RESERVE

    def close(self) -> None:
        """Release the device."""
        if self._stream is not None:
            self._audio.close(self._stream)

    def __enter__(self) -> Loudspeaker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, wanted: str | None) -> OpenStream:
        device = self._audio.find(OUTPUT, wanted)
        self._waiting.clear()
        self._filled = self._monotonic()
        return self._audio.open(OUTPUT, device, self._fill, lambda: None)

    def _open_again(self) -> None:
        with contextlib.suppress(DeviceError):  # retried in a second
            self.close()
            self._stream = None
            self._stream = self._open(self.name)

    def _leave_out(self, blocks: int) -> None:
        for _ in range(blocks):
            self._waiting.popleft()
        self.dropped += blocks

    def _fill(self, out: Samples, *_: object) -> None:
        """Fill a block on PortAudio's thread: the next queued block, or silence until RESERVE blocks are queued."""
        self._filled = self._monotonic()
        self._flowing = len(self._waiting) >= (1 if self._flowing else RESERVE)
        if self._flowing:
            out[:] = self._waiting.popleft()[:, : out.shape[1]]
        else:
            self.missed += 1
            out[:] = 0


def _on(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *values: object) -> None:
    """Call a function on the event loop from another thread; do nothing if the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *values)


async def _in_thread(call: Callable[[], OpenStream]) -> OpenStream:
    """Run a call that may hang on a daemon thread, which does not delay the program's exit; return its result."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[OpenStream] = loop.create_future()

    def settle(stream: OpenStream | None, error: DeviceError | None) -> None:
        if result.cancelled():
            return
        if stream is not None:
            result.set_result(stream)
        elif error is not None:
            result.set_exception(error)

    def run() -> None:
        try:
            _on(loop, settle, call(), None)
        except DeviceError as error:
            _on(loop, settle, None, error)
        except Exception as error:  # driver-specific: report it, or the caller would wait forever
            _on(loop, settle, None, DeviceError(f"the sound device cannot be opened ({first_line(error)})"))

    threading.Thread(target=run, name="sound-open", daemon=True).start()
    return await result
