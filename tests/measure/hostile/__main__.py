"""Attacks on a server in a process of its own, one after another, beside a call that must not notice.

    python -m tests.measure.hostile [--attack NAME,..] [--outside] [--open] [--seconds N] [--engines DIR] [--json FILE]

Each attack's "before" is taken immediately before it. Harm is: fewer packets of sound than 49 a second in the call
beside it, new pictures more than a tenth fewer than before, memory that does not come back within 20 MB, a traceback,
an end of that call. --outside: attackers come by the machine's own address and not by localhost, for which a server
has other rules; then with a token, or with none (--open, where the server asks for none). The attackers stand back
(nice), so that what the call loses, it loses to the server's work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import tempfile
import time
import urllib.request
from pathlib import Path

from streamer.access.grant import PHOTOS, PUSH, TALK, WATCH
from streamer.access.secret import new_secret
from streamer.access.tokens import mint
from streamer.core.files import write_json
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.webrtc.ice import LOOPBACK, offer_only, own_addresses
from tests.families import tiny_family
from tests.measure.hostile import in_session, over_http
from tests.measure.hostile.scene import Attack, Scene
from tests.measure.mutated.beside import Canary, canary

ATTACKS: dict[str, Attack] = {
    attack.__name__: attack
    for attack in (
        over_http.half_requests, over_http.slow_bodies, over_http.long_headers, over_http.pipelines, over_http.crumbs,
        over_http.unwanted_bodies, over_http.bombs, over_http.asking, over_http.figures, over_http.backgrounds,
        over_http.large_offers, over_http.half_open, over_http.guesses, over_http.photos,
        in_session.pings, in_session.pongs, in_session.fragments, in_session.many_sockets,
        in_session.viewers, in_session.patches, in_session.hanging_up, in_session.datagrams,
    )
} | in_session.PEERS  # fmt: skip
BEFORE_S, SETTLE_S, BACK_MB = 5.0, 15.0, 20.0
Row = dict[str, object]


def reported(bird: Canary) -> int:
    """New pictures that the canary's session has been sent, as the server counts them."""
    headers = {} if bird.token is None else {"Authorization": f"Bearer {bird.token}"}
    request = urllib.request.Request(bird.location, headers=headers)
    for _ in range(20):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(json.load(answer)["pictures"])
        except OSError:
            time.sleep(0.5)
    return 0


async def visitors(url: str, patience_s: float, met: list[float]) -> None:
    """An honest visitor each half second: how long it waits for the page's list of health, inf where it is refused."""
    while True:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(patience_s):
                host, port = re.findall(r"//(.*):(\d+)/", url)[0]
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(f"GET /healthz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                writer.close()
                met.append(time.monotonic() - begun if b" 200 " in head else float("inf"))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            met.append(float("inf"))
        await asyncio.sleep(0.5)


async def measured(server: LaunchedServer, bird: Canary, name: str, scene: Scene) -> Row:
    """One attack."""
    memory, begun, pictures = server.usage()[1], time.monotonic(), await asyncio.to_thread(reported, bird)
    await asyncio.sleep(BEFORE_S)
    busy, middle = server.usage()[0], time.monotonic()
    before = (await asyncio.to_thread(reported, bird) - pictures) / (middle - begun)
    heard = bird.told(begun, middle)
    met: list[float] = []
    pictures, peak = await asyncio.to_thread(reported, bird), 0.0
    honest = asyncio.create_task(visitors(server.url, 5.0, met))
    scene.begun = middle = time.monotonic()
    work = asyncio.create_task(ATTACKS[name](scene))
    while not work.done():
        await asyncio.wait([work], timeout=0.5)
        peak = max(peak, server.usage()[1])
    failure = work.exception()
    end, spent = time.monotonic(), server.usage()[0] - busy
    honest.cancel()
    new = (await asyncio.to_thread(reported, bird) - pictures) / (end - middle)
    while server.usage()[1] > memory + BACK_MB and time.monotonic() < end + SETTLE_S:  # noqa: ASYNC110
        await asyncio.sleep(1.0)
    during, come = bird.told(middle + 0.5, end), [wait for wait in met if wait < float("inf")]
    return {
        "attack": name,
        "did": dict(scene.tried.most_common(6)) | ({} if failure is None else {"failed": repr(failure)[:90]}),
        "before": [heard["packets"], heard["pictures"], round(before, 1)],
        "during": [during["packets"], during["pictures"], round(new, 1)],
        "new_ratio": round(new / before, 2) if before else None,
        "least_second": during["least"],
        "alive": bird.alive and server.process.poll() is None,
        "visitors": f"{len(come)} of {len(met)}, worst {max(come, default=0):.1f} s",
        "server_busy": round(spent / (end - middle), 2),
        "grown_mb": [round(peak - memory), round(server.usage()[1] - memory)],
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


async def run(args: argparse.Namespace, server: LaunchedServer, secret: str | None) -> list[Row]:
    """All attacks that were asked for."""
    tokens = (
        [None, None]
        if secret is None
        else [mint(secret, name, (TALK, PUSH, WATCH, PHOTOS), 7200) for name in ("own", "other")]
    )
    url, rows = server.url, []
    if args.outside:
        address = next(each for each in own_addresses() if ":" not in each)
        url = re.sub(r"//.*:", f"//{address}:", server.url)
    async with canary(server.url, tokens[0]) as bird:
        os.nice(15)
        for name in args.attack.split(","):
            scene = Scene(url, tokens[1], args.seconds)
            rows.append(await measured(server, bird, name, scene))
            print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--attack", default=",".join(ATTACKS), help=f"default: all, {', '.join(ATTACKS)}")
    parser.add_argument("--outside", action="store_true")
    parser.add_argument("--open", action="store_true", help="a server that asks for no token")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--engines", help="a family in place of that in miniature; its default avatar is called")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not args.outside:
        offer_only(LOOPBACK)
    secret = None if args.open else new_secret()
    way = [] if secret is None else ["--token", secret]
    if args.outside:
        way = ["--host", "0.0.0.0", *(way or ["--open"])]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AVATAR_HOME"] = folder
        log = Path(folder) / "log"
        family = args.engines or str(tiny_family.build(Path(folder) / "tiny"))
        with launch([*way, "--sessions", "16", "--threads", "1", "--engines", family], log) as server:
            rows = asyncio.run(run(args, server, secret))
        told = [
            line
            for line in log.read_text(encoding="utf-8").splitlines()
            if re.search("Traceback|Error|WARN|never", line)
        ]
        print(json.dumps({"complaints": told[:20]}))
    if args.json is not None:
        write_json(args.json, rows)


if __name__ == "__main__":
    main()
