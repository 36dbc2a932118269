"""Microphones and loudspeakers: which one is meant, and what happens when it goes.

PortAudio is a system library that tests cannot count on. `Library` is the part of sounddevice that is used, with
devices that can be plugged in and out.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from streamer.audio.format import AUDIO_BLOCK
from streamer.cli.main import main
from streamer.core.errors import DeviceError
from streamer.devices import port_audio as port_audio_module
from streamer.devices import sound
from streamer.devices.port_audio import INPUT, OUTPUT, PortAudio, SoundDevice, choose, listing, port_audio
from streamer.devices.sound import MOST_RESERVE, RESERVE, Loudspeaker, Microphone
from tests.waiting import until

DEVICES = [
    SoundDevice(0, "Built-in Microphone", "MME", 2, 0),
    SoundDevice(1, "Built-in Speakers", "MME", 0, 2),
    SoundDevice(2, "USB Headset", "MME", 1, 2),
    SoundDevice(3, "USB Headset", "WASAPI", 1, 2),
    SoundDevice(4, "USB Camera", "WASAPI", 1, 0),
]


@pytest.mark.parametrize(
    ("kind", "wanted", "number"),
    [
        (INPUT, "2", 2),
        (INPUT, "built", 0),
        (OUTPUT, "BUILT-IN", 1),
        (INPUT, "usb headset", 2),  # there twice, through two interfaces: the first
        (INPUT, "cam", 4),
        (INPUT, None, 4),
        (OUTPUT, None, 1),  # the default is no output: the first that is
    ],
)
def test_a_device_is_meant_by_number_or_name(kind: str, wanted: str | None, number: int) -> None:
    assert choose(DEVICES, kind, wanted, default=4).number == number


@pytest.mark.parametrize(
    ("devices", "kind", "wanted", "message"),
    [
        (DEVICES, INPUT, "nobody", "microphone 'nobody': none is called so; there are 0 Built-in Microphone; 2 USB"),
        (DEVICES, INPUT, "usb", "microphone 'usb': several are called so; there are 2 USB Headset; 3 .*; 4 USB Camera"),
        (DEVICES, INPUT, "1", "microphone '1': none is called so"),
        (DEVICES, OUTPUT, "9", "sound device '9': none .* 1 Built-in Speakers; 2 USB Headset; 3 USB Headset$"),
        (DEVICES[1:2], INPUT, None, "no microphone on this machine"),
        ([], OUTPUT, None, "no sound device on this machine"),
    ],
)
def test_an_unknown_device_is_refused_with_a_list_of_devices(
    devices: list[SoundDevice], kind: str, wanted: str | None, message: str
) -> None:
    with pytest.raises(DeviceError, match=message):
        choose(devices, kind, wanted)


def test_the_list_says_which_way_sound_goes() -> None:
    lines = listing(DEVICES).splitlines()
    assert lines[0] == "  0  in       Built-in Microphone (MME)"
    assert lines[1] == "  1      out  Built-in Speakers (MME)"
    assert lines[2] == "  2  in  out  USB Headset (MME)"
    assert listing([]) == "no sound devices"


class Stream:
    """A running stream of the library."""

    latency = 0.03

    def __init__(self, library: Library, device: int, channels: int, callback: Callable[..., None], ended: Any) -> None:
        self.active = False
        self.device, self.channels, self.callback = device, channels, callback
        self._library, self._ended = library, ended

    def start(self) -> None:
        self.active = True
        self._library.streams.append(self)

    def close(self) -> None:
        self._library.lets_go.wait(20)
        if self.active:
            self.active = False
            self._library.streams.remove(self)
            self._ended()


class Library:
    """sounddevice, as far as it is used."""

    class PortAudioError(Exception):
        pass

    class default:  # noqa: N801 - its name there
        device = (0, 1)

    def __init__(self) -> None:
        self.plugged = [("Desk Mic", 1, 0), ("Speakers", 0, 2)]
        self.streams: list[Stream] = []
        self.lets_go = threading.Event()
        self.lets_go.set()
        self._known = list(self.plugged)
        self.rates = range(8_000, 192_001)  # that its devices run at
        self.own_rate = 48_000

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [{"name": "ALSA"}]

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "hostapi": 0,
                "max_input_channels": inputs,
                "max_output_channels": outputs,
                "default_samplerate": float(self.own_rate),
            }
            for name, inputs, outputs in self._known
        ]

    def _check_rate(self, rate: int) -> None:
        if rate not in self.rates:
            raise self.PortAudioError("Error opening stream: Invalid sample rate [PaErrorCode -9997]")

    def check_input_settings(self, *, samplerate: int, device: int, channels: int, dtype: str) -> None:
        self._check_rate(samplerate)
        if self._known[device] not in self.plugged:
            raise self.PortAudioError("Device unavailable [PaErrorCode -9985]")

    def _open(self, *, samplerate: int, blocksize: int, device: int, channels: int, dtype: str, **calls: Any) -> Stream:
        self._check_rate(samplerate)
        assert (blocksize, dtype) == (samplerate // 50, "int16")
        if self._known[device] not in self.plugged:
            raise self.PortAudioError("Device unavailable [PaErrorCode -9985]")
        return Stream(self, device, channels, calls["callback"], calls["finished_callback"])

    InputStream = OutputStream = _open

    def wait_until_closed(self) -> None:
        deadline = time.monotonic() + 60
        while self.streams:
            assert time.monotonic() < deadline, "still open"
            time.sleep(0.005)

    def _terminate(self) -> None:
        assert self.streams == []  # else they dangle

    def _initialize(self) -> None:
        self._known = list(self.plugged)


@pytest.fixture
def library() -> Library:
    return Library()


async def _opened(library: Library) -> Stream:
    async with asyncio.timeout(60):
        while not library.streams:  # noqa: ASYNC110 - the library tells nobody
            await asyncio.sleep(0.005)
    return library.streams[0]


def _heard(value: int, channels: int = 1) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.full((AUDIO_BLOCK, channels), value, np.int16)


async def test_a_mono_microphone_gives_stereo_blocks_in_order(library: Library) -> None:
    microphone = Microphone(PortAudio(library))
    assert microphone.name == "Desk Mic"
    blocks = microphone.blocks()
    first = asyncio.ensure_future(anext(blocks))
    stream = await _opened(library)
    for value in (1, 2, 3):
        await asyncio.to_thread(stream.callback, _heard(value), AUDIO_BLOCK, None, None)
    got = [await first, await anext(blocks), await anext(blocks)]
    assert [(block.pts, block.samples.shape, int(block.samples[0, 1])) for block in got] == [
        (0, (AUDIO_BLOCK, 2), 1),
        (AUDIO_BLOCK, (AUDIO_BLOCK, 2), 2),
        (2 * AUDIO_BLOCK, (AUDIO_BLOCK, 2), 3),
    ]


async def test_untaken_sound_is_dropped_and_counted(library: Library) -> None:
    microphone = Microphone(PortAudio(library))
    first = asyncio.ensure_future(anext(microphone.blocks()))
    stream = await _opened(library)
    for value in range(40):
        stream.callback(_heard(value), AUDIO_BLOCK, None, None)
    await first
    assert 10 <= microphone.dropped <= 20


async def test_an_unplugged_microphone_is_reported_and_found_again_under_another_number(library: Library) -> None:
    microphone = Microphone(PortAudio(library), "desk")
    blocks = microphone.blocks()
    first = asyncio.ensure_future(anext(blocks))
    (await _opened(library)).callback(_heard(1), AUDIO_BLOCK, None, None)
    await first
    library.plugged = library.plugged[1:]
    library.streams[0].close()
    with pytest.raises(DeviceError, match="microphone Desk Mic is gone"):
        await anext(blocks)
    with pytest.raises(DeviceError, match="no microphone on this machine"):
        await anext(microphone.blocks())
    library.plugged.append(("Desk Mic", 1, 0))
    again = asyncio.ensure_future(anext(microphone.blocks()))
    stream = await _opened(library)
    stream.callback(_heard(7), AUDIO_BLOCK, None, None)
    block = await again
    assert (stream.device, block.pts, int(block.samples[0, 0])) == (1, 0, 7)


def test_a_device_that_cannot_be_opened_is_refused_before_anything_is_loaded(library: Library) -> None:
    library.plugged = []
    with pytest.raises(DeviceError, match=r"microphone Desk Mic cannot be opened \(Device unavailable"):
        Microphone(PortAudio(library))
    with pytest.raises(DeviceError, match=r"sound device Speakers cannot be opened \(Device unavailable"):
        Loudspeaker(PortAudio(library))


async def test_a_microphone_that_says_nothing_any_more_is_gone(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some systems do not tell that a device was unplugged: it calls back no more."""
    monkeypatch.setattr(sound, "SILENT_S", 0.05)
    with pytest.raises(DeviceError, match="microphone Desk Mic is gone"):
        await anext(Microphone(PortAudio(library)).blocks())
    library.wait_until_closed()


