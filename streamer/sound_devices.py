"""Microphones and loudspeakers of this machine, through sounddevice (PortAudio).

PortAudio calls back on a thread of its own. What it brings waits in bounded queues; what is too much is dropped.
Streams run at `timeline.RATE`; nearly every system's mixer converts to what the device does.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from streamer.errors import DeviceError
from streamer.local_media import Block
from streamer.playout import AUDIO_BLOCK, AUDIO_PTIME_MS
from streamer.timeline import CHANNELS, RATE, Samples

PACKAGE = "sounddevice"
INPUT, OUTPUT = "input", "output"
WAITING = 25  # blocks of a microphone: half a second; the newest is dropped
SILENT_S = 2.0  # a device that calls back no more is gone: some systems tell nothing else
RESERVE = 2  # blocks a loudspeaker has in hand
MOST_RESERVE = 6  # more means that its clock is the slower one: back to RESERVE
RETRY_S = 1.0
NAME_WORDS = {INPUT: "microphone", OUTPUT: "sound device"}


@dataclass(frozen=True)
class SoundDevice:
    """One device as PortAudio lists it; how many channels it takes in and gives out."""

    number: int
    name: str
    host: str  # the system's interface it is reached through; a device may be there once for each
    inputs: int
    outputs: int

    def channels(self, kind: str) -> int:
        """Of INPUT or OUTPUT."""
        return self.inputs if kind == INPUT else self.outputs


def choose(devices: Sequence[SoundDevice], kind: str, wanted: str | None, default: int = -1) -> SoundDevice:
    """The device with this number or name; a part of a name does when it belongs to one name only.

    `default` is the number of the system's own, taken when none is wanted (-1: there is none; then the first).

    Raises:
        DeviceError: there is none; the message lists those there are.
    """
    able = [device for device in devices if device.channels(kind) > 0]
    what = NAME_WORDS[kind]
    if not able:
        raise DeviceError(f"no {what} on this machine; plug one in, and see `avatar mic --list-devices`")
    if wanted is None:
        return next((device for device in able if device.number == default), able[0])
    if wanted.isdecimal():
        matches = [device for device in able if device.number == int(wanted)]
    else:
        low = wanted.casefold()
        matches = [device for device in able if device.name.casefold() == low]
        matches = matches or [device for device in able if low in device.name.casefold()]
    if len({device.name for device in matches}) == 1:
        return matches[0]
    found = "several are called" if matches else "none is called"
    there = "; ".join(f"{device.number} {device.name}" for device in matches or able)
    raise DeviceError(f"{what} {wanted[:60]!r}: {found} so; there are {there}")


def listing(devices: Sequence[SoundDevice]) -> str:
    """One line a device, for people."""
    if not devices:
        return "no sound devices"
    return "\n".join(
        f"{device.number:3d}  {'in ' if device.inputs else '   '} {'out' if device.outputs else '   '}  "
        f"{device.name} ({device.host})"
        for device in devices
    )


class PortAudio:
    """The library, which knows only the devices that were there when it was initialised."""

    def __init__(self, sounddevice: Any) -> None:
        self._sd = sounddevice
        self._streams: list[Any] = []
        self._lock = threading.Lock()

    def devices(self) -> list[SoundDevice]:
        """All there are."""
        hosts = [str(host["name"]) for host in self._sd.query_hostapis()]
        return [
            SoundDevice(
                number,
                str(found["name"]),
                hosts[found["hostapi"]],
                int(found["max_input_channels"]),
                int(found["max_output_channels"]),
            )
            for number, found in enumerate(self._sd.query_devices())
        ]

    def find(self, kind: str, wanted: str | None) -> SoundDevice:
        """Raises DeviceError as `choose`."""
        return choose(self.devices(), kind, wanted, int(self._sd.default.device[0 if kind == INPUT else 1]))

    def open(self, kind: str, device: SoundDevice, callback: Callable[..., None], ended: Callable[[], None]) -> Any:
        """A running stream of int16 in blocks of AUDIO_BLOCK. Raises DeviceError."""
        make = self._sd.InputStream if kind == INPUT else self._sd.OutputStream
        with self._lock:
            try:
                stream = make(
                    samplerate=RATE,
                    blocksize=AUDIO_BLOCK,
                    device=device.number,
                    channels=min(CHANNELS, device.channels(kind)),
                    dtype="int16",
                    callback=callback,
                    finished_callback=ended,
                )
                stream.start()
            except (self._sd.PortAudioError, ValueError) as error:
                raise DeviceError(f"{NAME_WORDS[kind]} {device.name} cannot be opened ({_first_line(error)})") from None
            self._streams.append(stream)
        return stream

    def close(self, stream: Any) -> None:
        """Let a stream go; one that is gone already, too."""
        with self._lock:
            if stream in self._streams:
                self._streams.remove(stream)
                with contextlib.suppress(self._sd.PortAudioError):
                    stream.close()

    def look_again(self) -> None:
        """See devices that came since. All streams end by it, and their owners open them anew."""
        with self._lock:
            for stream in self._streams:
                with contextlib.suppress(self._sd.PortAudioError):
                    stream.close()
            self._streams.clear()
            self._sd._terminate()  # the one way there is (python-sounddevice issue 125)
            self._sd._initialize()


@cache
def port_audio() -> PortAudio:
    """Raises DeviceError when the package or its library is missing."""
    try:
        import sounddevice
    except ImportError:
        raise DeviceError(
            f"microphones and loudspeakers need the package {PACKAGE}, which is not installed: "
            f"`{sys.executable} -m pip install {PACKAGE}`"
        ) from None
    except OSError:  # the wheel holds PortAudio for Windows and macOS only
        raise DeviceError(
            "the PortAudio library is not installed (Debian, Ubuntu: `sudo apt install libportaudio2`)"
        ) from None
    return PortAudio(sounddevice)


class Microphone:
    """A `SoundSource`. Each `blocks` looks for the device anew, so one that was plugged in again is found."""

    def __init__(self, audio: PortAudio, wanted: str | None = None) -> None:
        """Raises DeviceError when there is no such microphone."""
        self._audio = audio
        self._wanted = wanted
        self.dropped = 0  # blocks that nobody took in time
        self._opened = False
        self.name = audio.find(INPUT, wanted).name

    async def blocks(self) -> AsyncIterator[Block]:
        """Blocks until the device is gone, which raises DeviceError."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[Samples | None] = asyncio.Queue()

        def take(samples: Samples | None) -> None:
            if samples is not None and waiting.qsize() >= WAITING:
                self.dropped += 1
            else:
                waiting.put_nowait(samples)

        def heard(data: Samples, *_: object) -> None:
            _on(loop, take, np.repeat(data, CHANNELS, axis=1) if data.shape[1] == 1 else data.copy())

        stream = await asyncio.to_thread(self._open, heard, lambda: _on(loop, take, None))
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

    def _open(self, heard: Callable[..., None], ended: Callable[[], None]) -> Any:
        if self._opened:
            self._audio.look_again()
        # By name when it is to be found again: its number may be another then.
        device = self._audio.find(INPUT, self.name if self._opened else self._wanted)
        self._opened = True
        return self._audio.open(INPUT, device, heard, ended)


