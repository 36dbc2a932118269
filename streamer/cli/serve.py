"""`avatar serve`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from streamer.cli.access_arguments import access, add_access
from streamer.cli.arguments import (
    MAX_SESSIONS,
    add_avatar,
    add_badge,
    add_face_options,
    add_family,
    add_record,
    argument,
    face_options,
    port,
    record_options,
)
from streamer.cli.network_arguments import add_network
from streamer.core import readers
from streamer.core.errors import ConfigError
from streamer.realtime.settings import RealtimeSettings, read_settings
from streamer.server.options import ServeOptions

EXAMPLES = ("avatar serve", "avatar serve --port 9000 --avatar mina --background blur")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar serve`."""
    parser.add_argument("--host", default="localhost", help="address to listen on (default: localhost)")
    parser.add_argument("--port", type=port, default=8080, help="port to listen on (default: 8080)")
    parser.add_argument(
        "--sessions",
        type=argument(read_sessions),
        metavar="N|auto",
        help="people at the same time (default: auto, as many as this machine has the time for)",
    )
    parser.add_argument("--no-photos", action="store_true", help="do not let the page make avatars of photos")
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="SITE",
        help="let pages of another site use the server, such as https://www.example.com; may be repeated",
    )
    parser.add_argument(
        "--voice",
        default="espeak",
        metavar="WHICH",
        help="what speaks text: espeak, piper:MODEL.onnx or kokoro:FOLDER (default: espeak, where it is installed)",
    )
    parser.add_argument(
        "--realtime",
        metavar="URL",
        help="let a voice agent of the OpenAI Realtime protocol answer, at an address ws:// or wss://; its key is in "
        "AVATAR_REALTIME_KEY (docs/realtime.md)",
    )
    parser.add_argument(
        "--realtime-session",
        type=Path,
        metavar="FILE",
        help="JSON of what the agent is asked for, such as instructions and voice (session.update)",
    )
    add_network(parser)
    add_access(parser)
    add_avatar(parser)
    add_family(parser)
    add_badge(parser, auto=True)
    add_face_options(parser, live=True)
    add_record(parser, per_session=True)


def read_sessions(text: str) -> int | None:
    """Read `--sessions`; None is auto."""
    try:
        return None if text == "auto" else readers.whole(1, MAX_SESSIONS)(text)
    except ValueError as error:
        raise ValueError(f"auto or {error}") from None


def realtime(args: argparse.Namespace) -> RealtimeSettings | None:
    """Return the settings of the requested voice agent, or None. Raises ConfigError."""
    if args.realtime is not None:
        return read_settings(args.realtime, args.realtime_session, os.environ)
    if args.realtime_session is not None:
        raise ConfigError("--realtime-session is for an agent, expected --realtime URL, too")
    return None


def run(args: argparse.Namespace) -> int:
    """Serve the page for live conversations with the avatar. Stop with Ctrl-C."""
    from streamer.server.app import serve

    keys, invitation = access(args, args.public_url)
    serve(
        ServeOptions(
            host=args.host,
            port=args.port,
            family=args.engines,
            avatar=args.avatar,
            lookahead_ms=args.lookahead,
            face=face_options(args),
            threads=args.threads,
            max_sessions=args.sessions,
            record=record_options(args),
            photos=not args.no_photos,
            cert=args.cert,
            key=args.key,
            public_url=args.public_url,
            trusted_proxies=tuple(args.trusted_proxy),
            turn=tuple(args.turn),
            turn_secret=args.turn_secret,
            udp_ports=args.udp_ports,
            public_ip=args.public_ip,
            access_log=args.access_log,
            token_keys=keys,
            invitation=invitation,
            photo_days=args.photo_days,
            voice=args.voice,
            badge=args.badge,
            allowed_origins=tuple(args.allow_origin),
            realtime=realtime(args),
        )
    )
    return 0
