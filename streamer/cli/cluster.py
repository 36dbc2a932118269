"""`avatar cluster`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from streamer.cli.access_arguments import access, add_access
from streamer.cli.arguments import add_avatar, add_family, argument, number, port, whole
from streamer.cli.serve import read_sessions
from streamer.core.console import say
from streamer.core.errors import ConfigError
from streamer.core.readers import whole as read_whole
from streamer.server.options import ServeOptions
from streamer.web.listen import is_loopback

EXAMPLES = (
    "avatar cluster start --node-address 10.0.0.1 --host 0.0.0.0",
    "avatar cluster join 10.0.0.1:6379",
)
MOST_WORKERS = 10_000
HEAD_PORT = 6379


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `avatar cluster`, and their arguments."""
    from streamer.cli.main import Parser

    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", parser_class=Parser)
    actions.required = True
    _add_start(actions.add_parser("start", help="begin a cluster on this machine"))
    _add_join(actions.add_parser("join", help="put this machine into a cluster"))
    status = actions.add_parser("status", help="the workers, as a live table")
    status.add_argument("--once", action="store_true", help="print it once and end")
    status.add_argument("--json", action="store_true", help="as JSON, one line a look")
    drain = actions.add_parser("drain", help="let no more callers in, and move those there are when they are silent")
    drain.add_argument(
        "name", metavar="WORKER|NODE|this", help="as `avatar cluster status` names them, or this machine"
    )
    drain.add_argument("--wait", action="store_true", help="end when nobody talks there any more")
    publish = actions.add_parser("publish", help="put an avatar of yours where all machines find it")
    publish.add_argument("name", metavar="AVATAR", help="its name; `avatar avatars` lists them")
    publish.add_argument(
        "--shelf", type=whole_address, required=True, metavar="URL", help="as of `avatar cluster start`"
    )
    add_family(publish, threads=False)
    stop = actions.add_parser("stop", help="end the cluster")
    for visitor in (status, drain, stop):
        visitor.add_argument(
            "--cluster", default="auto", metavar="HOST:PORT", help="which (default: the one that this machine is in)"
        )


def _add_start(parser: argparse.ArgumentParser) -> None:
    _add_node(parser, "127.0.0.1", "127.0.0.1, which no other machine can join")
    parser.add_argument(
        "--cluster-port", type=port, default=HEAD_PORT, help=f"port that machines join at (default: {HEAD_PORT})"
    )
    parser.add_argument(
        "--attach", metavar="HOST:PORT", help="use the Ray cluster whose head listens there, such as KubeRay's"
    )
    parser.add_argument(
        "--shelf",
        type=whole_address,
        metavar="URL",
        help="shared avatars, and visitors' photos: a folder, s3://BUCKET/PATH or what else fsspec knows",
    )
    _add_gateway(parser)
    parser.add_argument(
        "--worker-cores", type=whole(1, 1024), default=2, metavar="N", help="cores of one worker (default: 2)"
    )
    parser.add_argument(
        "--worker-gpus",
        type=number(0.01, 16),
        default=0.0,
        metavar="X",
        help="GPUs of one worker instead, or a fraction",
    )
    parser.add_argument(
        "--workers",
        type=argument(read_range),
        metavar="LEAST-MOST",
        help="as many workers as callers need, on a cluster that grows by itself (default: as many as fit)",
    )
    parser.add_argument(
        "--sessions",
        type=argument(read_sessions),
        metavar="N|auto",
        help="people at the same time on one worker (default: auto, as many as it has the time for)",
    )
    parser.add_argument("--voice", default="espeak", metavar="WHICH", help="what speaks text, as of `avatar serve`")
    add_access(parser)
    add_avatar(parser)
    add_family(parser)


def _add_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cluster", metavar="HOST:PORT", help="as `avatar cluster start` names it")
    _add_node(parser, None, "the one that the cluster is reached by")
    parser.add_argument("--gateway", action="store_true", help="run a gateway here, too")
    _add_gateway(parser)


def _add_node(parser: argparse.ArgumentParser, address: str | None, told: str) -> None:
    parser.add_argument(
        "--node-address", default=address, metavar="ADDRESS", help=f"this machine's, for the others (default: {told})"
    )
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--cores",
        type=whole(0, 4096),
        default=cores,
        metavar="N",
        help=f"cores for workers here (default: all {cores})",
    )


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="localhost", help="address that the gateway listens on (default: localhost)")
    parser.add_argument("--port", type=port, default=8080, help="port of the gateway (default: 8080)")
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="SITE", help="let pages of another site use it"
    )


def whole_address(text: str) -> str:
    """Read `--shelf`; make a folder's path absolute, because workers run in other folders."""
    return text if "://" in text else str(Path(text).expanduser().resolve())


def read_range(text: str) -> tuple[int, int]:
    """Read `--workers`: LEAST-MOST."""
    least, _, most = text.partition("-")
    try:
        found = read_whole(0, MOST_WORKERS)(least), read_whole(1, MOST_WORKERS)(most)
    except ValueError:
        raise ValueError("two whole numbers such as 1-20") from None
    if found[0] > found[1]:
        raise ValueError("the smaller number first, such as 1-20")
    return found


def run(args: argparse.Namespace) -> int:
    """Run live conversations on several machines behind one address. See docs/scaling.md."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("a cluster needs Ray: pip install 'avatar-streamer[cluster]'")
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray reads it at import
    from streamer.cluster import commands
    from streamer.cluster.gateway_server import GatewayOptions
    from streamer.cluster.nodes.ray_actors import ClusterSettings
    from streamer.cluster.scaling import Share

    if args.action in ("start", "join"):
        door = GatewayOptions(args.host, args.port, tuple(args.allow_origin))
        if args.action == "join":
            this = commands.NodeOptions(args.cluster, args.node_address, args.cores)
            commands.join(this, door if args.gateway else None)
            return 0
        keys, invitation = access(args)
        options = ServeOptions(
            family=args.engines,
            avatar=args.avatar,
            lookahead_ms=args.lookahead,
            threads=args.threads,
            max_sessions=args.sessions,
            photos=args.shelf is not None and bool(keys),
            photo_days=args.photo_days,
            voice=args.voice,
            allowed_origins=tuple(args.allow_origin),
            token_keys=keys,
        )
        if args.shelf is not None:
            commands.check_shelf(args.shelf, args.engines)
        if invitation is not None:
            say(f"avatar: to open it once: add #token={invitation}")
        share = Share(args.worker_cores, args.worker_gpus)
        own = None if args.attach else args.node_address
        host = "localhost" if own is not None and is_loopback(own) else None
        settings = ClusterSettings(commands.new_secret(), share, options, args.workers, args.shelf, host)
        cluster = args.attach or f"{own}:{args.cluster_port}"
        commands.start(commands.NodeOptions(cluster, own, args.cores), settings, door, head=args.attach is None)
    elif args.action == "status":
        commands.status(args.cluster, args.once or not sys.stdout.isatty(), args.json)
    elif args.action == "drain":
        say(f"avatar: {', '.join(commands.drain(args.cluster, args.name, args.wait))} will take no more callers")
    elif args.action == "publish":
        digest = commands.publish(args.shelf, args.engines, args.name)
        say(f"avatar: {args.name} is on the shelf as {digest[:12]}; workers that start from now on have it")
    else:
        commands.stop(args.cluster)
        say("avatar: the cluster ends")
    return 0
