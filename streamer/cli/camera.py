"""`avatar camera`."""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING

from streamer.cli import sound_arguments
from streamer.cli.access_arguments import TOKEN_VARIABLE, given_token
from streamer.cli.arguments import (
    SPEECH_PORT,
    add_avatar,
    add_badge,
    add_face_options,
    add_family,
    add_record,
    argument,
    face_options,
    picture_side,
    record_options,
    server_address,
)
from streamer.core.errors import ConfigError
from streamer.core.options import FITS, LETTERBOX

if TYPE_CHECKING:
    from streamer.desktop.ends import CameraChoice
    from streamer.desktop.remote_face import ServerChoice

WHIP_TOKEN_VARIABLE = "AVATAR_WHIP_TOKEN"

EXAMPLES = (
    "avatar camera --input speech.wav --output talking.mkv",
    "avatar camera --server http://localhost:8080 --output udp://127.0.0.1:5000",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar camera`."""
    sound_arguments.add_sound(parser, "play the voice, in time with the lips, on this device: a virtual cable's input")
    picture = parser.add_argument_group("the camera")
    picture.add_argument(
        "--width", type=picture_side, default=1280, metavar="PIXELS", help="of the picture (default: 1280)"
    )
    picture.add_argument(
        "--height", type=picture_side, default=720, metavar="PIXELS", help="of the picture (default: 720)"
    )
    picture.add_argument(
        "--fill",
        type=argument(read_fill),
        metavar="RRGGBB|blur",
        help="beside the face instead of black bars: a colour, or the picture itself, out of focus",
    )
    picture.add_argument(
        "--fit",
        choices=FITS,
        default=LETTERBOX,
        help=f"black bars beside the face, or the face cut to fill the picture (default: {LETTERBOX})",
    )
    picture.add_argument("--device", metavar="NAME", help="virtual camera, e.g. /dev/video2 (default: the first found)")
    picture.add_argument(
        "--backend", metavar="KIND", help="kind of virtual camera: v4l2loopback, obs, unitycapture (default: any)"
    )
    picture.add_argument(
        "--output",
        metavar="URL|FILE",
        help="instead of a virtual camera, write pictures and sound to udp://HOST:PORT (such as a Media Source of "
        "OBS), tcp://HOST:PORT, rtmp://HOST/APP/KEY, whip+https://HOST/PATH (a media server's WHIP endpoint; its token "
        f"is taken from {WHIP_TOKEN_VARIABLE}), or a file: .mp4, .mkv, .webm, .ts, .flv",
    )
    add_avatar(parser)
    add_family(parser)
    add_badge(parser)
    add_face_options(parser, live=True)
    add_record(parser)
    parser.add_argument(
        "--server",
        type=server_address,
        metavar="URL",
        help="let a running `avatar serve`, perhaps on another machine, compute the face; loads no engines here",
    )
    parser.add_argument(
        "--token",
        metavar="FILE|TOKEN",
        help=f"for a --server that asks for one; a file with it, or itself (default: {TOKEN_VARIABLE})",
    )
    parser.set_defaults(engines=None, threads=None)  # None: not given, which --server requires


def read_fill(text: str) -> str:
    """Read `--fill`."""
    if re.fullmatch("#?[0-9a-fA-F]{6}|blur", text):
        return text
    raise ValueError("RRGGBB or blur")


def run(args: argparse.Namespace) -> int:
    """Appear as the avatar in video calls and streams: its face shows on a virtual camera, moved by your microphone (or
    a file), and your voice, delayed to match the lips, plays on a sound device that the call records; or both go to one
    stream or file (--output). Stop with Ctrl-C.

    With --server an avatar server computes the face; while it cannot be reached, the portrait shows.

    In silence the face blinks and breathes. A virtual camera needs its driver (v4l2loopback on Linux, OBS Studio on
    Windows and macOS) and the package pyvirtualcam. Microphones need the package sounddevice.
    """
    if args.list_devices:
        return sound_arguments.list_devices()
    from streamer.desktop.camera import camera

    chosen = _camera(args)
    face = sound_arguments.local_face(args) if args.server is None else _server_face(args)
    camera(face, sound_arguments.sound(args), chosen, record_options(args))
    return 0


def _camera(args: argparse.Namespace) -> CameraChoice:
    from streamer.core.letterbox import Fit
    from streamer.desktop.ends import CameraChoice
    from streamer.output.destination import Destination

    if args.output is not None and (args.device is not None or args.backend is not None):
        raise ConfigError("--device and --backend are of a virtual camera, --output takes its place; name one of them")
    output = None if args.output is None else Destination.parse(args.output)
    fit, token = Fit(args.width, args.height, args.fit, args.fill), os.environ.get(WHIP_TOKEN_VARIABLE) or None
    return CameraChoice(fit, args.device, args.backend, output, token)


def _server_face(args: argparse.Namespace) -> ServerChoice:
    """Return the choice of a face that a server computes.

    Raises:
        ConfigError: an option works only with a face computed here.
    """
    from streamer.desktop.remote_face import ServerChoice

    for option in ("engines", "threads", "record", "badge"):
        if getattr(args, option) is not None:
            raise ConfigError(f"--{option} is for a face that is made here; with --server, say it to `avatar serve`")
    if args.speech not in (None, SPEECH_PORT):
        raise ConfigError("--speech PORT is for a face that is made here; with --server, say --speech without a port")
    return ServerChoice(args.server, args.avatar, args.lookahead, face_options(args), given_token(args.token))
