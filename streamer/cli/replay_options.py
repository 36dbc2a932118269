"""The command line of a performance that is played again: `avatar render` without a sound to speak."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.manifest import Manifest
from streamer.core.errors import ConfigError
from streamer.stages import face_options

# What a new performance is made with; one that is played has them already.
MADE_WITH = ("seed", "lookahead", "pose_style", "expression_scale", "pose_mode", "reference_pose", "reference_blink")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `avatar render` takes for it."""
    parser.add_argument(
        "--coefficients",
        type=Path,
        metavar="FILE.npz",
        help="with --audio: also save what the face did, in numbers; without: play such a file, or a recording, on "
        "a face of the same family, by default the one that gave it",
    )
    parser.add_argument(
        "--sound",
        type=Path,
        metavar="FILE",
        help="the video's sound when coefficients are played (default: the recording's own, if it has any)",
    )


def asked(args: argparse.Namespace) -> bool:
    """Whether a performance is to be played, not a sound to be spoken.

    Raises:
        ConfigError: it is neither, or both.
    """
    if args.audio is not None:
        if args.sound is not None:
            raise ConfigError("--sound is for playing coefficients; the video's sound is that of --audio")
        return False
    if args.coefficients is None:
        raise ConfigError("nothing to render; expected --audio FILE, or --coefficients FILE.npz of a recording")
    if given := [name for name in MADE_WITH if getattr(args, name) is not None]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"{names}: is for a sound; a recorded performance is played as it was given")
    return True


def run_replay(args: argparse.Namespace) -> int:
    """Play the performance."""
    from streamer.render.from_performance import ReplayOptions, replay_file

    options = ReplayOptions(
        performance=args.coefficients,
        out=args.out,
        avatar=args.avatar,
        photo_mode=args.mode,
        photo_face=args.face,
        sound=args.sound,
        face=face_options.of_arguments(args),
        threads=args.threads,
        stats=args.stats,
    )
    replay_file(Manifest.load(args.engines), options)
    print(f"wrote {args.out}")
    return 0
