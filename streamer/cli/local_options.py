"""The command lines of what talks on this machine: `avatar camera` and `avatar mic`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engines import default_family
from streamer.cli import record_options
from streamer.core.errors import ConfigError
from streamer.core.letterbox import FITS, LETTERBOX
from streamer.core.options import DEFAULT_THREADS
from streamer.stages import face_options

if TYPE_CHECKING:  # they load the engines' modules, which the other commands need not
    from streamer.desktop.local_face import FaceChoice, SoundChoice
    from streamer.desktop.remote_face import ServerChoice

SPEECH_PORT = 8765
SIDES = (64, 3840)  # pixels, of a camera's picture

AddArguments = Callable[[argparse.ArgumentParser], None]


def add_camera(parser: argparse.ArgumentParser, add_face: AddArguments, add_family: AddArguments) -> None:
    """All of `avatar camera`."""
    _add_sound(parser, "play the voice, in time with the lips, on this device: the input of a virtual cable")
    picture = parser.add_argument_group("the camera")
    picture.add_argument("--width", type=_side, default=1280, metavar="PIXELS", help="of the picture (default: 1280)")
    picture.add_argument("--height", type=_side, default=720, metavar="PIXELS", help="of the picture (default: 720)")
    picture.add_argument(
        "--fit",
        choices=FITS,
        default=LETTERBOX,
        help=f"black bars beside the face, or the face cut to fill the picture (default: {LETTERBOX})",
    )
    picture.add_argument(
        "--device", metavar="NAME", help="which virtual camera, e.g. /dev/video2 (default: the first there is)"
    )
    picture.add_argument(
        "--backend", metavar="KIND", help="kind of virtual camera: v4l2loopback, obs, unitycapture (default: any)"
    )
    picture.add_argument(
        "--output",
        metavar="URL|FILE",
        help="no virtual camera: pictures and sound together to udp://HOST:PORT (such as a Media Source of OBS), "
        "tcp://HOST:PORT, rtmp://HOST/APP/KEY, or a file: .mp4, .mkv, .webm, .ts, .flv",
    )
    add_face(parser)
    add_family(parser)
    face_options.add_arguments(parser, live=True)
    record_options.add_arguments(parser)
    parser.add_argument(
        "--server",
        type=_server,
        metavar="URL",
        help="a running `avatar serve` makes the face, perhaps on another machine, and nothing is loaded here",
    )
    parser.set_defaults(command=run_camera, engines=None, threads=None)  # None: not given


def run_camera(args: argparse.Namespace) -> int:
    """Be the avatar in video calls and streams: its face to a virtual camera, moved by your microphone (or a file),
    and your voice, delayed to match the lips, to a sound device that the call listens to; or both together as a stream
    or into a file (--output). Stop with Ctrl-C.

    With --server the face is that of an avatar server; while it cannot be reached, the portrait shows.

    In silence the face lives on: it blinks and breathes. A virtual camera needs its driver: v4l2loopback on Linux, OBS
    Studio on Windows and macOS; and the package pyvirtualcam. Microphones need the package sounddevice.
    """
    if args.list_devices:
        return _list_devices()
    from streamer.core.letterbox import Fit
    from streamer.desktop.camera import camera
    from streamer.desktop.ends import CameraChoice
    from streamer.output.destination import Destination

    if args.output is not None and (args.device is not None or args.backend is not None):
        raise ConfigError("--device and --backend are of a virtual camera, --output takes its place; name one of them")
    output = None if args.output is None else Destination.parse(args.output)
    chosen = CameraChoice(Fit(args.width, args.height, args.fit), args.device, args.backend, output)
    record = record_options.of_arguments(args)
    camera(_face(args) if args.server is None else _server_face(args), _sound(args), chosen, record)
    return 0


def add_mic(parser: argparse.ArgumentParser, add_face: AddArguments, add_family: AddArguments) -> None:
    """All of `avatar mic`."""
    _add_sound(parser, "also play the voice, in time with the lips, on this device")
    parser.add_argument(
        "--headphones",
        action="store_true",
        help="the sound device cannot be heard by the microphone: hear both at once (otherwise the microphone is not "
        "heard while the voice is played)",
    )
    parser.add_argument("--port", type=_port, default=8081, help="of the page with the face (default: 8081)")
    add_face(parser)
    add_family(parser)
    face_options.add_arguments(parser, live=True)
    record_options.add_arguments(parser)
    parser.set_defaults(command=run_mic)


def run_mic(args: argparse.Namespace) -> int:
    """Try the avatar with your own microphone (or a file): its face on a page of this machine, your level in the
    terminal. The key m mutes, q or Ctrl-C ends. A microphone that is unplugged may be plugged in again.

    Microphones need the package sounddevice.
    """
    if args.list_devices:
        return _list_devices()
    from streamer.desktop.mic import mic

    mic(_face(args), _sound(args), args.port, args.headphones, record_options.of_arguments(args))
    return 0


def _add_sound(parser: argparse.ArgumentParser, sound_device: str) -> None:
    group = parser.add_argument_group("sound")
    source = group.add_mutually_exclusive_group()
    source.add_argument("--input", type=Path, metavar="FILE", help="speak a file's sound, at its pace, then end")
    source.add_argument(
        "--microphone",
        metavar="NAME|N",
        help="which microphone, by number or (part of its) name (default: the system's)",
    )
    source.add_argument(
        "--speech",
        type=_port,
        nargs="?",
        const=SPEECH_PORT,
        metavar="PORT",
        help="no microphone: other programs of this machine push speech to this port (default: "
        f"{SPEECH_PORT}; see docs/speech.md)",
    )
    group.add_argument("--sound-device", metavar="NAME|N", help=sound_device)
    group.add_argument("--list-devices", action="store_true", help="list microphones and sound devices, and end")


def _list_devices() -> int:
    from streamer.devices.port_audio import listing, port_audio

    print(listing(port_audio().devices()))
    return 0


def _face(args: argparse.Namespace) -> FaceChoice:
    from streamer.desktop.local_face import FaceChoice

    family, threads = args.engines or default_family(), args.threads or DEFAULT_THREADS
    return FaceChoice(family, args.avatar, args.lookahead, face_options.of_arguments(args), threads)


def _server_face(args: argparse.Namespace) -> ServerChoice:
    """Raises ConfigError for what only a face that is made here can have."""
    from streamer.desktop.remote_face import ServerChoice

    for option in ("engines", "threads", "record"):
        if getattr(args, option) is not None:
            raise ConfigError(f"--{option} is for a face that is made here; with --server, say it to `avatar serve`")
    if args.speech not in (None, SPEECH_PORT):
        raise ConfigError("--speech PORT is for a face that is made here; with --server, say --speech without a port")
    return ServerChoice(args.server, args.avatar, args.lookahead, face_options.of_arguments(args))


def _sound(args: argparse.Namespace) -> SoundChoice:
    from streamer.desktop.local_face import SoundChoice

    return SoundChoice(args.input, args.microphone, args.sound_device, args.speech)


def _side(text: str) -> int:
    low, high = SIDES
    if not text.strip().isdecimal() or not low <= int(text) <= high or int(text) % 2:
        raise argparse.ArgumentTypeError(f"{text} found, an even number of pixels from {low} to {high} expected")
    return int(text)


def _server(text: str) -> str:
    try:
        address = urlsplit(text)
        good = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        good = False
    if not good or address.query or address.fragment:
        raise argparse.ArgumentTypeError(f"{text} found, an address such as http://localhost:8080 expected")
    return text.rstrip("/") + "/"


def _port(text: str) -> int:
    if not text.strip().isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} found, a whole number from 0 to 65535 expected")
    return int(text)
