"""What the binary messages of pushed speech may hold: PCM, or one Opus packet each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RATES = (8_000, 48_000)  # Hz, lowest and highest
CHANNEL_COUNTS = (1, 2)
PCM = "s16le"
OPUS = "opus"
SAMPLE_BYTES = 2
LONGEST_PACKET_MS = 120  # RFC 6716, section 3.4, R5
LARGEST_FRAME = 1275  # bytes, R2
_SHOWN = 40  # characters of what was found that a refusal repeats

# Milliseconds of a frame by the first byte's upper five bits (RFC 6716, table 2).
_FRAME_MS = (10.0, 20.0, 40.0, 60.0) * 3 + (10.0, 20.0) * 2 + (2.5, 5.0, 10.0, 20.0) * 4


@dataclass(frozen=True)
class Pcm:
    """Interleaved signed 16-bit little-endian samples."""

    rate: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.channels * SAMPLE_BYTES

    def seconds(self, message: bytes) -> float:
        """How long a message sounds. Raises ValueError when it is no whole number of samples."""
        if not message or len(message) % self.frame_bytes:
            raise ValueError(
                f"{len(message)} bytes of sound; expected whole samples of {self.frame_bytes} bytes "
                f"({self.channels} x {PCM})"
            )
        return len(message) / (self.rate * self.frame_bytes)


@dataclass(frozen=True)
class Opus:
    """One packet (RFC 6716) a message, as RTP carries them; whether it is mono or stereo is in the packet."""

    def seconds(self, message: bytes) -> float:
        """How long a packet sounds, by its head. Raises ValueError when that is not one."""
        count = _frames(message)
        milliseconds = _FRAME_MS[message[0] >> 3] * count if message else 0.0
        if not 0 < milliseconds <= LONGEST_PACKET_MS or len(message) > 2 + (LARGEST_FRAME + 2) * count:
            raise ValueError(f"{len(message)} bytes that are not an Opus packet; expected one packet a message, no Ogg")
        return milliseconds / 1000


Format = Pcm | Opus


def _frames(packet: bytes) -> int:
    """How many frames a packet says it holds; 0 where it is broken (RFC 6716, section 3.2)."""
    if not packet:
        return 0
    match packet[0] & 3:
        case 0:
            return 1
        case 1:
            return 2 if len(packet) % 2 else 0
        case 2:
            return 2 if len(packet) > 1 else 0
        case _:
            return packet[1] & 63 if len(packet) > 1 else 0


def read_format(fields: dict[str, Any]) -> Format:
    """What a `begin` announces. Raises ValueError."""
    encoding, rate, channels = fields.get("format", PCM), fields.get("sample_rate"), fields.get("channels", 1)
    if encoding == OPUS:
        return Opus()
    if encoding != PCM:
        raise ValueError(f"format {str(encoding)[:_SHOWN]!r}, expected {PCM} or {OPUS}")
    if type(rate) is not int or not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"sample_rate {str(rate)[:_SHOWN]}, expected {RATES[0]} to {RATES[1]} Hz")
    if type(channels) is not int or channels not in CHANNEL_COUNTS:
        raise ValueError(f"channels {str(channels)[:_SHOWN]}, expected 1 or 2")
    return Pcm(rate, channels)
