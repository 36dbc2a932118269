"""The kinds of video file that `avatar render` writes, by the end of the name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamer.background import refuse_transparent
from streamer.errors import ConfigError


@dataclass(frozen=True)
class VideoFormat:
    """Codecs and pixel formats as FFmpeg calls them; `clear` is the pixel format with transparency, where it has one.

    container: options of the whole file; quality: of the video's codec.
    """

    name: str
    video: str
    pixels: str
    sound: str
    clear: str | None = None
    container: Mapping[str, str] = field(default_factory=dict)
    quality: Mapping[str, str] = field(default_factory=dict)


FORMATS = {
    ".mp4": VideoFormat("an MP4 file", "libx264", "yuv420p", "aac", None, {"movflags": "+faststart"}, {"crf": "18"}),
    # Alpha is a second VP9 stream; frames that are hidden (auto-alt-ref) have none.
    ".webm": VideoFormat(
        "a WebM file",
        "libvpx-vp9",
        "yuv420p",
        "libopus",
        "yuva420p",
        quality={"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "auto-alt-ref": "0"},
    ),
    ".mov": VideoFormat("a QuickTime file", "prores_ks", "yuv444p10le", "pcm_s16le", "yuva444p10le"),
}


def format_of(path: Path) -> VideoFormat:
    """The kind of file that the name asks for. Raises ConfigError."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise ConfigError(f"{path}: no video is written under such a name; expected it to end in {', '.join(FORMATS)}")
    return found


def check(path: Path, background: str | None) -> None:
    """Whether such a file can show the background. Raises ConfigError."""
    if (found := format_of(path)).clear is None:
        refuse_transparent(background, found.name)
