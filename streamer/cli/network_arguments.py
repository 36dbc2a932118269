"""The arguments of `avatar serve` about how others reach it."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.cli.arguments import server_address


def add_network(parser: argparse.ArgumentParser) -> None:
    """`--cert`, `--key`, `--public-url` and `--trusted-proxy`."""
    group = parser.add_argument_group("how others reach it (docs/deploy.md)")
    group.add_argument(
        "--cert", type=Path, metavar="FILE.pem", help="serve https with this certificate, chain included"
    )
    group.add_argument("--key", type=Path, metavar="FILE.pem", help="its key; both are read anew when they are renewed")
    group.add_argument(
        "--public-url",
        type=server_address,
        metavar="URL",
        help="where others find it through a proxy, such as https://example.com/avatar/; then the server may listen on "
        "localhost, and is for others all the same",
    )
    group.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="ADDRESS|NET",
        help="believe a proxy on another machine when it names its client (X-Forwarded-For); may be repeated",
    )
