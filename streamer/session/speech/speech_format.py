"""Formats of the binary messages of pushed speech: PCM, or one Opus packet each."""

from __future__ import annotations

from dataclasses import dataclass

RATES = (8_000, 48_000)  # Hz, lowest and highest
CHANNEL_COUNTS = (1, 2)
PCM = "s16le"
OPUS = "opus"
SAMPLE_BYTES = 2
LONGEST_PACKET_MS = 120  # RFC 6716, section 3.4, R5
LARGEST_FRAME = 1275  # bytes, R2
_SHOWN = 40  # characters of a value quoted in a refusal

# Frame duration in ms by the first byte's upper five bits (RFC 6716, table 2).
_FRAME_MS = (10.0, 20.0, 40.0, 60.0) * 3 + (10.0, 20.0) * 2 + (2.5, 5.0, 10.0, 20.0) * 4


@dataclass(frozen=True)
class Pcm:
    """Interleaved signed 16-bit little-endian samples."""

    rate: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample across all channels."""
        return self.channels * SAMPLE_BYTES

    def seconds(self, message: bytes) -> float:
        """Return a message's duration. Raises ValueError unless it holds a whole number of samples."""
        if not message or len(message) % self.frame_bytes:
            raise ValueError(
                f"{len(message)} bytes of sound; expected whole samples of {self.frame_bytes} bytes "
                f"({self.channels} x {PCM})"
            )
        return len(message) / (self.rate * self.frame_bytes)


@dataclass(frozen=True)
class Opus:
    """One packet (RFC 6716) per message, as in RTP; the packet itself says whether it is mono or stereo."""

    def seconds(self, message: bytes) -> float:
        """Return a packet's duration, from its header. Raises ValueError if the header is invalid."""
        count = _frames(message)
        milliseconds = _FRAME_MS[message[0] >> 3] * count if message else 0.0
        if not 0 < milliseconds <= LONGEST_PACKET_MS or len(message) > 2 + (LARGEST_FRAME + 2) * count:
            raise ValueError(f"{len(message)} bytes that are not an Opus packet; expected one packet a message, no Ogg")
        return milliseconds / 1000


Format = Pcm | Opus

# First bytes of audio files; PCM speech does not begin with them.
_FILES = {b"ID3": "an MP3 file", b"OggS": "an Ogg file", b"fLaC": "a FLAC file", b"\x1aE\xdf\xa3": "a WebM file"}
_MP3_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # of MPEG 1, layer III
_MP3_KBITS_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # of MPEG 2 and 2.5


def file_kind(start: bytes) -> str | None:
    """Return the kind of audio file that an utterance's first message is, or None if it holds samples."""
    for mark, kind in _FILES.items():
        if start.startswith(mark):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        return "a WAV file, with its header,"
    if start[4:8] == b"ftyp":
        return "an MP4 file"
    length = _mp3_frame(start)
    if length and (_mp3_frame(start[length:]) or len(start) <= length):
        return "an MP3 file"
    if len(start) > 6 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0 and start[2] >> 2 & 15 < 13:  # ADTS
        length = (start[3] & 3) << 11 | start[4] << 3 | start[5] >> 5
        if length > 7 and start[length : length + 1] == b"\xff":
            return "an AAC file"
    return None


def _mp3_frame(start: bytes) -> int:
    """Return the length in bytes of the MP3 frame at `start`, from its header (ISO 11172-3, 2.4.1.3); 0 if none."""
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE6 != 0xE2 or start[1] & 0x18 == 0x08:
        return 0
    version, bits, rate = start[1] >> 3 & 3, start[2] >> 4, start[2] >> 2 & 3
    if not 0 < bits < 15 or rate == 3:
        return 0
    hertz = (44_100, 48_000, 32_000)[rate] // {3: 1, 2: 2, 0: 4}[version]
    kbits = (_MP3_KBITS if version == 3 else _MP3_KBITS_LOW)[bits]
    return (144 if version == 3 else 72) * 1000 * kbits // hertz + (start[2] >> 1 & 1)


def _frames(packet: bytes) -> int:
    """Return the number of frames by a packet's header; 0 if it is malformed (RFC 6716, section 3.2)."""
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


def read_format(encoding: object, rate: object, channels: object) -> Format:
    """Return the format that a `begin` message announces. Raises ValueError."""
    if encoding == OPUS:
        return Opus()
    if encoding != PCM:
        raise ValueError(f"format {str(encoding)[:_SHOWN]!r}, expected {PCM} or {OPUS}")
    if type(rate) is not int or not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"sample_rate {str(rate)[:_SHOWN]}, expected {RATES[0]} to {RATES[1]} Hz")
    if type(channels) is not int or channels not in CHANNEL_COUNTS:
        raise ValueError(f"channels {str(channels)[:_SHOWN]}, expected 1 or 2")
    return Pcm(rate, channels)
