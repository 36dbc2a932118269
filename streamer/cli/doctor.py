"""`avatar doctor`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from streamer.core.console import say

if TYPE_CHECKING:
    from streamer.measure.doctor.finding import Finding

EXAMPLES = ("avatar doctor", "avatar doctor --quick")
EXIT_FAULT = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar doctor`."""
    parser.add_argument("--quick", action="store_true", help="do not measure how long a picture takes")


def run(args: argparse.Namespace) -> int:
    """Check what a conversation needs: processor, engines and their speed, disk, voice and devices. Also check the
    port, access, certificate and TURN servers that the options file and variables set for `avatar serve`.

    Prints one line per check, with a remedy for each problem. The exit status is 1 if a server could not run.
    """
    from streamer.cli.main import make_parser
    from streamer.measure.doctor.finding import Weight

    faults = 0
    for finding in _findings(make_parser().parse_args(["serve"]), args.quick):
        say(str(finding))
        faults += finding.weight is Weight.FAULT
    say("nothing stands in the way" if not faults else f"{faults} {'fault' if faults == 1 else 'faults'}")
    return EXIT_FAULT if faults else 0


def _findings(serve: argparse.Namespace, quick: bool) -> Iterator[Finding]:
    from streamer.avatar.catalogue import home_folder
    from streamer.measure.doctor import machine, reach
    from streamer.measure.doctor.finding import looked_at
    from streamer.web.listen import is_loopback
    from streamer.webrtc.turn_credentials import read_turn

    yield looked_at("versions", machine.versions)
    yield looked_at("processor", machine.processor)
    yield looked_at("engines", partial(machine.engines, serve.engines))
    if not quick:
        yield looked_at("speed", partial(machine.speed, serve.engines, serve.avatar, serve.threads))
    yield looked_at("disk", partial(machine.disk, home_folder()))
    yield looked_at("voice", partial(machine.voice, serve.voice), needed=serve.voice != "espeak")
    yield looked_at("sound", machine.sound, needed=False)
    yield looked_at("camera", machine.camera, needed=False)
    public = not is_loopback(serve.host) or serve.public_url is not None
    yield looked_at("port", partial(reach.port, serve.host, serve.port))
    yield looked_at("access", partial(reach.access, serve.host, serve.public_url, serve.open))
    behind_proxy = serve.public_url is not None and is_loopback(serve.host)
    yield looked_at("certificate", partial(reach.certificate, serve.cert, serve.key, public and not behind_proxy))
    if public:
        turns: list[Finding] = []

        def read() -> Finding:
            turns.extend(reach.turn(read_turn(tuple(serve.turn), serve.turn_secret)))
            return turns.pop(0)

        yield looked_at("turn", read)
        yield from turns
