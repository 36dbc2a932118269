"""`avatar prepare`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engines.manifest import Manifest
from streamer.avatar.catalogue import WHOLE_MODES
from streamer.cli.arguments import add_family, add_photo
from streamer.core.console import say

if TYPE_CHECKING:
    from streamer.avatar.manner import Manner

EXAMPLES = (
    'avatar prepare team.jpg --face 2 --name ada --title "Ada"',
    "avatar prepare me.mp4",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar prepare`."""
    parser.add_argument(
        "photo", type=Path, metavar="PHOTO", help="a picture with one face: JPEG, PNG, WebP, TIFF, ...; or a video"
    )
    parser.add_argument("--name", metavar="NAME", help="name of the avatar (default: made of the file's name)")
    parser.add_argument("--title", metavar="TEXT", help="name that people see (default: made of the name)")
    add_photo(parser)
    parser.add_argument(
        "--matte",
        type=Path,
        metavar="FILE.png",
        help="cut-out of the person, for another --background: a picture of the photo's shape, the person white, or "
        "everything else transparent (default: the photo's own transparency, else found automatically)",
    )
    parser.add_argument("--force", action="store_true", help="replace an avatar of the same name")
    add_family(parser)


def run(args: argparse.Namespace) -> int:
    """Make an avatar from a photo, for `avatar render` and `avatar serve`. The photo stays on this machine.

    Use a sharp picture of one person who looks into the camera, mouth closed, with some room around the head. From a
    video, the best such picture of its first minute is used, and the avatar moves its head and blinks about as much as
    the person does there.
    """
    from streamer.photo.best_frame import is_clip, still_of
    from streamer.photo.clip_manner import describe
    from streamer.photo.prepare import name_of
    from streamer.vision.landmarks import shared_landmarker

    if not is_clip(args.photo):
        return _make(args, args.photo)
    args.name = args.name or name_of(args.photo)
    with still_of(args.photo, shared_landmarker()) as (still, clip):
        say(f"note: took the picture at {clip.seconds:.1f} s of the clip")
        if clip.manner is not None:
            say(f"note: {describe(clip.manner)}")
        return _make(args, still, clip.manner)


def _make(args: argparse.Namespace, photo: Path, manner: Manner | None = None) -> int:
    from streamer.avatar.manner import USUAL
    from streamer.photo.prepare import PrepareOptions, prepare

    options = PrepareOptions(
        photo=photo,
        name=args.name,
        title=args.title,
        face=args.face,
        mode=args.photo_mode,
        matte=args.matte,
        force=args.force,
        threads=args.threads,
        manner=manner or USUAL,
    )
    made = prepare(Manifest.load(args.engines), options)
    for note in made.notes:
        say(f"note: {note}")
    say(f"made avatar {made.name} in {made.folder}")
    say(f"what was read off the photo: {made.preview}")
    say("a face is personal: show it only if it is yours, or if the person agreed (docs/responsible-use.md)")
    say(f"use it: avatar render --avatar {made.name} --audio speech.wav --out talking.mp4")
    say(f"   or:  avatar serve --avatar {made.name}")
    if args.photo_mode in WHOLE_MODES:
        say("films and conversations with it show the whole photo")
    return 0
