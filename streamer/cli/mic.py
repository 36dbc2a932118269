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
    port,
    record_options,
)

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
    add_avatar(parser)
    add_family(parser)
    add_badge(parser)
    add_face_options(parser, live=True)
    add_record(parser)


def run(args: argparse.Namespace) -> int:
    """Try the avatar with your own microphone (or a file): the face on a page of this machine, your level in the
    terminal. The key m mutes, q or Ctrl-C ends. A microphone that was unplugged is used again when it is plugged in.

    Microphones need the package sounddevice.
    """
    if args.list_devices:
        return sound_arguments.list_devices()
    from streamer.desktop.mic import mic

    face, sound = sound_arguments.local_face(args), sound_arguments.sound(args)
    mic(face, sound, args.port, args.headphones, record_options(args))
    return 0
