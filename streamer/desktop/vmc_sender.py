"""Sends a face to VRM programs by the VMC protocol (https://protocol.vmc.info/): OSC 1.0 in UDP packets.

Bone rotations use the protocol's frame, which is Unity's: left-handed, y up, z in the direction the person looks.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from streamer.core.errors import ConfigError, DeviceError
from streamer.core.frames import ByteArray
from streamer.core.rates import FPS
from streamer.core.units.numbers import unpacked
from streamer.session.numbers import NumberNames

Message = tuple[str, tuple[str | int | float, ...]]
SHARES = {"Neck": 0.4, "Head": 0.6}  # of the head's rotation
MOST_BYTES = 1_200  # of a bundle: a UDP packet that no network fragments


def quaternion(pitch: float, yaw: float, roll: float) -> tuple[float, float, float, float]:
    """Return x, y, z, w of a rotation, applied in Unity's order z, x, y.

    pitch, yaw, roll: degrees down, to the person's left, to their left shoulder.

    In a left-handed frame with z forward, a positive rotation about x lowers the head, about y turns it to the person's
    right, and about z tilts it to the left shoulder.
    """
    x, y, z = (math.radians(angle) / 2 for angle in (pitch, -yaw, roll))
    sx, sy, sz, cx, cy, cz = math.sin(x), math.sin(y), math.sin(z), math.cos(x), math.cos(y), math.cos(z)
    return (
        sx * cy * cz + cx * sy * sz,
        cx * sy * cz - sx * cy * sz,
        cx * cy * sz - sx * sy * cz,
        cx * cy * cz + sx * sy * sz,
    )


class VmcSender:
    """A `PictureSink` for packed numbers; it sends each frame as a few bundles to one address."""

    def __init__(self, host: str, port: int, names: NumberNames) -> None:
        """Raises ConfigError: the address cannot be resolved, or python-osc is missing."""
        try:
            from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
            from pythonosc.osc_message_builder import OscMessageBuilder
        except ImportError:
            raise ConfigError("--vmc needs the package python-osc: pip install 'avatar-streamer[vmc]'") from None
        self._bundle: Callable[[], Any] = lambda: OscBundleBuilder(IMMEDIATELY)
        self._message: Callable[..., Any] = OscMessageBuilder
        self._names = names
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        except OSError as error:
            raise ConfigError(f"--vmc {host}:{port}: {error.strerror or error}") from None
        self._address: Any = address
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)

    def __enter__(self) -> VmcSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def show(self, frame: int, rgb: ByteArray) -> None:
        """Send the numbers of a frame. Raises DeviceError: the address cannot be reached."""
        values = [float(value) for value in unpacked(rgb)]
        units = len(self._names.expression)
        blends = zip(self._names.expression, values[:units], strict=True)
        head = dict(zip(self._names.head, values[units:], strict=True))
        messages: list[Message] = [("/VMC/Ext/OK", (1,)), ("/VMC/Ext/T", (frame / FPS,))]
        for bone, share in SHARES.items():
            turn = quaternion(share * head["pitch"], share * head["yaw"], share * head["roll"])
            messages.append(("/VMC/Ext/Bone/Pos", (bone, 0.0, 0.0, 0.0, *turn)))
        messages += [("/VMC/Ext/Blend/Val", (name, min(1.0, max(0.0, value)))) for name, value in blends]
        messages.append(("/VMC/Ext/Blend/Apply", ()))
        try:
            self._send(messages)
        except BlockingIOError:
            pass  # the send buffer is full: skip this frame, the next follows soon
        except OSError as error:
            raise DeviceError(f"no way to {self._address[0]}: {error.strerror or error}") from None

    def _send(self, messages: Sequence[Message]) -> None:
        """Send the messages in order, in as few packets as possible."""
        bundle, size = self._bundle(), 16
        for address, values in messages:
            builder = self._message(address=address)
            for value in values:
                builder.add_arg(value)
            message = builder.build()
            if size + message.size + 4 > MOST_BYTES:
                self._socket.sendto(bundle.build().dgram, self._address)
                bundle, size = self._bundle(), 16
            bundle.add_content(message)
            size += message.size + 4
        self._socket.sendto(bundle.build().dgram, self._address)
