"""Access arguments of `avatar serve` and `avatar cluster`."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from streamer.access.grant import PHOTOS, PUSH, TALK, WATCH
from streamer.cli.arguments import whole
from streamer.core.errors import ConfigError
from streamer.core.limits import PhotoLimits

TOKEN_VARIABLE = "AVATAR_TOKEN"
MOST_TOKEN = 4096  # bytes of a file
INVITED_S = 86_400.0
GUEST = "guest"  # owner of an invitation token


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add `--token` to `--access-log`."""
    group = parser.add_argument_group("who may come in")
    group.add_argument(
        "--token",
        metavar="FILE|KEY",
        help="ask everybody for a token: a secret, or the public key of one, or a file with them (default: none on "
        "localhost; elsewhere your own secret, see `avatar token`)",
    )
    group.add_argument("--open", action="store_true", help="let everybody in who reaches the server, without a token")
    group.add_argument(
        "--photo-days",
        type=whole(1, 3650),
        default=PhotoLimits.kept_days,
        metavar="N",
        help=f"how long visitors' photos are kept (default: {PhotoLimits.kept_days})",
    )
    group.add_argument("--access-log", action="store_true", help="log every request, its secrets left out")


def access(args: argparse.Namespace, public_url: str | None = None) -> tuple[tuple[str, ...], str | None]:
    """Return the public keys that verify tokens, and an invitation token to show with the address. Raises ConfigError.

    public_url: address for other machines if the server itself listens only on this one.
    """
    from streamer.access.secret import PUBLIC, public_text, read
    from streamer.access.tokens import mint
    from streamer.web.listen import is_loopback

    if args.open:
        if args.token is not None:
            raise ConfigError(f"--open asks for no token, --token (or {TOKEN_VARIABLE}) for one; give one of them")
        return (), None
    if args.token is not None:
        return tuple(key if PUBLIC.fullmatch(key) else public_text(key) for key in read(args.token)), None
    if is_loopback(args.host) and public_url is None:
        return (), None
    secret = given_secret(None)
    return (public_text(secret),), mint(secret, GUEST, (TALK, WATCH, PUSH, PHOTOS), INVITED_S)


def given_secret(given: str | None) -> str:
    """Return the first key in `given` (text or file) or AVATAR_TOKEN, else the user's secret. Raises ConfigError."""
    from streamer.access.secret import own_secret, read
    from streamer.avatar.catalogue import home_folder

    chosen = given or os.environ.get(TOKEN_VARIABLE)
    return own_secret(home_folder()) if chosen is None else read(chosen)[0]


def given_token(given: str | None) -> str | None:
    """Return the client's token; `given` is the token or a file that contains it. Raises ConfigError."""
    if given is None or re.fullmatch(r"avs_[\w-]+|[\w-]+\.[\w-]+\.[\w-]+", given, re.ASCII):
        return given
    try:
        with Path(given).open("rb") as file:
            text = file.read(MOST_TOKEN).decode("ascii", errors="replace").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no possible name"
        raise ConfigError(f"--token: neither a token nor a file that can be read ({reason})") from None
    if not text.isascii() or not text.isprintable() or not text:
        raise ConfigError(f"--token {given}: no token is in it; expected the line that `avatar token` prints")
    return text
