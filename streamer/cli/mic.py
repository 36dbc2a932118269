"""`avatar mic`."""

from __future__ import annotations

import argparse

from streamer.cli import sound_arguments
from streamer.cli.arguments import (
    add_avatar,
    add_badge,
    add_face_options,
    add_family,
    add_record,
    argument,
    port,
    record_options,
)
from streamer.core import readers
from streamer.core.errors import ConfigError

EXAMPLES = ("avatar mic", "avatar mic --input speech.wav --background '#00b140'")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar mic`."""
    sound_arguments.add_sound(parser, "also play the voice, in time with the lips, on this device")
    parser.add_argument(
        "--headphones",
        action="store_true",
        help="the microphone cannot hear the sound device, so do not mute it while the voice plays",
    )
    parser.add_argument("--port", type=port, default=8081, help="of the page with the face (default: 8081)")
    parser.add_argument(
        "--vmc",
        type=argument(read_target),
        metavar="HOST:PORT",
        help="send the face's ARKit units to a VRM program (VMC protocol, usually port 39539); no page then",
    )
    add_avatar(parser)
    add_family(parser)
    add_badge(parser)
    add_face_options(parser, live=True)
    add_record(parser)


def read_target(text: str) -> tuple[str, int]:
    """Read HOST:PORT; the host may be an IPv6 address in brackets."""
    host, _, port_text = text.rpartition(":")
    try:
        return host.strip("[]") or "127.0.0.1", readers.whole(1, 65_535)(port_text)
    except ValueError:
        raise ValueError("an address such as 127.0.0.1:39539") from None


def run(args: argparse.Namespace) -> int:
    """Try the avatar with your own microphone (or a file): a local page shows the face, and the terminal shows your
    level. Press m to mute, q or Ctrl-C to end. A microphone that was unplugged is used again when it is plugged in.

    Microphones need the package sounddevice.
    """
    if args.list_devices:
        return sound_arguments.list_devices()
    from streamer.desktop.mic import mic

    face, sound = sound_arguments.local_face(args), sound_arguments.sound(args)
    if args.vmc is not None:
        if args.record is not None or args.record_video is not None:
            raise ConfigError("--vmc draws no face, and records none; leave out --record and --record-video")
        from streamer.desktop.vmc import drive

        drive(face, sound, *args.vmc)
        return 0
    mic(face, sound, args.port, args.headphones, record_options(args))
    return 0
