"""Measure faces into a score card: an HTML page with pictures and a JSON file to compare with other versions.

    python -m streamer.measure.card SOUND... --out DIR [--portraits DIR] [--before OLD.json] [--phones TABLE.txt]

Each bundled character, and each portrait of --portraits, says each sound. If a clip shows a person, that person is
measured, too, and is the reference for the lips. --phones takes the output of `make phones`, for sounds whose words are
known. Figures outside the range of real speakers are red.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.avatar.bundle import PREPARING
from streamer.avatar.catalogue import find_avatar, is_photo
from streamer.core.console import remark, say
from streamer.core.errors import AvatarError, ConfigError, MediaError
from streamer.core.files import write_json
from streamer.measure.card.measure import Reference, Row, Speaker, person, speak
from streamer.measure.card.report import card_of, read_card, write_page
from streamer.photo.prepare import named_or_photo
from streamer.pipeline import Engines

MOST_S = 12.0
MOST_LINES = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m streamer.measure.card", description=__doc__.split("\n")[0])
    parser.add_argument(
        "sounds", type=Path, nargs="+", metavar="SOUND", help="sound files, or clips of people speaking"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for card.html and card.json")
    parser.add_argument("--portraits", type=Path, help="folder of photos that speak, too")
    parser.add_argument("--faces", nargs="*", metavar="NAME", help="which of the bundled characters (default: all)")
    parser.add_argument("--before", type=Path, help="an earlier card.json to compare with")
    parser.add_argument("--phones", type=Path, help="table of lips by phone, as `make phones` prints it")
    parser.add_argument("--engines", type=Path, default=SHIPPED_FAMILY, help="the family's folder")
    parser.add_argument("--seconds", type=float, default=MOST_S, help="of each sound (default: %(default)g)")
    args = parser.parse_args(argv)
    try:
        run(args)
    except (AvatarError, OSError, ValueError) as error:
        say(f"card: {error}", sys.stderr)
        return 2
    return 0


def run(args: argparse.Namespace) -> None:
    """Measure and write both files. Raises AvatarError, OSError, ValueError: something given cannot be used."""
    before = read_card(args.before) if args.before else None
    manifest = Manifest.load(args.engines)
    faces = _faces(manifest, args)
    args.out.mkdir(parents=True, exist_ok=True)
    references = [Reference.read(path, args.seconds) for path in args.sounds]
    phones = _phones(args.phones)
    rows: list[Row] = [row for reference in references if (row := person(reference)) is not None]
    speakers: list[Speaker] = []
    with Engines.open(manifest, without=PREPARING) as engines:
        for name, asked in faces.items():
            with named_or_photo(engines, asked, None, None, remark) as avatar:
                speakers += [speak(engines, avatar, name, reference) for reference in references]
            say(f"measured {name}")
    rows += [speaker.row for speaker in speakers]
    card = card_of(_about(manifest), rows, phones)
    write_json(args.out / "card.json", card)
    write_page(args.out / "card.html", card, speakers, before)
    say(f"wrote {args.out / 'card.html'} and card.json")


def _faces(manifest: Manifest, args: argparse.Namespace) -> dict[str, str]:
    """Return the faces to open, by display name. Raises ConfigError: no face; BundleError: unknown character."""
    names = list(manifest.avatars) if args.faces is None else args.faces
    for name in names:
        find_avatar(manifest, name)
    photos = sorted(path for path in args.portraits.iterdir() if is_photo(str(path))) if args.portraits else []
    if not names and not photos:
        raise ConfigError("no face to measure: --faces names none, and --portraits has no photo")
    return {name: name for name in names} | {photo.stem: str(photo) for photo in photos}


def _phones(path: Path | None) -> list[str]:
    """Read the lines of the phone table. Raises MediaError: the file is not text."""
    try:
        return [] if path is None else path.read_text("utf-8").splitlines()[:MOST_LINES]
    except UnicodeDecodeError as error:
        raise MediaError(f"{path}: no text; `make phones` prints the table") from error


def _about(manifest: Manifest) -> Mapping[str, str]:
    return {"family": manifest.family, "version": manifest.version, "machine": platform.machine()}


if __name__ == "__main__":
    sys.exit(main())
