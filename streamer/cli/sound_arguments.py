"""Arguments that `avatar camera` and `avatar mic` share: source of the speech and sound device."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engines import default_family
from streamer.cli.arguments import SPEECH_PORT, add_track, face_options, port
from streamer.core.console import say
from streamer.core.errors import ConfigError
from streamer.core.options import DEFAULT_THREADS

if TYPE_CHECKING:
    from streamer.desktop.local_face import FaceChoice, SoundChoice


def add_sound(parser: argparse.ArgumentParser, sound_device: str) -> None:
    """Add the sound options; `sound_device` is the help text of `--sound-device`."""
    group = parser.add_argument_group("sound")
    source = group.add_mutually_exclusive_group()
    source.add_argument("--input", type=Path, metavar="FILE", help="speak the sound of a file in real time, then exit")
    source.add_argument(
        "--microphone", metavar="NAME|N", help="microphone, by number or part of its name (default: the system's)"
    )
    source.add_argument(
        "--speech",
        type=port,
        nargs="?",
        const=SPEECH_PORT,
        metavar="PORT",
        help="instead of a microphone, accept speech that programs of this machine push to this port (default: "
        f"{SPEECH_PORT}; see docs/speech.md)",
    )
    add_track(group)
    group.add_argument("--sound-device", metavar="NAME|N", help=sound_device)
    group.add_argument("--list-devices", action="store_true", help="list microphones and sound devices, then exit")


def list_devices() -> int:
    """Print the microphones and sound devices of this machine."""
    from streamer.devices.port_audio import listing, port_audio

    say(listing(port_audio().devices()))
    return 0


def local_face(args: argparse.Namespace) -> FaceChoice:
    """Return the choice of a face that is computed on this machine."""
    from streamer.desktop.local_face import FaceChoice

    family, threads = args.engines or default_family(), args.threads or DEFAULT_THREADS
    return FaceChoice(family, args.avatar, args.lookahead, face_options(args), threads)


def sound(args: argparse.Namespace) -> SoundChoice:
    """Return the choice of sound source and sound device. Raises ConfigError."""
    from streamer.desktop.local_face import SoundChoice

    if args.track is not None and args.input is None:
        raise ConfigError("--track is of a file; it needs --input FILE")
    return SoundChoice(args.input, args.track, args.microphone, args.sound_device, args.speech)
