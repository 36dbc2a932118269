"""`avatar render`, from a sound or from a recorded performance."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.manifest import Manifest
from streamer.cli.arguments import (
    add_badge,
    add_face_options,
    add_family,
    add_lookahead,
    add_photo,
    add_track,
    face_options,
    whole,
)
from streamer.core.console import say
from streamer.core.errors import ConfigError

EXAMPLES = (
    "avatar render --audio speech.wav --out talking.mp4",
    "avatar render --audio speech.wav --avatar me.jpg --out me.webm",
)
# Options that shape a new performance; a recorded one is replayed unchanged.
ONLY_FOR_SOUND = (
    "seed",
    "lookahead",
    "pose_style",
    "expression_scale",
    "pose_mode",
    "reference_pose",
    "reference_blink",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar render`."""
    parser.add_argument("--audio", type=Path, metavar="FILE", help="any sound or video file, or a pipe (/dev/stdin)")
    add_track(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.mp4",
        help="the video to write: .mp4, or .webm or .mov, which can be transparent",
    )
    parser.add_argument(
        "--coefficients",
        type=Path,
        metavar="FILE.npz",
        help="with --audio: also save the face's motion; without: play such a file, or a recording, with a face of the "
        "same family (default: the face that was recorded)",
    )
    parser.add_argument(
        "--sound",
        type=Path,
        metavar="FILE",
        help="sound of the video when coefficients are played (default: the recorded sound, if any)",
    )
    parser.add_argument("--seed", type=whole(0, 2**32), metavar="N", help="seed of head motion and blinks (default: 0)")
    parser.add_argument(
        "--sign",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="sign the file with Content Credentials (C2PA): by certificates.pem and key.pem of the folder, else by a "
        "certificate made on this machine",
    )
    parser.add_argument("--stats", action="store_true", help="print the milliseconds of each stage")
    parser.add_argument("--avatar", metavar="NAME|PHOTO", help="which face: an avatar's name, or any photo")
    add_photo(parser)
    add_lookahead(parser, "all the family can use")
    add_family(parser)
    add_badge(parser)
    add_face_options(parser, live=False)
    for name, what in (("pose", "head motion"), ("blink", "eyelids and brows")):
        parser.add_argument(
            f"--reference-{name}", type=Path, metavar="VIDEO", help=f"copy the {what} of the face in a video"
        )


def run(args: argparse.Namespace) -> int:
    """Make a video (.mp4: H.264 and AAC; 25 frames a second) of a face that speaks a sound file or replays a recorded
    performance."""
    if _plays_performance(args):
        _render_performance(args)
    else:
        _render_sound(args)
    say(f"wrote {args.out}")
    return 0


def _plays_performance(args: argparse.Namespace) -> bool:
    """Whether to play a recorded performance instead of speaking a sound.

    Raises:
        ConfigError: neither is requested, or an option of the other one is given.
    """
    if args.audio is not None:
        if args.sound is not None:
            raise ConfigError("--sound is for playing coefficients; the video's sound is that of --audio")
        return False
    if args.coefficients is None:
        raise ConfigError("nothing to render; expected --audio FILE, or --coefficients FILE.npz of a recording")
    if given := [name for name in ONLY_FOR_SOUND if getattr(args, name) is not None]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"{names}: is for a sound; a recorded performance is played as it was given")
    return True


def _render_sound(args: argparse.Namespace) -> None:
    from streamer.render.from_sound import RenderOptions, render_file

    options = RenderOptions(
        audio=args.audio,
        out=args.out,
        track=args.track,
        avatar=args.avatar,
        photo_mode=args.photo_mode,
        photo_face=args.face,
        coefficients=args.coefficients,
        lookahead_ms=args.lookahead,
        seed=args.seed or 0,
        face=face_options(args),
        reference_pose=args.reference_pose,
        reference_blink=args.reference_blink,
        threads=args.threads,
        stats=args.stats,
        sign=args.sign is not None,
        certificates=Path(args.sign) if args.sign else None,
    )
    render_file(Manifest.load(args.engines), options)


def _render_performance(args: argparse.Namespace) -> None:
    from streamer.render.from_performance import ReplayOptions, replay_file

    options = ReplayOptions(
        performance=args.coefficients,
        out=args.out,
        avatar=args.avatar,
        photo_mode=args.photo_mode,
        photo_face=args.face,
        sound=args.sound,
        track=args.track,
        face=face_options(args),
        threads=args.threads,
        stats=args.stats,
        sign=args.sign is not None,
        certificates=Path(args.sign) if args.sign else None,
    )
    replay_file(Manifest.load(args.engines), options)
