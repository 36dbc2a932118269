"""`avatar token`."""

from __future__ import annotations

import argparse
import re

from streamer.access.grant import PHOTOS, SCOPES, TALK
from streamer.avatar.catalogue import home_folder
from streamer.cli.access_arguments import given_secret
from streamer.cli.arguments import argument, number, server_address, whole
from streamer.core.console import note, say
from streamer.core.errors import ConfigError

EXAMPLES = (
    "avatar token --for ada --scope talk,photos --url https://avatar.example/",
    "avatar token revoke 5f0c6e3a9b1d2c48",
)
MINT, LIST, REVOKE = "mint", "list", "revoke"
UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
LEAST_S, MOST_S = 60.0, 366 * 86_400.0
PHOTOS_KEPT = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar token`."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=(MINT, LIST, REVOKE),
        default=MINT,
        help=f"make one (the default), {LIST} those made here, or {REVOKE} some of them",
    )
    parser.add_argument("tokens", nargs="*", metavar="ID|TOKEN", help=f"what to {REVOKE}: ids of the list, or tokens")
    _add_grant(parser)
    _add_key(parser)


def _add_grant(parser: argparse.ArgumentParser) -> None:
    """Add the options of a token's grant: owner, scopes, duration and limits."""
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


def _add_key(parser: argparse.ArgumentParser) -> None:
    """Add the options of the signing key and of the output."""
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
    """Read `--for`."""
    if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,64}", text, re.ASCII):
        raise ValueError("1 to 64 letters, digits, -, _, . or @")
    return text


def read_scopes(text: str) -> tuple[str, ...]:
    """Read `--scope`."""
    found = tuple(dict.fromkeys(text.split(",")))
    if not set(found) <= set(SCOPES):
        raise ValueError(f"some of {', '.join(SCOPES)}, with commas between them,")
    return found


def read_duration(text: str) -> float:
    """Read `--valid`; return seconds."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", text, re.ASCII)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not LEAST_S <= seconds <= MOST_S:
        raise ValueError("a time from 1m to 366d, such as 30m, 12h or 7d,")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Make a token that gives other people access to your server: it states what its holder may do, and until when. It
    is signed with a secret that only you have; the server needs that secret or its public key, nothing more.

    The scopes are talk (with a microphone), push (speech from programs), watch (see a session), photos (make, rename
    and remove one's own faces) and admin (all of these for every owner's sessions and photos, and the metrics).

    `revoke` ends single tokens, and the sessions opened with them, within seconds on every server with the same
    AVATAR_HOME; run it where the server runs. A new secret ends all tokens everywhere.
    """
    if args.tokens and args.action != REVOKE:
        raise ConfigError(f"{args.tokens[0]}: only `avatar token {REVOKE}` takes tokens")
    actions = {MINT: _mint, LIST: _list, REVOKE: _revoke}
    actions[args.action](args)
    return 0


def _mint(args: argparse.Namespace) -> None:
    import secrets

    from streamer.access.secret import SECRET, public_text
    from streamer.access.tokens import mint

    secret = given_secret(args.secret)
    if not SECRET.fullmatch(secret):
        raise ConfigError("--secret: is a public key, which signs nothing; expected a secret (avs_...)")
    if args.public:
        say(public_text(secret))
        return
    owner = args.owner or f"visitor-{secrets.token_hex(6)}"
    token = mint(
        secret,
        owner,
        args.scope,
        args.valid,
        avatars=None if args.avatar is None else args.avatar.split(","),
        sessions=args.sessions,
        minutes=args.minutes,
        photos=args.photos if PHOTOS in args.scope else None,
    )
    _note(token, owner, args.scope)
    say(token if args.url is None else f"{args.url}#token={token}")


def _note(token: str, owner: str, scopes: tuple[str, ...]) -> None:
    """Add a token's id to the list; if that fails, the token is still valid."""
    from streamer.access.revocation import MINTED, Entry, add
    from streamer.access.tokens import told_by

    if (told := told_by(token)) is None:
        raise AssertionError("what was minted is a token")
    try:
        add(home_folder() / MINTED, [Entry(*told, owner, scopes)])
    except ConfigError as error:
        note(f"the token is good, but it is not listed: {error}")


def _list(args: argparse.Namespace) -> None:
    import time

    from streamer.access.revocation import MINTED, REVOKED, read

    now = time.time()
    revoked = read(home_folder() / REVOKED, now)
    for entry in sorted(read(home_folder() / MINTED, now).values(), key=lambda entry: entry.expires):
        until = (
            "revoked" if entry.id in revoked else time.strftime("until %Y-%m-%d %H:%M", time.localtime(entry.expires))
        )
        say(f"{entry.id}  {until:23}  {entry.owner}  {','.join(entry.scopes)}")


def _revoke(args: argparse.Namespace) -> None:
    import time

    from streamer.access.revocation import MINTED, REVOKED, Entry, add, read
    from streamer.access.tokens import told_by

    if not args.tokens:
        raise ConfigError(f"which? `avatar token {REVOKE} ID`, or the token itself; `avatar token {LIST}` has the ids")
    home, now = home_folder(), time.time()
    minted, revoked = read(home / MINTED, now), read(home / REVOKED, now)
    entries = []
    for given in args.tokens:
        name, expires = told_by(given) or (given, now + MOST_S)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name, re.ASCII):
            raise ConfigError(f"{given[:20]}: neither a token nor the id of one; `avatar token {LIST}` has the ids")
        entries.append(minted.get(name, Entry(name, expires)))
    add(home / REVOKED, [entry for entry in entries if entry.id not in revoked])
    for entry in entries:
        known = "" if entry.id in minted else ", which was not made here"
        say(f"avatar: token {entry.id}{f' of {entry.owner}' if entry.owner else ''}{known} is revoked")