async def test_a_driver_that_never_lets_go_is_reported_and_delays_no_other(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with JACK when its server ends: closing the stream does not return."""
    monkeypatch.setattr(sound, "SILENT_S", 0.05)
    monkeypatch.setattr(port_audio_module, "CLOSE_S", 0.05)
    library.lets_go.clear()
    microphone = Microphone(PortAudio(library))
    with pytest.raises(DeviceError, match="microphone Desk Mic is gone"):
        await anext(microphone.blocks())
    with pytest.raises(DeviceError, match="does not let go of a device that is gone; start avatar again"):
        await anext(microphone.blocks())
    library.lets_go.set()
    library.wait_until_closed()


def _pull(speaker_stream: Stream) -> int:
    out = np.full((AUDIO_BLOCK, speaker_stream.channels), -1, np.int16)
    speaker_stream.callback(out, AUDIO_BLOCK, None, None)
    assert (out == out[0, 0]).all()
    return int(out[0, 0])


def test_a_loudspeaker_plays_in_order_behind_a_reserve(library: Library) -> None:
    with Loudspeaker(PortAudio(library)) as speaker:
        (stream,) = library.streams
        assert speaker.lead_s == pytest.approx(0.03 + RESERVE * 0.020)
        played = [_pull(stream)]
        for value in (1, 2, 3):
            speaker.play(value, _heard(value, 2))
            played.append(_pull(stream))
        played += [_pull(stream), _pull(stream)]
        assert played == [0, 0, 1, 2, 3, 0]
        for value in range(10, 10 + MOST_RESERVE + 1):  # its clock is slow: the oldest goes
            speaker.play(value, _heard(value, 2))
        assert [_pull(stream) for _ in range(RESERVE)] == [15, 16]
        assert speaker.dropped == MOST_RESERVE + 1 - RESERVE
    library.wait_until_closed()


def test_a_loudspeaker_with_a_slow_clock_stays_in_time(library: Library) -> None:
    """It asks for a block less every ten seconds; lips would be behind by ever more of the reserve."""
    with Loudspeaker(PortAudio(library)) as speaker:
        (stream,) = library.streams
        behind = []
        for block in range(5000):
            speaker.play(block, _heard(block, 2))
            if block % 500:
                behind.append(block - _pull(stream))
        assert max(behind[2:]) <= RESERVE
        assert min(behind[2:]) >= 0
        assert speaker.dropped == pytest.approx(10, abs=1)
        assert speaker.missed <= 1


def test_a_lost_loudspeaker_is_reported_and_reopened_after_a_second(library: Library) -> None:
    now = [0.0]
    with Loudspeaker(PortAudio(library), "Speakers", lambda: now[0]) as speaker:
        library.streams[0].close()
        for now[0] in (0.0, 0.5, sound.RETRY_S - 0.1):
            with pytest.raises(DeviceError, match="sound device Speakers is gone"):
                speaker.play(0, _heard(1, 2))
        assert not library.streams  # not looked for yet
        now[0] = sound.RETRY_S
        until(lambda: _plays(speaker))


def test_a_loudspeaker_that_asks_for_nothing_any_more_is_gone(library: Library) -> None:
    now = [0.0]
    with Loudspeaker(PortAudio(library), "Speakers", lambda: now[0]) as speaker:
        now[0] = sound.SILENT_S - 0.1
        speaker.play(0, _heard(1, 2))
        now[0] = sound.SILENT_S + 0.1
        with pytest.raises(DeviceError, match="sound device Speakers is gone"):
            speaker.play(1, _heard(1, 2))


def _plays(speaker: Loudspeaker) -> bool:
    try:
        speaker.play(1, _heard(1, 2))
    except DeviceError:
        return False
    return True


def test_a_missing_package_or_library_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port_audio.cache_clear()
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    for command in ("mic", "camera"):
        assert main([command, "--list-devices"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "need the package sounddevice, which is not installed" in line
        assert "-m pip install sounddevice" in line


def test_the_listing_is_what_the_library_has(library: Library) -> None:
    devices = PortAudio(library).devices()
    assert [(device.name, device.inputs, device.outputs) for device in devices] == library.plugged


def _pitch(samples: np.ndarray[Any, np.dtype[np.int16]], rate: int) -> float:
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax()) * rate / len(samples)


def _tone(rate: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.asarray(9000 * np.sin(2 * np.pi * 400 * np.arange(rate) / rate), np.int16)


@pytest.mark.parametrize("rate", [44_100, 32_000, 96_000])
async def test_a_microphone_of_another_rate_only_is_converted(library: Library, rate: int) -> None:
    library.rates, library.own_rate = range(rate, rate + 1), rate
    microphone = Microphone(PortAudio(library))
    blocks = microphone.blocks()
    first = asyncio.ensure_future(anext(blocks))
    stream = await _opened(library)
    for block in _tone(rate).reshape(50, -1):
        stream.callback(block[:, None], len(block), None, None)
        await asyncio.sleep(0)
    got = [await first]
    async with asyncio.timeout(60):
        while len(got) < 20:
            got.append(await anext(blocks))
    sound_heard = np.concatenate([block.samples for block in got])
    assert {block.samples.shape for block in got} == {(AUDIO_BLOCK, 2)}
    assert _pitch(sound_heard[:, 0], 48_000) == pytest.approx(400, abs=3)


def test_a_loudspeaker_of_another_rate_only_is_converted(library: Library) -> None:
    library.rates, library.own_rate = range(44_100, 44_101), 44_100
    with Loudspeaker(PortAudio(library), "1") as speaker:
        (stream,) = library.streams
        played = []
        for count, block in enumerate(_tone(48_000).reshape(50, -1)):
            speaker.play(count, np.repeat(block[:, None], 2, axis=1))
            out = np.zeros((882, 2), np.int16)
            stream.callback(out, 882, None, None)
            played.append(out)
        assert _pitch(np.concatenate(played)[8000:36_000, 1], 44_100) == pytest.approx(400, abs=3)
    library.wait_until_closed()


def test_a_device_that_takes_no_rate_at_all_says_the_way_out(library: Library) -> None:
    library.rates, library.own_rate = range(0), 44_100
    with pytest.raises(DeviceError, match="neither 48000 nor 44100 Hz: choose another"):
        Microphone(PortAudio(library))
