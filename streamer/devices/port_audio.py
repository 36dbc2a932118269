"""PortAudio through sounddevice: the list of devices, and streams that cannot block the program.

Closing a stream may never return after its device was unplugged (seen with JACK when its server ends). So separate
daemon threads close the streams.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from engines.errors import first_line
from streamer.audio.format import CHANNELS, RATE
from streamer.core.errors import DeviceError
from streamer.devices.rate_bridge import device_block, filled_at, heard_at

PACKAGE = "sounddevice"
INPUT, OUTPUT = "input", "output"
NAME_WORDS = {INPUT: "microphone", OUTPUT: "sound device"}
WASAPI = "Windows WASAPI"
CLOSE_S = 1.0  # time limit for a driver to release a device


@dataclass(frozen=True)
class SoundDevice:
    """One device as PortAudio lists it. inputs, outputs: numbers of channels."""

    number: int
    name: str
    host: str  # name of PortAudio's host API; a device may be listed once per host API
    inputs: int
    outputs: int
    rate: int = RATE  # the device's default rate

    def channels(self, kind: str) -> int:
        """Return the number of channels of INPUT or OUTPUT."""
        return self.inputs if kind == INPUT else self.outputs


def choose(devices: Sequence[SoundDevice], kind: str, wanted: str | None, default: int = -1) -> SoundDevice:
    """Return the device with this number or name; part of a name is enough if it matches one name only.

    default: number of the system's default device, used if `wanted` is None; -1: no default, the first device is used.

    Raises:
        DeviceError: no device matches; the message lists the candidates.
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
    """Return a table of the devices, one per line."""
    if not devices:
        return "no sound devices"
    return "\n".join(
        f"{device.number:3d}  {'in ' if device.inputs else '   '} {'out' if device.outputs else '   '}  "
        f"{device.name} ({device.host})"
        for device in devices
    )


class OpenStream:
    """A running stream; `alive` until its device is gone or it is closed."""

    def __init__(self) -> None:
        self.alive = True
        self.latency_s = 0.0  # of the device, as PortAudio reports it
        self.inner: Any = None


class PortAudio:
    """The PortAudio library. It knows only the devices that were present when it was initialised."""

    def __init__(self, sounddevice: Any) -> None:
        self._sd = sounddevice
        self._streams: set[OpenStream] = set()
        self._closing: set[threading.Thread] = set()
        self._lock = threading.Lock()  # guards the two sets; never held while the library is called

    def devices(self) -> list[SoundDevice]:
        """List all devices."""
        hosts = [str(host["name"]) for host in self._sd.query_hostapis()]
        return [
            SoundDevice(
                number,
                str(found["name"]),
                hosts[found["hostapi"]],
                int(found["max_input_channels"]),
                int(found["max_output_channels"]),
                round(float(found.get("default_samplerate") or RATE)),
            )
            for number, found in enumerate(self._sd.query_devices())
        ]

    def find(self, kind: str, wanted: str | None) -> SoundDevice:
        """Find a device as `choose` does. Raises DeviceError."""
        return choose(self.devices(), kind, wanted, int(self._sd.default.device[0 if kind == INPUT else 1]))

    def check_input(self, device: SoundDevice) -> None:
        """Check that `open` can open the microphone. Raises DeviceError."""
        self._at_some_rate(
            INPUT, device, lambda rate: self._sd.check_input_settings(**self._settings(INPUT, device, rate))
        )

    def open(
        self, kind: str, device: SoundDevice, callback: Callable[..., None], ended: Callable[[], None]
    ) -> OpenStream:
        """Start a stream of int16 in blocks of AUDIO_BLOCK at RATE; resample if the device does not support RATE.

        `ended` is called when the stream ends. Raises DeviceError.
        """
        make = self._sd.InputStream if kind == INPUT else self._sd.OutputStream
        stream = OpenStream()

        def finished() -> None:
            stream.alive = False
            ended()

        def start(rate: int) -> None:
            settings = self._settings(kind, device, rate)
            bridge = heard_at if kind == INPUT else filled_at
            called = callback if rate == RATE else bridge(rate, settings["channels"], callback)
            stream.inner = make(**settings, blocksize=device_block(rate), callback=called, finished_callback=finished)
            stream.inner.start()
            stream.latency_s = float(stream.inner.latency)

        self._at_some_rate(kind, device, start)
        with self._lock:
            self._streams.add(stream)
        return stream

    def close(self, stream: OpenStream) -> None:
        """Close a stream without waiting for it."""
        with self._lock:
            if stream not in self._streams:
                return
            self._streams.remove(stream)
            stream.alive = False
            thread = threading.Thread(target=self._close, args=(stream,), name="sound-close", daemon=True)
            self._closing.add(thread)
            thread.start()

    def look_again(self) -> None:
        """Reinitialise the library to find new devices. Ends all streams; their owners must reopen them.

        Waits up to CLOSE_S for each stream.

        Raises:
            DeviceError: the driver does not release a device.
        """
        for stream in list(self._streams):
            self.close(stream)
        if not self._all_closed():
            raise DeviceError("the sound driver does not let go of a device that is gone; start avatar again")
        self._sd._terminate()  # the only way (python-sounddevice issue 125)
        self._sd._initialize()

    def end(self) -> None:
        """End the library at program exit; skip its exit handler if a stream hangs."""
        if not self._all_closed():
            atexit.unregister(self._sd._exit_handler)

    def _at_some_rate(self, kind: str, device: SoundDevice, attempt: Callable[[int], None]) -> None:
        """Call `attempt` with RATE, then with the device's default rate. Raises DeviceError."""
        with self._told(kind, device):
            try:
                attempt(RATE)
            except self._sd.PortAudioError as error:
                if device.rate == RATE or "sample rate" not in str(error).lower():
                    raise
                attempt(device.rate)

    def _settings(self, kind: str, device: SoundDevice, rate: int) -> dict[str, Any]:
        channels = min(CHANNELS, device.channels(kind))
        settings = {"device": device.number, "channels": channels, "samplerate": rate, "dtype": "int16"}
        if device.host == WASAPI:  # WASAPI converts rates only on request
            settings["extra_settings"] = self._sd.WasapiSettings(auto_convert=True)
        return settings

    @contextlib.contextmanager
    def _told(self, kind: str, device: SoundDevice) -> Iterator[None]:
        try:
            yield
        except (self._sd.PortAudioError, ValueError) as error:
            way_out = ""
            if "sample rate" in str(error).lower():
                way_out = (
                    f"; it takes neither {RATE} nor {device.rate} Hz: choose another (--list-devices), such as pulse"
                )
            raise DeviceError(
                f"{NAME_WORDS[kind]} {device.name} cannot be opened ({first_line(error)}){way_out}"
            ) from None

    def _close(self, stream: OpenStream) -> None:
        with contextlib.suppress(self._sd.PortAudioError):
            stream.inner.close()
        with self._lock:
            self._closing.discard(threading.current_thread())

    def _all_closed(self) -> bool:
        for thread in list(self._closing):
            thread.join(CLOSE_S)
        return not any(thread.is_alive() for thread in list(self._closing))


@cache
def port_audio() -> PortAudio:
    """Load the library, once. Raises DeviceError if the package or its library is missing."""
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
    audio = PortAudio(sounddevice)
    atexit.register(audio.end)  # runs before sounddevice's exit handler
    return audio
