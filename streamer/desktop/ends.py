"""Sinks of `avatar camera`: a virtual camera and a sound device, or one muxed output."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from streamer.audio.format import Samples
from streamer.core.console import say
from streamer.core.letterbox import Fit
from streamer.core.rates import FPS
from streamer.devices.virtual_camera import VirtualCamera
from streamer.output.destination import WHIP, Destination
from streamer.output.muxed_output import MuxedOutput
from streamer.session.ends import PictureSink, SoundSink
from streamer.web.listen import is_loopback
from streamer.webrtc.ice import LOOPBACK, Reach, offer_to
from streamer.webrtc.whip_output import WhipOutput


@dataclass(frozen=True)
class CameraChoice:
    """Virtual camera and picture size, or an output instead of the camera."""

    fit: Fit = field(default_factory=lambda: Fit(1280, 720))
    device: str | None = None
    backend: str | None = None
    output: Destination | None = None
    whip_token: str | None = None  # for a WHIP output


@dataclass(frozen=True)
class Ends:
    """Open sinks. Call `begin` with a session's delay in ms before its first picture."""

    pictures: PictureSink
    sound: SoundSink | None
    begin: Callable[[int], None]


class Both:
    """Sends sound to an output and a device. The device needs it early; the output is timed by packet numbers."""

    def __init__(self, output: SoundSink, device: SoundSink) -> None:
        self.lead_s = device.lead_s
        self._output = output
        self._device = device

    def play(self, block: int, samples: Samples) -> None:
        """Send a packet to both. Raises DeviceError while the device is gone; the output still gets the packet."""
        self._output.play(block, samples)
        self._device.play(block, samples)


@contextlib.contextmanager
def open_ends(
    chosen: CameraChoice, device: SoundSink | None, transparent: bool, note: Callable[[str], None]
) -> Iterator[Ends]:
    """Open the chosen sinks and report them; report the result at the end.

    device: sound device, already open. transparent: pictures are RGBA; the output must support alpha.

    Raises:
        DeviceError: no such camera, or no answer from a stream's address.
        MediaError: the file cannot be written.
    """
    size = f"{chosen.fit.width}x{chosen.fit.height} at {FPS} a second"
    if chosen.output is None:
        with VirtualCamera(chosen.fit, chosen.device, chosen.backend) as camera:
            say(f"avatar: camera {camera.name}, {size}")
            yield Ends(camera, device, lambda delay_ms: None)
        if camera.dropped:
            note(f"{camera.dropped} pictures were too much for the camera's driver")
        return
    if chosen.output.container == WHIP:
        if is_loopback(urlsplit(chosen.output.url).hostname or ""):
            offer_to(Reach(tuple(LOOPBACK), own=True, closed=False))
        with WhipOutput(chosen.output.url, chosen.output.name, chosen.whip_token, chosen.fit) as whip:
            say(f"avatar: output {whip.name}, {size}")
            yield Ends(whip, Both(whip, device) if device is not None else whip, whip.begin)
        if whip.dropped:
            note(
                f"{whip.dropped} pictures and packets of sound were too much for {whip.name}, or came while it was gone"
            )
        return
    with MuxedOutput(chosen.output, chosen.fit, transparent) as output:
        say(f"avatar: output {output.name}, {size}")
        yield Ends(output, Both(output, device) if device is not None else output, output.begin)
    if output.stats.dropped:
        note(f"{output.stats.dropped} pictures were too much for {output.name}, or came while it was gone")
    if chosen.output.path is not None:
        written = f"{output.seconds:.1f} s written" if output.seconds else "no file, it ended before the first picture"
        say(f"avatar: {output.name}: {written}")
