"""Command-line arguments: readers of values, and option groups that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from engines import FAMILY_VARIABLE, default_family
from streamer.avatar.catalogue import MODES
from streamer.core import readers
from streamer.core.disclosure import LABEL
from streamer.core.options import DEFAULT_THREADS, PLAIN_FACE, FaceOptions, RecordOptions
from streamer.core.rates import LIVE_CONTEXT_MS
from streamer.stages.face_option_table import OPTIONS

MAX_SESSIONS = 64  # more than any machine can render; catches typing errors
MAX_LOOKAHEAD_MS = 10_000
SPEECH_PORT = 8765
PICTURE_SIDES = (64, 3840)  # pixels

T = TypeVar("T")


def argument(read: Callable[[str], T]) -> Callable[[str], T]:
    """Wrap a reader as an argparse type, whose error message adds the value that was found."""

    def read_argument(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text} found, {error} expected") from None

    return read_argument


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` to `high`."""
    return argument(readers.whole(low, high))


def number(low: float, high: float, kind: str = "a number") -> Callable[[str], float]:
    """Return a reader of numbers from `low` to `high`; `kind` names it in the message, such as "a percentage"."""
    return argument(readers.number(low, high, kind))


def listed(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Return a reader of comma-separated values."""

    def read_all(text: str) -> tuple[T, ...]:
        return tuple(read(part) for part in text.split(","))

    return read_all


def port(text: str) -> int:
    """Read a TCP port; 0 lets the system choose."""
    return whole(0, 65_535)(text)


def picture_side(text: str) -> int:
    """Read the width or height of a picture in pixels: video codecs accept only even ones."""
    return argument(readers.even(*PICTURE_SIDES, "an even number of pixels"))(text)


def server_address(text: str) -> str:
    """Read the address of an avatar server; return it with a trailing slash."""
    try:
        address = urlsplit(text)
        good = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        good = False
    if not good or address.query or address.fragment:
        raise argparse.ArgumentTypeError(f"{text} found, an address such as http://localhost:8080 expected")
    return text.rstrip("/") + "/"


def add_family(parser: argparse.ArgumentParser, threads: bool = True) -> None:
    """Add `--engines`, and `--threads` for commands that run the engines."""
    parser.add_argument(
        "--engines",
        type=Path,
        metavar="DIR",
        default=default_family(),
        help=f"folder of a family of engines (default: {FAMILY_VARIABLE}, else the shipped one)",
    )
    if threads:
        parser.add_argument(
            "--threads",
            type=whole(1, 256),
            default=DEFAULT_THREADS,
            metavar="N",
            help=f"processor threads to use (default: {DEFAULT_THREADS})",
        )


def add_avatar(parser: argparse.ArgumentParser) -> None:
    """Add `--avatar` by name, and `--lookahead` of a live conversation."""
    parser.add_argument("--avatar", metavar="NAME", help="which face; `avatar avatars` lists them")
    add_lookahead(parser, f"all the family can use, with at most {LIVE_CONTEXT_MS} ms of it to smooth motion")


def add_lookahead(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `--lookahead`; `default` describes its default value."""
    parser.add_argument(
        "--lookahead",
        type=whole(0, MAX_LOOKAHEAD_MS),
        metavar="MS",
        help="how long a frame waits for later sound: less gives shorter delay and less exact lips "
        f"(default: {default})",
    )


def add_track(parser: argparse._ActionsContainer) -> None:
    """Add `--track`, the audio track of a sound file."""
    parser.add_argument(
        "--track",
        type=whole(1, 999),
        metavar="N",
        help="which track of sound, if the file has several (default: the first with sound in it)",
    )


def add_photo(parser: argparse.ArgumentParser) -> None:
    """Add `--face` and `--mode`: which face and which part of a photo become the avatar."""
    parser.add_argument(
        "--face", type=whole(1, 999), metavar="N", help="which face, if the photo has several; 1 is the leftmost"
    )
    parser.add_argument(
        "--mode",
        dest="photo_mode",
        choices=MODES,
        help="which part of the photo is shown. crop: the head; full: the whole photo, the head moves in it; extcrop, "
        "resize and extfull: further modes of the official SadTalker (default: crop)",
    )


def add_face_options(parser: argparse.ArgumentParser, live: bool) -> None:
    """Add the options of the face's behaviour. live: those that a live session supports, else those for files."""
    group = parser.add_argument_group("how the face behaves")
    for option in OPTIONS:
        if not (option.live if live else option.files):
            continue
        if option.metavar is None:
            group.add_argument(f"--{option.name}", action="store_true", default=None, help=option.help)
        else:
            group.add_argument(f"--{option.name}", type=argument(option.read), metavar=option.metavar, help=option.help)


def face_options(args: argparse.Namespace) -> FaceOptions:
    """Return the options of `add_face_options`; those not given have their defaults."""
    given = {option.field: getattr(args, option.field, None) for option in OPTIONS}
    given["badge"] = getattr(args, "badge", None)
    return replace(PLAIN_FACE, **{field: value for field, value in given.items() if value is not None})


def add_badge(parser: argparse._ActionsContainer, auto: bool = False) -> None:
    """Add `--badge`. auto: also accept the value auto (None): the server decides by its listening address."""
    states: dict[str, bool | None] = {"on": True, "off": False, **({"auto": None} if auto else {})}

    def read(text: str) -> bool | None:
        if text not in states:
            raise ValueError(" or ".join(states))
        return states[text]

    default = "auto, on where other machines reach the server" if auto else "off"
    parser.add_argument(
        "--badge",
        type=argument(read),
        metavar="|".join(states),
        help=f'write "{LABEL}" into the pictures (default: {default})',
    )


def add_record(parser: argparse.ArgumentParser, per_session: bool = False) -> None:
    """Add `--record` and `--record-video`. per_session: one file per session of a server, and no video."""
    files = " (one file a session: FILE-1.npz, FILE-2.npz, ...; the page tells visitors)" if per_session else ""
    group = parser.add_argument_group("recording")
    group.add_argument(
        "--record",
        type=Path,
        metavar="FILE.npz",
        help=f"record the face's motion and the sound, for `avatar render --coefficients`{files}",
    )
    if not per_session:
        group.add_argument(
            "--record-video",
            type=Path,
            metavar="FILE.mp4",
            help="record the pictures and the sound as a video: .mp4, .mkv, .webm or .ts",
        )


def record_options(args: argparse.Namespace) -> RecordOptions:
    """Return the options of `add_record`."""
    return RecordOptions(args.record, getattr(args, "record_video", None))
