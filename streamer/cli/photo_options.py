"""The options about photos, and the `avatar prepare` command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from engines.manifest import Manifest
from streamer.avatar.catalogue import MODES, WHOLE_MODES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--face` and `--mode`."""
    parser.add_argument("--face", type=_place, metavar="N", help="which face of a photo with several: 1 is leftmost")
    parser.add_argument(
        "--mode",
        choices=MODES,
        help="what of a photo is shown: crop is the head; full is all of it, with the head moving in it; extcrop, "
        "resize and extfull are the official SadTalker's further ways (default: crop)",
    )


def add_prepare(parser: argparse.ArgumentParser, add_family: Callable[[argparse.ArgumentParser], None]) -> None:
    """All of `avatar prepare`."""
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="a picture with one face: JPEG, PNG, WebP, TIFF, ...")
    parser.add_argument("--name", metavar="NAME", help="what to call the avatar (default: made of the file's name)")
    parser.add_argument("--title", metavar="TEXT", help="how people see it called (default: made of the name)")
    add_arguments(parser)
    parser.add_argument(
        "--matte",
        type=Path,
        metavar="FILE.png",
        help="what of the photo is the person, for another --background: a picture of the same shape with the person "
        "in white, or all else transparent (default: the photo's own transparency, or found)",
    )
    parser.add_argument("--force", action="store_true", help="replace an avatar of that name")
    add_family(parser)
    parser.set_defaults(command=run_prepare)


def run_prepare(args: argparse.Namespace) -> int:
    """Make an avatar of a photo, to speak as with `avatar render` and `avatar serve`. The photo stays on this machine.

    Best is a sharp picture of one person who looks into the camera, mouth closed, with some room about the head.
    """
    from streamer.photo.prepare import PrepareOptions, prepare

    options = PrepareOptions(
        photo=args.photo,
        name=args.name,
        title=args.title,
        face=args.face,
        mode=args.mode,
        matte=args.matte,
        force=args.force,
        threads=args.threads,
    )
    made = prepare(Manifest.load(args.engines), options)
    for note in made.notes:
        print(f"note: {note}")
    print(f"made avatar {made.name} in {made.folder}")
    print(f"what was read off the photo: {made.preview}")
    print(f"use it: avatar render --avatar {made.name} --audio speech.wav --out talking.mp4")
    print(f"   or:  avatar serve --avatar {made.name}")
    if args.mode in WHOLE_MODES:
        print("`avatar render` shows the whole photo; a live conversation shows the part with the head")
    return 0


def _place(text: str) -> int:
    if not text.strip().isdecimal() or not 1 <= int(text) <= 999:
        raise argparse.ArgumentTypeError(f"{text} found, a whole number from 1 expected")
    return int(text)
