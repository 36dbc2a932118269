"""The `avatar` command: talk live or through a camera, render files, list avatars, check the engines, measure."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from engines import FAMILY_VARIABLE, default_family
from engines.manifest import Manifest
from streamer import __version__
from streamer.avatar.catalogue import default_name, find_avatar, list_avatars
from streamer.cli import bench_options, local_options, photo_options, record_options, replay_options
from streamer.cli.arguments import MOST_SESSIONS, whole
from streamer.core.errors import AvatarError
from streamer.core.options import DEFAULT_THREADS
from streamer.core.signals import terminable
from streamer.server.options import ServeOptions
from streamer.stages import face_options
from streamer.stages.lookahead import LIVE_CONTEXT_MS

EXIT_REFUSED = 2
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143  # by SIGINT, by SIGTERM: as shells have it

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. An error that a person can act on is one line on standard error."""
    with terminable() as terminated:
        try:
            return _run(argv)
        except KeyboardInterrupt:
            return EXIT_TERMINATED if terminated() else EXIT_INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(levelname)s %(message)s")
    command: Command = args.command
    try:
        return command(args)
    except AvatarError as error:
        print(f"avatar: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except OSError as error:
        if error.filename is None:
            raise  # no file that the person could do something about
        print(f"avatar: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_REFUSED


class _Parser(argparse.ArgumentParser):
    """Tells a wrong option in one line, like every other error, and not under a page of usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_REFUSED, f"avatar: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="avatar",
        description="A face made from one picture speaks with your voice: live in the browser, or in a video file.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--verbose", action="store_true", help="say more about what happens")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(commands.add_parser("serve", help="talk live in the browser", description=_serve.__doc__))
    _add_render(commands.add_parser("render", help="make a talking video of a sound", description=_render.__doc__))
    photo_options.add_prepare(
        commands.add_parser("prepare", help="make an avatar of a photo", description=photo_options.run_prepare.__doc__),
        _add_family,
    )
    camera = commands.add_parser(
        "camera", help="talk through a virtual camera", description=local_options.run_camera.__doc__
    )
    local_options.add_camera(camera, _add_face, _add_family)
    mic = commands.add_parser("mic", help="try your microphone", description=local_options.run_mic.__doc__)
    local_options.add_mic(mic, _add_face, _add_family)
    _add_avatars(commands.add_parser("avatars", help="list the avatars", description=_avatars.__doc__))
    _add_engines(commands.add_parser("engines", help="check the engines", description=_engines.__doc__))
    bench = commands.add_parser(
        "bench", help="measure a live conversation", description=bench_options.run_bench.__doc__
    )
    bench_options.add_bench(bench, _add_face, _add_family)
    return parser


def _add_family(parser: argparse.ArgumentParser, runs: bool = True) -> None:
    """Which engines; `runs`: whether the command also runs them."""
    parser.add_argument(
        "--engines",
        type=Path,
        metavar="DIR",
        default=default_family(),
        help=f"folder of a family of engines (default: {FAMILY_VARIABLE}, else the shipped one)",
    )
    if runs:
        parser.add_argument(
            "--threads",
            type=whole(1, 256),
            default=DEFAULT_THREADS,
            metavar="N",
            help=f"processor threads to use (default: {DEFAULT_THREADS})",
        )


def _add_face(parser: argparse.ArgumentParser, photo: bool = False) -> None:
    if photo:
        parser.add_argument("--avatar", metavar="NAME|PHOTO", help="whose face: an avatar's name, or any photo")
        photo_options.add_arguments(parser)
    else:
        parser.add_argument("--avatar", metavar="NAME", help="whose face; `avatar avatars` lists them")
    most = "all the family can use"
    if not photo:
        most += f", less what it wants beyond {LIVE_CONTEXT_MS} ms to smooth motion"
    parser.add_argument(
        "--lookahead",
        type=whole(0, 10_000),
        metavar="MS",
        help=f"how long a frame waits for later sound: less is quicker, and looser lips (default: {most})",
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="localhost", help="address to listen on (default: localhost)")
    parser.add_argument("--port", type=whole(0, 65_535), default=8080, help="port to listen on (default: 8080)")
    parser.add_argument(
        "--sessions", type=whole(1, MOST_SESSIONS), default=4, metavar="N", help="people at the same time (default: 4)"
    )
    parser.add_argument("--no-photos", action="store_true", help="make no avatars of photos on the page")
    _add_face(parser)
    _add_family(parser)
    face_options.add_arguments(parser, live=True)
    record_options.add_arguments(parser, each=True)
    parser.set_defaults(command=_serve)


def _add_render(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--audio", type=Path, metavar="FILE", help="any sound or video file")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.mp4",
        help="the video to write: .mp4, or .webm or .mov, which can be transparent",
    )
    replay_options.add_arguments(parser)
    parser.add_argument("--seed", type=whole(0, 2**32), metavar="N", help="chooses head motion and blinks (default: 0)")
    parser.add_argument("--stats", action="store_true", help="print the milliseconds of each stage")
    _add_face(parser, photo=True)
    _add_family(parser)
    face_options.add_arguments(parser, live=False)
    for name, what in (("pose", "head motion"), ("blink", "lids and brows")):
        parser.add_argument(
            f"--reference-{name}", type=Path, metavar="VIDEO", help=f"take the {what} of the face in a video"
        )
    parser.set_defaults(command=_render)


def _add_avatars(parser: argparse.ArgumentParser) -> None:
    _add_family(parser, runs=False)
    parser.set_defaults(command=_avatars)


def _add_engines(parser: argparse.ArgumentParser) -> None:
    _add_family(parser)
    parser.set_defaults(command=_engines)


def _serve(args: argparse.Namespace) -> int:
    """Serve the page where people talk and the avatar talks with them. Stop with Ctrl-C."""
    from streamer.server.app import serve

    serve(
        ServeOptions(
            host=args.host,
            port=args.port,
            family=args.engines,
            avatar=args.avatar,
            lookahead_ms=args.lookahead,
            face=face_options.of_arguments(args),
            threads=args.threads,
            max_sessions=args.sessions,
            record=record_options.of_arguments(args),
            photos=not args.no_photos,
        )
    )
    return 0


def _render(args: argparse.Namespace) -> int:
    """Make a video (H.264 and AAC, 25 fps): of a sound file, whose sound the face speaks, or of a recorded
    performance, which it plays again."""
    if replay_options.asked(args):
        return replay_options.run_replay(args)
    from streamer.render.from_sound import RenderOptions, render_file

    options = RenderOptions(
        audio=args.audio,
        out=args.out,
        avatar=args.avatar,
        photo_mode=args.mode,
        photo_face=args.face,
        coefficients=args.coefficients,
        lookahead_ms=args.lookahead,
        seed=args.seed or 0,
        face=face_options.of_arguments(args),
        reference_pose=args.reference_pose,
        reference_blink=args.reference_blink,
        threads=args.threads,
        stats=args.stats,
    )
    render_file(Manifest.load(args.engines), options)
    print(f"wrote {args.out}")
    return 0


def _avatars(args: argparse.Namespace) -> int:
    """List the avatars that come with the engines, and your own."""
    manifest = Manifest.load(args.engines)
    for name in list_avatars(manifest):
        info = find_avatar(manifest, name)
        note = " (default)" if name == default_name(manifest) else ""
        print(f"{name:12s} {info.title}{note}: {info.description}")
    return 0


def _engines(args: argparse.Namespace) -> int:
    """Verify a family of engines, load it, and say what it runs on."""
    from engines.runtime import Engines, backend_for

    manifest = Manifest.load(args.engines)
    backends = {name: backend_for(stage) for name, stage in manifest.stages.items()}
    print(f"family {manifest.family} {manifest.version}: {manifest.size}x{manifest.size} at {manifest.fps} fps, "
          f"full look-ahead {manifest.lookahead_ms} ms, licence {manifest.licence}")  # fmt: skip
    for name, description in dict.fromkeys((backend.name, backend.description) for backend in backends.values()):
        print(f"runs on {name}: {description}")
    with Engines.open(manifest, threads=args.threads):
        for name, stage in manifest.stages.items():
            backend = backends[name]
            chosen = (graph.for_backend(backend.name) for graph in stage.graphs)
            graphs = ", ".join(f"{graph.path.name} ({backend.precision(graph)})" for graph in chosen)
            print(f"  {name:12s} {graphs or stage.process}")
    print("all files verified, all stages run")
    return 0
