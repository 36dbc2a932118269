"""Network arguments of `avatar serve`."""

from __future__ import annotations

import argparse
import ipaddress
import re
from pathlib import Path

from streamer.cli.arguments import argument, server_address


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add `--cert` to `--udp-ports`."""
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
    group.add_argument(
        "--turn",
        action="append",
        default=[],
        metavar="URL",
        help="give browsers this TURN server, such as turn:example.com:3478?transport=tcp; may be repeated",
    )
    group.add_argument(
        "--turn-secret", type=Path, metavar="FILE", help="what it shares with this server (coturn: static-auth-secret)"
    )
    group.add_argument(
        "--public-ip", type=argument(read_ip), metavar="ADDRESS", help="IPv4 address that others see, behind a 1:1 NAT"
    )
    group.add_argument(
        "--udp-ports",
        type=argument(read_ports),
        metavar="A-B",
        help="for sound and pictures (default: any); a conversation takes one for each address of this machine",
    )


def read_ip(text: str) -> str:
    """Read `--public-ip`."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError("an IPv4 address") from None


def read_ports(text: str) -> tuple[int, int]:
    """Read `--udp-ports`."""
    found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text, re.ASCII)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1024 <= first <= last <= 65_535:
        raise ValueError("two ports from 1024 to 65535, such as 50000-50100,")
    return first, last