class Loudspeaker:
    """A `SoundSink` and a context manager: a device that other programs hear, or people."""

    def __init__(self, audio: PortAudio, wanted: str | None = None) -> None:
        """Raises DeviceError when there is no such device or it cannot be opened."""
        self._audio = audio
        self._waiting: deque[Samples] = deque()
        self._flowing = False
        self.dropped = 0  # blocks: its clock is slower than ours
        self.missed = 0  # times it ran dry
        self.name = audio.find(OUTPUT, wanted).name
        self._tried = time.monotonic()
        self._stream = self._open(wanted)
        self.lead_s = float(self._stream.latency) + RESERVE * AUDIO_PTIME_MS / 1000

    def play(self, block: int, samples: Samples) -> None:
        """Hand over a packet; raises DeviceError while the device is gone, and looks for it again by itself."""
        if not self._stream.active:
            if time.monotonic() - self._tried >= RETRY_S:
                self._tried = time.monotonic()
                threading.Thread(target=self._open_again, name="loudspeaker", daemon=True).start()
            raise DeviceError(f"sound device {self.name} is gone")
        self._waiting.append(samples)
        if len(self._waiting) > MOST_RESERVE:
            while len(self._waiting) > RESERVE:
                self._waiting.popleft()
                self.dropped += 1

    def close(self) -> None:
        """Let the device go."""
        self._audio.close(self._stream)

    def __enter__(self) -> Loudspeaker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, wanted: str | None) -> Any:
        device = self._audio.find(OUTPUT, wanted)
        self._waiting.clear()
        return self._audio.open(OUTPUT, device, self._fill, lambda: None)

    def _open_again(self) -> None:
        with contextlib.suppress(DeviceError):  # tried again in a second
            self._audio.close(self._stream)
            self._stream = self._open(self.name)

    def _fill(self, out: Samples, *_: object) -> None:
        """PortAudio's thread: the next block, or silence until there is a reserve again."""
        self._flowing = len(self._waiting) >= (1 if self._flowing else RESERVE)
        if self._flowing:
            out[:] = self._waiting.popleft()[:, : out.shape[1]]
        else:
            self.missed += 1
            out[:] = 0


def _on(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *values: object) -> None:
    """Call on the event loop from another thread; nothing when the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *values)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
