"""`avatar token`."""

from __future__ import annotations

import argparse
import re

from streamer.access.grant import PHOTOS, SCOPES, TALK
from streamer.cli.access_arguments import given_secret
from streamer.cli.arguments import argument, number, server_address, whole
from streamer.core.console import say
from streamer.core.errors import ConfigError

EXAMPLES = (
    "avatar token --for ada --scope talk,photos --url https://avatar.example/",
    "avatar token --scope watch --valid 2h --avatar mina",
)
UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
LEAST_S, MOST_S = 60.0, 366 * 86_400.0
PHOTOS_KEPT = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar token`."""
    parser.add_argument(
        "--for",
        dest="owner",
        metavar="NAME",
        type=argument(read_owner),
        help="whose it is: all tokens for one name share sessions and photos (default: a name of its own by chance)",
    )
    parser.add_argument(
        "--scope",
        type=argument(read_scopes),
        default=(TALK,),
        metavar="SCOPE,..",
        help=f"what it allows: {', '.join(SCOPES)} (default: {TALK})",
    )
    parser.add_argument(
        "--valid",
        type=argument(read_duration),
        default=12 * 3600.0,
        metavar="TIME",
        help="how long, such as 30m, 12h or 7d (default: 12h)",
    )
    parser.add_argument("--avatar", metavar="NAME,..", help="the server's faces that may be chosen (default: all)")
    parser.add_argument(
        "--sessions", type=whole(1, 64), metavar="N", help="conversations at a time (default: no limit of its own)"
    )
    parser.add_argument(
        "--minutes",
        type=number(0.0, 1e6, "a number of minutes"),
        metavar="N",
        help="of conversation, all together (default: no limit)",
    )
    parser.add_argument(
        "--photos",
        type=whole(0, 100),
        default=PHOTOS_KEPT,
        metavar="N",
        help=f"photos that may be kept at a time, with the scope {PHOTOS} (default: {PHOTOS_KEPT})",
    )
    parser.add_argument(
        "--url", type=server_address, metavar="URL", help="print the page's address with the token, to be sent on"
    )
    parser.add_argument(
        "--secret",
        metavar="FILE|SECRET",
        help="what signs it (default: AVATAR_TOKEN, else a secret of your own, made the first time)",
    )
    parser.add_argument(
        "--public",
        action="store_true",
        help="print the public key that belongs to the secret, for `avatar serve --token` on a machine that is to have "
        "no secret",
    )


def read_owner(text: str) -> str:
    """A reader of `--for`."""
    if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,64}", text, re.ASCII):
        raise ValueError("1 to 64 letters, digits, -, _, . or @")
    return text


def read_scopes(text: str) -> tuple[str, ...]:
    """A reader of `--scope`."""
    found = tuple(dict.fromkeys(text.split(",")))
    if not set(found) <= set(SCOPES):
        raise ValueError(f"some of {', '.join(SCOPES)}, with commas between them,")
    return found


def read_duration(text: str) -> float:
    """A reader of `--valid`: seconds."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", text, re.ASCII)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not LEAST_S <= seconds <= MOST_S:
        raise ValueError("a time from 1m to 366d, such as 30m, 12h or 7d,")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Mint a token for a server that others reach: what its holder may do there, and until when. Signed with a secret
    that only you have; the server needs no more than to know it, or its public key.

    With the scopes talk (with a microphone), push (speech from programs), watch (see a session), photos (make, rename
    and remove faces of one's own) and admin (all of it, with everybody's; figures). There is no list of tokens:
    another secret ends them all.
    """
    import secrets

    from streamer.access.secret import SECRET, public_text
    from streamer.access.tokens import mint

    secret = given_secret(args.secret)
    if not SECRET.fullmatch(secret):
        raise ConfigError("--secret: is a public key, which signs nothing; expected a secret (avs_...)")
    if args.public:
        say(public_text(secret))
        return 0
    token = mint(
        secret,
        args.owner or f"visitor-{secrets.token_hex(6)}",
        args.scope,
        args.valid,
        avatars=None if args.avatar is None else args.avatar.split(","),
        sessions=args.sessions,
        minutes=args.minutes,
        photos=args.photos if PHOTOS in args.scope else None,
    )
    say(token if args.url is None else f"{args.url}#token={token}")
    return 0
